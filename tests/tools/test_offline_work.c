/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * While tools work on the images of a domain that is off, somebody starts it,
 * or stops us; and images that were not closed cleanly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/file/image_guard.h"
#include "disk/file/image_protect.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/overlay_files.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* What happens at the first tick. */
static struct {
    struct scene *f;
    enum { NOTHING, OPENED, BY_XEN, STOPPED } what;
    const char *path;
    int ticks;
} event;

static const unsigned char before[4] = { 1, 2, 3, 0 },
                           after[4] = { 1, 9, 3, 0 };

/* Not a child of ours: a shell's. */
static int others_write(const char *path)
{
    char *line = snap_printf("qemu-io -f qcow2 -c 'write -q -P 77 0 64k' %s; "
                             "exit $?",
                             path);
    int status = real_run("sh", "-c", line, NULL);

    free(line);
    return status;
}

static int on_tick(void *opaque, uint64_t done, uint64_t total)
{
    struct scene *f = event.f;

    (void)opaque;
    (void)done;
    (void)total;
    if (event.ticks++)
        return 0;
    if (event.what == OPENED)
        assert_int_not_equal(others_write(event.path), 0);
    if (event.what == BY_XEN) {
        snprintf(f->who, sizeof(f->who), "web (xvda)");
        snprintf(f->who_path, sizeof(f->who_path), "%s", event.path);
    }
    return event.what == STOPPED;
}

static void scene_off(struct scene *f, struct snap_part *p,
                      struct snap_delete *d, bool merge)
{
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    unsigned i;

    for (i = 0; i < 3; i++)
        real_image_write(path, "qcow2", i, i + 1);
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, p);
    real_image_write(p->active_path, "qcow2", 1, 9);
    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(p->active_path);
    d->may_merge = merge;
    f->c.op_id = "op2";
    scene_ok(p->drv->delete_plan(&f->c, p, d, &e), &e);
    assert_int_equal(d->how, merge ? SNAP_DELETE_MERGE : SNAP_DELETE_PULL);
    memset(&event, 0, sizeof(event));
    event.f = f;
    event.path = d->leaf;
    f->c.tick = on_tick;
    free(path);
}

static bool is_over(const char *path, const char *base)
{
    bool ours = false, written;

    assert_int_equal(snap_overlay_is_over(path, base, &ours, &written, NULL),
                     0);
    return ours;
}

/* Up to the take of a domain that is off; its return. */
static int take_off(struct scene *f, struct snap_part *p, struct snap_err *e)
{
    struct snap_part *parts[1] = { p };

    return p->drv->group->take(&f->c, parts, 1, e);
}

/* Nobody that is started after a take writes to what is frozen; an undo, ours
 * or that of a recovery, lets everybody at it again. */
static void started_after_a_take(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    bool can = !snap_image_protect(path, &e);

    scene_ok(snap_image_unprotect(path, &e), &e);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    DO(prepare, &p);
    assert_int_equal(others_write(path), 0);
    snap_err_clear(&e);
    scene_ok(take_off(f, &p, &e), &e);
    if (can)
        assert_int_not_equal(others_write(path), 0);
    else
        printf(
            "# SKIP writers of a frozen image: no immutable attribute in %s\n",
            f->dir);
    DO(verify, &p);
    DO(undo, &p);
    assert_false(snap_image_protected(path));
    assert_int_equal(others_write(path), 0);
    snap_part_dispose(&p);
    free(path);
}

/* Somebody had it before: no snapshot, and his writes go on. */
static void started_before_a_take(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    DO(prepare, &p);
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", path);
    assert_int_equal(take_off(f, &p, &e), SNAP_BUSY);
    assert_false(snap_image_protected(path));
    assert_int_equal(others_write(path), 0);
    f->who[0] = '\0';
    DO(undo, &p);
    snap_part_dispose(&p);
    free(path);
}

static void started_during_a_pull(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;

    scene_off(f, &p, &d, false);
    event.what = OPENED;
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    assert_true(event.ticks > 0);
    assert_int_equal(unlink(p.frozen_path), 0);
    assert_true(real_image_has(p.active_path, "qcow2", after, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

static void started_during_a_merge(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;

    scene_off(f, &p, &d, true);
    event.what = OPENED;
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    assert_true(event.ticks > 0);
    /* From now on there is no such file to be started on. */
    assert_false(snap_file_exists(p.active_path));
    assert_int_not_equal(others_write(p.active_path), 0);
    /* We died, and recover does it again. */
    scene_ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    assert_false(snap_image_protected(p.frozen_path));
    scene_ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(p.frozen_path, "qcow2", after, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

/* Where the kernel cannot keep others away, Xen says who came. */
static void xen_has_it_meanwhile(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_image_guard *g = NULL;
    struct snap_err e = SNAP_ERR_INIT;
    const char *paths[] = { NULL, NULL };

    scene_off(f, &p, &d, false);
    paths[0] = p.active_path;
    scene_ok(snap_image_guard_begin(&f->c, paths, &g, &e), &e);
    assert_int_equal(snap_image_guard_tick(g), 0);
    assert_int_equal(snap_image_guard_verdict(g, SNAP_INTR, &e), SNAP_INTR);
    snap_image_guard_end(&g);
    scene_ok(snap_image_guard_begin(&f->c, paths, &g, &e), &e);
    event.what = BY_XEN;
    on_tick(f, 0, 0);
    assert_int_not_equal(snap_image_guard_tick(g), 0);
    assert_int_equal(snap_image_guard_verdict(g, SNAP_INTR, &e), SNAP_BUSY);
    assert_non_null(strstr(e.msg, "in use by web (xvda)"));
    assert_int_equal(snap_image_guard_look(g, NULL), SNAP_BUSY);
    snap_image_guard_end(&g);
    assert_int_equal(snap_image_guard_begin(&f->c, paths, &g, NULL),
                     SNAP_BUSY);
    assert_null(g);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

/* And nothing is changed over to: neither the header nor the leaf. */
static void xen_has_it_at_the_end(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;

    scene_off(f, &p, &d, false);
    event.what = BY_XEN;
    assert_int_equal(p.drv->pull(&f->c, &p, &d, 0, &e), SNAP_BUSY);
    assert_non_null(strstr(e.msg, "in use by web (xvda)"));
    assert_true(is_over(p.active_path, p.frozen_path));
    assert_true(real_image_has(p.active_path, "qcow2", after, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

static void xen_has_it_after_the_commit(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;

    scene_off(f, &p, &d, true);
    event.what = BY_XEN;
    assert_int_equal(p.drv->merge(&f->c, &p, &d, &e), SNAP_BUSY);
    assert_true(is_over(p.active_path, p.frozen_path));
    assert_true(real_image_has(p.active_path, "qcow2", after, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

/* Ctrl-C: nothing is lost, and the next time it comes through. */
static void stopped_and_again(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    double begun = snap_now_ms();

    scene_off(f, &p, &d, false);
    event.what = STOPPED;
    assert_int_equal(p.drv->pull(&f->c, &p, &d, 0, &e), SNAP_INTR);
    assert_true(snap_now_ms() - begun < 30000);
    scene_ok(p.drv->delete_stop(&f->c, &p, &d, NULL), &e);
    assert_true(is_over(p.active_path, p.frozen_path));
    assert_true(real_image_has(p.active_path, "qcow2", after, 4));
    assert_true(real_image_has(p.frozen_path, "qcow2", before, 4));
    event.what = NOTHING;
    snap_err_clear(&e);
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    assert_int_equal(unlink(p.frozen_path), 0);
    assert_true(real_image_has(p.active_path, "qcow2", after, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
}

/* A guest that was killed, on an image whose reference counts are lazy. */
static void leave_dirty(const char *path)
{
    struct snap_qcow2 h = { 0 };

    assert_int_not_equal(
        real_run("qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 64k", "-c",
                 "write -q -P 2 64k 64k", "-c", "write -q -P 3 128k 64k", "-c",
                 "flush", "-c", "sigraise 9", path, NULL),
        0);
    assert_int_equal(snap_qcow2_read(path, &h, NULL), 0);
    assert_true(h.dirty);
    snap_qcow2_dispose(&h);
}

static void a_base_that_was_not_closed(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d = { 0 }, later = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_path(f, "a.qcow2");

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              "lazy_refcounts=on", path, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    real_image_write(p.active_path, "qcow2", 1, 9);
    d.leaf = snap_strdup(p.active_path);
    d.may_merge = d.others_inside = true;
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);

    leave_dirty(path);
    later.leaf = snap_strdup(p.active_path);
    later.may_merge = later.others_inside = true;
    scene_ok(p.drv->delete_plan(&f->c, &p, &later, &e), &e);
    assert_int_equal(later.how, SNAP_DELETE_PULL);
    /* One that was begun is finished, and damages nothing. */
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(path, "qcow2", after, 4));
    assert_int_equal(real_run("qemu-img", "check", "-q", path, NULL), 0);
    snap_delete_dispose(&d);
    snap_delete_dispose(&later);
    snap_part_dispose(&p);

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              "lazy_refcounts=on", path, "1M", NULL),
                     0);
    leave_dirty(path);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "not closed cleanly");
    free(path);
}

/* A copy hears Ctrl-C, and leaves nothing. */
static void a_copy_is_stopped(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *before_it, *after_it;

    real_image_write(path, "qcow2", 0, 1);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    assert_int_equal(real_run("qemu-img", "snapshot", "-c", "s1", path, NULL),
                     0);
    snap_set(&p.frozen_path, path);
    p.shared = true;
    DO(verify, &p);
    before_it = real_dir_digest(f->dir);
    memset(&event, 0, sizeof(event));
    event.f = f;
    event.what = STOPPED;
    f->c.tick = on_tick;
    assert_int_equal(p.drv->revert_prepare(&f->c, &p, &e), SNAP_INTR);
    assert_int_equal(event.ticks, 1);
    DO(revert_undo, &p);
    after_it = real_dir_digest(f->dir);
    assert_string_equal(before_it, after_it);
    DO(revert_prepare, &p);
    DO(revert_undo, &p);
    free(before_it);
    free(after_it);
    free(path);
    snap_part_dispose(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(started_after_a_take),
        SCENE_TEST(started_before_a_take),
        SCENE_TEST(started_during_a_pull),
        SCENE_TEST(started_during_a_merge),
        SCENE_TEST(xen_has_it_meanwhile),
        SCENE_TEST(xen_has_it_at_the_end),
        SCENE_TEST(xen_has_it_after_the_commit),
        SCENE_TEST(stopped_and_again),
        SCENE_TEST(a_base_that_was_not_closed),
        SCENE_TEST(a_copy_is_stopped),
    };

    return SCENE_MAIN("work on images with the domain off", tests);
}
