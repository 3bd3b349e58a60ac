/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * As many images one over the other as are allowed: taken, looked at, taken
 * back, deleted, brought back and cloned; one more is refused while nothing is
 * done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "tools/scene.h"

#define DEEPEST 200 /* images that a new overlay may be over */

static char *level_name(struct scene *f, unsigned n)
{
    return snap_printf("%s/level-%u.qcow2", f->dir, n);
}

/* n images, each over the one before; the path of the last. */
static char *chain(struct scene *f, unsigned n)
{
    char *path = scene_image(f, "level-1.qcow2", "qcow2"), *over;
    unsigned i;

    for (i = 2; i <= n; i++) {
        over = level_name(f, i);
        assert_int_equal(real_run("qemu-img", "create", "-q", "-u", "-f",
                                  "qcow2", "-b", path, "-F", "qcow2", over,
                                  "1M", NULL),
                         0);
        free(path);
        path = over;
    }
    return path;
}

static char *running_chain(struct scene *f, unsigned n)
{
    char *path = chain(f, n);

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    real_qemu_write(f->q, "xvda", 0, 1);
    return path;
}

static void is_present(struct scene *f, struct snap_part *p)
{
    enum snap_part_state st = SNAP_PART_ABSENT;
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(p->drv->inspect(&f->c, p, &st, &e), &e);
    assert_int_equal(st, SNAP_PART_PRESENT);
}

/* The 58th had a reply of QEMU's nested deeper than was believed. */
static void the_58th_is_taken_and_taken_back(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    unsigned char is[1] = { 1 };
    char *path = running_chain(f, 58);

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    is_present(f, &p);
    assert_true(real_qemu_has(f->q, "xvda", is, 1));
    DO(undo, &p);
    assert_true(real_qemu_has(f->q, "xvda", is, 1));
    snap_part_dispose(&p);
    free(path);
}

static void plan_delete(struct scene *f, struct snap_part *p,
                        struct snap_delete *d)
{
    struct snap_err e = SNAP_ERR_INIT;

    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(p->active_path);
    scene_ok(p->drv->delete_plan(&f->c, p, d, &e), &e);
    assert_int_equal(d->how, SNAP_DELETE_PULL);
    assert_int_equal(d->n_child, 1);
    scene_ok(p->drv->pull(&f->c, p, d, 0, &e), &e);
}

static void one_more_is_refused(struct scene *f, const char *over)
{
    struct snap_part p;

    scene_ask(&p, "xvda", over, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "longer than 200");
}

static void the_deepest_is_taken_and_deleted_live(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    unsigned char is[2] = { 1, 2 };
    char *path = running_chain(f, DEEPEST);

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    is_present(f, &p);
    DO(finish, &p);
    real_qemu_write(f->q, "xvda", 1, 2);
    f->c.op_id = "op2";
    one_more_is_refused(f, p.active_path);
    plan_delete(f, &p, &d);
    assert_true(real_qemu_has(f->q, "xvda", is, 2));
    scene_stop(f);
    assert_true(real_image_has(p.active_path, "qcow2", is, 2));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

static void the_deepest_is_brought_back_and_deleted_off(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    unsigned char was[2] = { 1, 0 }, is[2] = { 1, 2 };
    char *path = running_chain(f, DEEPEST);

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(finish, &p);
    real_qemu_write(f->q, "xvda", 1, 2);
    scene_stop(f);
    f->c.op_id = "op2";
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    assert_true(real_image_has(p.leaf_path, "qcow2", was, 2));
    DO(revert_undo, &p);
    f->c.op_id = "op3";
    plan_delete(f, &p, &d);
    assert_true(real_image_has(p.active_path, "qcow2", is, 2));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Of the outermost snapshot, while its domain runs; and of the clone one that
 * is refused. */
static void the_deepest_is_cloned(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    unsigned char was[2] = { 1, 0 }, own[2] = { 1, 9 }, is[2] = { 1, 2 };
    char *path = running_chain(f, DEEPEST);

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(finish, &p);
    real_qemu_write(f->q, "xvda", 1, 2);
    f->c.op_id = "op2";
    snap_set(&p.leaf_dir, f->dir);
    DO(verify, &p);
    DO(revert_prepare, &p);
    assert_true(real_image_has(p.leaf_path, "qcow2", was, 2));
    DO(revert_switch, &p);
    real_image_write(p.leaf_path, "qcow2", 1, 9);
    assert_true(real_image_has(p.leaf_path, "qcow2", own, 2));
    assert_true(real_qemu_has(f->q, "xvda", is, 2));
    scene_stop(f);
    one_more_is_refused(f, p.leaf_path);
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_58th_is_taken_and_taken_back),
        SCENE_TEST(the_deepest_is_taken_and_deleted_live),
        SCENE_TEST(the_deepest_is_brought_back_and_deleted_off),
        SCENE_TEST(the_deepest_is_cloned),
    };

    return SCENE_MAIN("test_drivers_deep", tests);
}
