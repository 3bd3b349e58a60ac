/* SPDX-License-Identifier: LGPL-2.1-only */
/* See overlay_commit.h. */
#include "disk/external/overlay_commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_guard.h"
#include "disk/file/image_protect.h"
#include "disk/format/format_names.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/image_map.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qemu_img.h"
#include "lib/file.h"
#include "lib/mem.h"

/* A tool may write for so long after our last sign of life. */
#define AFTER_NS 2000000000ll
/* What one process more costs, in bytes that could have been read. */
#define PROCESS (6ull << 20)
#define FEW     64 /* processes, whatever they cost */

struct work {
    struct snap_disk_ctx *c;
    const struct snap_overlay_commit *m;
    struct snap_image_guard *guard;
    struct snap_range *own; /* what the overlay has itself */
    size_t n;
};

/*
 * The base is opened for reading first and then again for writing, and in the
 * second QEMU does not look whether its reference counts are true; with
 * lazy_refcounts, one that was not closed is overwritten then.
 */
int snap_overlay_base_clean(const char *base, const char *base_format,
                            bool *clean_r, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    *clean_r = true;
    if (!snap_streq(base_format, "qcow2"))
        return 0;
    rc = snap_qcow2_read(base, &h, err);
    *clean_r = !rc && !h.dirty;
    snap_qcow2_dispose(&h);
    return rc;
}

static long long ns(const struct timespec *t)
{
    return t->tv_sec * 1000000000ll + t->tv_nsec;
}

bool snap_overlay_base_newer(const char *over, const char *base, bool again)
{
    struct stat o, b;

    return !stat(over, &o) && !stat(base, &b) && S_ISREG(b.st_mode) &&
           ns(&b.st_mtim) > ns(&o.st_mtim) + (again ? AFTER_NS : 0);
}

/* We still work on both. */
static void sign_of_life(const struct work *w)
{
    if (utimensat(AT_FDCWD, w->m->over, NULL, 0))
        snap_say(w->c->log, SNAP_LOG_DEBUG, "time stamp of %s", w->m->over);
}

static int overlay_commit_on_tick(void *opaque)
{
    struct work *w = opaque;

    sign_of_life(w);
    if (snap_image_guard_tick(w->guard))
        return 1;
    return w->c->tick ? w->c->tick(w->c->opaque, 0, 0) : 0;
}

static int repair(struct work *w, struct snap_err *err)
{
    int rc;
    bool clean;
    const char *base = w->m->base, *format = w->m->base_format;

    rc = snap_overlay_base_clean(base, format, &clean, err);
    if (rc || clean)
        return rc;
    rc = snap_qemu_img_repair(w->c->log, base, overlay_commit_on_tick, w, err);
    if (!rc)
        rc = snap_overlay_base_clean(base, format, &clean, err);
    if (!rc && !clean)
        rc = snap_fail(err, SNAP_FAIL,
                       "qemu-img said that it repaired %s, which is not closed cleanly all the same",
                       base);
    return rc;
}

/* ---- is it there? ---- */

static bool is_its_own(void *opaque, int64_t depth, bool zero, bool present)
{
    (void)opaque;
    (void)zero;
    return !depth && present;
}

/* From at to end; both 0: all. */
static int overlay_commit_compare(struct work *w, uint64_t at, uint64_t end,
                                  struct snap_err *err)
{
    bool same;
    int rc = snap_qemu_img_compare(w->c->log, w->m->over, w->m->base,
                                   snap_qemu_format(w->m->base_format), at,
                                   end - at, overlay_commit_on_tick, w, &same,
                                   err);

    if (!rc && !same)
        rc = snap_fail(err, SNAP_FAIL,
                       "qemu-img said that all of %s is in %s, and it is not",
                       w->m->over, w->m->base);
    return rc;
}

static int keep(void *opaque, const struct snap_range *r, size_t n,
                struct snap_err *err)
{
    struct work *w = opaque;

    (void)err;
    w->own = snap_realloc(w->own, w->n + n + 1, sizeof(*w->own));
    if (n)
        memcpy(w->own + w->n, r, n * sizeof(*r));
    w->n += n;
    return 0;
}

/* Not what lies between two of them: qemu-img compare takes that for zeroes,
 * if it is given a part of an image (QEMU 7.2). */
static int compare_own(struct work *w, uint64_t size, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    struct stat st;
    uint64_t all = stat(w->m->base, &st) || !S_ISREG(st.st_mode)
                       ? size
                       : (uint64_t)st.st_blocks * 512;

    if (w->n > FEW && w->n > all / PROCESS)
        return overlay_commit_compare(w, 0, 0, err);
    for (i = 0; !rc && i < w->n; i++)
        rc = overlay_commit_compare(w, w->own[i].at, w->own[i].end, err);
    return rc;
}

/* What the overlay has of its own, the base reads by itself. */
static int check_there(struct work *w, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };
    struct snap_image_map map = {
        .path = w->m->over,
        .wants = is_its_own,
        .each = keep,
        .opaque = w,
        .tick = overlay_commit_on_tick,
        .tick_opaque = w,
        .log = w->c->log,
    };

    rc = snap_qcow2_read(w->m->over, &h, err);
    map.size = h.size;
    if (!rc)
        rc = snap_image_map(&map, err);
    if (!rc)
        rc = compare_own(w, h.size, err);
    free(w->own);
    snap_qcow2_dispose(&h);
    return rc;
}

/* ---- the work ---- */

/* All of the overlay into the base, and onto the disk.  The descriptor is from
 * before the first write: it hears of every error. */
static int commit(struct work *w, struct snap_err *err)
{
    int rc, fd;

    rc = snap_image_unprotect(w->m->base, err);
    if (rc)
        return rc;
    fd = open(w->m->base, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", w->m->base);
    sign_of_life(w);
    /* Before anything is written to the base: after a power cut an overlay
     * without it would look as if the base had gone on alone. */
    rc = snap_path_sync(w->m->over, err);
    if (!rc)
        rc = repair(w, err);
    if (!rc)
        rc = snap_qemu_img_commit(w->c->log, w->m->over,
                                  overlay_commit_on_tick, w, err);
    if (!rc)
        rc = snap_file_sync(fd, w->m->base, err);
    close(fd);
    sign_of_life(w);
    return rc ? rc : check_there(w, err);
}

int snap_overlay_retire(const char *over, const char *retired,
                        const char *base, struct snap_err *err)
{
    if (snap_file_exists(over) && snap_file_exists(retired))
        return snap_fail(err, SNAP_EXISTS, "%s exists already", retired);
    if (snap_file_exists(over))
        return snap_file_rename(over, retired, err);
    if (snap_file_exists(retired))
        return snap_overlay_sync_folder(over, err);
    return snap_fail(err, SNAP_NOTFOUND,
                     "%s is not there, and whether %s has all of it is not known; is a file system not mounted?",
                     over, base);
}

int snap_overlay_commit(struct snap_disk_ctx *c,
                        const struct snap_overlay_commit *m,
                        struct snap_err *err)
{
    int rc;
    struct work w = { .c = c, .m = m };
    const char *const paths[] = { m->over, m->base, NULL };

    rc = snap_image_guard_begin(c, paths, &w.guard, err);
    if (rc)
        return rc;
    if (!m->all_there) {
        rc = commit(&w, err);
        rc = snap_image_guard_verdict(w.guard, rc, err);
        if (!rc)
            rc = snap_image_guard_look(w.guard, err);
    }
    if (!rc && m->retired)
        rc = snap_overlay_retire(m->over, m->retired, m->base, err);
    snap_image_guard_end(&w.guard);
    return rc;
}
