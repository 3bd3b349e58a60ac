/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-create, hit everywhere.  For each kind of snapshot: every call to
 * the outside fails once; the process ends at every call; and after each such
 * end the recovery ends at every call of its own.  Then: recover, and the
 * invariants of fakes/check.h hold; a second recover does nothing; and the
 * next snapshot works.  The same for a domain that is off: it is started
 * afterwards, and finds what it had.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/check.h"
#include "lib/mem.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool paused; /* --paused */
    bool live; /* disks are taken before the memory is whole */
    bool off; /* the domain does not run */
    bool known; /* its configuration is in the store, as that of s0 */
};

static const struct kind kinds[] = {
    { .name = "memory, mixed", .memory = true },
    { .name = "memory, external", .type = SNAP_DISK_EXTERNAL, .memory = true },
    { .name = "live memory, mixed", .memory = true, .live = true },
    { .name = "disk-only, mixed" },
    { .name = "off, mixed", .off = true },
    { .name = "off, external, known to the store",
      .type = SNAP_DISK_EXTERNAL,
      .off = true,
      .known = true },
};

/* An xl.cfg of vm1 as it was at the beginning. */
static char xl_cfg[] = "/tmp/snap-vm1-XXXXXX";

static int write_xl_cfg(void **state)
{
    static const char text[] =
        "name='vm1'\nuuid='" FAKE_UUID "'\nmemory=64\n"
        "disk=[ 'format=qcow2,vdev=xvda,target=/img/a.qcow2',\n"
        "       'format=raw,vdev=xvdb,target=/img/b.img' ]\n";
    int fd = mkstemp(xl_cfg);
    bool good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    (void)state;
    close(fd);
    return !good;
}

static int remove_xl_cfg(void **state)
{
    (void)state;
    return unlink(xl_cfg);
}

static void ask(struct snap_create_req *req, const struct kind *k)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)"s1";
    req->type = k->type;
    req->live = k->live ? 1 : -1;
    req->memory = k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    req->paused = k->paused;
    req->no_wait = true;
    req->domain_config = k->off && !k->known ? xl_cfg : NULL;
}

/* A host just before a snapshot of this kind, and what the guest has. */
static void begin(struct fake_host *h, const struct kind *k, struct before *b)
{
    fake_host_init(h);
    if (k->known) {
        struct fake_outcome out;
        struct snap_create_req req;

        ask(&req, k);
        req.name = (char *)"s0";
        fake_host_run(h, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
        assert_string_equal(out.msg, "");
    }
    before_take(b, h);
    if (k->off)
        fake_host_stop(h);
}

/* What the guardian does once its parent is dead. */
static int guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    (void)arg;
    return h->env.ops->rescue(h->env.hyp, FAKE_UUID, 4242, false, err);
}

/* All is well, the guest goes on, and a snapshot can be taken. */
static void check_after(struct fake_host *h, const struct kind *k,
                        const struct before *b, const char *when, unsigned n)
{
    struct fake_outcome out;
    struct snap_create_req req;
    struct before b2;
    bool there;
    int did = 0;
    const char *w;

    if (k->off && fake_domain_find(h->world, "vm1"))
        fail_msg("%s, %s %u: the domain was started", k->name, when, n);
    if (k->off)
        fake_host_start(h);
    w = check_guest(h, b);
    if (w)
        fail_msg("%s, %s %u: %s", k->name, when, n, w);
    w = check_record(h, "s1", k->memory, b, &there);
    if (w)
        fail_msg("%s, %s %u: %s", k->name, when, n, w);
    fake_host_run(h, fake_host_recover, &did, DOOM_NONE, 0, 0, &out);
    if (out.rc || did)
        fail_msg("%s, %s %u: a second recover: %s", k->name, when, n, out.msg);

    before_take(&b2, h);
    if (there) {
        w = check_record(h, "s1", k->memory, b, &there);
        if (w)
            fail_msg("%s, %s %u, after the guest wrote: %s", k->name, when, n,
                     w);
    }
    ask(&req, k);
    req.name = (char *)"s2";
    if (there)
        req.domain_config = NULL;
    if (k->off)
        fake_host_stop(h);
    fake_host_run(h, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s, %s %u: the next snapshot: %s", k->name, when, n,
                 out.msg);
    if (k->off)
        fake_host_start(h);
    w = check_guest(h, &b2);
    if (w)
        fail_msg("%s, %s %u, after the next snapshot: %s", k->name, when, n,
                 w);
}

/* CRASH_KIND=off: only the kinds whose name begins so. */
static bool left_out(const struct kind *k)
{
    const char *only = getenv("CRASH_KIND");

    return only && !snap_has_prefix(k->name, only);
}

static void test_success(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct fake_host h;
        struct fake_outcome out;
        struct snap_create_req req;
        struct before b;
        bool there;
        const char *w;

        if (left_out(&kinds[i]))
            continue;
        begin(&h, &kinds[i], &b);
        ask(&req, &kinds[i]);
        fake_host_run(&h, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
        assert_string_equal(out.msg, "");
        assert_int_equal(out.rc, 0);
        w = check_record(&h, "s1", kinds[i].memory, &b, &there);
        if (w)
            fail_msg("%s: %s", kinds[i].name, w);
        assert_true(there);
        check_after(&h, &kinds[i], &b, "success", 0);
        fake_host_dispose(&h);
    }
}

static void test_errno_everywhere(void **state)
{
    static const int errnos[] = { EIO, ENOSPC };
    size_t i, e;
    unsigned n, total = 0;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (e = 0; e < 2 && !left_out(&kinds[i]); e++)
            for (n = 1;; n++) {
                struct fake_host h;
                struct fake_outcome out;
                struct snap_create_req req;
                struct before b;
                char when[256];
                bool there, hit;
                const char *w;

                begin(&h, &kinds[i], &b);
                ask(&req, &kinds[i]);
                hit = fake_host_run(&h, fake_host_create, &req, DOOM_ERRNO, n,
                                    errnos[e], &out);
                if (!hit) {
                    assert_int_equal(out.rc, 0);
                    fake_host_dispose(&h);
                    break;
                }
                snprintf(when, sizeof(when), "%s at %s", strerror(errnos[e]),
                         out.doomed);
                if (out.rc && !out.msg[0])
                    fail_msg("%s, %s: failed and said nothing", kinds[i].name,
                             when);
                if (out.rc == SNAP_RECOVER) {
                    struct fake_outcome again;

                    fake_host_run(&h, fake_host_recover, NULL, DOOM_NONE, 0, 0,
                                  &again);
                    if (again.rc)
                        fail_msg("%s, %s: recover: %s", kinds[i].name, when,
                                 again.msg);
                } else if (out.rc) {
                    /* Exit 1 means: undone, wholly. */
                    w = check_record(&h, "s1", kinds[i].memory, &b, &there);
                    if (w || there)
                        fail_msg("%s, %s: %s (and said: %s)", kinds[i].name,
                                 when, w ? w : "a record is there", out.msg);
                }
                check_after(&h, &kinds[i], &b, when, n);
                fake_host_dispose(&h);
                total++;
            }
    print_message("%u errors injected\n", total);
}

/* Die at call n of create; then let recovery die at each of its calls. */
/* A recovery has some 60 calls and follows one of some 100 deaths: all pairs
 * of them take many minutes.  Each run takes every 17th call of the recovery,
 * beginning at another one for each death, so that over the deaths every call
 * of it is hit.  CRASH_ALL=1 takes all pairs. */
static unsigned stride(unsigned n, unsigned j)
{
    if (getenv("CRASH_ALL"))
        return 1;
    return j ? 17 : 1 + n % 17;
}

static void test_death_everywhere(void **state)
{
    size_t i;
    unsigned n, j, deaths = 0, again = 0;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (n = 1; !left_out(&kinds[i]); n++) {
            bool hit = true, more = true;

            for (j = 0; more; j += stride(n, j)) {
                struct fake_host h;
                struct fake_outcome out, rec;
                struct snap_create_req req;
                struct before b;
                char when[400];

                begin(&h, &kinds[i], &b);
                ask(&req, &kinds[i]);
                hit = fake_host_run(&h, fake_host_create, &req, DOOM_DEATH, n,
                                    0, &out);
                if (!hit) {
                    fake_host_dispose(&h);
                    break;
                }
                snprintf(when, sizeof(when), "dead at %s", out.doomed);
                if (!kinds[i].off) {
                    fake_host_run(&h, guardian, NULL, DOOM_NONE, 0, 0, &rec);
                    if (!fake_domain_runs(fake_domain_find(h.world, "vm1")))
                        fail_msg("%s, %s: the guest does not run",
                                 kinds[i].name, when);
                }
                if (j) {
                    more = fake_host_run(&h, fake_host_recover, NULL,
                                         DOOM_DEATH, j, 0, &rec);
                    if (more) {
                        strcat(when, ", recovery dead at ");
                        strcat(when, rec.doomed);
                        again++;
                    }
                }
                fake_host_run(&h, fake_host_recover, NULL, DOOM_NONE, 0, 0,
                              &rec);
                if (rec.rc)
                    fail_msg("%s, %s: recover: %s", kinds[i].name, when,
                             rec.msg);
                check_after(&h, &kinds[i], &b, when, n);
                fake_host_dispose(&h);
                deaths++;
            }
            if (!hit)
                break;
        }
    print_message("%u deaths, %u of them followed by one in recovery\n",
                  deaths, again);
}

/* Dead at call n, and the domain is started from its old xl.cfg before anybody
 * recovers: it reads and writes what it had, and the recovery harms nothing of
 * what it wrote.  Until a disk is frozen nothing keeps it from doing so. */
static void test_started_before_recovery(void **state)
{
    const struct kind k = { .name = "off, external, started",
                            .type = SNAP_DISK_EXTERNAL,
                            .off = true };
    static const char *const disks[] = { "xvda:qcow2:/img/a.qcow2",
                                         "xvdb:raw:/img/b.img", NULL };
    unsigned n, started = 0;

    (void)state;
    for (n = 1;; n++) {
        struct fake_host h;
        struct fake_outcome out;
        struct snap_create_req req;
        struct before b;
        bool hit, there;
        const char *w = NULL;

        begin(&h, &k, &b);
        ask(&req, &k);
        hit = fake_host_run(&h, fake_host_create, &req, DOOM_DEATH, n, 0,
                            &out);
        if (hit && !fake_store_find(h.disks, "/img/a.qcow2")->frozen) {
            fake_domain_add(h.world, "vm1", FAKE_UUID, disks);
            w = check_guest(&h, NULL);
            if (w && strcmp(w, "a journal is left"))
                fail_msg("%s: %s", out.doomed, w);
            before_take(&b, &h);
            fake_host_run(&h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
            if (out.rc)
                fail_msg("call %u: recover: %s", n, out.msg);
            w = check_guest(&h, &b);
            if (!w)
                w = check_record(&h, "s1", false, &b, &there);
            if (w || there)
                fail_msg("call %u: %s", n, w ? w : "there is a record");
            started++;
        }
        fake_host_dispose(&h);
        if (!hit)
            break;
    }
    assert_true(started > 20);
    print_message("started before %u recoveries\n", started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_errno_everywhere),
        cmocka_unit_test(test_death_everywhere),
        cmocka_unit_test(test_started_before_recovery),
    };

    return cmocka_run_group_tests(tests, write_xl_cfg, remove_xl_cfg);
}
