/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The power goes at every call of create (domain on and off), revert, clone and
 * delete: our process, all domains and their QEMUs end at once, the disk loses
 * what nobody had synced, and the host boots again, its domains numbered from
 * the start.  Then recover, with the domain off, or (revert) with the domain
 * started by somebody who did not wait for that.  The invariants are those of
 * fakes/check.h, and a clone is wholly there or nothing of it; and nothing is
 * started, destroyed or paused that is not ours.  Likewise when QEMU alone
 * ends.
 */
#include <stdlib.h>
#include <string.h>

#include "fakes/check.h"
#include "fakes/durable.h"
#include "fakes/sweep.h"
#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/state.h"
#include "store/store.h"

/* In place of lib/boot_id.c's, which a test cannot change. */
static bool booted_again;

int64_t snap_host_started(void)
{
    return booted_again ? 2 : 1; /* by the clock of the images */
}

char *snap_boot_id(void)
{
    return snap_strdup(booted_again ? "11111111-0000-4000-8000-00000000000b"
                                    : "11111111-0000-4000-8000-00000000000a");
}

enum op { CREATE, REVERT, DELETE, CLONE };

struct kind {
    const char *name;
    enum op op;
    enum snap_disk_type type;
    bool memory;
    bool live;
    bool off; /* the domain does not run; the store knows it by s0 */
    bool no_start;
};

/* The domain goes on as it was. */
static const struct kind forward[] = {
    { .name = "create, memory, mixed", .op = CREATE, .memory = true },
    { .name = "create, live memory, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL,
      .memory = true,
      .live = true },
    { .name = "create, disk-only, mixed", .op = CREATE },
    { .name = "create, disk-only, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, external", .op = DELETE, .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, memory, mixed", .op = DELETE, .memory = true },
};

/* It is off, and stays so. */
static const struct kind resting[] = {
    { .name = "create, off, mixed", .op = CREATE, .off = true },
    { .name = "create, off, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL,
      .off = true },
};

/* Another one is made. */
static const struct kind cloning[] = {
    { .name = "clone, memory, mixed", .op = CLONE, .memory = true },
    { .name = "clone, disk-only, external",
      .op = CLONE,
      .type = SNAP_DISK_EXTERNAL },
    { .name = "clone, not started, mixed", .op = CLONE, .no_start = true },
};

static const struct kind merging[] = {
    { .name = "delete, external", .op = DELETE, .type = SNAP_DISK_EXTERNAL },
};

/* It is destroyed and comes again. */
static const struct kind back[] = {
    { .name = "revert, memory, mixed", .op = REVERT, .memory = true },
    { .name = "revert, disk-only, external",
      .op = REVERT,
      .type = SNAP_DISK_EXTERNAL },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before at; /* the snapshot's instant */
    struct before last; /* what the guest had last */
    char *path[2]; /* its images then */
};

static void ask_create(struct snap_create_req *req, const struct kind *k,
                       const char *name)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)name;
    req->type = k->type;
    req->live = k->live ? 1 : -1;
    req->memory = k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    req->no_wait = true;
}

static bool run_op(struct scene *s, enum op op, const char *name,
                   enum fake_doom doom, unsigned n, struct fake_outcome *out)
{
    struct snap_create_req c;
    struct snap_revert_req r = { 0 };
    struct snap_delete_req d = { 0 };
    struct snap_clone_req clone = { 0 };

    switch (op) {
    case CREATE:
        ask_create(&c, s->k, name);
        if (strcmp(name, "s1") != 0) {
            c.memory = SNAP_MEM_NO; /* the next one: quickly */
            c.live = -1;
        }
        return fake_host_run(&s->h, fake_host_create, &c, doom, n, 0, out);
    case REVERT:
        r.domain = (char *)"vm1";
        r.name = (char *)name;
        r.no_wait = true;
        return fake_host_run(&s->h, fake_host_revert, &r, doom, n, 0, out);
    case CLONE:
        clone.domain = (char *)"vm1";
        clone.name = (char *)"s1";
        clone.new_name = (char *)name;
        clone.no_start = s->k->no_start;
        clone.no_wait = true;
        return fake_host_run(&s->h, fake_host_clone, &clone, doom, n, 0, out);
    default:
        d.domain = (char *)"vm1";
        d.name = (char *)name;
        d.no_wait = true;
        return fake_host_run(&s->h, fake_host_delete, &d, doom, n, 0, out);
    }
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;

    (void)errnum;
    return run_op(s, s->k->op, s->k->op == CLONE ? "vm2" : "s1", doom, n, out);
}

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    s->k = kind;
    booted_again = false;
    fake_host_init(&s->h);
    s->h.disks->now = 1;
    d = fake_domain_find(s->h.world, "vm1");
    d->tick = 100;
    if (s->k->off) {
        run_op(s, CREATE, "s0", DOOM_NONE, 0, &out);
        if (out.rc)
            sweep_fail("s0: %s", out.msg);
    }
    before_take(&s->at, &s->h);
    if (s->k->op != CREATE) {
        run_op(s, CREATE, "s1", DOOM_NONE, 0, &out);
        if (out.rc)
            sweep_fail("create: %s", out.msg);
        d->tick = 200;
        before_take(&s->last, &s->h);
    } else {
        s->last = s->at;
    }
    s->path[0] = fake_domain_path(d, "xvda");
    s->path[1] = fake_domain_path(d, "xvdb");
    s->h.disks->mortal = true;
    if (s->k->off)
        fake_host_stop(&s->h);
    durable_begin(s->h.root);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    durable_end();
    snap_free(&s->path[0]);
    snap_free(&s->path[1]);
    fake_host_dispose(&s->h);
}

static void switch_off(struct scene *s)
{
    struct fake_domain *d = fake_domain_find(s->h.world, "vm2");

    if (fake_domain_find(s->h.world, "vm1"))
        fake_host_stop(&s->h);
    if (d) {
        d->exists = false;
        fake_store_close(s->h.disks, d->domid);
    }
}

/* Which of what nobody synced is there all the same. */
struct luck {
    bool names, data;
};

static void power_cut(struct scene *s, struct luck l)
{
    switch_off(s);
    durable_cut(l.names, l.data);
    s->h.world->next_domid = 1;
    s->h.disks->now = 2;
    booted_again = true;
}

static void start(struct scene *s, const char *a, const char *b)
{
    char *disk_a = snap_printf("xvda:%s:%s",
                               fake_store_find(s->h.disks, a)->format, a);
    char *disk_b = snap_printf("xvdb:%s:%s",
                               fake_store_find(s->h.disks, b)->format, b);

    fake_domain_add(s->h.world, "vm1", FAKE_UUID,
                    (const char *const[]){ disk_a, disk_b, NULL });
    free(disk_a);
    free(disk_b);
}

static void recover(struct scene *s, const char *what)
{
    sweep_must(&s->h, fake_host_recover, NULL, what);
}

/* The domain is off and was not started; from its disks it comes up with what
 * it had, or with what the snapshot held. */
static void check_end(struct scene *s)
{
    struct fake_outcome out;
    struct before now;
    const struct before *is;
    bool there;
    const char *w;

    if (fake_domain_find(s->h.world, "vm1"))
        sweep_fail("recover started the domain");
    sweep_recovered(&s->h, fake_host_recover);
    fake_host_start(&s->h);
    is = s->k->op == REVERT &&
                 fake_store_read(s->h.disks, 1, "xvda") == s->at.a
             ? &s->at
             : &s->last;
    w = check_guest(&s->h, is);
    if (!w)
        w = check_record(&s->h, "s1", s->k->memory, &s->at, &there);
    if (!w && s->k->op == REVERT && !there)
        w = "the snapshot is gone";
    if (w)
        sweep_fail("%s", w);

    /* And it goes on. */
    before_take(&now, &s->h);
    run_op(s, CREATE, "s9", DOOM_NONE, 0, &out);
    w = out.rc ? out.msg : check_guest(&s->h, &now);
    if (!w && there) {
        run_op(s, REVERT, "s1", DOOM_NONE, 0, &out);
        w = out.rc ? out.msg : check_guest(&s->h, &s->at);
    }
    if (w)
        sweep_fail("afterwards: %s", w);
}

/* ---- the tests ---- */

#define SWEEP(k)                                                              \
    {                                                                         \
        SWEEP_KINDS(k), .scene_size = sizeof(struct scene),                   \
                        .begin = scene_init, .end = scene_dispose, .run = run \
    }

static const struct sweep going_on = SWEEP(forward);
static const struct sweep staying_off = SWEEP(resting);
static const struct sweep making_another = SWEEP(cloning);
static const struct sweep deleting = SWEEP(merging);
static const struct sweep reverting = SWEEP(back);

static unsigned count, refused;
static struct luck luck;

/* What a command said that it had done is done. */
static void check_done(struct scene *s)
{
    char *path = snap_printf("%s/%s/records/s1.json", s->h.root, FAKE_UUID);
    bool there = snap_file_exists(path);

    free(path);
    if (there != (s->k->op != DELETE))
        sweep_fail("it was done, and after the cut it is not");
}

static void cut(void *scene, bool hit)
{
    struct scene *s = scene;

    power_cut(s, luck);
    if (!hit)
        check_done(s);
    recover(s, "recover");
    check_end(s);
    count += hit;
}

/* ---- clones ---- */

/* What a domain of the store has is what the snapshot holds. */
static void check_clone(struct scene *s, const char *uuid, unsigned *clones_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store st = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    size_t i;

    if (snap_store_open(&st, s->h.root, uuid, false, &err) ||
        snap_state_load(&st, &state, &err))
        sweep_fail("the store: %s", err.msg);
    for (i = 0; i < state.n; i++) {
        const char *path = state.leaves[i].path;
        uint64_t want = strcmp(state.leaves[i].vdev, "xvda") ? s->at.b
                                                             : s->at.a;

        if (!fake_store_exists(s->h.disks, path) ||
            fake_store_content(s->h.disks, path) != want)
            sweep_fail("%s of the clone is not what it should be", path);
    }
    *clones_r += state.n > 0;
    snap_state_dispose(&state);
    snap_store_close(&st);
}

static unsigned check_clones(struct scene *s)
{
    struct snap_err err = SNAP_ERR_INIT;
    char **uuids = NULL;
    size_t i, n = 0;
    unsigned clones = 0;

    if (snap_store_domains(s->h.root, &uuids, &n, &err))
        sweep_fail("the store: %s", err.msg);
    for (i = 0; i < n; i++) {
        if (strcmp(uuids[i], FAKE_UUID) != 0)
            check_clone(s, uuids[i], &clones);
        free(uuids[i]);
    }
    free(uuids);
    return clones;
}

/* Its user does not want it any more. */
static void remove_clone(struct scene *s)
{
    struct fake_image *image = s->h.disks->image;
    size_t i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (snap_has_prefix(image[i].path, "/img/vm2-"))
            image[i].exists = false;
}

/* There is one or none, no image is nobody's, vm1 goes on, and another clone
 * can be made. */
static void cut_clone(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    unsigned clones;
    bool there = false;
    const char *w;

    power_cut(s, luck);
    sweep_must(&s->h, fake_host_recover_all, NULL, "recover");
    sweep_recovered(&s->h, fake_host_recover_all);
    clones = check_clones(s);
    if (clones > 1 || (!hit && !clones))
        sweep_fail("%u clones", clones);
    if (fake_domain_find(s->h.world, "vm2"))
        sweep_fail("recover started the clone");
    if (clones)
        remove_clone(s);
    fake_host_start(&s->h);
    w = check_guest(&s->h, &s->last);
    if (!w)
        w = check_record(&s->h, "s1", s->k->memory, &s->at, &there);
    if (!w && !there)
        w = "the snapshot is gone";
    if (w)
        sweep_fail("%s", w);
    run_op(s, CLONE, "vm3", DOOM_NONE, 0, &out);
    if (out.rc)
        sweep_fail("another clone: %s", out.msg);
    count += hit;
}

static void cut_all(bool names, bool data, unsigned stride)
{
    luck = (struct luck){ names, data };
    count = 0;
    sweep_each_death(&going_on, "cut", stride, cut);
    sweep_each_death(&staying_off, "cut", stride, cut);
    sweep_each_death(&reverting, "cut", stride, cut);
    sweep_each_death(&making_another, "cut", stride, cut_clone);
    print_message("%u cuts\n", count);
}

static void test_cut_nothing_lost(void **state)
{
    (void)state;
    cut_all(true, true, 1);
}

static void test_cut_all_lost(void **state)
{
    (void)state;
    cut_all(false, false, 1);
}

/* A file has its name and nothing in it. */
static void test_cut_data_lost(void **state)
{
    (void)state;
    cut_all(true, false, 5);
}

static void test_cut_names_lost(void **state)
{
    (void)state;
    cut_all(false, true, 5);
}

/* Somebody starts the domain, from the disks it had, before recover: it is
 * left alone, and what cannot be put right while it runs is refused. */
static void cut_and_started(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    power_cut(s, luck);
    if (!hit || !fake_store_exists(s->h.disks, s->path[0]) ||
        !fake_store_exists(s->h.disks, s->path[1]))
        return;
    start(s, s->path[0], s->path[1]);
    d = fake_domain_find(s->h.world, "vm1");
    d->paused = true;
    d->tick = 7;
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    d = fake_domain_find(s->h.world, "vm1");
    if (!d || d->tick != 7 || !d->paused)
        sweep_fail("a domain that is not ours was touched");
    if (out.rc && !strstr(out.msg, "used by"))
        sweep_fail("recover: %s", out.msg);
    if (s->h.disks->violation[0])
        sweep_fail("%s", s->h.disks->violation);
    refused += out.rc != 0;
    switch_off(s);
    recover(s, "recover, when it was off");
    count++;
}

static void test_started_meanwhile(void **state)
{
    (void)state;
    count = 0;
    luck = (struct luck){ false, false };
    sweep_each_death(&reverting, "cut", 1, cut_and_started);
    print_message("%u cuts, %u times recover had to wait for the domain\n",
                  count, refused);
}

/* Or from an xl.cfg of before the snapshot, as far as that can be opened, and
 * it is off again when recover comes: what it wrote there stays, and so does
 * what it had written last before. */
static void cut_and_ran_below(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct before now;
    const char *const below[2] = { "/img/a.qcow2", "/img/b.img" };
    struct fake_image *i[2];
    unsigned n;

    power_cut(s, luck);
    for (n = 0; n < 2; n++) {
        i[n] = fake_store_find(s->h.disks, below[n]);
        if (!hit || !i[n] || i[n]->frozen || i[n]->immutable)
            return;
    }
    start(s, below[0], below[1]);
    before_take(&now, &s->h);
    switch_off(s);
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    if (out.rc && !strstr(out.msg, "(probably the domain, started"))
        sweep_fail("recover: %s", out.msg);
    if (fake_store_content(s->h.disks, below[0]) != now.a ||
        fake_store_content(s->h.disks, below[1]) != now.b)
        sweep_fail("what the guest wrote since is lost");
    if (s->h.disks->violation[0])
        sweep_fail("%s", s->h.disks->violation);
    refused += out.rc != 0;
    count++;
}

static void test_ran_below(void **state)
{
    (void)state;
    count = refused = 0;
    luck = (struct luck){ true, true };
    sweep_each_death(&deleting, "cut", 1, cut_and_ran_below);
    print_message("%u cuts, %u times both were kept\n", count, refused);
    assert_true(refused > 0 || getenv("CRASH_KIND"));
}

static unsigned lost;

/* Not the power, but QEMU alone ends with us: the domain is there, its disks
 * are not.  Or somebody's xl destroy ends with us, at any of its stages, each
 * after another death. */
static void lose_more(struct fake_domain *d, unsigned stage)
{
    d->qemu_gone = true;
    d->paused = stage > 0;
    d->no_devices = stage > 1;
    d->wiped = stage > 2;
    d->dying = stage > 3;
}

static void lose_qemu(void *scene, bool hit)
{
    const unsigned stage = lost++ % 5;
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    fake_host_run(&s->h, fake_host_guardian, NULL, DOOM_NONE, 0, 0, &out);
    d = fake_domain_find(s->h.world, "vm1");
    lose_more(d, stage);
    fake_store_close(s->h.disks, d->domid);
    recover(s, "recover");
    d = fake_domain_find(s->h.world, "vm1");
    if (!d || (!stage && !fake_domain_runs(d)))
        sweep_fail("the domain was stopped");
    switch_off(s);
    check_end(s);
    count += hit;
}

static void test_qemu_gone(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&going_on, "QEMU gone", 1, lose_qemu);
    print_message("%u deaths\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_nothing_lost),
        cmocka_unit_test(test_cut_all_lost),
        cmocka_unit_test(test_cut_data_lost),
        cmocka_unit_test(test_cut_names_lost),
        cmocka_unit_test(test_started_meanwhile),
        cmocka_unit_test(test_ran_below),
        cmocka_unit_test(test_qemu_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
