/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A snapshot is given up by a job of the domain's own QEMU, or one that was
 * just taken is taken back by one.  QEMU is killed at one of the calls with
 * which it changes files, or sees it fail, or the power goes.  Then the domain
 * is gone, and its images are what they should be, and what was begun is gone
 * on with by tools.
 *
 * The guest writes, and flushes, whenever it does not stand.  What it was told
 * is on the disk has to be there, whatever happens later.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "disk/file/image_protect.h"
#include "disk/file/image_stamp.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "toolcrash/toolcrash.h"

#define BLOCKS   8
#define LONG_AGO 3600

/* What outlives the process that works, and the power. */
static struct life {
    unsigned char
        had[BLOCKS]; /* the guest was told that this is on the disk */
    bool doubt[BLOCKS]; /* it was told nothing of this */
    /* the operation's journal */
    bool switched;
    int64_t paused_at;
    struct snap_stamp left;
} * life;

static bool off; /* the domain is, at the second time */
static struct crash_world *world; /* for a tick */
static bool ticked;
static bool finished; /* what was to be taken back */

/* ---- the guest ---- */

/* With a tool that nobody hits. */
static void guest_writes(struct crash_world *w, unsigned block)
{
    unsigned char byte = 0xa0 + block;
    const char *first = snap_run_path_first;

    life->doubt[block] = true;
    snap_run_path_first = NULL;
    if (real_qemu_try_write(w->f->q, "xvda", block, byte)) {
        life->had[block] = byte;
        life->doubt[block] = false;
    }
    snap_run_path_first = first;
}

/* While a pull copies, or before it changes the header. */
static int guest_ticks(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    (void)done;
    (void)total;
    if (!ticked)
        guest_writes(world, 5);
    ticked = true;
    return 0;
}

/* On this image; first() is not hit. */
static void guest_starts(struct crash_world *w, const char *path,
                         const char *format,
                         void (*first)(struct crash_world *w))
{
    memset(life, 0, sizeof(*life));
    memcpy(life->had, w->after, sizeof(life->had));
    memset(&w->d.left, 0, sizeof(w->d.left));
    w->d.paused_at = 0;
    world = w;
    ticked = false;
    crash_start_qemu(w, path, format, first);
}

static void guest_ends(struct crash_world *w)
{
    w->f->c.tick = NULL;
    scene_kill(w->f);
}

static void reads(const char *path, const char *format)
{
    crash_reads_most(path, format, life->had, life->doubt);
}

/* ---- a snapshot is given up ---- */

static void set_up_pull(struct crash_world *w)
{
    crash_to_delete(w, false);
}

/* Long ago the guest has written, and the image below is older yet. */
static void grow_old(const char *path, time_t by)
{
    const time_t then = time(NULL) - by;
    const struct timespec t[2] = { { .tv_sec = then }, { .tv_sec = then } };

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void set_up_merge(struct crash_world *w)
{
    crash_to_delete(w, true);
    grow_old(w->p.active_path, LONG_AGO);
    grow_old(w->image, 2 * LONG_AGO);
}

/* The guest stands, and goes on when the journal says what it writes to. */
static int change_over(struct crash_world *w, struct snap_err *err)
{
    int rc;

    w->d.paused_at = life->paused_at = time(NULL);
    rc = w->p.drv->merge_switch(&w->f->c, &w->p, &w->d, err);
    if (rc == SNAP_RECOVER)
        return rc;
    if (!rc) {
        snap_image_stamp(w->d.gone, &w->d.left);
        life->left = w->d.left;
        life->switched = true;
    } else {
        w->d.paused_at = life->paused_at = 0;
    }
    guest_writes(w, 7);
    return rc;
}

static int merge(struct crash_world *w, struct snap_err *err)
{
    int rc = 0;

    if (!life->switched)
        rc = w->p.drv->merge(&w->f->c, &w->p, &w->d, err);
    if (!rc && w->f->c.qmp) {
        guest_writes(w, 0);
        rc = change_over(w, err);
    }
    return rc ? rc : w->p.drv->merge_finish(&w->f->c, &w->p, &w->d, err);
}

static int delete_steps(struct crash_world *w, struct snap_err *err)
{
    return w->d.how == SNAP_DELETE_MERGE
               ? merge(w, err)
               : w->p.drv->pull(&w->f->c, &w->p, &w->d, 0, err);
}

/* However it ends, so does the domain. */
static int give_up(struct crash_world *w, struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;

    if (off)
        return delete_steps(w, err);
    guest_starts(w, w->p.active_path, "qcow2", NULL);
    /* Under a merge it is idle at first, so that the images' times are old. */
    if (w->d.how == SNAP_DELETE_PULL) {
        guest_writes(w, 1);
        w->f->c.tick = guest_ticks;
    }
    rc = delete_steps(w, err);
    if (rc)
        w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e);
    if (rc != SNAP_RECOVER)
        guest_writes(w, 6);
    guest_ends(w);
    return rc;
}

static bool stop_pull(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(w->p.drv->delete_stop(&w->f->c, &w->p, &w->d, &e), &e);
    off = true;
    return false;
}

static void check_pull(struct crash_world *w, bool done)
{
    char *away;

    reads(w->p.active_path, "qcow2");
    if (!done) {
        crash_reads(w->image, w->format, w->before);
        return;
    }
    off = false;
    away = snap_printf("%s.away", w->image);
    assert_int_equal(rename(w->image, away), 0);
    reads(w->p.active_path, "qcow2");
    assert_int_equal(rename(away, w->image), 0);
    free(away);
}

/* As op/ asks: has anybody had an image since whom it knows nothing of? */
static bool stop_merge(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_delete *d = &w->d;

    scene_ok(w->p.drv->delete_stop(&w->f->c, &w->p, d, &e), &e);
    d->paused_at = life->paused_at;
    d->left = life->left;
    d->begun = SNAP_MERGE_BY_QEMU;
    if (life->switched && snap_file_exists(d->gone))
        assert_false(snap_image_differs(d->gone, &d->left));
    if (!life->paused_at)
        assert_false(w->p.drv->merge_astray(&w->p, d, false));
    off = true;
    return false;
}

static void check_merge(struct crash_world *w, bool done)
{
    if (life->switched || done)
        reads(w->d.active_path, w->format);
    else
        reads(w->p.active_path, "qcow2");
    if (!done)
        return;
    off = false;
    assert_false(snap_file_exists(w->p.active_path));
}

/* ---- a snapshot is taken back ---- */

static void set_up_back(struct crash_world *w)
{
    struct scene *f = w->f;

    crash_image(w);
    scene_start(f);
    real_qemu_add(f->q, "xvda", w->image, w->format);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    DO(probe, &w->p);
    scene_kill(f);
}

/* In the overlay is what was on its way when the guest was stopped. */
static void take(struct crash_world *w)
{
    struct scene *f = w->f;
    struct snap_part *p = &w->p;
    struct snap_err e = SNAP_ERR_INIT;

    guest_writes(w, 1);
    DO(prepare, p);
    scene_ok(p->drv->group->take(&f->c, &p, 1, &e), &e);
    guest_writes(w, 3);
    guest_writes(w, 6);
}

/* It goes on when all is done, or cannot be done. */
static int take_back(struct crash_world *w, struct snap_err *err)
{
    int rc;

    finished = false;
    guest_starts(w, w->image, w->format, take);
    rc = w->p.drv->undo(&w->f->c, &w->p, err);
    guest_writes(w, 7);
    guest_ends(w);
    return rc;
}

/* A recovery finds out by the images: an overlay that the guest may have
 * written to is the disk, and the snapshot is finished; else it is undone. */
static bool recover_back(struct crash_world *w)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_part *p = &w->p;
    enum snap_part_state st = SNAP_PART_ABSENT;

    scene_ok(p->drv->inspect(&w->f->c, p, &st, &e), &e);
    finished = st == SNAP_PART_PRESENT;
    if (finished) {
        scene_ok(p->drv->secure(&w->f->c, p, &e), &e);
        p->drv->finish(&w->f->c, p, &e);
        snap_image_unprotect(w->image, &e);
    } else {
        scene_ok(p->drv->undo(&w->f->c, p, &e), &e);
    }
    return true;
}

static void check_back(struct crash_world *w, bool done)
{
    assert_true(done);
    if (finished) {
        reads(w->p.active_path, "qcow2");
        return;
    }
    reads(w->image, w->format);
    assert_false(snap_file_exists(w->p.active_path));
}

#define GIVE_UP(name, layers, format, how)                                    \
    {                                                                         \
        name, format, layers, set_up_##how, give_up, stop_##how, check_##how, \
            true, false,                                                      \
    }
#define BACK(name, layers, format)                                  \
    {                                                               \
        name, format, layers, set_up_back, take_back, recover_back, \
            check_back, true, false,                                \
    }

static const struct crash_kind kinds[] = {
    GIVE_UP("pull_raw", 0, "raw", pull),
    GIVE_UP("pull_over_one", 1, "qcow2", pull),
    GIVE_UP("merge_raw", 0, "raw", merge),
    GIVE_UP("merge_over_one", 1, "qcow2", merge),
    BACK("back_raw", 0, "raw"),
    BACK("back_over_one", 1, "qcow2"),
};

int main(void)
{
    life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(life, MAP_FAILED);
    return crash_main("QEMU dies in the middle of a job", kinds,
                      sizeof(kinds) / sizeof(kinds[0]));
}
