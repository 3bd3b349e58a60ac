/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See overlay_files.h.  All names are made in the image's own folder, so each
 * step is one atomic call there, and a death between two leaves either
 * nothing or a file that undo knows by name.
 */
#include "disk/overlay_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/image_attr.h"
#include "disk/overlay_chain.h"
#include "disk/overlay_link.h"
#include "disk/qcow2_header.h"
#include "disk/qemu_img.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

/* The time stamp of an overlay nobody has had: 2001-01-01. */
#define NEW_STAMP 978307200

/* ---- names ---- */

const char *snap_overlay_file(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "file");

    return s ? s : p->active_path;
}

const char *snap_overlay_node(const struct snap_part *p)
{
    return snap_json_get_str(p->data, "node");
}

const char *snap_overlay_base(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "base");

    return s ? s : p->frozen_path;
}

char *snap_overlay_stem(const char *path)
{
    static const char *const known[] = {
        ".qcow2",
        ".img",
        ".raw",
        ".vhd",
    };
    char *s = snap_strdup(snap_basename(path));
    size_t i = 0;

    while (i < sizeof(known) / sizeof(known[0])) {
        size_t len = strlen(s), cut = strlen(known[i]);

        if (len > cut && !strcmp(s + len - cut, known[i])) {
            s[len - cut] = '\0';
            i = 0;
        } else {
            i++;
        }
    }
    return s;
}

int snap_overlay_name(const struct snap_part *p, const char *beside,
                      const char *suffix, char **path_r, struct snap_err *err)
{
    int rc;
    char *dir = snap_dirname(beside);
    char *stem = p->stem && p->stem[0]
                     ? snap_strdup(p->stem)
                     : snap_overlay_stem(p->path ? p->path : beside);
    char *path = snap_printf("%s/%s.%s%s", strcmp(dir, "/") ? dir : "", stem,
                             p->tag, suffix);

    /* Room for a temporary name beside it. */
    if (strlen(snap_basename(path)) > NAME_MAX - 26 || !snap_path_ok(path)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s: a name like %s is too long; give another with target=",
                       p->vdev, path);
        goto out;
    }
    free(*path_r);
    *path_r = path;
    path = NULL;
    rc = 0;

out:
    free(path);
    free(stem);
    free(dir);
    return rc;
}

char *snap_overlay_temp(const struct snap_disk_ctx *c, const char *path)
{
    return snap_printf("%s.xlsnap-%s", path, c->op_id);
}

int snap_overlay_sync_folder(const char *path, struct snap_err *err)
{
    char *dir = snap_dirname(path);
    int rc = snap_dir_sync(dir, err);

    free(dir);
    return rc;
}

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

/* ---- protection ---- */

static int change_flags(const char *path, int set, int clear,
                        struct snap_err *err)
{
    int rc, fd, flags = 0, wanted, e;

    e = snap_fault("file", "flags");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!e && (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags)))
        e = errno;
    wanted = (flags | set) & ~clear;
    if (!e && wanted != flags && ioctl(fd, FS_IOC_SETFLAGS, &wanted))
        e = errno;
    rc = e ? snap_fail_errno(err,
                             e == ENOTTY || e == EOPNOTSUPP ? SNAP_UNSUPPORTED
                                                            : SNAP_IO,
                             e, "immutable attribute of %s", path)
           : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int snap_image_protect(const char *path, struct snap_err *err)
{
    int rc;
    struct stat st;
    struct snap_err why = SNAP_ERR_INIT;

    if (!stat(path, &st) && S_ISBLK(st.st_mode))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s is a device and cannot be made immutable; do not start a configuration that names it",
                         path);
    rc = change_flags(path, FS_IMMUTABLE_FL, 0, &why);
    if (rc)
        snap_fail(err, rc,
                  "%s could not be made immutable (%s); do not start a configuration that names it",
                  path, why.msg);
    return rc;
}

int snap_image_unprotect(const char *path, struct snap_err *err)
{
    if (!snap_image_protected(path))
        return 0;
    return change_flags(path, 0, FS_IMMUTABLE_FL, err);
}

static bool get_flags(const char *path, int *flags_r)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool can = fd >= 0 && !ioctl(fd, FS_IOC_GETFLAGS, flags_r);

    if (fd >= 0)
        close(fd);
    return can;
}

bool snap_image_protected(const char *path)
{
    int flags = 0;

    return get_flags(path, &flags) && (flags & FS_IMMUTABLE_FL);
}

bool snap_image_can_protect(const char *path)
{
    int flags = 0;

    return get_flags(path, &flags);
}
