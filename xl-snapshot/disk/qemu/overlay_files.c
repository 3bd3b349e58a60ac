/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See overlay_files.h.  Each step is one atomic call in the image's own folder,
 * and a death between two leaves either nothing or a file that undo knows by
 * name.
 */
#include "disk/qemu/overlay_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_attr.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qemu_img.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

/* The time stamp of an overlay nobody has had: 2001-01-01. */
#define NEW_STAMP 978307200

/* Rename that never replaces. */
static int rename_new(const char *from, const char *to)
{
    int e = snap_fault("file", "rename new");

    if (e)
        return e;
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    /* A file system that knows no flags. */
    if (link(from, to))
        return errno;
    unlink(from);
    return 0;
}

/* ---- making ---- */

int snap_overlay_check_mounted(const char *leaf, const char *base,
                               struct snap_err *err)
{
    if (snap_file_exists(base))
        return 0;
    return snap_fail(err, SNAP_REFUSED,
                     "neither %s nor %s, which it is over, is there; is a file system not mounted?",
                     leaf, base);
}

int snap_overlay_mark_new(const char *path, struct snap_err *err)
{
    const struct timespec t[2] = {
        { .tv_sec = NEW_STAMP },
        { .tv_sec = NEW_STAMP },
    };

    if (utimensat(AT_FDCWD, path, t, 0))
        return snap_fail_errno(err, SNAP_IO, errno, "time stamp of %s", path);
    return 0;
}

bool snap_overlay_is_new(const char *path)
{
    struct stat st;

    return !stat(path, &st) && st.st_mtim.tv_sec == NEW_STAMP &&
           !st.st_mtim.tv_nsec;
}

/* What is to be in a new image: an overlay's header, or a copy. */
struct content {
    const char *from; /* base, or the image that is copied */
    const char *from_format; /* QEMU's word */
    uint64_t size;
    const char *tag; /* copy: of this snapshot in it */
};

/* How far a copy is: by what the file has, out of what the image has. */
struct growth {
    struct snap_disk_ctx *c;
    const char *path;
    uint64_t total;
};

static int overlay_files_on_tick(void *opaque)
{
    const struct growth *g = opaque;
    struct stat st;
    uint64_t now = stat(g->path, &st) ? 0 : (uint64_t)st.st_blocks * 512;

    if (now >= g->total)
        now = g->total ? g->total - 1 : 0;
    return g->c->tick ? g->c->tick(g->c->opaque, now, g->total) : 0;
}

static int overlay_files_fill(struct snap_disk_ctx *c, const char *tmp,
                              const struct content *what, struct snap_err *err)
{
    int rc;
    struct stat st;
    struct growth g = { .c = c, .path = tmp };

    if (!what->tag)
        return snap_qemu_img_create(c->log, tmp, what->from, what->from_format,
                                    what->size, err);
    rc = snap_overlay_check_format(what->from, err);
    if (rc)
        return rc;
    g.total = stat(what->from, &st) ? 0 : (uint64_t)st.st_blocks * 512;
    return snap_qemu_img_copy_tag(c->log, what->from, what->tag, tmp,
                                  overlay_files_on_tick, &g, err);
}

/* Is it what was asked for?  A tool may say 0 and have done nothing. */
static int check_made(const char *tmp, const struct content *what,
                      struct snap_err *err)
{
    int rc;
    uint64_t size = what->size;
    char *backing = NULL;
    const char *format = what->from_format;
    struct snap_qcow2 made = { 0 }, from = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    rc = what->tag ? snap_qcow2_read(what->from, &from, err) : 0;
    if (rc)
        return rc;
    if (what->tag) {
        size = from.size;
        backing = snap_overlay_backing(what->from, &from);
        format = from.backing_format;
    } else {
        backing = snap_strdup(what->from);
    }
    rc = snap_qcow2_read(tmp, &made, &why);
    if (rc && rc != SNAP_CORRUPT)
        rc = snap_fail(err, rc, "%s", why.msg);
    else if (rc || made.size != size || made.snapshots || made.dirty ||
             !snap_streq(made.backing, backing) ||
             (backing && !snap_streq(made.backing_format, format)) ||
             (!what->tag && !made.unwritten))
        rc = snap_fail(err, SNAP_FAIL,
                       "qemu-img said that it made %s, and it is not the image that it was to be",
                       tmp);
    free(backing);
    snap_qcow2_dispose(&made);
    snap_qcow2_dispose(&from);
    return rc;
}

static int make(struct snap_disk_ctx *c, const char *path,
                const struct content *what, struct snap_err *err)
{
    int rc, fd = -1, e;
    bool made = false;
    char *tmp = snap_overlay_temp(c, path);

    rc = snap_file_create(tmp, 0600, &fd, err);
    if (rc)
        goto out;
    made = true;
    rc = snap_image_own_like(fd, tmp, what->from, err);
    if (rc)
        goto out;
    rc = overlay_files_fill(c, tmp, what, err);
    if (!rc)
        rc = check_made(tmp, what, err);
    if (rc)
        goto out;
    rc = snap_image_attr_copy(c->log, what->from, fd, tmp, err);
    if (rc)
        goto out;
    rc = snap_overlay_mark_new(tmp, err);
    if (rc)
        goto out;
    rc = snap_file_sync(fd, tmp, err);
    if (rc)
        goto out;
    e = rename_new(tmp, path);
    if (e) {
        rc = snap_fail_errno(err, e == EEXIST ? SNAP_EXISTS : SNAP_IO, e, "%s",
                             path);
        goto out;
    }
    made = false;
    rc = snap_overlay_sync_folder(path, err);
    if (rc)
        goto out;
    rc = 0;

out:
    if (fd >= 0)
        close(fd);
    if (made)
        unlink(tmp);
    free(tmp);
    return rc;
}

int snap_overlay_make(struct snap_disk_ctx *c, const char *path,
                      const char *base, const char *base_format, uint64_t size,
                      struct snap_err *err)
{
    const struct content what = { base, base_format, size, NULL };

    return make(c, path, &what, err);
}

int snap_image_copy(struct snap_disk_ctx *c, const char *path,
                    const char *image, const char *tag, struct snap_err *err)
{
    const struct content what = { image, "qcow2", 0, tag };

    return make(c, path, &what, err);
}

int snap_overlay_make_undo(struct snap_disk_ctx *c, const char *path,
                           struct snap_err *err)
{
    char *tmp = snap_overlay_temp(c, path);
    int rc = snap_file_remove(tmp, err);

    free(tmp);
    return rc;
}

int snap_overlay_is_over(const char *path, const char *base, bool *ours_r,
                         bool *written_r, struct snap_err *err)
{
    int rc;
    struct stat st;
    struct snap_qcow2 h = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    *ours_r = *written_r = false;
    if (lstat(path, &st))
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "%s", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return 0;
    rc = snap_qcow2_read(path, &h, &why);
    if (rc == SNAP_CORRUPT)
        return 0; /* something, but not ours */
    if (rc)
        return snap_fail(err, rc, "%s", why.msg);
    *ours_r = h.backing && snap_streq(h.backing, base);
    *written_r = !h.unwritten;
    snap_qcow2_dispose(&h);
    return 0;
}

/* ---- taken ---- */

static int mark_taken(const struct snap_part *p, struct snap_err *err)
{
    const char *file = snap_overlay_file(p);

    if (snap_overlay_is_new(file) &&
        utimensat(AT_FDCWD, file, NULL, AT_SYMLINK_NOFOLLOW))
        return snap_fail_errno(err, SNAP_IO, errno, "time stamp of %s", file);
    return 0;
}

/* What the frozen base is, so that verify() can tell that it still is. */
static void remember_base(struct snap_part *p)
{
    struct stat st;

    if (stat(snap_overlay_base(p), &st) || !S_ISREG(st.st_mode))
        return;
    snap_json_set_int(p->data, "base_bytes", st.st_size);
    snap_json_set_int(p->data, "base_mtime_ns",
                      st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec);
}

int snap_overlay_taken(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int rc;

    rc = mark_taken(p, err);
    if (rc)
        return rc;
    remember_base(p);
    return snap_overlay_link_active(c, p, err);
}

int snap_overlay_secure(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    const char *file = snap_overlay_file(p);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    (void)c;
    rc = fd < 0 ? snap_fail_errno(err, SNAP_IO, errno, "%s", file)
                : snap_file_sync(fd, file, err);
    if (fd >= 0)
        close(fd);
    return rc ? rc : snap_overlay_link_secure(p, err);
}

int snap_overlay_refreeze(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err)
{
    (void)c;
    (void)err;
    if (!p->data)
        p->data = snap_json_object();
    remember_base(p);
    return 0;
}
