/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Giving up a snapshot on real images: children that are nobody's or somebody
 * else's, names that are another's, and a QEMU that is killed right after.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "disk/external/overlay_delete.h"
#include "disk/file/image_protect.h"
#include "disk/format/qcow2_header.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"
#include "tools/scene.h"

static void ask_delete(struct snap_delete *d, const char *leaf, bool merge)
{
    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(leaf);
    scene_know(d, leaf, "qcow2", false);
    d->may_merge = merge;
}

/* One more image that somebody has named. */
static const char *also;

/* delete_plan() must refuse with this code and words, and change nothing. */
static void keeps(struct scene *f, struct snap_part *p, const char *leaf,
                  int rc, const char *words)
{
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *before = real_dir_digest(f->dir), *after;
    int got;

    ask_delete(&d, leaf, true);
    if (also)
        scene_know(&d, also, "qcow2", false);
    got = p->drv->delete_plan(&f->c, p, &d, &e);
    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
    snap_delete_dispose(&d);
}

/* All that is free was promised to others: neither a merge nor a pull. */
static void space_is_promised_to_others(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_space some = { 0 }, all = { 0 };
    char *path = scene_taken(f, &p, 2);

    f->c.op_id = "op2";
    f->c.space = &some;
    ask_delete(&d, p.active_path, false);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    assert_int_equal(some.fs[0].taken, d.bytes);
    snap_delete_dispose(&d);
    some.fs[0].taken = 0;
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    assert_int_equal(some.fs[0].taken, d.bytes);
    snap_delete_dispose(&d);

    snap_space_take(&all, path, UINT64_MAX);
    f->c.space = &all;
    keeps(f, &p, p.active_path, SNAP_NOSPACE, "may be needed");
    snap_part_dispose(&p);
    free(path);
}

/* What is inside an image reads through its backing file: neither a stream
 * nor a rebase would take care of that. */
static void snapshots_inside_a_child(void **state)
{
    struct scene *f = *state;
    struct snap_part p, q;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    real_image_write(path, "qcow2", 0, 1);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    scene_ask(&q, "xvda", p.active_path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&q.tag, "inner");
    scene_take(f, &q);
    keeps(f, &p, p.active_path, SNAP_REFUSED, "snapshots inside (inner)");
    scene_start(f);
    real_qemu_add(f->q, "xvda", p.active_path, "qcow2");
    keeps(f, &p, p.active_path, SNAP_REFUSED, "delete those first");
    /* The one inside can go, and then the other. */
    DO(remove, &q);
    scene_stop(f);
    {
        struct snap_delete d;

        ask_delete(&d, p.active_path, true);
        scene_ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
        assert_int_equal(d.how, SNAP_DELETE_MERGE);
        assert_string_equal(d.active_path, path);
        snap_delete_dispose(&d);
    }
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

static void somebody_elses_child(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"),
         *clone = scene_path(f, "clone.qcow2");
    int fd;

    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", clone, NULL),
                     0);
    also = clone;
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", clone);
    keeps(f, &p, p.active_path, SNAP_BUSY, "in use by web (xvda)");
    f->who[0] = '\0';
    /* Somebody reads it: what he has cached of it must not change. */
    fd = open(clone, O_RDONLY);
    keeps(f, &p, p.active_path, SNAP_BUSY, "test_drivers");
    close(fd);
    also = NULL;
    snap_part_dispose(&p);
    free(clone);
    free(path);
}

/* A pull into the middle of a running chain: the image is unprotected for it
 * and protected again, and the header names the file and not what QEMU calls
 * it, which after --keep-path is another one. */
static void a_pull_under_kept_paths(void **state)
{
    struct scene *f = *state;
    struct snap_part p[3];
    struct snap_delete d;
    struct snap_qcow2 h = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    char *op[] = { (char *)"op1", (char *)"op2", (char *)"op3" };
    unsigned char want[4] = { 1, 2, 3, 4 }, second[3] = { 1, 2, 3 };
    bool protected;
    int i;

    path = scene_disk(f, 0);
    for (i = 0; i < 3; i++) {
        char tag[8];

        real_qemu_write(f->q, "xvda", i, i + 1);
        f->c.op_id = op[i];
        scene_ask(&p[i], "xvda", i ? p[i - 1].active_path : path, "qcow2",
                  SNAP_DISK_EXTERNAL);
        snprintf(tag, sizeof(tag), "s%d", i + 1);
        snap_set(&p[i].tag, tag);
        snap_set(&p[i].stem, "a");
        p[i].keep_path = !i;
        scene_take(f, &p[i]);
        p[i].drv->finish(&f->c, &p[i], &e);
        snap_err_clear(&e);
    }
    real_qemu_write(f->q, "xvda", 3, 4);
    protected = snap_image_protected(p[2].frozen_path);

    f->c.op_id = "op4";
    ask_delete(&d, p[2].active_path, true);
    scene_know(&d, p[2].frozen_path, "qcow2", true);
    scene_ok(p[1].drv->delete_plan(&f->c, &p[1], &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    assert_int_equal(d.n_child, 1);
    scene_ok(p[1].drv->pull(&f->c, &p[1], &d, 0, &e), &e);
    snap_delete_dispose(&d);
    assert_int_equal(protected, snap_image_protected(p[2].frozen_path));
    assert_int_equal(snap_qcow2_read(p[2].frozen_path, &h, NULL), 0);
    assert_string_equal(h.backing, p[0].frozen_path);
    snap_qcow2_dispose(&h);
    DO(remove, &p[1]);
    assert_false(snap_file_exists(p[1].frozen_path));
    assert_true(real_qemu_has(f->q, "xvda", want, 4));
    /* Its record must follow, or it looks damaged. */
    assert_int_equal(p[2].drv->verify(&f->c, &p[2], NULL), SNAP_CORRUPT);
    DO(refreeze, &p[2]);
    DO(verify, &p[2]);
    scene_stop(f);
    assert_true(real_image_has(p[2].frozen_path, "qcow2", second, 3));
    assert_true(real_image_has(p[2].active_path, "qcow2", want, 4));
    assert_int_equal(
        real_run("qemu-img", "check", "-q", p[2].frozen_path, NULL), 0);
    for (i = 0; i < 3; i++)
        snap_part_dispose(&p[i]);
    free(path);
}

/* A pull that is done is on the disk: with the QEMU that did it killed (or the
 * power gone) right after it, nothing is missing. */
static void killed_after_a_pull(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[4] = { 1, 2, 3, 4 };

    path = scene_taken(f, &p, 4);
    ask_delete(&d, p.active_path, false);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    snap_delete_dispose(&d);
    scene_kill(f);
    assert_int_equal(real_run("qemu-img", "check", "-q", p.active_path, NULL),
                     0);
    assert_true(real_image_has(p.active_path, "qcow2", want, 4));
    snap_part_dispose(&p);
    free(path);
}

/* And a merge. */
static void killed_after_a_merge(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[4] = { 1, 2, 3, 9 };

    path = scene_taken(f, &p, 3);
    real_qemu_write(f->q, "xvda", 3, 9);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    scene_kill(f);
    assert_int_equal(real_run("qemu-img", "check", "-q", d.active_path, NULL),
                     0);
    assert_true(real_image_has(d.active_path, "qcow2", want, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Our process died after the exchange, and nobody wrote that down; somebody
 * let the guest go on, and it wrote at once. */
static void killed_after_an_exchange(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[4] = { 1, 2, 3, 7 };

    path = scene_taken(f, &p, 3);
    real_qemu_write(f->q, "xvda", 3, 9);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    d.paused_at = time(NULL);
    scene_ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    real_qemu_write(f->q, "xvda", 3, 7);
    scene_kill(f);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(path, "qcow2", want, 4));
    assert_false(snap_file_exists(p.active_path));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* It died before QEMU had changed over, and the guest went on above. */
static void killed_before_an_exchange(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[4] = { 1, 2, 3, 7 };

    path = scene_taken(f, &p, 3);
    real_qemu_write(f->q, "xvda", 3, 9);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    d.paused_at = time(NULL);
    real_qemu_write(f->q, "xvda", 3, 7);
    scene_kill(f);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(path, "qcow2", want, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

static int stop_now(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    (void)done;
    (void)total;
    return 1;
}

static time_t mtime_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mtim.tv_sec;
}

static void set_mtime(const char *path, time_t at)
{
    const struct timespec t[2] = { { .tv_sec = at }, { .tv_sec = at } };

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* The power went in a merge; the domain was started on the image below, wrote
 * there and is off.  Then so long that no clock is too coarse. */
static void runs_below(const char *base, const char *over, time_t after)
{
    time_t last = mtime_of(over);

    real_image_write(base, "qcow2", 1, 7);
    set_mtime(base, last + after);
}

/* Somebody wrote below, and it is seen; that we did is not taken for it. */
static void written_to_below(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    const bool off = false, live = true;

    path = scene_taken(f, &p, 3);
    real_qemu_write(f->q, "xvda", 3, 9);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    /* An idle guest: only we keep the leaf's time up. */
    set_mtime(p.active_path, time(NULL) - 1000);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_kill(f);
    assert_true(mtime_of(p.active_path) > time(NULL) - 100);

    d.begun = SNAP_MERGE_BY_QEMU;
    assert_false(p.drv->merge_astray(&p, &d, off));
    d.host_started = mtime_of(path) + 3; /* the power went, and came */
    assert_false(p.drv->merge_astray(&p, &d, off));
    assert_false(p.drv->merge_astray(&p, &d, live));

    runs_below(path, p.active_path, 60);
    assert_true(p.drv->merge_astray(&p, &d, off));
    assert_true(p.drv->merge_astray(&p, &d, live));
    d.begun = SNAP_MERGE_NEW;
    assert_true(p.drv->merge_astray(&p, &d, off));
    /* In the second to which the start is told. */
    d.host_started = mtime_of(path) + 1;
    assert_true(p.drv->merge_astray(&p, &d, off));

    /* And then the host was booted once more. */
    d.begun = SNAP_MERGE_BY_QEMU;
    d.host_started = mtime_of(path) + 1000;
    assert_false(
        p.drv->merge_astray(&p, &d, off)); /* QEMU may go on so long */
    runs_below(path, p.active_path, 600);
    d.host_started = mtime_of(path) + 1000;
    assert_true(p.drv->merge_astray(&p, &d, off));
    /* A guest above writes when it likes to. */
    assert_false(p.drv->merge_astray(&p, &d, live));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* With the domain off. */
static void written_to_below_at_rest(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[4] = { 1, 2, 3, 9 };

    path = scene_taken(f, &p, 3);
    real_qemu_write(f->q, "xvda", 3, 9);
    scene_stop(f);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    set_mtime(p.active_path, time(NULL) - 1000);
    scene_ok(snap_image_unprotect(path, &e), &e);
    d.begun = SNAP_MERGE_BY_TOOLS;
    runs_below(path, p.active_path, 10);
    assert_true(p.drv->merge_astray(&p, &d, false));
    d.begun = SNAP_MERGE_NEW;
    assert_false(p.drv->merge_astray(&p, &d, false));

    /* It is stopped in the middle: what was written was by us. */
    real_image_write(path, "qcow2", 1, 2);
    f->c.tick = stop_now;
    assert_int_equal(p.drv->merge(&f->c, &p, &d, &e), SNAP_INTR);
    f->c.tick = NULL;
    d.begun = SNAP_MERGE_BY_TOOLS;
    assert_false(p.drv->merge_astray(&p, &d, false));
    snap_err_clear(&e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    assert_false(p.drv->merge_astray(&p, &d, false));
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(real_image_has(path, "qcow2", want, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* In the middle of a running domain's chain, QEMU would not repair it. */
static void a_child_that_was_not_closed(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    char *leaf = scene_path(f, "leaf.qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    assert_int_equal(real_run("qemu-img", "amend", "-q", "-f", "qcow2", "-o",
                              "lazy_refcounts=on", p.active_path, NULL),
                     0);
    assert_int_not_equal(real_run("qemu-io", "-f", "qcow2", "-c",
                                  "write -q -P 1 0 64k", "-c", "flush", "-c",
                                  "sigraise 9", p.active_path, NULL),
                         0);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              p.active_path, "-F", "qcow2", leaf, NULL),
                     0);
    scene_start(f);
    real_qemu_add(f->q, "xvda", leaf, "qcow2");
    also = p.active_path;
    keeps(f, &p, leaf, SNAP_REFUSED, "was not closed cleanly");
    also = NULL;
    snap_part_dispose(&p);
    free(leaf);
    free(path);
}

/* QEMU would have to open an image again by a name that is another's. */
static void a_name_that_is_anothers(void **state)
{
    struct scene *f = *state;
    struct snap_part p, q;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    scene_start(f);
    real_qemu_add(f->q, "xvda", p.active_path, "qcow2");
    f->c.op_id = "op2";
    scene_ask(&q, "xvda", p.active_path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    q.keep_path = true;
    scene_take(f, &q);
    f->c.op_id = "op3";
    also = q.frozen_path;
    keeps(f, &p, q.active_path, SNAP_REFUSED, "another file's now");
    also = NULL;
    scene_stop(f);
    {
        struct snap_delete d;

        ask_delete(&d, q.active_path, true);
        scene_know(&d, q.frozen_path, "qcow2", true);
        scene_ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
        assert_int_equal(d.how, SNAP_DELETE_PULL);
        snap_delete_dispose(&d);
    }
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

/* Inside an image that the domain only reads: not through QEMU, and not
 * behind its back. */
static void inside_what_is_below(void **state)
{
    struct scene *f = *state;
    struct snap_part p, q;
    struct snap_delete d = { 0 };
    char *path = scene_image(f, "a.qcow2", "qcow2");
    struct snap_err e = SNAP_ERR_INIT;
    bool protected;

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    scene_ask(&q, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    scene_take(f, &q);
    q.drv->finish(&f->c, &q, &e);
    protected = snap_image_protected(path);
    scene_start(f);
    real_qemu_add(f->q, "xvda", q.active_path, "qcow2");
    keeps(f, &p, q.active_path, SNAP_REFUSED, "to which the domain writes");
    f->c.qmp = NULL;
    keeps(f, &p, q.active_path, SNAP_BUSY, "in use by");
    scene_stop(f);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
    DO(remove, &p);
    assert_int_equal(protected, snap_image_protected(path));
    DO(refreeze, &q);
    DO(verify, &q);
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

/* The process died with the job at work; the next one goes on with it. */
static void a_merge_is_gone_on_with(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    unsigned char want[2] = { 1, 3 };

    path = scene_taken(f, &p, 2);
    f->c.op_id = "op2";
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    real_qemu_write(f->q, "xvda", 1, 3);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    /* Given up, and begun anew. */
    scene_ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    assert_false(snap_image_protected(path));
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_false(snap_file_exists(p.active_path));
    assert_true(real_qemu_has(f->q, "xvda", want, 2));
    scene_stop(f);
    assert_true(real_image_has(path, "qcow2", want, 2));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* ---- what the guest writes to at this moment ---- */

static bool switched(struct scene *f, const struct snap_part *p,
                     const struct snap_delete *d)
{
    struct snap_err e = SNAP_ERR_INIT;
    bool yes = false;

    scene_ok(p->drv->merge_switched(&f->c, p, d, &yes, &e), &e);
    return yes;
}

/* Another process is there first, with what it told QEMU. */
static struct scene *other;
static char other_job[100];

static int complete_first(const char *layer, const char *what)
{
    static bool busy;

    if (busy || strcmp(layer, "qmp") || strcmp(what, "job-complete"))
        return 0;
    busy = true;
    assert_int_equal(real_qemu_command(other->q, "job-complete", other_job),
                     0);
    poll(NULL, 0, 300);
    busy = false;
    return 0;
}

/* QEMU is asked, and comes to what a process that died had told it in between:
 * that is no failure, and is not taken for one. */
static void changed_over_at_this_moment(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path, *id;
    unsigned char want[3] = { 1, 2, 5 };

    path = scene_taken(f, &p, 3);
    f->c.op_id = "op2";
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    assert_false(switched(f, &p, &d));
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    assert_false(switched(f, &p, &d));
    id = snap_overlay_job_id(&f->c, &p);
    snprintf(other_job, sizeof(other_job), "{\"id\": \"%s\"}", id);
    other = f;
    snap_fault_hook = complete_first;
    scene_ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    snap_fault_hook = NULL;
    assert_true(switched(f, &p, &d));
    real_qemu_write(f->q, "xvda", 2, 5);
    scene_ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_true(switched(f, &p, &d)); /* with the leaf gone */
    scene_stop(f);
    assert_true(real_image_has(path, "qcow2", want, 3));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
    free(id);
}

/* Its QEMU has gone over to another image, by somebody else's hand. */
static void to_neither_of_both(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    bool yes = true;
    int rc;

    path = scene_taken(f, &p, 2);
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    snap_set(&d.gone, "/nowhere");
    rc = p.drv->merge_switched(&f->c, &p, &d, &yes, &e);
    assert_int_equal(rc, SNAP_REFUSED);
    assert_false(yes);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* Its QEMU is gone, and the connection with it: what an old xl.cfg may name
 * does not stay open to be written to. */
static void a_dead_qemu_leaves_the_base_protected(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;

    path = scene_taken(f, &p, 2);
    f->c.op_id = "op2";
    if (snap_image_protect(path, &e) == SNAP_UNSUPPORTED) {
        print_message("# SKIP immutable images: this file system has none\n");
        snap_part_dispose(&p);
        free(path);
        return;
    }
    ask_delete(&d, p.active_path, true);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    scene_ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    assert_false(snap_image_protected(path));
    kill(real_qemu_pid(f->q), SIGKILL);
    scene_ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    assert_true(snap_image_protected(path));
    scene_kill(f);
    snap_image_unprotect(path, &e);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(space_is_promised_to_others),
        SCENE_TEST(snapshots_inside_a_child),
        SCENE_TEST(somebody_elses_child),
        SCENE_TEST(a_pull_under_kept_paths),
        SCENE_TEST(killed_after_a_pull),
        SCENE_TEST(killed_after_a_merge),
        SCENE_TEST(killed_after_an_exchange),
        SCENE_TEST(killed_before_an_exchange),
        SCENE_TEST(written_to_below),
        SCENE_TEST(written_to_below_at_rest),
        SCENE_TEST(a_child_that_was_not_closed),
        SCENE_TEST(a_name_that_is_anothers),
        SCENE_TEST(inside_what_is_below),
        SCENE_TEST(a_dead_qemu_leaves_the_base_protected),
        SCENE_TEST(a_merge_is_gone_on_with),
        SCENE_TEST(changed_over_at_this_moment),
        SCENE_TEST(to_neither_of_both),
    };

    return SCENE_MAIN("giving up snapshots on real images", tests);
}
