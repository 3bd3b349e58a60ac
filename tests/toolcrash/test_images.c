/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A tool dies, fails or lies while a domain that is off is snapshotted,
 * reverted or cloned: an overlay is made, by its own name or by that of the
 * image (--keep-path); a snapshot is made inside an image, brought back or
 * removed, or copied out of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "toolcrash/toolcrash.h"

/* ---- what there should be ---- */

static void check_gone(const char *path)
{
    if (path && snap_file_exists(path))
        fail_msg("%s was left behind", path);
}

/* The file itself, and what it was called while it was made. */
static void check_never_made(const struct crash_world *w, const char *path)
{
    char *tmp = snap_printf("%s.xlsnap-%s", path, w->f->c.op_id);

    check_gone(path);
    check_gone(tmp);
    free(tmp);
}

/* How often qemu-img lists a snapshot of this name. */
static unsigned tags(const char *path, const char *tag)
{
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err e = SNAP_ERR_INIT;
    const char *const argv[] = {
        "qemu-img", "snapshot", "-l", "-U", path, NULL
    };
    char *at, *word = snap_printf(" %s ", tag);
    unsigned n = 0;

    r.argv = argv;
    scene_ok(snap_run(&r, &e), &e);
    for (at = strstr(r.out, word); at; at = strstr(at + 1, word))
        n++;
    snap_run_dispose(&r);
    free(word);
    return n;
}

/* The snapshot inside holds this. */
static void check_tag(struct crash_world *w, const char *tag,
                      const unsigned char *want)
{
    char *out = snap_printf("%s/../%s.out", w->f->dir,
                            snap_basename(w->f->dir));
    char *name = snap_printf("snapshot.name=%s", tag);

    assert_int_equal(tags(w->image, tag), 1);
    assert_int_equal(real_run("qemu-img", "convert", "-l", name, "-O", "raw",
                              w->image, out, NULL),
                     0);
    if (!real_image_has(out, "raw", want, 8))
        fail_msg("snapshot %s in %s does not hold what it should", tag,
                 w->image);
    remove(out);
    free(name);
    free(out);
}

/* ---- create, external ---- */

static void set_up_external(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    crash_image(w);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    scene_ok(w->p.drv->probe(&w->f->c, &w->p, &e), &e);
}

static int create(struct crash_world *w, struct snap_err *err)
{
    struct snap_part *p = &w->p;
    int rc;

    p->prepared = p->taken = false;
    rc = p->drv->prepare(&w->f->c, p, err);
    if (!rc)
        rc = p->drv->group->take(&w->f->c, &p, 1, err);
    if (!rc)
        rc = p->drv->secure(&w->f->c, p, err);
    return rc;
}

/* As op/ does it, in the same process or in another. */
static bool undo(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->undo(&w->f->c, &w->p, &e), &e);
    return false;
}

static void check_external(struct crash_world *w, bool done)
{
    crash_reads(w->image, w->format, w->before);
    if (!done) {
        check_never_made(w, w->p.active_path);
        return;
    }
    /* Somebody has it, from here on. */
    assert_false(snap_overlay_is_new(w->p.active_path));
    crash_reads(w->p.active_path, "qcow2", w->before);
    real_image_write(w->p.active_path, "qcow2", 6, 0x36);
    crash_reads(w->image, w->format, w->before);
}

/* ---- undo, with writes of the guest's in the overlay ---- */

static void set_up_undo(struct crash_world *w)
{
    crash_image(w);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    scene_take(w->f, &w->p);
    real_image_write(w->p.active_path, "qcow2", 3, 0x33);
    real_image_write(w->p.active_path, "qcow2", 6, 0x36);
    w->after[3] = 0x33;
    w->after[6] = 0x36;
}

static int take_back(struct crash_world *w, struct snap_err *err)
{
    return w->p.drv->undo(&w->f->c, &w->p, err);
}

static bool undo_again(struct crash_world *w)
{
    undo(w);
    return true;
}

static void check_undo(struct crash_world *w, bool done)
{
    assert_true(done);
    crash_reads(w->image, w->format, w->after);
    check_never_made(w, w->p.active_path);
}

/* ---- the same, and the path is kept ---- */

/* The overlay is in another folder, which is not synced with the path's. */
static void ask_kept(struct crash_world *w)
{
    char *dir = scene_path(w->f, "over"), *target;

    crash_image(w);
    assert_int_equal(mkdir(dir, 0700), 0);
    target = scene_path(w->f, "over/a.qcow2");
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    snap_set(&w->p.target, target);
    w->p.keep_path = true;
    free(target);
    free(dir);
}

static void set_up_kept(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    ask_kept(w);
    scene_ok(w->p.drv->probe(&w->f->c, &w->p, &e), &e);
}

/* It is the image itself again, and has no other name. */
static void check_never_kept(const struct crash_world *w)
{
    struct stat st;
    char *tmp = snap_printf("%s.xlsnap-%s", w->image, w->f->c.op_id);

    assert_int_equal(lstat(w->image, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_nlink, 1);
    check_gone(snap_overlay_base(&w->p));
    check_never_made(w, snap_overlay_file(&w->p));
    check_gone(tmp);
    free(tmp);
}

static void check_kept(struct crash_world *w, bool done)
{
    crash_reads(w->image, w->format, w->before);
    if (!done) {
        check_never_kept(w);
        return;
    }
    crash_reads(snap_overlay_base(&w->p), w->format, w->before);
    assert_true(snap_same_file(w->image, snap_overlay_file(&w->p)));
    real_image_write(w->image, "qcow2", 6, 0x36);
    crash_reads(snap_overlay_base(&w->p), w->format, w->before);
}

static void set_up_kept_undo(struct crash_world *w)
{
    ask_kept(w);
    scene_take(w->f, &w->p);
    real_image_write(w->image, "qcow2", 3, 0x33);
    real_image_write(w->image, "qcow2", 6, 0x36);
    w->after[3] = 0x33;
    w->after[6] = 0x36;
}

static void check_kept_undo(struct crash_world *w, bool done)
{
    assert_true(done);
    crash_reads(w->image, w->format, w->after);
    check_never_kept(w);
}

/* ---- create, internal ---- */

/* One of the user's is there already, and stays. */
static void set_up_internal(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    crash_image(w);
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "old", w->image, NULL), 0);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_INTERNAL);
    scene_ok(w->p.drv->probe(&w->f->c, &w->p, &e), &e);
}

static void check_internal(struct crash_world *w, bool done)
{
    crash_reads(w->image, w->format, w->before);
    check_tag(w, "old", w->before);
    if (!done) {
        assert_int_equal(tags(w->image, "s1"), 0);
        return;
    }
    real_image_write(w->image, w->format, 3, 0x53);
    real_image_write(w->image, w->format, 6, 0x56);
    check_tag(w, "s1", w->before);
}

/* ---- revert, inside the image ---- */

/* The snapshot has before[], the disk of now after[]. */
static void set_up_inside(struct crash_world *w)
{
    crash_image(w);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_INTERNAL);
    scene_take(w->f, &w->p);
    real_image_write(w->image, w->format, 3, 0x33);
    real_image_write(w->image, w->format, 6, 0x36);
    w->after[3] = 0x33;
    w->after[6] = 0x36;
    w->f->c.op_id = "op2";
}

static void plan_revert(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->verify(&w->f->c, &w->p, &e), &e);
}

static void set_up_revert(struct crash_world *w)
{
    set_up_inside(w);
    plan_revert(w);
}

static int revert(struct crash_world *w, struct snap_err *err)
{
    int rc;

    w->p.switched = false;
    rc = w->p.drv->revert_prepare(&w->f->c, &w->p, err);
    if (!rc)
        rc = w->p.drv->revert_switch(&w->f->c, &w->p, err);
    return rc;
}

static bool undo_revert(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->revert_undo(&w->f->c, &w->p, &e), &e);
    return false;
}

/* What the user had can still be put back. */
static void check_revert(struct crash_world *w, bool done)
{
    check_tag(w, "s1", w->before);
    crash_reads(w->image, w->format, done ? w->before : w->after);
    if (done)
        undo_revert(w);
    crash_reads(w->image, w->format, w->after);
    assert_int_equal(tags(w->image, "xlsnap-undo-op2"), 0);
}

/* Its undo, which dies as well. */
static void set_up_revert_undo(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    set_up_revert(w);
    scene_ok(revert(w, &e), &e);
}

static int put_back(struct crash_world *w, struct snap_err *err)
{
    return w->p.drv->revert_undo(&w->f->c, &w->p, err);
}

static bool put_back_again(struct crash_world *w)
{
    undo_revert(w);
    return true;
}

static void check_put_back(struct crash_world *w, bool done)
{
    assert_true(done);
    check_tag(w, "s1", w->before);
    crash_reads(w->image, w->format, w->after);
    assert_int_equal(tags(w->image, "xlsnap-undo-op2"), 0);
}

static int finish(struct crash_world *w, struct snap_err *err)
{
    return w->p.drv->revert_finish(&w->f->c, &w->p, err);
}

static bool finish_again(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(finish(w, &e), &e);
    return true;
}

static void check_finish(struct crash_world *w, bool done)
{
    assert_true(done);
    check_tag(w, "s1", w->before);
    crash_reads(w->image, w->format, w->before);
    assert_int_equal(tags(w->image, "xlsnap-undo-op2"), 0);
}

/* ---- delete, inside the image ---- */

static int delete_inside(struct crash_world *w, struct snap_err *err)
{
    return w->p.drv->remove(&w->f->c, &w->p, err);
}

static bool delete_again(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(delete_inside(w, &e), &e);
    return true;
}

static void check_delete(struct crash_world *w, bool done)
{
    assert_true(done);
    assert_int_equal(tags(w->image, "s1"), 0);
    crash_reads(w->image, w->format, w->after);
}

/* ---- revert, and the path is kept ---- */

static void set_up_kept_revert(struct crash_world *w)
{
    set_up_kept_undo(w);
    w->f->c.op_id = "op2";
    plan_revert(w);
    assert_string_equal(w->p.leaf_path, w->image);
}

static void check_kept_revert(struct crash_world *w, bool done)
{
    char *waits = snap_printf("%s.xlsnap-op2-old", w->image);

    crash_reads(w->image, "qcow2", done ? w->before : w->after);
    if (done)
        undo_revert(w);
    crash_reads(w->image, "qcow2", w->after);
    check_never_made(w, snap_overlay_leaf(&w->p));
    check_gone(waits);
    free(waits);
}

/* ---- clone: a copy, or a new overlay ---- */

static void set_up_copy(struct crash_world *w)
{
    set_up_inside(w);
    snap_set(&w->p.leaf_dir, w->f->dir);
    plan_revert(w);
}

static void set_up_leaf(struct crash_world *w)
{
    crash_image(w);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    scene_take(w->f, &w->p);
    w->f->c.op_id = "op2";
    snap_set(&w->p.leaf_dir, w->f->dir);
    plan_revert(w);
}

static void check_clone(struct crash_world *w, bool done)
{
    crash_reads(w->image, w->format, w->after);
    if (!done) {
        check_never_made(w, w->p.leaf_path);
        return;
    }
    crash_reads(w->p.leaf_path, "qcow2", w->before);
    real_image_write(w->p.leaf_path, "qcow2", 6, 0x66);
    crash_reads(w->image, w->format, w->after);
}

static void check_copy(struct crash_world *w, bool done)
{
    check_clone(w, done);
    check_tag(w, "s1", w->before);
}

#define KIND(name, format, layers, set_up, work, recover, check)          \
    {                                                                     \
        name, format, layers, set_up, work, recover, check, false, false, \
    }
#define IN_PLACE(name, layers, set_up, work, recover, check)              \
    {                                                                     \
        name, "qcow2", layers, set_up, work, recover, check, false, true, \
    }

static const struct crash_kind kinds[] = {
    KIND("create_raw", "raw", 0, set_up_external, create, undo,
         check_external),
    KIND("create_over_one", "qcow2", 1, set_up_external, create, undo,
         check_external),
    KIND("undo_raw", "raw", 0, set_up_undo, take_back, undo_again, check_undo),
    KIND("undo_over_one", "qcow2", 1, set_up_undo, take_back, undo_again,
         check_undo),
    KIND("kept_path", "qcow2", 1, set_up_kept, create, undo, check_kept),
    KIND("kept_path_undo", "qcow2", 1, set_up_kept_undo, take_back, undo_again,
         check_kept_undo),
    KIND("kept_path_revert", "qcow2", 1, set_up_kept_revert, revert,
         undo_revert, check_kept_revert),
    IN_PLACE("inside", 0, set_up_internal, create, undo, check_internal),
    IN_PLACE("inside_over_three", 3, set_up_internal, create, undo,
             check_internal),
    IN_PLACE("revert_alone", 0, set_up_revert, revert, undo_revert,
             check_revert),
    IN_PLACE("revert_over_one", 1, set_up_revert, revert, undo_revert,
             check_revert),
    IN_PLACE("put_back", 1, set_up_revert_undo, put_back, put_back_again,
             check_put_back),
    IN_PLACE("finish", 1, set_up_revert_undo, finish, finish_again,
             check_finish),
    IN_PLACE("delete", 1, set_up_inside, delete_inside, delete_again,
             check_delete),
    KIND("copy_alone", "qcow2", 0, set_up_copy, revert, undo_revert,
         check_copy),
    KIND("copy_over_one", "qcow2", 1, set_up_copy, revert, undo_revert,
         check_copy),
    KIND("copy_over_three", "qcow2", 3, set_up_copy, revert, undo_revert,
         check_copy),
    KIND("leaf", "qcow2", 1, set_up_leaf, revert, undo_revert, check_clone),
};

int main(void)
{
    return crash_main("tools die while images are made", kinds,
                      sizeof(kinds) / sizeof(kinds[0]));
}
