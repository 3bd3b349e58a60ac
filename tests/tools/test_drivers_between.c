/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a driver has put on the disk before it goes on, in which order, and
 * what it leaves alone that changed between plan and deed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/external/overlay_commit.h"
#include "disk/qemu/image_tag.h"
#include "fakes/durable.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "tools/scene.h"

/* ---- on the disk ---- */

/* Commands to QEMU and syncs of this image, a letter each. */
static struct {
    char seen[512];
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
    if (!strcmp(layer, "qmp") && !strcmp(what, "block-stream"))
        add('s');
    else if (!strcmp(layer, "qmp") && !strcmp(what, "human-monitor-command"))
        add('f');
    else if (!strcmp(layer, "qmp") && !strcmp(what, "job-finalize"))
        add('h');
    return 0;
}

static void on_sync(int fd)
{
    struct stat st, want;

    if (trace.path && !fstat(fd, &st) && !stat(trace.path, &want) &&
        snap_same_stat(&st, &want))
        add('S');
}

static void begin_trace(const char *path)
{
    memset(&trace, 0, sizeof(trace));
    trace.path = path;
    snap_fault_hook = on_call;
}

static void ask_delete(struct snap_delete *d, const struct snap_part *p,
                       bool merge)
{
    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(p->active_path);
    scene_know(d, p->active_path, "qcow2", false);
    d->may_merge = merge;
}

/* First all data, then the header that makes do without the frozen image,
 * and that is on the disk as well before anybody removes it. */
static void a_pull_in_a_running_qemu(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_taken(f, &p, 3);

    ask_delete(&d, &p, false);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    begin_trace(p.active_path);
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "sfShfS");
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* a.qcow2 with an overlay, both written to, and no QEMU. */
static char *scene_off(struct scene *f, struct snap_part *p,
                       struct snap_delete *d, bool merge)
{
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    real_image_write(path, "qcow2", 0, 1);
    real_image_write(path, "qcow2", 2, 3);
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, p);
    real_image_write(p->active_path, "qcow2", 1, 2);
    ask_delete(d, p, merge);
    scene_ok(p->drv->delete_plan(&f->c, p, d, &e), &e);
    assert_int_equal(d->how, merge ? SNAP_DELETE_MERGE : SNAP_DELETE_PULL);
    return path;
}

/* Who died may not have synced what he had done. */
static void a_pull_that_was_done(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_off(f, &p, &d, false);

    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    begin_trace(p.active_path);
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "S");
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* qemu-img has written it, and whoever dies next takes its leaf away. */
static void a_merge_with_the_domain_off(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_off(f, &p, &d, true);

    begin_trace(path);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "S");
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Until the base has it all: that the leaf was written to last. */
static void a_sign_before_the_base_is_written(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_off(f, &p, &d, true);

    begin_trace(p.active_path);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "S");
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Somebody died before the new name was on the disk. */
static void a_leaf_that_was_retired(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    char *over = scene_image(f, "over.qcow2", "qcow2"),
         *retired = scene_path(f, "retired");

    assert_int_equal(rename(over, retired), 0);
    begin_trace(f->dir);
    scene_ok(snap_overlay_retire(over, retired, "/img/base", &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "S");
    free(retired);
    free(over);
}

/* A tool that removed it died: what was put right of it is on the disk. */
static void a_tag_that_was_dropped(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    begin_trace(path);
    scene_ok(snap_image_tag_drop(&f->c, path, "s1", &e), &e);
    snap_fault_hook = NULL;
    assert_string_equal(trace.seen, "S");
    free(path);
}

/* Says in the header that the list of snapshots is where nothing is, and
 * fails, as qemu-img does when it cannot sync the list. */
static char *tool_that_loses_the_list(struct scene *f)
{
    static const char text[] =
        "#!/usr/bin/perl\n"
        "open my $f, '+<', $ARGV[4] or die; seek $f, 60, 0;\n"
        "print $f pack 'NQ>', 2, 0x70000; close $f; exit 1;\n";
    char *tool = scene_path(f, "qemu-img");

    assert_int_equal(
        snap_file_write(tool, text, strlen(text), 0700, true, NULL), 0);
    return tool;
}

static void a_list_of_snapshots_that_was_lost(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *tool;

    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "user", path, NULL), 0);
    tool = tool_that_loses_the_list(f);
    snap_run_path_first = f->dir;
    begin_trace(path);
    assert_int_not_equal(snap_image_tag_make(&f->c, path, "s1", &e), 0);
    snap_fault_hook = NULL;
    snap_run_path_first = NULL;
    assert_string_equal(trace.seen, "S");
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-a", "user", path, NULL), 0);
    free(tool);
    free(path);
}

/* ---- between plan and deed ---- */

static void set_time(const char *path, time_t when)
{
    const struct timespec t[2] = { { .tv_sec = when }, { .tv_sec = when } };

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* QEMU had changed over when the power went, and the guest went on for long
 * enough to be seen: the leaf is older, and is not written over that. */
static void a_base_that_went_on(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    const unsigned char want[3] = { 1, 9, 3 };
    char *path = scene_off(f, &p, &d, true);

    real_image_write(path, "qcow2", 1, 9);
    d.paused_at = 2000000000;
    set_time(p.active_path, d.paused_at);
    set_time(path, d.paused_at + 60);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(path, "qcow2", want, 3));
    assert_false(snap_file_exists(p.active_path));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Between plan and deed somebody began to read it: it does not change below
 * him. */
static void a_base_that_somebody_reads(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    const unsigned char want[3] = { 1, 0, 3 };
    char *path = scene_off(f, &p, &d, true);
    int fd = open(path, O_RDONLY);

    assert_int_equal(p.drv->merge(&f->c, &p, &d, &e), SNAP_BUSY);
    close(fd);
    assert_true(real_image_has(path, "qcow2", want, 3));
    assert_true(snap_file_exists(p.active_path));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Two disks of a domain that is off; somebody has the second one by now. */
static void the_first_of_two_is_put_back(void **state)
{
    struct scene *f = *state;
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_err e = SNAP_ERR_INIT;
    char *path[2] = { scene_image(f, "a.qcow2", "qcow2"),
                      scene_image(f, "b.qcow2", "qcow2") };
    int i;

    for (i = 0; i < 2; i++) {
        scene_ask(pp[i], i ? "xvdb" : "xvda", path[i], "qcow2",
                  SNAP_DISK_INTERNAL);
        DO(probe, pp[i]);
        DO(prepare, pp[i]);
    }
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", path[1]);
    assert_int_equal(p[0].drv->group->take(&f->c, pp, 2, &e), SNAP_BUSY);
    assert_int_not_equal(
        real_run("qemu-img", "snapshot", "-a", "s1", path[0], NULL), 0);
    assert_false(p[0].taken || p[1].taken);
    for (i = 0; i < 2; i++) {
        snap_part_dispose(pp[i]);
        free(path[i]);
    }
}

/* A revert has made its leaf, and somebody came. */
static void a_leaf_that_somebody_has(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    const char *const paths[] = { "leaf", "frozen" };
    char *path = scene_image(f, "a.qcow2", "qcow2");
    int i, fd;

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    DO(revert_prepare, &p);
    for (i = 0; i < 2; i++) {
        fd = open(i ? p.frozen_path : p.leaf_path, O_RDWR);
        snap_err_clear(&e);
        if (p.drv->revert_switch(&f->c, &p, &e) != SNAP_BUSY)
            fail_msg("%s: \"%s\"", paths[i], e.msg);
        close(fd);
        assert_false(p.switched);
    }
    /* And has written to it: it is his. */
    real_image_write(p.leaf_path, "qcow2", 0, 7);
    snap_err_clear(&e);
    assert_int_equal(p.drv->revert_switch(&f->c, &p, &e), SNAP_REFUSED);
    DO(revert_undo, &p);
    assert_true(snap_file_exists(p.leaf_path));
    assert_non_null(strstr(f->warned, "somebody has written to"));
    snap_part_dispose(&p);
    free(path);
}

/* qemu-img brings no snapshot back in such an image, nor one that is not
 * there: that is known before a domain is destroyed for it. */
static void what_cannot_be_brought_back(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    assert_int_equal(real_run("qemu-img", "bitmap", "--add", path, "b0", NULL),
                     0);
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "bitmap --remove"));
    assert_int_equal(
        real_run("qemu-img", "bitmap", "--remove", path, "b0", NULL), 0);
    DO(verify, &p);
    assert_int_equal(real_run("qemu-img", "snapshot", "-d", "s1", path, NULL),
                     0);
    assert_int_equal(p.drv->verify(&f->c, &p, NULL), SNAP_NOTFOUND);
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_pull_in_a_running_qemu),
        SCENE_TEST(a_pull_that_was_done),
        SCENE_TEST(a_merge_with_the_domain_off),
        SCENE_TEST(a_sign_before_the_base_is_written),
        SCENE_TEST(a_leaf_that_was_retired),
        SCENE_TEST(a_tag_that_was_dropped),
        SCENE_TEST(a_list_of_snapshots_that_was_lost),
        SCENE_TEST(a_base_that_went_on),
        SCENE_TEST(a_base_that_somebody_reads),
        SCENE_TEST(the_first_of_two_is_put_back),
        SCENE_TEST(a_leaf_that_somebody_has),
        SCENE_TEST(what_cannot_be_brought_back),
    };

    durable_on_sync = on_sync;
    return SCENE_MAIN("between plan and deed on real images", tests);
}
