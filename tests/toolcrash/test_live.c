/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A snapshot is given up by a job of the domain's own QEMU, which is killed at
 * one of the calls with which it changes files, or sees it fail.  Then the
 * domain is gone, and its images are what they should be, and the deletion is
 * gone on with by tools.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "toolcrash/toolcrash.h"

static bool off; /* the domain is, at the second time */

static void set_up_pull(struct crash_world *w)
{
    crash_to_delete(w, false);
}

static void set_up_merge(struct crash_world *w)
{
    crash_to_delete(w, true);
}

static int delete_steps(struct crash_world *w, struct snap_err *err)
{
    int rc;

    if (w->d.how == SNAP_DELETE_PULL)
        return w->p.drv->pull(&w->f->c, &w->p, &w->d, 0, err);
    rc = w->p.drv->merge(&w->f->c, &w->p, &w->d, err);
    if (rc)
        return rc;
    if (w->f->c.qmp)
        w->d.paused_at = time(NULL);
    rc = w->p.drv->merge_switch(&w->f->c, &w->p, &w->d, err);
    if (!rc)
        rc = w->p.drv->merge_finish(&w->f->c, &w->p, &w->d, err);
    return rc;
}

/* However it ends, so does the domain. */
static int work(struct crash_world *w, struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;

    if (off)
        return delete_steps(w, err);
    w->d.paused_at = 0;
    crash_start_qemu(w);
    rc = delete_steps(w, err);
    if (rc)
        w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e);
    scene_kill(w->f);
    return rc;
}

static bool stop(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e), &e);
    off = true;
    return false;
}

static void check_pull(struct crash_world *w, bool done)
{
    char *away;

    crash_reads(w->p.active_path, "qcow2", w->after);
    if (!done) {
        crash_reads(w->image, w->format, w->before);
        return;
    }
    off = false;
    away = snap_printf("%s.away", w->image);
    assert_int_equal(rename(w->image, away), 0);
    crash_reads(w->p.active_path, "qcow2", w->after);
    assert_int_equal(rename(away, w->image), 0);
    free(away);
}

static void check_merge(struct crash_world *w, bool done)
{
    if (snap_file_exists(w->p.active_path))
        crash_reads(w->p.active_path, "qcow2", w->after);
    if (!done)
        return;
    off = false;
    crash_reads(w->d.active_path, w->format, w->after);
    assert_false(snap_file_exists(w->p.active_path));
}

#define KIND(name, layers, format, how)                                    \
    {                                                                      \
        name, format, layers, set_up_##how, work, stop, check_##how, true, \
            false,                                                         \
    }

static const struct crash_kind kinds[] = {
    KIND("pull_raw", 0, "raw", pull),
    KIND("pull_over_one", 1, "qcow2", pull),
    KIND("merge_raw", 0, "raw", merge),
    KIND("merge_over_one", 1, "qcow2", merge),
};

int main(void)
{
    return crash_main("QEMU dies while a snapshot is given up", kinds,
                      sizeof(kinds) / sizeof(kinds[0]));
}
