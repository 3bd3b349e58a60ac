/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Somebody else in the window of a snapshot, and after a command that died in
 * it.  A record says "memory" only if the guest stood from the save to the
 * last disk; and what a user, or another tool, did to the guest stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/check.h"
#include "fakes/fake_guardian.h"
#include "fakes/sweep.h"
#include "lib/mem.h"
#include "store/journal.h"
#include "store/store.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool live;
};

static const struct kind kinds[] = {
    { .name = "memory, internal and external", .memory = true },
    { .name = "live memory, external",
      .type = SNAP_DISK_EXTERNAL,
      .memory = true,
      .live = true },
};

struct scene {
    struct fake_host h;
    struct before b;
    struct snap_create_req req;
};

static struct scene *the_scene; /* for the hook */

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    const struct kind *k = kind;

    the_scene = s;
    fake_host_init(&s->h);
    s->req = (struct snap_create_req){
        .domain = (char *)"vm1",
        .name = (char *)"s1",
        .type = k->type,
        .live = k->live ? 1 : -1,
        .memory = k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO,
        .no_wait = true,
    };
    before_take(&s->b, &s->h);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static struct fake_domain *vm(struct scene *s)
{
    return fake_domain_find(s->h.world, "vm1");
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;

    return fake_host_run(&s->h, fake_host_create, &s->req, doom, n, errnum,
                         out);
}

/* ---- somebody acts at a call ---- */

static const char *at;
static void (*act)(struct fake_domain *d);

static int hook(const char *layer, const char *what)
{
    char call[200];

    snprintf(call, sizeof(call), "%s: %s", layer, what);
    if (at && !strcmp(call, at)) {
        at = NULL;
        act(vm(the_scene));
    }
    return 0;
}

static int create(struct scene *s, const char *call,
                  void (*fn)(struct fake_domain *d), char *msg, size_t size)
{
    at = call;
    act = fn;
    return fake_command_end(
        fake_command(&s->h, fake_host_create, &s->req, hook), msg, size);
}

static void let_go(struct fake_domain *d)
{
    d->suspended = d->paused = false;
    d->tick++;
}

static void plug_in(struct fake_domain *d)
{
    char *end = strrchr(d->config, ']');
    static const char more[] = ",{\"pdev_path\":\"/img/c.img\",\"vdev\":"
                               "\"xvdc\",\"backend\":\"qdisk\",\"format\":"
                               "\"raw\",\"readwrite\":1}";
    char *rest = snap_strdup(end);

    snprintf(end, FAKE_CONFIG - (size_t)(end - d->config), "%s%s", more, rest);
    free(rest);
}

static void check_no_memory(struct scene *s, int rc, const char *msg)
{
    bool there;
    const char *w;

    if (!rc || rc == -1000)
        fail_msg("rc %d, said: %s", rc, msg);
    w = check_guest(&s->h, NULL);
    if (!w)
        w = check_record(&s->h, "s1", false, &s->b, &there);
    if (w)
        fail_msg("%s; it had said: %s", w, msg);
    if (rc != SNAP_RECOVER && there)
        fail_msg("it said that nothing was kept: %s", msg);
}

/* E.g. an xl save that ends, or an xl resume. */
static void test_let_go_on(void **state)
{
    static const char *const calls[] = {
        "hyp: save done",       "hyp: stands", "hyp: set_active",
        "hyp: set_active done", "hyp: resume", "disk: take xvda"
    };
    char msg[SNAP_ERR_MAX];
    size_t i, k;
    struct scene s;
    int rc;

    (void)state;
    for (k = 0; k < 2; k++)
        for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
            scene_init(&s, &kinds[k]);
            rc = create(&s, calls[i], let_go, msg, sizeof(msg));
            check_no_memory(&s, rc, msg);
            scene_dispose(&s);
        }
}

static void test_disk_plugged_in(void **state)
{
    char msg[SNAP_ERR_MAX];
    struct scene s;
    bool there;
    int rc;

    (void)state;
    scene_init(&s, &kinds[0]);
    rc = create(&s, "hyp: save done", plug_in, msg, sizeof(msg));
    assert_int_equal(rc, SNAP_BUSY);
    assert_null(check_record(&s.h, "s1", false, &s.b, &there));
    assert_false(there);
    scene_dispose(&s);
}

static void lock_it(struct fake_domain *d)
{
    d->locked_by_other = true;
}

/* A lock of libxl that another holds is not waited for with the guest at
 * rest: it is not even stopped. */
static void test_locked(void **state)
{
    char msg[SNAP_ERR_MAX];
    struct scene s;
    bool there;

    (void)state;
    scene_init(&s, &kinds[1]);
    assert_int_equal(create(&s, "hyp: window_open", lock_it, msg, sizeof(msg)),
                     SNAP_BUSY);
    assert_null(check_guest(&s.h, &s.b));
    assert_null(check_record(&s.h, "s1", false, &s.b, &there));
    assert_false(there);
    scene_dispose(&s);
}

/* ---- Ctrl-C ---- */

static bool asked;

static int is_asked(void)
{
    return asked;
}

static void ask(struct fake_domain *d)
{
    (void)d;
    asked = true;
}

/* Heard until the disks are taken, and then not any more. */
static void test_interrupted(void **state)
{
    static const char *const calls[] = { "hyp: window_open", "hyp: save",
                                         "hyp: save done" };
    char msg[SNAP_ERR_MAX];
    struct scene s;
    bool there;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        asked = false;
        scene_init(&s, &kinds[0]);
        s.h.env.interrupted = is_asked;
        assert_int_equal(create(&s, calls[i], ask, msg, sizeof(msg)),
                         SNAP_INTR);
        assert_null(check_guest(&s.h, &s.b));
        assert_null(check_record(&s.h, "s1", true, &s.b, &there));
        assert_false(there);
        scene_dispose(&s);
    }
    scene_init(&s, &kinds[0]);
    s.h.env.interrupted = is_asked;
    assert_int_equal(create(&s, "hyp: resume", ask, msg, sizeof(msg)), 0);
    assert_null(check_record(&s.h, "s1", true, &s.b, &there));
    assert_true(there);
    scene_dispose(&s);
}

/* ---- QEMU answers late ---- */

static unsigned late; /* how often it is still silent */

static int silent(const char *layer, const char *what)
{
    if (!strcmp(layer, "disk") && !strcmp(what, "take done xvda"))
        return EIO;
    if (!strcmp(layer, "hyp") && !strcmp(what, "qmp_open") && late &&
        !vm(the_scene)->suspended && vm(the_scene)->tick > 1) {
        late--;
        return EIO;
    }
    if (!strcmp(layer, "hyp") && !strcmp(what, "resume"))
        vm(the_scene)->tick++;
    return 0;
}

/* The reply to the take got lost: the guest runs, the snapshot is finished
 * before the command ends, and it has no memory. */
static void test_late_answer(void **state)
{
    char msg[SNAP_ERR_MAX];
    struct scene s;
    bool there;
    int rc;

    (void)state;
    scene_init(&s, &kinds[1]);
    s.h.env.late_ms = 30000;
    late = 3;
    rc = fake_command_end(fake_command(&s.h, fake_host_create, &s.req, silent),
                          msg, sizeof(msg));
    assert_int_not_equal(rc, 0);
    assert_int_not_equal(rc, -1000);
    assert_null(check_guest(&s.h, &s.b));
    assert_null(check_record(&s.h, "s1", false, &s.b, &there));
    assert_true(there);
    scene_dispose(&s);

    /* It never answers: not waited for without end. */
    scene_init(&s, &kinds[1]);
    s.h.env.late_ms = 500;
    late = 1000;
    rc = fake_command_end(fake_command(&s.h, fake_host_create, &s.req, silent),
                          msg, sizeof(msg));
    assert_int_equal(rc, SNAP_RECOVER);
    assert_true(fake_domain_runs(vm(&s)));
    sweep_must(&s.h, fake_host_recover, NULL, "recover");
    assert_null(check_guest(&s.h, &s.b));
    scene_dispose(&s);
}

/* ---- days later, with a journal left and no guardian ---- */

static const struct sweep dying = {
    SWEEP_KINDS(kinds),  .scene_size = sizeof(struct scene),
    .begin = scene_init, .end = scene_dispose,
    .run = run,
};

/* Nobody acts: a memory image that is kept is whole. */
static void just_recover(void *scene, bool hit)
{
    struct scene *s = scene;
    bool there;
    const char *w;

    (void)hit;
    sweep_must(&s->h, fake_host_recover, NULL, "recover");
    w = check_guest(&s->h, &s->b);
    if (!w)
        w = check_record(&s->h, "s1", true, &s->b, &there);
    if (w)
        sweep_fail("%s", w);
}

static void test_half_written(void **state)
{
    (void)state;
    sweep_each_death(&dying, "dead", 1, just_recover);
}

/* ---- no guardian, and a recovery that dies as well ---- */

static bool recovering, went_on;

/* As soon as it has let the guest go on. */
static int dead_once_it_runs(const char *layer, const char *what)
{
    if (went_on && fake_domain_runs(vm(the_scene)))
        _exit(1);
    went_on |= !strcmp(layer, "hyp") && !strcmp(what, "rescue");
    return 0;
}

/* What Xen would boot it from is what it writes to. */
static void check_known(struct scene *s)
{
    static const char *const vdevs[] = { "xvda", "xvdb" };
    const char *active;
    char *known;
    size_t i;

    for (i = 0; i < 2; i++) {
        known = fake_domain_path(vm(s), vdevs[i]);
        active = fake_store_active(s->h.disks, vm(s)->domid, vdevs[i]);
        if (!snap_streq(known, active))
            sweep_fail("%s: a reboot would find %s, and it writes to %s",
                       vdevs[i], known, active);
        free(known);
    }
}

static void recover_and_die(void *scene, bool hit)
{
    struct scene *s = scene;
    struct snap_err err = SNAP_ERR_INIT;
    char *path = snap_printf("%s/%s/journal", s->h.root, FAKE_UUID);
    struct snap_journal_entry *e = NULL;
    size_t n = 0;

    (void)hit;
    recovering = !snap_journal_read(path, &e, &n, &err) &&
                 snap_journal_find(e, n, "taken") &&
                 !snap_journal_find(e, n, "resumed");
    went_on = false;
    if (recovering) {
        fake_command_end(
            fake_command(&s->h, fake_host_recover, NULL, dead_once_it_runs),
            NULL, 0);
        assert_true(fake_domain_runs(vm(s)));
        check_known(s);
    }
    snap_journal_entries_free(e, n);
    free(path);
    sweep_must(&s->h, fake_host_recover, NULL, "recover");
    if (check_guest(&s->h, &s->b))
        sweep_fail("%s", check_guest(&s->h, &s->b));
}

static void test_recovery_dies_too(void **state)
{
    (void)state;
    sweep_each_death(&dying, "dead", 1, recover_and_die);
}

/* It was let go on by somebody, we saw that, and died before the record. */
static int torn_and_dead(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "resume")) {
        let_go(vm(the_scene));
        at = what;
    } else if (at && !strcmp(layer, "file") &&
               (snap_has_prefix(what, "fsync") ||
                snap_has_prefix(what, "rename"))) {
        _exit(1);
    }
    return 0;
}

static void test_torn_and_dead(void **state)
{
    struct scene s;
    bool there;

    (void)state;
    scene_init(&s, &kinds[1]);
    at = NULL;
    assert_int_equal(fake_command_end(fake_command(&s.h, fake_host_create,
                                                   &s.req, torn_and_dead),
                                      NULL, 0),
                     -1000);
    sweep_must(&s.h, fake_host_recover, NULL, "recover");
    assert_null(check_guest(&s.h, NULL));
    assert_null(check_record(&s.h, "s1", false, &s.b, &there));
    assert_true(there);
    scene_dispose(&s);
}

/* A snapshot of disks stops by a pause; after "resumed" a pause is the
 * user's. */
static int dead_after_resume(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "unpause done"))
        at = what;
    else if (at && !strcmp(layer, "file") && snap_has_prefix(what, "rename"))
        _exit(1);
    return 0;
}

static void test_resumed_and_paused(void **state)
{
    static const struct kind disk_only = { .name = "disk-only",
                                           .type = SNAP_DISK_EXTERNAL };
    struct scene s;

    (void)state;
    scene_init(&s, &disk_only);
    at = NULL;
    assert_int_equal(fake_command_end(fake_command(&s.h, fake_host_create,
                                                   &s.req, dead_after_resume),
                                      NULL, 0),
                     -1000);
    assert_true(fake_domain_runs(vm(&s)));
    vm(&s)->paused = true;
    sweep_must(&s.h, fake_host_recover, NULL, "recover");
    assert_true(vm(&s)->paused);
    scene_dispose(&s);
}

/* Let go on by hand (xl resume), and then paused by its user. */
static void pause_and_recover(void *scene, bool hit)
{
    struct scene *s = scene;

    (void)hit;
    if (vm(s)->suspended)
        vm(s)->monitor_held = vm(s)->suspended = false;
    vm(s)->paused = true;
    sweep_must(&s->h, fake_host_recover, NULL, "recover");
    if (!vm(s)->paused)
        sweep_fail("what its user had paused was unpaused");
    vm(s)->paused = false;
    if (check_guest(&s->h, &s->b))
        sweep_fail("%s", check_guest(&s->h, &s->b));
}

static void test_paused_by_its_user(void **state)
{
    (void)state;
    sweep_each_death(&dying, "dead", 2, pause_and_recover);
}

/* An xl save, or a migration, is at work on it. */
static void save_and_recover(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;

    if (!hit)
        return;
    if (vm(s)->suspended)
        vm(s)->monitor_held = false;
    vm(s)->suspended = vm(s)->other_save = true;
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    if (!vm(s)->suspended)
        sweep_fail("a guest was let go on under another's save");
}

static void test_saved_by_another(void **state)
{
    (void)state;
    sweep_each_death(&dying, "dead", 2, save_and_recover);
}

/* Another domain by now: started again, and at rest for its own reasons. */
static void restart_and_recover(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;

    if (!hit)
        return;
    if (vm(s)->suspended)
        vm(s)->suspended = vm(s)->monitor_held = false;
    vm(s)->domid = s->h.world->next_domid++;
    fake_store_close(s->h.disks, vm(s)->domid - 1);
    vm(s)->qemu_gone = true;
    vm(s)->suspended = true;
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    if (!vm(s)->suspended)
        sweep_fail("a domain of another number was let go on");
}

static void test_restarted(void **state)
{
    (void)state;
    sweep_each_death(&dying, "dead", 2, restart_and_recover);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_let_go_on),
        cmocka_unit_test(test_disk_plugged_in),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_half_written),
        cmocka_unit_test(test_recovery_dies_too),
        cmocka_unit_test(test_torn_and_dead),
        cmocka_unit_test(test_resumed_and_paused),
        cmocka_unit_test(test_paused_by_its_user),
        cmocka_unit_test(test_saved_by_another),
        cmocka_unit_test(test_restarted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
