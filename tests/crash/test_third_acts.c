/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Others at work: while a command does its work, after it died, and while its
 * recovery is at work, somebody acts on the domain, at every call once each
 * (fakes/third.h).  The guest never stands by us, loses no byte, and ends by
 * nobody but its user; a snapshot is of one moment; what cannot be put right
 * beside a domain that is its user's is refused until that is off.
 *
 * Each act is tried at every STRIDE-th call, beginning at another one, and of
 * what has some hundred calls at every third of those; CRASH_ALL=1 takes all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/sweep.h"
#include "fakes/third.h"
#include "lib/mem.h"
#include "store/journal.h"

enum op { CREATE, DELETE, REVERT };

struct kind {
    const char *name;
    enum op op;
    enum snap_disk_type type;
    bool memory, live, off;
    bool qcow2; /* all of its disks are */
    enum fake_disks disks;
    unsigned before; /* snapshots that are there: s1, s2, ... */
    const char *victim;
};

static const struct kind kinds[] = {
    { .name = "vm-create, memory",
      .op = CREATE,
      .disks = FAKE_OVER_VOLUME,
      .memory = true },
    { .name = "vm-delete, memory",
      .op = DELETE,
      .disks = FAKE_OVER_VOLUME,
      .memory = true,
      .before = 2,
      .victim = "s1" },
    { .name = "create, memory, mixed", .op = CREATE, .memory = true },
    { .name = "create, live memory, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL,
      .memory = true,
      .live = true },
    { .name = "create, off, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL,
      .before = 1,
      .off = true },
    { .name = "create, disk-only, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, external, merged",
      .op = DELETE,
      .type = SNAP_DISK_EXTERNAL,
      .before = 1,
      .victim = "s1" },
    { .name = "delete, external, in the middle",
      .op = DELETE,
      .type = SNAP_DISK_EXTERNAL,
      .before = 3,
      .victim = "s2" },
    { .name = "delete, memory, mixed",
      .op = DELETE,
      .memory = true,
      .before = 2,
      .victim = "s1" },
    { .name = "revert, memory, mixed",
      .op = REVERT,
      .memory = true,
      .before = 1,
      .victim = "s1" },
    { .name = "revert, disk-only, external",
      .op = REVERT,
      .type = SNAP_DISK_EXTERNAL,
      .before = 1,
      .victim = "s1" },
    { .name = "revert, off, memory, mixed",
      .op = REVERT,
      .memory = true,
      .off = true,
      .before = 1,
      .victim = "s1" },
    { .name = "vm-revert, memory",
      .op = REVERT,
      .disks = FAKE_INSIDE_VOLUME,
      .memory = true,
      .before = 1,
      .victim = "s1" },
    { .name = "revert, memory, all inside",
      .op = REVERT,
      .qcow2 = true,
      .memory = true,
      .before = 1,
      .victim = "s1" },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    bool destroying; /* the revert had begun to, when it died */
};
static enum op op; /* of the scene */

/* ---- a scene ---- */

static void create(struct scene *s, const char *name, bool quickly,
                   enum fake_doom doom, unsigned n, struct fake_outcome *out)
{
    struct snap_create_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)name;
    req.type = s->k->type;
    req.live = s->k->live && !quickly ? 1 : -1;
    req.memory = s->k->memory && !quickly ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    req.no_wait = true;
    fake_host_run(&s->h, fake_host_create, &req, doom, n, 0, out);
}

/* So that all of its disks can have snapshots inside. */
static void make_qcow2(struct fake_host *h)
{
    static const char *const disks[] = { "xvda:qcow2:/img/a.qcow2",
                                         "xvdb:qcow2:/img/b.qcow2", NULL };

    fake_host_stop(h);
    fake_store_add(h->disks, "/img/b.qcow2", "qcow2", 1 << 30);
    fake_domain_add(h->world, "vm1", FAKE_UUID, disks);
}

static void scene_begin(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct fake_outcome out;
    char name[16];
    unsigned i;

    s->k = kind;
    op = s->k->op;
    fake_host_init_with(&s->h, s->k->disks);
    if (s->k->qcow2)
        make_qcow2(&s->h);
    third_begin(&s->h);
    for (i = 1; i <= s->k->before; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        create(s, name, false, DOOM_NONE, 0, &out);
        if (out.rc)
            sweep_fail("%s: %s", name, out.msg);
    }
    third_write(&s->h);
    if (s->k->op == REVERT)
        third_base(&s->h,
                   s->k->type == SNAP_DISK_EXTERNAL
                       ? fake_store_content(s->h.disks, "/img/a.qcow2")
                       : fake_store_snap(s->h.disks, "/img/a.qcow2", "s1"));
    third_runs(&s->h, THIRD_COMMAND, false);
    if (s->k->off)
        fake_host_stop(&s->h);
}

static void scene_end(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_revert_req r = { 0 };
    struct snap_delete_req d = { 0 };

    (void)errnum;
    third_runs(&s->h, THIRD_COMMAND, s->k->op == REVERT);
    if (s->k->op == CREATE) {
        create(s, "new", false, doom, n, out);
    } else if (s->k->op == DELETE) {
        d.domain = (char *)"vm1";
        d.name = (char *)s->k->victim;
        d.no_wait = true;
        fake_host_run(&s->h, fake_host_delete, &d, doom, n, 0, out);
    } else {
        r.domain = (char *)"vm1";
        r.name = (char *)s->k->victim;
        r.no_wait = true;
        fake_host_run(&s->h, fake_host_revert, &r, doom, n, 0, out);
    }
    return out->doomed[0] != '\0';
}

/* ---- what must hold ---- */

static void recover(struct scene *s, struct fake_outcome *out)
{
    third_runs(&s->h, THIRD_RESCUER, false);
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, out);
}

/* With the domain off there is nothing that it could be beside of. */
static void stop_and_recover(struct scene *s)
{
    struct fake_outcome out;

    third_stop(&s->h);
    recover(s, &out);
    /* What it wrote there is its user's, who has to say. */
    if (s->k->op == REVERT && out.rc == SNAP_RECOVER &&
        strstr(out.msg, "was written to since") && strstr(out.msg, "--keep"))
        fake_host_run(&s->h, fake_host_recover_keep, NULL, DOOM_NONE, 0, 0,
                      &out);
    if (out.rc)
        sweep_fail("recover, with the domain off: %s", out.msg);
}

/* Somebody started it while they were kept from it. */
static bool lacks_disks(const struct scene *s, const struct fake_domain *d)
{
    return !fake_store_active(s->h.disks, d->domid, "xvda") ||
           !fake_store_active(s->h.disks, d->domid, "xvdb");
}

/* It goes on: the domain from its disks, and the next snapshot. */
static void go_on(struct scene *s)
{
    struct fake_outcome out;
    struct fake_domain *d;
    const char *w;

    sweep_recovered(&s->h, fake_host_recover);
    third_disarm(&s->h);
    d = fake_domain_find(s->h.world, FAKE_UUID);
    if (!fake_domain_runs(d) || lacks_disks(s, d)) {
        third_stop(&s->h);
        fake_host_start(&s->h);
    }
    d = fake_domain_find(s->h.world, FAKE_UUID);
    snprintf(d->name, sizeof(d->name), "vm1");
    third_write(&s->h);
    create(s, "after", true, DOOM_NONE, 0, &out);
    w = out.rc ? out.msg : third_seen(&s->h);
    if (!w)
        w = third_check_store(&s->h);
    if (!w && s->h.disks->violation[0])
        w = s->h.disks->violation;
    if (w)
        sweep_fail("afterwards: %s", w);
}

static void check(struct scene *s, bool recovered)
{
    struct fake_outcome out = { 0 };
    /* A revert that died leaves the domain off, paused or half built until
     * then. */
    bool any = s->k->op == REVERT && !recovered;
    const char *w = any ? third_seen(&s->h) : third_check_state(&s->h);

    if (!w && !recovered) {
        recover(s, &out);
        third_rebooted(&s->h);
        w = third_check_state(&s->h);
    }
    if (w)
        sweep_fail("%s", w);
    if (out.rc)
        stop_and_recover(s);
    w = third_check_store(&s->h);
    if (w)
        sweep_fail("%s", w);
    go_on(s);
}

/* ---- the loops ---- */

#define STRIDE 7

/* The guardian did not only let it go on, but recovered. */
static bool whole;

static int whole_guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc = fake_host_guardian(h, arg, err);

    return rc ? rc : fake_host_recover(h, arg, err);
}

/*
 * What is not served, kind by kind.  A guardian that recovers as well leaves
 * nothing to act upon: only that the guest reboots then.
 */
static bool not_yet(const void *kind, enum third_act act, bool dead)
{
    const struct kind *k = kind;
    bool reboots = act == THIRD_REBOOT || act == THIRD_REBOOT_SLOWLY;

    if (act > THIRD_RECOVER)
        return true; /* test_third_clone.c */
    if (k->op == REVERT)
        return dead && whole; /* it has no guardian */
    return dead && whole && !reboots;
}

static unsigned stride_of(const void *kind, enum third_act act)
{
    const struct kind *k = kind;

    (void)act;
    return k->disks || (k->op == DELETE && k->before > 1) ? 3 * STRIDE
                                                          : STRIDE;
}

static unsigned count;

static bool has_step(const struct scene *s, const char *step)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL;
    char *path = snap_printf("%s/%s/journal", s->h.root, FAKE_UUID);
    size_t n = 0;
    bool has = !snap_journal_read(path, &e, &n, &ignored) &&
               snap_journal_find(e, n, step);

    snap_journal_entries_free(e, n);
    free(path);
    return has;
}

/* A create and a delete have one. */
static int guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    return op < REVERT ? fake_host_guardian(h, arg, err) : 0;
}

static void acted(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;

    check(s, out->rc != SNAP_RECOVER);
    count += third_acted(&s->h);
}

/* The pause may be libxl's own, which was about to destroy the domain and
 * pauses it first.  Xen counts pauses and does not tell how many there are
 * (domain_pause_by_systemcontroller() in xen/common/domain.c): a guest that
 * stood for ever would be the worse. */
static bool may_be_libxls(const struct scene *s)
{
    const struct fake_domain *d = fake_domain_find(s->h.world, FAKE_UUID);

    return s->k->op == REVERT && d && d->paused && has_step(s, "destroy") &&
           !d->mark[0];
}

static void died(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;

    (void)out;
    if (third_act(&s->h) == THIRD_PAUSE && may_be_libxls(s))
        third_may_run(&s->h);
    check(s, false);
    count += third_acted(&s->h);
}

static void remember(void *scene)
{
    struct scene *s = scene;

    s->destroying = has_step(s, "destroy");
}

static void acted_in_recovery(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;

    if (third_act(&s->h) == THIRD_PAUSE && s->destroying)
        third_may_run(&s->h);
    check(s, !out->rc);
    count += third_acted(&s->h);
}

static struct sweep acts = {
    SWEEP_KINDS(kinds),
    .scene_size = sizeof(struct scene),
    .begin = scene_begin,
    .end = scene_end,
    .run = run,
    .stride = STRIDE,
    .recover = fake_host_recover,
    .not_yet = not_yet,
    .stride_of = stride_of,
    .dead = remember,
};

/* A recovery lets it go on and dies before it has said so; its user pauses it
 * then. */
static void paused_between(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d = fake_domain_find(s->h.world, FAKE_UUID);
    bool more = d && d->paused;
    unsigned j;

    if (!hit || !more)
        return;
    third_runs(&s->h, THIRD_RESCUER, false);
    for (j = 1; more && !fake_domain_runs(d); j++)
        more = fake_host_run(&s->h, fake_host_recover, NULL, DOOM_DEATH, j, 0,
                             &out);
    third_arm(&s->h, THIRD_PAUSE, 0);
    if (more && third_acted(&s->h)) {
        check(s, false);
        count++;
    }
}

static void test_while_it_works(void **state)
{
    (void)state;
    count = 0;
    sweep_each_act(&acts, acted);
    print_message("%u acts\n", count);
}

static void test_after_its_death(void **state)
{
    (void)state;
    count = 0;
    whole = false;
    sweep_each_act_after_death(&acts, guardian, died);
    whole = true;
    sweep_each_act_after_death(&acts, whole_guardian, died);
    print_message("%u acts\n", count);
}

static void test_in_its_recovery(void **state)
{
    struct sweep w = acts;

    (void)state;
    count = 0;
    whole = false;
    w.stride = 2 * STRIDE;
    w.stride_of = NULL;
    sweep_each_act_in_recovery(&w, guardian, acted_in_recovery);
    print_message("%u acts\n", count);
}

/* The guardian could not tell Xen in time. */
static int untold(struct fake_host *h, void *arg, struct snap_err *err)
{
    return op < REVERT ? fake_host_guardian_untold(h, arg, err) : 0;
}

static bool only_slow_reboots(const void *kind, enum third_act act, bool dead)
{
    const struct kind *k = kind;

    (void)dead;
    return k->op != DELETE || act != THIRD_REBOOT_SLOWLY;
}

/* It reboots from what Xen knows, which may be old; but it comes up.  (In a
 * create what Xen knows is about to be frozen.) */
static void test_untold_in_its_recovery(void **state)
{
    struct sweep w = acts;

    (void)state;
    count = 0;
    whole = false;
    w.not_yet = only_slow_reboots;
    w.stride = 2;
    w.stride_of = NULL;
    sweep_each_act_in_recovery(&w, untold, acted_in_recovery);
    print_message("%u acts\n", count);
}

/* Those that pause it. */
static const struct sweep pauses = {
    .kinds = &kinds[5],
    .n_kinds = 2,
    .kind_size = sizeof(kinds[0]),
    .scene_size = sizeof(struct scene),
    .begin = scene_begin,
    .end = scene_end,
    .run = run,
};

static void test_paused_after_two_deaths(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&pauses, "dead", 1, paused_between);
    print_message("%u pauses\n", count);
    assert_true(count > 8 || getenv("CRASH_KIND"));
}

/* ---- xl create while disks are switched, or put back ---- */

static unsigned bare; /* guests that got no disk */

static bool only_start(const void *kind, enum third_act act, bool dead)
{
    (void)kind;
    (void)dead;
    return act != THIRD_START;
}

static const struct sweep starts = {
    .kinds = &kinds[9], /* the reverts */
    .n_kinds = sizeof(kinds) / sizeof(kinds[0]) - 9,
    .kind_size = sizeof(kinds[0]),
    .scene_size = sizeof(struct scene),
    .begin = scene_begin,
    .end = scene_end,
    .run = run,
    .stride = 1,
    .recover = fake_host_recover,
    .not_yet = only_start,
    .dead = remember,
};

static bool is_torn(void *scene)
{
    const struct scene *s = scene;

    return s->h.disks->left;
}

/* Beside a guest that got no disk all of them are put back at once; nor does
 * one that is still being built keep them from it. */
static void started(void *scene, const struct fake_outcome *out)
{
    struct scene *s = scene;
    const struct fake_domain *d = fake_domain_find(s->h.world, FAKE_UUID);

    if (third_acted(&s->h) && is_torn(scene))
        sweep_fail("not put back: %s", out->msg);
    if (third_acted(&s->h) && d &&
        !fake_store_active(s->h.disks, d->domid, "xvda") &&
        !fake_store_active(s->h.disks, d->domid, "xvdb")) {
        if (out->rc == SNAP_RECOVER)
            sweep_fail("not put back beside a guest without disks");
        bare++;
    }
    acted(scene, out);
}

static void test_started_while_it_switches(void **state)
{
    (void)state;
    count = bare = 0;
    sweep_each_act(&starts, started);
    assert_true(bare > 4 || getenv("CRASH_KIND") || getenv("THIRD_ACT"));
    print_message("%u starts\n", count);
}

static void test_started_while_it_is_put_back(void **state)
{
    struct sweep w = starts;

    (void)state;
    count = 0;
    w.stride = 3;
    sweep_act_in_each_recovery(&w, THIRD_START, is_torn, acted_in_recovery);
    print_message("%u starts\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_it_works),
        cmocka_unit_test(test_after_its_death),
        cmocka_unit_test(test_paused_after_two_deaths),
        cmocka_unit_test(test_in_its_recovery),
        cmocka_unit_test(test_untold_in_its_recovery),
        cmocka_unit_test(test_started_while_it_switches),
        cmocka_unit_test(test_started_while_it_is_put_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
