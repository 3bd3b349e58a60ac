/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-revert, hit everywhere, as tests/crash/test_create.c does it.  The
 * guest ends up wholly at the snapshot's instant, or wholly with what it had
 * last (its memory lost if it had been destroyed); never in between.  The
 * snapshot survives in every case and can be reverted to.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/store.h"
#include "fakes/check.h"
#include "lib/mem.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool off; /* the domain is gone before */
    bool over; /* a later snapshot froze the images */
};

static const struct kind kinds[] = {
    { "running, memory, mixed", SNAP_DISK_AUTO, true, false, false },
    { "running, disk-only, external", SNAP_DISK_EXTERNAL, false, false,
      false },
    { "gone, memory, mixed", SNAP_DISK_AUTO, true, true, false },
    { "running, memory, mixed, frozen since", SNAP_DISK_AUTO, true, false,
      true },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before at; /* the snapshot's instant */
    struct before last; /* what the guest had last */
    char *path_a, *path_b; /* its images then */
};

static void scene_init(struct scene *s, const struct kind *k)
{
    struct snap_create_req req = { 0 };
    struct fake_outcome out;
    struct fake_domain *d;

    memset(s, 0, sizeof(*s));
    s->k = k;
    fake_host_init(&s->h);
    d = fake_domain_find(s->h.world, "vm1");
    d->tick = 100;
    before_take(&s->at, &s->h);
    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.type = k->type;
    req.live = -1;
    req.memory = k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    fake_host_run(&s->h, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s: create: %s", k->name, out.msg);
    if (k->over) {
        req.name = (char *)"s2";
        req.type = SNAP_DISK_EXTERNAL;
        req.memory = SNAP_MEM_NO;
        fake_host_run(&s->h, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
        if (out.rc)
            fail_msg("%s: second create: %s", k->name, out.msg);
    }
    d->tick = 200;
    before_take(&s->last, &s->h);
    s->path_a = fake_domain_path(d, "xvda");
    s->path_b = fake_domain_path(d, "xvdb");
    if (k->off) {
        d->exists = false;
        fake_store_close(s->h.disks, d->domid);
    }
}

static void scene_dispose(struct scene *s)
{
    snap_free(&s->path_a);
    snap_free(&s->path_b);
    fake_host_dispose(&s->h);
}

static void revert_req(struct snap_revert_req *req)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)"s1";
    req->no_wait = true;
}

static void check_end(struct scene *s, bool must_be_reverted, const char *when)
{
    struct fake_host *h = &s->h;
    struct fake_domain *d = fake_domain_find(h->world, "vm1");
    struct fake_outcome out;
    struct snap_revert_req req;
    bool reverted, there;
    int did = 0;
    const char *w;

    if (!d) {
        if (!s->k->off || must_be_reverted)
            fail_msg("%s, %s: vm1 is gone", s->k->name, when);
        if (h->world->bad || h->disks->violation[0])
            fail_msg("%s, %s: %s%s", s->k->name, when, h->world->why_bad,
                     h->disks->violation);
        if (fake_store_content(h->disks, s->path_a) != s->last.a ||
            fake_store_content(h->disks, s->path_b) != s->last.b)
            fail_msg("%s, %s: not reverted, and the disks are not what they "
                     "were",
                     s->k->name, when);
    } else {
        reverted = fake_store_read(h->disks, d->domid, "xvda") == s->at.a;
        w = check_guest(h, reverted ? &s->at : &s->last);
        if (w)
            fail_msg("%s, %s (%s): %s", s->k->name, when,
                     reverted ? "reverted" : "not reverted", w);
        if (must_be_reverted && !reverted)
            fail_msg("%s, %s: said it had, and had not", s->k->name, when);
        if (reverted && d->tick != (s->k->memory ? 100 : 1))
            fail_msg("%s, %s: disks of the snapshot, memory of tick %llu",
                     s->k->name, when, (unsigned long long)d->tick);
        if (!reverted && d->tick != 200 && d->tick != 1)
            fail_msg("%s, %s: disks of before, memory of tick %llu",
                     s->k->name, when, (unsigned long long)d->tick);
    }
    fake_host_run(h, fake_host_recover, &did, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s, %s: a second recover: %s", s->k->name, when, out.msg);

    /* The snapshot is still good, and can be reverted to. */
    revert_req(&req);
    fake_host_run(h, fake_host_revert, &req, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s, %s: reverting again: %s", s->k->name, when, out.msg);
    w = check_guest(h, &s->at);
    if (!w)
        w = check_record(h, "s1", s->k->memory, &s->at, &there);
    /* A record that could not be read may need the old leaf: it is kept. */
    if (w && strstr(w, "orphan") && strstr(when, "/records"))
        w = NULL;
    if (!w && !there)
        w = "the record is gone";
    if (w)
        fail_msg("%s, %s, after reverting again: %s", s->k->name, when, w);
}

static void test_success(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct scene s;
        struct fake_outcome out;
        struct snap_revert_req req;

        scene_init(&s, &kinds[i]);
        revert_req(&req);
        fake_host_run(&s.h, fake_host_revert, &req, DOOM_NONE, 0, 0, &out);
        assert_string_equal(out.msg, "");
        assert_int_equal(out.rc, 0);
        check_end(&s, true, "success");
        scene_dispose(&s);
    }
}

static void test_errno_everywhere(void **state)
{
    size_t i;
    unsigned n, total = 0;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (n = 1;; n++) {
            struct scene s;
            struct fake_outcome out;
            struct snap_revert_req req;
            char when[256];
            bool hit;

            scene_init(&s, &kinds[i]);
            revert_req(&req);
            hit = fake_host_run(&s.h, fake_host_revert, &req, DOOM_ERRNO, n,
                                EIO, &out);
            snprintf(when, sizeof(when), "EIO at %s", out.doomed);
            if (hit && out.rc && !out.msg[0])
                fail_msg("%s, %s: failed and said nothing", kinds[i].name,
                         when);
            if (out.rc == SNAP_RECOVER) {
                struct fake_outcome again;

                fake_host_run(&s.h, fake_host_recover, NULL, DOOM_NONE, 0, 0,
                              &again);
                if (again.rc)
                    fail_msg("%s, %s: recover: %s", kinds[i].name, when,
                             again.msg);
            }
            check_end(&s, !out.rc, when);
            scene_dispose(&s);
            total++;
            if (!hit)
                break;
        }
    print_message("%u errors injected\n", total);
}

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
        for (n = 1;; n++) {
            bool hit = true, more = true;

            for (j = 0; more; j += stride(n, j)) {
                struct scene s;
                struct fake_outcome out, rec;
                struct snap_revert_req req;
                char when[400];

                scene_init(&s, &kinds[i]);
                revert_req(&req);
                hit = fake_host_run(&s.h, fake_host_revert, &req, DOOM_DEATH,
                                    n, 0, &out);
                if (!hit) {
                    scene_dispose(&s);
                    break;
                }
                snprintf(when, sizeof(when), "dead at %s", out.doomed);
                if (j) {
                    more = fake_host_run(&s.h, fake_host_recover, NULL,
                                         DOOM_DEATH, j, 0, &rec);
                    if (more) {
                        strcat(when, ", recovery dead at ");
                        strcat(when, rec.doomed);
                        again++;
                    }
                }
                fake_host_run(&s.h, fake_host_recover, NULL, DOOM_NONE, 0, 0,
                              &rec);
                if (rec.rc)
                    fail_msg("%s, %s: recover: %s", kinds[i].name, when,
                             rec.msg);
                check_end(&s, false, when);
                scene_dispose(&s);
                deaths++;
            }
            if (!hit)
                break;
        }
    print_message("%u deaths, %u of them followed by one in recovery\n",
                  deaths, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_errno_everywhere),
        cmocka_unit_test(test_death_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
