/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-create, hit everywhere, as fakes/sweep.h says.  Then the invariants
 * of fakes/check.h hold, and the next snapshot works.  The same for a domain
 * that is off: it is started afterwards, and finds what it had.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/check.h"
#include "fakes/sweep.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool paused; /* --paused */
    bool live; /* disks are taken before the memory is whole */
    bool off; /* the domain does not run */
    bool known; /* its configuration is in the store, as that of s0 */
    enum fake_disks disks; /* volumes are in a group of their own, and their
                            * images beside the disk */
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
    { .name = "v-memory", .memory = true, .disks = FAKE_VOLUMES },
    { .name = "v-disk-only", .disks = FAKE_VOLUMES },
    { .name = "v-off", .off = true, .known = true, .disks = FAKE_VOLUMES },
    { .name = "vm-inside, memory",
      .memory = true,
      .disks = FAKE_INSIDE_VOLUME },
    { .name = "vm-inside, off",
      .off = true,
      .known = true,
      .disks = FAKE_INSIDE_VOLUME },
    { .name = "vm-over, memory", .memory = true, .disks = FAKE_OVER_VOLUME },
    { .name = "vm-over, live memory",
      .memory = true,
      .live = true,
      .disks = FAKE_OVER_VOLUME },
    { .name = "vm-over, disk-only", .disks = FAKE_OVER_VOLUME },
    { .name = "vm-over, off",
      .off = true,
      .known = true,
      .disks = FAKE_OVER_VOLUME },
    { .name = "vm-volume first, disk-only", .disks = FAKE_VOLUME_OVER },
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

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before b; /* what the guest has */
};

/* A host just before a snapshot of this kind. */
static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct snap_create_req req;

    s->k = kind;
    fake_host_init_with(&s->h, s->k->disks);
    if (s->k->known) {
        ask(&req, s->k);
        req.name = (char *)"s0";
        sweep_must(&s->h, fake_host_create, &req, "create s0");
    }
    before_take(&s->b, &s->h);
    if (s->k->off)
        fake_host_stop(&s->h);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_create_req req;

    ask(&req, s->k);
    return fake_host_run(&s->h, fake_host_create, &req, doom, n, errnum, out);
}

/* Nobody has recovered yet, and the guest runs. */
static void rescue(void *scene)
{
    struct scene *s = scene;

    if (s->k->off)
        return;
    sweep_must(&s->h, fake_host_guardian, NULL, "the guardian");
    if (!fake_domain_runs(fake_domain_find(s->h.world, "vm1")))
        sweep_fail("the guest does not run");
}

static void still_runs(void *scene)
{
    struct scene *s = scene;

    if (!s->k->off && !fake_domain_runs(fake_domain_find(s->h.world, "vm1")))
        sweep_fail("the guest does not run");
}

/* All is well, the guest goes on, and a snapshot can be taken. */
static void check_end(void *scene, enum sweep_end end)
{
    struct scene *s = scene;
    struct snap_create_req req;
    struct before b2;
    bool there;
    const char *w;

    w = check_record(&s->h, "s1", s->k->memory, &s->b, &there);
    if (!w && end == SWEEP_DONE && !there)
        w = "said it was done, and there is no record";
    if (!w && end == SWEEP_UNDONE && there)
        w = "said that nothing was done, and a record is there";
    if (w)
        sweep_fail("%s", w);

    if (s->k->off && fake_domain_find(s->h.world, "vm1"))
        sweep_fail("the domain was started");
    if (s->k->off)
        fake_host_start(&s->h);
    w = check_guest(&s->h, &s->b);
    if (!w)
        w = check_record(&s->h, "s1", s->k->memory, &s->b, &there);
    if (w)
        sweep_fail("%s", w);
    sweep_recovered(&s->h, fake_host_recover);

    before_take(&b2, &s->h);
    if (there) {
        w = check_record(&s->h, "s1", s->k->memory, &s->b, &there);
        if (w)
            sweep_fail("after the guest wrote: %s", w);
    }
    ask(&req, s->k);
    req.name = (char *)"s2";
    if (there)
        req.domain_config = NULL;
    if (s->k->off)
        fake_host_stop(&s->h);
    sweep_must(&s->h, fake_host_create, &req, "the next snapshot");
    if (s->k->off)
        fake_host_start(&s->h);
    w = check_guest(&s->h, &b2);
    if (w)
        sweep_fail("after the next snapshot: %s", w);
}

static const struct sweep create = {
    SWEEP_KINDS(kinds),  .scene_size = sizeof(struct scene),
    .begin = scene_init, .end = scene_dispose,
    .run = run,          .recover = fake_host_recover,
    .dead = rescue,      .failed = still_runs,
    .check = check_end,  .errnos = { EIO, ENOSPC },
    .stride = 17,
};

/* ---- a domain that somebody starts ---- */

static const struct kind to_be_started[] = {
    { .name = "off, external, started",
      .type = SNAP_DISK_EXTERNAL,
      .off = true },
};

static unsigned started;

/* QEMU cannot open an immutable image for writing, not even root's: xl create
 * fails then, and the domain stays off until somebody recovers. */
static bool can_start(struct scene *s)
{
    static const char *const images[] = { "/img/a.qcow2", "/img/b.img" };
    const struct fake_image *im;
    size_t i;

    for (i = 0; i < 2; i++) {
        im = fake_store_find(s->h.disks, images[i]);
        if (im->frozen || im->immutable)
            return false;
    }
    return true;
}

/* From its old xl.cfg, before anybody recovers: it reads and writes what it
 * had, and the recovery harms nothing of what it wrote. */
static void start_and_recover(void *scene, bool hit)
{
    static const char *const disks[] = { "xvda:qcow2:/img/a.qcow2",
                                         "xvdb:raw:/img/b.img", NULL };
    struct scene *s = scene;
    struct before b;
    bool there;
    const char *w;

    if (!hit || !can_start(s))
        return;
    fake_domain_add(s->h.world, "vm1", FAKE_UUID, disks);
    w = check_guest(&s->h, NULL);
    if (w && strcmp(w, "a journal is left"))
        sweep_fail("%s", w);
    before_take(&b, &s->h);
    sweep_must(&s->h, fake_host_recover, NULL, "recover");
    w = check_guest(&s->h, &b);
    if (!w)
        w = check_record(&s->h, "s1", false, &b, &there);
    if (w || there)
        sweep_fail("started: %s", w ? w : "there is a record");
    started++;
}

static void test_started_before_recovery(void **state)
{
    static const struct sweep start = {
        SWEEP_KINDS(to_be_started),
        .scene_size = sizeof(struct scene),
        .begin = scene_init,
        .end = scene_dispose,
        .run = run,
    };

    (void)state;
    sweep_each_death(&start, "dead", 1, start_and_recover);
    assert_true(started > 20 || getenv("CRASH_KIND"));
    print_message("started before %u recoveries\n", started);
}

/* ---- disks that no one operation takes together ---- */

static const struct kind of_two_groups[] = {
    { .name = "groups, memory", .memory = true, .disks = FAKE_OVER_VOLUME },
    { .name = "groups, disk-only", .disks = FAKE_OVER_VOLUME },
};

static const struct sweep groups = {
    SWEEP_KINDS(of_two_groups),
    .scene_size = sizeof(struct scene),
    .begin = scene_init,
    .end = scene_dispose,
    .run = run,
    .check = check_end,
};

/* The first one is taken; what was done of it is taken back.  Not a death
 * there: recovery takes all disks for one group, as those of QEMU are. */
static void test_second_group_fails(void **state)
{
    struct scene s = { .k = NULL };
    struct fake_outcome out;
    unsigned n, hit = 0;
    size_t i;
    bool more;

    (void)state;
    for (i = 0; i < 2; i++)
        for (n = 1, more = true; more; n++) {
            scene_init(&s, &of_two_groups[i]);
            more = run(&s, DOOM_ERRNO, n, EIO, &out);
            if (more && strstr(out.doomed, "take xvdb")) {
                if (!out.rc || out.rc == SNAP_RECOVER)
                    sweep_fail("%d %s", out.rc, out.msg);
                check_end(&s, SWEEP_UNDONE);
                hit++;
            }
            scene_dispose(&s);
        }
    assert_int_equal(hit, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SWEEP_TESTS(&create),
        cmocka_unit_test_prestate(sweep_success, (void *)&groups),
        cmocka_unit_test(test_second_group_fails),
        cmocka_unit_test(test_started_before_recovery),
    };

    return cmocka_run_group_tests(tests, write_xl_cfg, remove_xl_cfg);
}
