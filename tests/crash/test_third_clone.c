/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Others at work beside a clone, as test_third_acts.c has them beside all else:
 * while it does its work, after it died, and while its recovery is at work.
 * Somebody acts on the snapshot's domain, on the snapshot, or on the domain
 * that is made.  The guest of the first is touched by nobody, that of the second
 * never once it has run, and what it wrote is not lost; no image is left that
 * is no clone's; and the snapshot can be cloned again.
 *
 * The domain is there for the last calls only, and those are what acts upon it
 * are tried at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/sweep.h"
#include "fakes/third.h"
#include "lib/mem.h"
#include "store/store.h"

struct kind {
    const char *name;
    bool memory; /* it wakes up from it */
    bool no_start;
    /* It copies nothing, so that others are made beside it. */
    enum snap_disk_type type;
};

static const struct kind kinds[] = {
    { .name = "memory, mixed", .memory = true },
    { .name = "disks, mixed" },
    { .name = "not started, mixed", .no_start = true },
    { .name = "not started, external",
      .no_start = true,
      .type = SNAP_DISK_EXTERNAL },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    bool may_be_off; /* the clone: somebody has ended it */
};

/* ---- a scene ---- */

static void create(struct scene *s, const char *name, bool memory,
                   struct fake_outcome *out)
{
    struct snap_create_req req = { .type = s->k->type };

    req.domain = (char *)"vm1";
    req.name = (char *)name;
    req.live = -1;
    req.memory = memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    req.no_wait = true;
    fake_host_run(&s->h, fake_host_create, &req, DOOM_NONE, 0, 0, out);
}

static void scene_begin(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct fake_outcome out;

    s->k = kind;
    s->may_be_off = s->k->no_start;
    fake_host_init(&s->h);
    third_begin(&s->h);
    create(s, "s1", s->k->memory, &out);
    if (out.rc)
        sweep_fail("s1: %s", out.msg);
    third_write(&s->h);
    third_base(&s->h, s->k->type == SNAP_DISK_EXTERNAL
                          ? fake_store_content(s->h.disks, "/img/a.qcow2")
                          : fake_store_snap(s->h.disks, "/img/a.qcow2", "s1"));
    third_clones(&s->h, s->k->memory);
}

static void scene_end(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static bool clone(struct scene *s, const char *name, enum fake_doom doom,
                  unsigned n, struct fake_outcome *out)
{
    struct snap_clone_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.new_name = (char *)name;
    req.disk_only = !s->k->memory;
    req.no_start = s->k->no_start;
    req.no_wait = true;
    return fake_host_run(&s->h, fake_host_clone, &req, doom, n, 0, out);
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;

    (void)errnum;
    third_runs(&s->h, THIRD_COMMAND, false);
    return clone(s, "vm2", doom, n, out);
}

/* ---- what must hold ---- */

static void recover(struct scene *s, struct fake_outcome *out)
{
    third_runs(&s->h, THIRD_RESCUER, false);
    fake_host_run(&s->h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0, out);
}

/* What he did ends it, or keeps us from building it. */
static bool ends_it(enum third_act act)
{
    enum third_act kind = third_kind(act);

    return act > THIRD_RECOVER &&
           (kind == THIRD_POWEROFF || kind == THIRD_DESTROY ||
            kind == THIRD_SAVED);
}

static void must_hold(struct scene *s)
{
    unsigned clones;
    const char *w = third_check_state(&s->h);

    if (!w)
        w = third_check_clones(&s->h, &clones);
    if (!w)
        w = third_check_new(&s->h, s->may_be_off || !clones);
    if (w)
        sweep_fail("%s", w);
}

/* Without his domain there is nothing that the clone could be beside of. */
static void stop_and_recover(struct scene *s)
{
    struct fake_outcome out;

    third_new_stop(&s->h);
    s->may_be_off = true;
    recover(s, &out);
    if (out.rc)
        sweep_fail("recover, with the new domain off: %s", out.msg);
}

static bool has_s1(struct scene *s)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store st = SNAP_STORE_INIT;
    bool has = !snap_store_open(&st, s->h.root, FAKE_UUID, true, &err) &&
               snap_store_has(&st, "s1");

    snap_store_close(&st);
    return has;
}

/* vm1 from its disks, the next clone, and the next snapshot. */
static void go_on(struct scene *s)
{
    struct fake_outcome out;
    struct fake_domain *d;
    unsigned clones, before = 0;
    const char *w;

    sweep_recovered(&s->h, fake_host_recover_all);
    third_disarm(&s->h);
    third_stop(&s->h);
    fake_host_start(&s->h);
    third_write(&s->h);
    third_new_stop(&s->h);
    w = third_check_clones(&s->h, &before);
    third_runs(&s->h, THIRD_COMMAND, false);
    if (!w && has_s1(s)) {
        clone(s, "vm3", DOOM_NONE, 0, &out);
        d = fake_domain_find(s->h.world, "vm3");
        third_write(&s->h);
        if (out.rc)
            sweep_fail("the next clone: %s", out.msg);
        if (!s->k->no_start && !fake_domain_runs(d))
            sweep_fail("the next clone does not run");
        w = third_check_clones(&s->h, &clones);
        if (!w && clones != before + 1)
            w = "the next clone is not in the store";
    }
    create(s, "after", false, &out);
    if (!w)
        w = out.rc ? out.msg : third_seen(&s->h);
    if (!w)
        w = third_check_store(&s->h);
    if (w)
        sweep_fail("afterwards: %s", w);
}

static void check(struct scene *s, bool recovered)
{
    struct fake_outcome out = { 0 };
    const char *w = third_check_state(&s->h);

    if (!w && !recovered) {
        recover(s, &out);
        third_rebooted(&s->h);
    }
    if (w)
        sweep_fail("%s", w);
    s->may_be_off |= ends_it(third_act(&s->h)) && third_acted(&s->h);
    must_hold(s);
    /* Whose is what has no configuration yet?  Nobody can tell. */
    if (out.rc && !strstr(out.msg, "cannot get its configuration"))
        sweep_fail("recover: %s", out.msg);
    if (out.rc) {
        stop_and_recover(s);
        must_hold(s);
    }
    w = third_check_store(&s->h);
    if (w)
        sweep_fail("%s", w);
    go_on(s);
}

/* ---- the loops ---- */

#define STRIDE 31 /* of all calls */
#define LATE   9 /* calls from the first on at which it is there */
#define DEATHS 5 /* of those, that may be followed by an undo */
#define UNDO   30 /* calls of a recovery from the first look at it on */

static unsigned count;

static bool is_upon_new(enum third_act act)
{
    return act > THIRD_NEW_STARTED;
}

/* Nothing but the lock, and then the state, keeps the snapshot.  Of two clones of
 * one name neither sees the other at a few calls only. */
static unsigned stride_of(const void *kind, enum third_act act)
{
    const struct kind *k = kind;

    if (act == THIRD_CLONE && k->type == SNAP_DISK_EXTERNAL)
        return STRIDE / 6;
    if (act == THIRD_DELETE && !k->memory && !k->no_start)
        return STRIDE / 6;
    return k->memory || k->no_start ? 3 * STRIDE : STRIDE;
}

/* The image takes its time; each act begins at another call. */
static unsigned late_stride_of(const void *kind, enum third_act act)
{
    (void)act;
    return ((const struct kind *)kind)->memory ? 4 : 1;
}

/* A guest that begins to run is what an undo must not overlook. */
static unsigned undo_stride_of(const void *kind, enum third_act act)
{
    const struct kind *k = kind;

    return act == THIRD_NEW_UNPAUSE && !k->memory ? 1 : UNDO / 2;
}

static bool not_beside(const void *kind, enum third_act act, bool dead)
{
    (void)kind;
    (void)dead;
    return is_upon_new(act);
}

static bool not_upon_new(const void *kind, enum third_act act, bool dead)
{
    const struct kind *k = kind;

    (void)dead;
    return !is_upon_new(act) || k->no_start;
}

/* What the command said. */
static void acted(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;
    unsigned clones = 0;
    const char *w = NULL;

    if (out->rc != SNAP_RECOVER)
        w = third_check_clones(&s->h, &clones);
    if (!w && !out->rc && clones != 1)
        w = clones ? "it said that it is done, and there are two clones"
                   : "it said that it is done, and there is no clone";
    if (!w && out->rc && out->rc != SNAP_RECOVER && clones &&
        third_act(&s->h) != THIRD_CLONE)
        w = "it said that nothing is left, and there is a clone";
    if (w)
        sweep_fail("%s", w);
    check(s, out->rc != SNAP_RECOVER);
    count += third_acted(&s->h);
}

static void died(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;

    (void)out;
    check(s, false);
    count += third_acted(&s->h);
}

static void acted_in_recovery(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;

    check(s, !out->rc);
    count += third_acted(&s->h);
}

/* A clone has none: what it does to a guest it does to its own. */
static int no_guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    (void)h;
    (void)arg;
    (void)err;
    return 0;
}

static const struct sweep acts = {
    SWEEP_KINDS(kinds),
    .scene_size = sizeof(struct scene),
    .begin = scene_begin,
    .end = scene_end,
    .run = run,
    .stride = STRIDE,
    .stride_of = stride_of,
    .recover = fake_host_recover_all,
    .not_yet = not_beside,
};

static const struct sweep acts_upon_new = {
    SWEEP_KINDS(kinds),
    .scene_size = sizeof(struct scene),
    .begin = scene_begin,
    .end = scene_end,
    .run = run,
    .late = LATE,
    .late_recovery = UNDO,
    .late_deaths = DEATHS,
    .stride = 1,
    .stride_of = late_stride_of,
    .recover = fake_host_recover_all,
    .not_yet = not_upon_new,
};

static void test_while_it_works(void **state)
{
    (void)state;
    count = 0;
    sweep_each_act(&acts, acted);
    sweep_each_act(&acts_upon_new, acted);
    print_message("%u acts\n", count);
}

static void test_after_its_death(void **state)
{
    (void)state;
    count = 0;
    sweep_each_act_after_death(&acts, no_guardian, died);
    sweep_each_act_after_death(&acts_upon_new, no_guardian, died);
    print_message("%u acts\n", count);
}

static void test_in_its_recovery(void **state)
{
    struct sweep b = acts, w = acts_upon_new;

    (void)state;
    count = 0;
    b.stride = 3 * STRIDE;
    sweep_each_act_in_recovery(&b, no_guardian, acted_in_recovery);
    w.stride_of = undo_stride_of;
    sweep_each_act_late_in_recovery(&w, no_guardian, acted_in_recovery);
    print_message("%u acts\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_it_works),
        cmocka_unit_test(test_after_its_death),
        cmocka_unit_test(test_in_its_recovery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
