/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The snapshot of a domain that is off is given up, and a tool dies or fails:
 * by a pull into what is over it, and by a merge of the active image.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "toolcrash/toolcrash.h"

static void set_up_pull(struct crash_world *w)
{
    crash_to_delete(w, false);
}

static void set_up_merge(struct crash_world *w)
{
    crash_to_delete(w, true);
}

/* The image below was not closed cleanly by whoever wrote to it, as one with
 * lazy_refcounts says (bit 0 of the incompatible and of the compatible features
 * in a qcow2 header): it is repaired first. */
static void set_up_repair(struct crash_world *w)
{
    int fd;
    struct stat st;
    struct timespec t[2];

    crash_to_delete(w, true);
    fd = open(w->image, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pwrite(fd, "\1", 1, 79), 1);
    assert_int_equal(pwrite(fd, "\1", 1, 87), 1);
    t[0] = st.st_atim;
    t[1] = st.st_mtim;
    assert_int_equal(futimens(fd, t), 0);
    close(fd);
}

static int pull(struct crash_world *w, struct snap_err *err)
{
    return w->p.drv->pull(&w->f->c, &w->p, &w->d, 0, err);
}

static bool stop_pull(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e), &e);
    return false;
}

/* Once it is done, nothing of the image below is needed. */
static void check_pull(struct crash_world *w, bool done)
{
    char *away;

    if (!done) {
        crash_reads(w->p.active_path, "qcow2", w->after);
        crash_reads(w->image, w->format, w->before);
        return;
    }
    away = snap_printf("%s.away", w->image);
    assert_int_equal(rename(w->image, away), 0);
    crash_reads(w->p.active_path, "qcow2", w->after);
    assert_int_equal(rename(away, w->image), 0);
    free(away);
}

/* The record is gone: it has to come through in the end. */
static int merge(struct crash_world *w, struct snap_err *err)
{
    int rc = w->p.drv->merge(&w->f->c, &w->p, &w->d, err);

    if (!rc)
        rc = w->p.drv->merge_switch(&w->f->c, &w->p, &w->d, err);
    if (!rc)
        rc = w->p.drv->merge_finish(&w->f->c, &w->p, &w->d, err);
    return rc;
}

/* What a user sees before he calls recover, and then that. */
static bool go_on_merging(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    char *retired = snap_printf("%s.xlsnap-%s", w->p.active_path,
                                w->f->c.op_id);

    scene_ok(w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e), &e);
    if (snap_file_exists(w->p.active_path))
        crash_reads(w->p.active_path, "qcow2", w->after);
    /* Nobody but us wrote to what is below. */
    w->d.begun = SNAP_MERGE_BY_QEMU; /* the power may have gone */
    assert_false(w->p.drv->merge_astray(&w->p, &w->d, false));
    /* It was removed only after op/ had written down that all is merged. */
    if (!snap_file_exists(w->p.active_path) && !snap_file_exists(retired))
        scene_ok(w->p.drv->merge_finish(&w->f->c, &w->p, &w->d, &e), &e);
    else
        scene_ok(merge(w, &e), &e);
    free(retired);
    return true;
}

static void check_merge(struct crash_world *w, bool done)
{
    assert_true(done);
    crash_reads(w->d.active_path, w->format, w->after);
    assert_false(snap_file_exists(w->p.active_path));
}

#define KIND(name, layers, format, how)                                      \
    {                                                                        \
        name, format, layers, set_up_##how, how, recover_##how, check_##how, \
            false, how##_in_place,                                           \
    }
#define recover_pull   stop_pull
#define recover_merge  go_on_merging
#define pull_in_place  true
#define merge_in_place false /* the overlay has it all, until we sync */

#define repair          merge
#define recover_repair  go_on_merging
#define check_repair    check_merge
#define repair_in_place true

static const struct crash_kind kinds[] = {
    KIND("pull_raw", 0, "raw", pull),
    KIND("pull_alone", 0, "qcow2", pull),
    KIND("pull_over_one", 1, "qcow2", pull),
    KIND("pull_over_three", 3, "qcow2", pull),
    KIND("repair", 1, "qcow2", repair),
    KIND("merge_raw", 0, "raw", merge),
    KIND("merge_alone", 0, "qcow2", merge),
    KIND("merge_over_one", 1, "qcow2", merge),
    KIND("merge_over_three", 3, "qcow2", merge),
};

int main(void)
{
    return crash_main("tools die while a snapshot is given up", kinds,
                      sizeof(kinds) / sizeof(kinds[0]));
}
