/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * --keep-path on real images: links of the user's, and the one that we make,
 * over a revert and a death.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "fakes/durable.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* The image holds a 1; it is xvda of a QEMU that runs, and taken. */
static void take_keeping(struct scene *f, struct snap_part *p,
                         const char *path)
{
    real_image_write(path, "qcow2", 0, 1);
    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p->keep_path = true;
    scene_take(f, p);
}

/* ---- nothing is synced while the guest stands ---- */

static unsigned syncs;

static int count_syncs(const char *layer, const char *what)
{
    if (!strcmp(layer, "file") && snap_has_prefix(what, "fsync"))
        syncs++;
    return 0;
}

static void synced_once_the_guest_runs(void **state)
{
    struct scene *f = *state;
    struct snap_part p, *one = &p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "vm.qcow2", "qcow2"), link[256] = "";

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    DO(prepare, &p);
    syncs = 0;
    snap_fault_hook = count_syncs;
    scene_ok(p.drv->group->take(&f->c, &one, 1, &e), &e);
    snap_fault_hook = NULL;
    assert_int_equal(syncs, 0);
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    snap_fault_hook = count_syncs;
    DO(secure, &p);
    snap_fault_hook = NULL;
    /* The overlay's mark, and the link's folder. */
    assert_int_equal(syncs, 2);
    snap_part_dispose(&p);
    free(path);
}

/* ---- a name is on the disk before another makes do without it ---- */

/* A letter each: link, symlink, rename over the path, sync of its folder. */
static struct {
    char seen[64];
    const char *path;
} trace;

static void add(char c)
{
    size_t len = strlen(trace.seen);

    if (len + 1 < sizeof(trace.seen))
        trace.seen[len] = c;
}

static int on_call(const char *layer, const char *what)
{
    if (strcmp(layer, "file") != 0)
        return 0;
    if (!strcmp(what, "link") || !strcmp(what, "symlink"))
        add(what[0]);
    else if (snap_has_prefix(what, "rename /") &&
             !strcmp(what + 7, trace.path))
        add('r');
    return 0;
}

static void on_sync(int fd)
{
    struct stat st, want;
    char *dir;

    if (!trace.path)
        return;
    dir = snap_dirname(trace.path);
    if (!fstat(fd, &st) && !stat(dir, &want) && snap_same_stat(&st, &want))
        add('S');
    free(dir);
}

static void begin_trace(const char *path)
{
    memset(&trace, 0, sizeof(trace));
    trace.path = path;
    snap_fault_hook = on_call;
}

static void traced(const char *want)
{
    snap_fault_hook = NULL;
    trace.path = NULL;
    assert_string_equal(trace.seen, want);
}

/* The overlay is elsewhere: a sync for its name is none for the base's. */
static char *take_with_target(struct scene *f, struct snap_part *p)
{
    struct snap_part *one = p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2"),
         *dir = scene_path(f, "over"), *target = scene_path(f, "over/a.qcow2");

    assert_int_equal(mkdir(dir, 0700), 0);
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p->keep_path = true;
    snap_set(&p->target, target);
    DO(probe, p);
    begin_trace(path);
    DO(prepare, p);
    traced("lS");
    begin_trace(path);
    scene_ok(p->drv->group->take(&f->c, &one, 1, &e), &e);
    DO(secure, p);
    traced("srS");
    free(target);
    free(dir);
    return path;
}

static void each_name_in_its_turn(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = take_with_target(f, &p);

    f->c.op_id = "op2";
    DO(verify, &p);
    DO(revert_prepare, &p);
    begin_trace(path);
    DO(revert_switch, &p);
    traced("sSsrS"); /* the old link waits, before the new one is there */
    DO(revert_undo, &p);
    f->c.op_id = "op1";
    begin_trace(path);
    DO(undo, &p);
    traced("lrSS"); /* the path is the image again, then the base goes */
    snap_part_dispose(&p);
    free(path);
}

/* Died when the link was made, and not yet renamed over the path. */
static void a_link_that_never_got_its_name(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct stat st;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *tmp;

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    DO(prepare, &p);
    tmp = snap_printf("%s.xlsnap-op1", path);
    assert_int_equal(symlink(snap_basename(snap_overlay_file(&p)), tmp), 0);
    DO(undo, &p);
    assert_int_equal(lstat(tmp, &st), -1);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    snap_part_dispose(&p);
    free(tmp);
    free(path);
}

static void a_link_of_the_users(void **state)
{
    struct scene *f = *state;
    struct snap_part p, q;
    char *path = scene_path(f, "vm.qcow2"),
         *real = scene_image(f, "real.qcow2", "qcow2");
    char link[256] = "";
    unsigned char one[1] = { 1 }, two[1] = { 2 }, three[1] = { 3 };

    assert_int_equal(symlink("real.qcow2", path), 0);
    take_keeping(f, &p, path);
    assert_string_equal(p.frozen_path, real);
    assert_string_equal(p.active_path, path);
    real_qemu_write(f->q, "xvda", 0, 2);

    /* The next one in the same QEMU, without keeping the path. */
    f->c.op_id = "op2";
    scene_ask(&q, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    scene_take(f, &q);
    assert_string_equal(q.frozen_path, snap_overlay_file(&p));
    real_qemu_write(f->q, "xvda", 0, 3);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    assert_true(real_image_has(real, "qcow2", one, 1));
    assert_true(real_image_has(q.frozen_path, "qcow2", two, 1));
    DO(undo, &q);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    f->c.op_id = "op1";
    DO(undo, &p);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, "real.qcow2");
    scene_stop(f);
    assert_true(real_image_has(real, "qcow2", three, 1));
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
    free(real);
}

static void link_is(const char *path, const char *want)
{
    char link[256] = "";

    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, snap_basename(want));
}

/* After a revert the path that was kept names the new leaf; an undo, at any
 * moment, puts the old link back. */
static void a_revert_keeps_the_path(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *old, *waiting;
    unsigned char one[1] = { 1 }, two[1] = { 2 };
    struct stat st;
    int round;

    take_keeping(f, &p, path);
    real_qemu_write(f->q, "xvda", 0, 2);
    old = snap_strdup(snap_overlay_file(&p));
    scene_stop(f);

    f->c.op_id = "op2";
    waiting = snap_printf("%s.xlsnap-op2-old", path);
    for (round = 0; round < 4; round++) {
        DO(verify, &p);
        assert_string_equal(p.leaf_path, path);
        DO(revert_prepare, &p);
        link_is(path, old);
        if (round == 1) /* died before the new link was there */
            assert_int_equal(symlink(snap_basename(old), waiting), 0);
        if (round > 1)
            DO(revert_switch, &p);
        if (round < 3) {
            DO(revert_undo, &p);
            link_is(path, old);
            DO(revert_undo, &p);
            assert_true(real_image_has(path, "qcow2", two, 1));
            assert_int_equal(lstat(waiting, &st), -1);
            assert_int_equal(lstat(snap_overlay_leaf(&p), &st), -1);
        }
    }
    assert_int_equal(lstat(waiting, &st), 0);
    snap_set(&p.drop_path, old);
    DO(revert_finish, &p);
    DO(revert_finish, &p);
    assert_int_equal(lstat(waiting, &st), -1);
    assert_int_equal(lstat(old, &st), -1);
    link_is(path, snap_overlay_leaf(&p));
    assert_true(real_image_has(path, "qcow2", one, 1));

    /* The user removed the link: the path comes back, and goes with undo. */
    assert_int_equal(unlink(path), 0);
    f->c.op_id = "op3";
    snap_set(&p.drop_path, NULL);
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    link_is(path, snap_overlay_leaf(&p));
    DO(revert_undo, &p);
    assert_int_equal(lstat(path, &st), -1);

    /* And put a file of his own there: that is not ours to replace. */
    free(scene_image(f, "a.qcow2", "qcow2"));
    DO(verify, &p);
    assert_string_not_equal(p.leaf_path, path);
    snap_part_dispose(&p);
    free(waiting);
    free(path);
    free(old);
}

/* Died between the transaction and the link: finish() makes it. */
static void recover_makes_the_link(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct stat st;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *args;
    unsigned char want[1] = { 5 };

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    DO(prepare, &p);
    args = snap_printf("{\"node-name\":\"%s\",\"snapshot-file\":\"%s\","
                       "\"snapshot-node-name\":\"%s\",\"format\":\"qcow2\","
                       "\"mode\":\"existing\"}",
                       p.node, snap_overlay_file(&p), snap_overlay_node(&p));
    assert_int_equal(real_qemu_command(f->q, "blockdev-snapshot-sync", args),
                     0);
    free(args);
    real_qemu_write(f->q, "xvda", 0, 5);
    scene_ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_int_equal(s, SNAP_PART_PRESENT);
    p.drv->finish(&f->c, &p, &e);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    scene_stop(f);
    assert_true(real_image_has(path, "qcow2", want, 1));
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(synced_once_the_guest_runs),
        SCENE_TEST(each_name_in_its_turn),
        SCENE_TEST(a_link_that_never_got_its_name),
        SCENE_TEST(a_link_of_the_users),
        SCENE_TEST(a_revert_keeps_the_path),
        SCENE_TEST(recover_makes_the_link),
    };

    durable_on_sync = on_sync;
    return SCENE_MAIN("--keep-path on real images", tests);
}
