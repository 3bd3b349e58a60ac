/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Somebody else acts between a revert or a clone that died, in this boot, and
 * the recovery after it: he starts the domain from its xl.cfg, or lets the new
 * one run, pauses, renames or rebuilds it.  Whatever the death: his guest runs on,
 * as he left it, and reads what it wrote.  And what a revert cannot go back to
 * is said, and does not stop every later command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fakes/check.h"
#include "fakes/sweep.h"
#include "fakes/taken.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "store/store.h"

#define TICK 5000 /* what a guest of his has come to */

struct kind {
    const char *name;
    struct taken_how how;
    bool clone;
};

static const struct kind reverts[] = {
    { .name = "revert, memory, mixed", .how.memory = true },
    { .name = "revert, disk-only, external", .how.type = SNAP_DISK_EXTERNAL },
    { .name = "revert, gone, memory, mixed",
      .how = { .memory = true, .off = true } },
};

static const struct kind clones[] = {
    { .name = "clone, memory, mixed", .how.memory = true, .clone = true },
    { .name = "clone, disks, external",
      .how.type = SNAP_DISK_EXTERNAL,
      .clone = true },
};

struct scene {
    struct taken t;
    const struct kind *k;
};

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;

    s->k = kind;
    taken_init(&s->t, &s->k->how);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    taken_dispose(&s->t);
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_revert_req req;
    struct snap_clone_req clone = {
        .domain = (char *)"vm1",
        .name = (char *)"s1",
        .new_name = (char *)"vm2",
        .no_wait = true,
    };

    taken_revert_req(&req);
    return s->k->clone ? fake_host_run(&s->t.h, fake_host_clone, &clone, doom,
                                       n, errnum, out)
                       : fake_host_run(&s->t.h, fake_host_revert, &req, doom,
                                       n, errnum, out);
}

static const struct sweep external = {
    .kinds = &reverts[1],
    .n_kinds = 1,
    .kind_size = sizeof(reverts[0]),
    .begin = scene_init,
    .end = scene_dispose,
    .run = run,
    .scene_size = sizeof(struct scene),
};

static struct fake_domain *find(struct scene *s)
{
    return fake_domain_find(s->t.h.world, s->k->clone ? "vm2" : "vm1");
}

/* ---- somebody's guest ---- */

struct theirs {
    uint32_t domid;
    bool paused;
    uint64_t a, b; /* what it wrote last */
};

static void have(struct scene *s, struct fake_domain *d, struct theirs *w)
{
    d->tick = TICK;
    w->domid = d->domid;
    w->paused = d->paused;
    w->a = fake_store_write(s->t.h.disks, d->domid, "xvda");
    w->b = fake_store_write(s->t.h.disks, d->domid, "xvdb");
}

static void check_theirs(struct scene *s, const struct theirs *w)
{
    const struct fake_domain *d = find(s);

    if (!d || d->domid != w->domid || d->tick != TICK)
        sweep_fail("somebody's domain was ended: %s", s->t.h.said);
    if (d->paused != w->paused)
        sweep_fail("somebody's domain was %spaused", w->paused ? "un" : "");
    if (fake_store_read(s->t.h.disks, d->domid, "xvda") != w->a ||
        fake_store_read(s->t.h.disks, d->domid, "xvdb") != w->b)
        sweep_fail("somebody's domain does not read what it wrote");
    if (s->t.h.world->bad || s->t.h.disks->violation[0])
        sweep_fail("%s%s", s->t.h.world->why_bad, s->t.h.disks->violation);
}

static unsigned count, refused;

/* What cannot be put right beside it is refused, with both ways out, and each
 * of them is one. */
static void recover_beside(struct scene *s, const struct theirs *w,
                           bool keep_it)
{
    struct fake_outcome out;

    fake_host_run(&s->t.h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0, &out);
    check_theirs(s, w);
    if (out.rc && (out.rc != SNAP_RECOVER || !strstr(out.msg, "--keep vm1")))
        sweep_fail("recover: rc %d, %s", out.rc, out.msg);
    refused += out.rc != 0;
    if (out.rc && keep_it) {
        sweep_must(&s->t.h, fake_host_recover_keep, NULL, "recover --keep");
        check_theirs(s, w);
    } else if (out.rc) {
        fake_host_stop(&s->t.h);
        fake_host_run(&s->t.h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0,
                      &out);
        if (out.rc == SNAP_RECOVER && strstr(out.msg, "--discard vm1"))
            sweep_must(&s->t.h, fake_host_recover_discard, NULL,
                       "recover --discard");
        else if (out.rc)
            sweep_fail("recover, it is off: %s", out.msg);
    }
    sweep_recovered(&s->t.h, fake_host_recover_all);
    count++;
}

/* Nothing of ours stays, and the snapshot can be reverted to. */
static void check_good(struct scene *s)
{
    struct snap_revert_req req;
    bool there;
    const char *w;

    taken_revert_req(&req);
    sweep_must(&s->t.h, fake_host_revert, &req, "reverting");
    w = check_guest(&s->t.h, &s->t.at);
    if (!w)
        w = check_record(&s->t.h, "s1", s->k->how.memory, &s->t.at, &there);
    if (w)
        sweep_fail("afterwards: %s", w);
}

/* ---- deaths that leave the domain off, or new ---- */

#define LATE 48 /* calls before the end in which they are */

static unsigned calls_of(const struct kind *k)
{
    struct scene s = { .k = NULL };
    struct fake_outcome out;

    scene_init(&s, k);
    run(&s, DOOM_NONE, 0, 0, &out);
    scene_dispose(&s);
    return out.calls;
}

/* then() once for each of its ways; false: this death is none for it. */
static void late_deaths(const struct kind *k, unsigned ways,
                        bool (*then)(struct scene *s, unsigned way))
{
    unsigned n, way, calls = calls_of(k);

    for (n = calls > LATE ? calls - LATE : 1; n <= calls; n++)
        for (way = 0; way < ways; way++) {
            struct scene s = { .k = NULL };
            struct fake_outcome out;
            bool is;

            scene_init(&s, k);
            is = run(&s, DOOM_DEATH, n, 0, &out) && then(&s, way);
            scene_dispose(&s);
            if (!is)
                break;
        }
}

/* ---- he starts the domain from its xl.cfg ---- */

static bool start_it(struct scene *s, unsigned way)
{
    struct theirs w;

    if (find(s))
        return false;
    fake_host_start(&s->t.h);
    have(s, find(s), &w);
    recover_beside(s, &w, way == 1);
    check_good(s);
    return true;
}

static void test_started(void **state)
{
    size_t i;

    (void)state;
    count = refused = 0;
    for (i = 0; i < sizeof(reverts) / sizeof(reverts[0]); i++)
        late_deaths(&reverts[i], 2, start_it);
    print_message("%u times, %u of them refused beside it\n", count, refused);
    assert_true(count > 20 && refused > 4 && refused < count);
}

/* ---- he takes over the new one, which is there, paused ---- */

enum take { RUNS, PAUSED, RENAMED, REBOOTED };
static enum take taking;

static void take_over(struct scene *s, struct fake_domain *d)
{
    d->paused = taking == PAUSED || taking == RENAMED;
    d->has_run = taking != RENAMED;
    if (taking == RENAMED)
        snprintf(d->name, sizeof(d->name), "mine");
    if (taking == REBOOTED) {
        fake_store_close(s->t.h.disks, d->domid);
        d->domid = s->t.h.world->next_domid++;
        d->mark[0] = '\0';
        s->t.h.world->started = NULL; /* its disks are opened here */
    }
}

static void reopen(struct scene *s, struct fake_domain *d)
{
    static const char *const vdevs[] = { "xvda", "xvdb" };
    char *path;
    size_t i;

    for (i = 0; i < 2; i++) {
        path = fake_domain_path(d, vdevs[i]);
        fake_store_open(s->t.h.disks, d->domid, vdevs[i], path,
                        fake_store_find(s->t.h.disks, path)->format);
        free(path);
    }
}

/* The new domain is there, ours and never run. */
static bool is_ours(const struct fake_domain *d)
{
    return d && d->mark[0] && !d->has_run && !d->half_built;
}

static bool take_it(struct scene *s, unsigned how)
{
    struct fake_domain *d = find(s);
    struct theirs w;

    taking = (enum take)how;
    if (!is_ours(d))
        return false;
    take_over(s, d);
    if (taking == REBOOTED)
        reopen(s, d);
    have(s, d, &w);
    fake_host_run(&s->t.h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0,
                  &(struct fake_outcome){ 0 });
    /* A new name does not keep it from going on after the commit. */
    if (taking == RENAMED) {
        snprintf(d->name, sizeof(d->name), s->k->clone ? "vm2" : "vm1");
        w.paused = d->paused;
    }
    check_theirs(s, &w);
    sweep_recovered(&s->t.h, fake_host_recover_all);
    if (!s->k->clone && taking == RUNS)
        check_good(s);
    count++;
    return true;
}

static void test_taken_over(void **state)
{
    size_t i;

    (void)state;
    count = 0;
    for (i = 0; i < sizeof(reverts) / sizeof(reverts[0]); i++)
        late_deaths(&reverts[i], REBOOTED + 1, take_it);
    for (i = 0; i < sizeof(clones) / sizeof(clones[0]); i++)
        late_deaths(&clones[i], REBOOTED + 1, take_it);
    print_message("%u times\n", count);
    assert_true(count > 4 * 5);
}

/* ---- he pauses the domain that the revert had not touched ---- */

static void pause_it(void *scene, bool hit)
{
    struct scene *s = scene;
    char *path = snap_printf("%s/%s/journal", s->t.h.root, FAKE_UUID);
    char *text = NULL;
    size_t len;
    struct snap_err err = SNAP_ERR_INIT;
    struct fake_domain *d = find(s);
    bool begun = snap_file_read(path, 1 << 20, &text, &len, &err) ||
                 strstr(text, "\"destroy\"");

    free(text);
    free(path);
    if (!hit || !d || begun)
        return;
    d->paused = true;
    sweep_must(&s->t.h, fake_host_recover, NULL, "recover");
    if (find(s) != d || !d->paused || d->tick != 200)
        sweep_fail("somebody's pause was undone");
    count++;
}

static void test_paused(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&external, "dead", 1, pause_it);
    print_message("%u times\n", count);
    assert_true(count > (getenv("CRASH_PACE") ? 0 : 4));
}

/* ---- what a revert cannot go back to ---- */

static void begin(struct scene *s, const struct kind *k)
{
    memset(s, 0, sizeof(*s));
    scene_init(s, k);
}

static void revert(struct scene *s, struct fake_outcome *out)
{
    struct snap_revert_req req;

    taken_revert_req(&req);
    fake_host_run(&s->t.h, fake_host_revert, &req, DOOM_NONE, 0, 0, out);
}

static const struct kind boots = { .name = "boots",
                                   .how.type = SNAP_DISK_EXTERNAL };

static void test_no_kernel(void **state)
{
    struct scene s;
    struct fake_outcome out;

    (void)state;
    begin(&s, &boots);
    s.t.h.world->no_kernel = true;
    revert(&s, &out);
    assert_int_equal(out.rc, SNAP_REFUSED);
    assert_non_null(strstr(out.msg, "/boot/vmlinuz"));
    assert_null(check_guest(&s.t.h, &s.t.last));
    assert_int_equal(find(&s)->tick, 200);
    scene_dispose(&s);
}

/* Somebody else builds a domain: waited for with the guest running, or not. */
static void test_another_builds(void **state)
{
    struct scene s;
    struct fake_outcome out;
    struct snap_revert_req req;

    (void)state;
    begin(&s, &boots);
    s.t.h.world->builds = 3;
    taken_revert_req(&req);
    fake_host_run(&s.t.h, fake_host_revert, &req, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_BUSY); /* it was told not to wait */
    s.t.h.world->builds = 3;
    req.no_wait = false;
    fake_host_run(&s.t.h, fake_host_revert, &req, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, 0);
    assert_int_equal(s.t.h.world->builds, 0);
    scene_dispose(&s);
}

/* It goes when the domain is gone: neither it nor the old one can be booted.
 * Then the file comes back, or the user starts what he has, or neither. */
static void test_kernel_goes(void **state)
{
    struct scene s;
    struct fake_outcome out;
    struct theirs w;
    int way;

    (void)state;
    for (way = 0; way < 3; way++) {
        begin(&s, &boots);
        s.t.h.world->kernel_goes = true;
        revert(&s, &out);
        assert_int_equal(out.rc, SNAP_RECOVER);
        assert_non_null(strstr(out.msg, "xl create"));
        assert_null(find(&s));
        if (way == 0)
            s.t.h.world->no_kernel = s.t.h.world->kernel_goes = false;
        if (way == 1) {
            fake_host_start(&s.t.h);
            have(&s, find(&s), &w);
        }
        sweep_must(&s.t.h, fake_host_recover, NULL, "recover");
        if (way == 0)
            assert_null(check_guest(&s.t.h, &s.t.last));
        if (way == 1)
            check_theirs(&s, &w);
        if (way == 2) {
            assert_null(find(&s));
            assert_int_equal(fake_store_content(s.t.h.disks, s.t.path_a),
                             s.t.last.a);
        }
        sweep_recovered(&s.t.h, fake_host_recover);
        scene_dispose(&s);
    }
}

/* The QEMU of the destroyed domain lives on: no other may have its images. */
static void test_qemu_lingers(void **state)
{
    struct scene s;
    struct fake_outcome out;
    uint32_t old;

    (void)state;
    begin(&s, &reverts[0]);
    old = find(&s)->domid;
    s.t.h.world->qemu_lingers = true;
    revert(&s, &out);
    assert_int_equal(out.rc, SNAP_RECOVER);
    assert_non_null(strstr(out.msg, "stays off"));
    assert_null(find(&s));
    fake_host_run(&s.t.h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_RECOVER);
    assert_string_equal(s.t.h.disks->violation, "");
    s.t.h.world->qemu_lingers = false;
    fake_store_close(s.t.h.disks, old);
    sweep_must(&s.t.h, fake_host_recover, NULL, "recover");
    assert_null(check_guest(&s.t.h, &s.t.last));
    scene_dispose(&s);
}

/* ---- who is it? ---- */

/* A migration to this host: the one that comes has the UUID, too. */
static void test_two_of_one_uuid(void **state)
{
    struct scene s;
    struct fake_outcome out;
    struct fake_domain *other;
    struct stat st;
    char *journal;
    unsigned n;

    (void)state;
    begin(&s, &boots);
    other = fake_domain_add(s.t.h.world, "vm1--incoming", FAKE_UUID, NULL);
    other->paused = true;
    revert(&s, &out);
    assert_int_equal(out.rc, SNAP_BUSY);
    assert_true(other->exists && other->paused);
    assert_int_equal(find(&s)->tick, 200);

    /* Likewise when something is to be recovered. */
    other->exists = false;
    journal = snap_printf("%s/%s/journal", s.t.h.root, FAKE_UUID);
    for (n = 1; stat(journal, &st) || !st.st_size; n++) {
        run(&s, DOOM_DEATH, n, 0, &out);
        assert_true(out.died);
    }
    free(journal);
    other->exists = true;
    fake_host_run(&s.t.h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_RECOVER);
    assert_true(other->exists && other->paused);
    scene_dispose(&s);
}

/* A journal that lies in another domain's folder is not carried out. */
static void move_journal(void *scene, bool hit)
{
    static const char uuid[] = "99999999-2222-3333-4444-555555555555";
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d = find(s);
    bool there = d != NULL;
    char *from = snap_printf("%s/%s/journal", s->t.h.root, FAKE_UUID);
    char *to = snap_printf("%s/%s/journal", s->t.h.root, uuid);
    struct snap_store st = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    if (hit && snap_file_exists(from)) {
        if (snap_store_open(&st, s->t.h.root, uuid, true, &err) ||
            snap_file_rename(from, to, &err))
            sweep_fail("%s", err.msg);
        fake_host_run(&s->t.h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0,
                      &out);
        if (out.rc && out.rc != SNAP_RECOVER)
            sweep_fail("rc %d, %s", out.rc, out.msg);
        count += out.rc != 0;
        if ((find(s) != NULL) != there)
            sweep_fail("another domain's journal was carried out");
        if (out.rc && !snap_file_exists(to))
            sweep_fail("the journal was removed");
    }
    snap_store_close(&st);
    free(from);
    free(to);
}

static void test_anothers_journal(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&external, "dead", 1, move_journal);
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_no_kernel),
        cmocka_unit_test(test_another_builds),
        cmocka_unit_test(test_kernel_goes),
        cmocka_unit_test(test_qemu_lingers),
        cmocka_unit_test(test_two_of_one_uuid),
        cmocka_unit_test(test_anothers_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
