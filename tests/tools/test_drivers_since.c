/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * On real images: what somebody wrote to since it was left is kept, and what
 * nobody wrote to goes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_stamp.h"
#include "disk/qemu/overlay_names.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* The frozen image, on a file system without immutable files; a domain was
 * started on it from an old xl.cfg, and is off again. */
static void remove_frozen(struct scene *f, bool written)
{
    struct snap_part p;
    char *path = scene_taken(f, &p, 2);

    scene_stop(f);
    assert_int_equal(unlink(p.active_path), 0);
    if (written)
        real_image_write(path, "qcow2", 5, 5);
    DO(remove, &p);
    assert_int_equal(snap_file_exists(path), written);
    if (written) {
        assert_non_null(strstr(f->warned, path));
        assert_non_null(strstr(f->warned, "somebody has written to it"));
    }
    snap_part_dispose(&p);
    free(path);
}

static void a_frozen_image_that_was_written_to(void **state)
{
    remove_frozen(*state, true);
}

static void a_frozen_image_that_nobody_wrote_to(void **state)
{
    remove_frozen(*state, false);
}

/* A live merge whose old overlay QEMU has left; caller frees the path. */
static char *merged(struct scene *f, struct snap_part *p,
                    struct snap_delete *d)
{
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_taken(f, p, 3);

    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(p->active_path);
    scene_know(d, p->active_path, "qcow2", false);
    d->may_merge = true;
    scene_ok(p->drv->delete_plan(&f->c, p, d, &e), &e);
    assert_int_equal(d->how, SNAP_DELETE_MERGE);
    scene_ok(p->drv->merge(&f->c, p, d, &e), &e);
    scene_ok(p->drv->merge_switch(&f->c, p, d, &e), &e);
    snap_image_stamp(d->gone, &d->left);
    assert_true(d->left.known);
    return path;
}

/* A backup: it may read on, and nobody else finds the overlay. */
static void an_old_overlay_that_somebody_reads(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = merged(f, &p, &d), *retired;
    int fd = open(d.gone, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(p.drv->merge_finish(&f->c, &p, &d, &e), SNAP_BUSY);
    assert_false(snap_file_exists(d.gone));
    retired = snap_overlay_temp(&f->c, d.gone);
    assert_true(snap_file_exists(retired));
    close(fd);
    snap_err_clear(&e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_false(snap_file_exists(retired));
    free(retired);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* The exchange did not come about, and the guest wrote on above. */
static void an_overlay_that_the_guest_went_on_with(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    char *path = merged(f, &p, &d);
    const struct timespec t[2] = { { .tv_sec = 1700000060 },
                                   { .tv_sec = 1700000060 } };

    d.paused_at = 1700000000;
    assert_false(p.drv->merge_went_on(&p, &d)); /* QEMU has left it */
    assert_true(p.drv->merge_went_below(&p, &d));
    assert_int_equal(utimensat(AT_FDCWD, d.gone, t, 0), 0);
    assert_true(p.drv->merge_went_on(&p, &d));
    assert_false(p.drv->merge_went_below(&p, &d));
    d.paused_at = 1700000060;
    assert_false(p.drv->merge_went_on(&p, &d));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* The domain was started on it, and is off again. */
static void an_old_overlay_that_was_written_to(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = merged(f, &p, &d);

    scene_stop(f);
    real_image_write(d.gone, "qcow2", 5, 5);
    assert_int_equal(p.drv->merge_finish(&f->c, &p, &d, &e), SNAP_RECOVER);
    assert_true(snap_file_exists(d.gone));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Or is on it still. */
static void an_old_overlay_that_is_written_to(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = merged(f, &p, &d);
    int fd = open(d.gone, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(p.drv->merge_finish(&f->c, &p, &d, &e), SNAP_BUSY);
    assert_true(snap_file_exists(d.gone));
    close(fd);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* After a revert, before it is finished. */
static void an_image_of_before_a_revert(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_taken(f, &p, 2);

    scene_stop(f);
    f->c.op_id = "op2";
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    snap_set(&p.drop_path, p.active_path);
    snap_image_stamp(p.drop_path, &p.dropped);
    real_image_write(p.drop_path, "qcow2", 5, 5);
    DO(revert_finish, &p);
    assert_true(snap_file_exists(p.drop_path));
    assert_non_null(strstr(f->warned, p.drop_path));
    snap_image_stamp(p.drop_path, &p.dropped);
    DO(revert_finish, &p);
    assert_false(snap_file_exists(p.drop_path));
    snap_part_dispose(&p);
    free(path);
}

/* A time stamp that the power took with it is older than the look at it. */
static void a_time_stamp_that_was_lost(void **state)
{
    struct snap_stamp then = { .known = true, .mtime_ns = 50, .at_ns = 100 };
    struct snap_stamp now = { .known = true, .mtime_ns = 40 };

    (void)state;
    assert_true(snap_stamp_differs(&then, &now));
    then.old_boot = true;
    assert_false(snap_stamp_differs(&then, &now));
    now.mtime_ns = 101;
    assert_true(snap_stamp_differs(&then, &now));
    now.known = false;
    assert_false(snap_stamp_differs(&then, &now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_frozen_image_that_was_written_to),
        SCENE_TEST(a_frozen_image_that_nobody_wrote_to),
        SCENE_TEST(an_old_overlay_that_somebody_reads),
        SCENE_TEST(an_old_overlay_that_was_written_to),
        SCENE_TEST(an_overlay_that_the_guest_went_on_with),
        SCENE_TEST(an_old_overlay_that_is_written_to),
        SCENE_TEST(an_image_of_before_a_revert),
        SCENE_TEST(a_time_stamp_that_was_lost),
    };

    return SCENE_MAIN("what somebody wrote to since", tests);
}
