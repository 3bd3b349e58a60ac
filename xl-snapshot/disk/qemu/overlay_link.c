/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See overlay_link.h.  A link is never changed: another is made beside it and
 * renamed over it, so the path names an image at every moment.
 */
#include "disk/qemu/overlay_link.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/qemu/overlay_names.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

static bool keeps_path(const struct snap_part *p)
{
    return snap_json_get_bool(p->data, "keep_path", false);
}

/* 0, or the errno of a call that a test makes fail, or of the call. */
static int do_link(const char *from, const char *to)
{
    int e = snap_fault("file", "link");

    return e ? e : link(from, to) ? errno : 0;
}

static int do_symlink(const char *content, const char *at)
{
    int e = snap_fault("file", "symlink");

    return e ? e : symlink(content, at) ? errno : 0;
}

int snap_overlay_link_base(const struct snap_part *p, struct snap_err *err)
{
    const char *base = snap_overlay_base(p);
    int e;

    if (!keeps_path(p) || !snap_json_get_bool(p->data, "link_base", false) ||
        snap_same_file(p->path, base))
        return 0;
    e = do_link(p->path, base);
    if (e == EPERM || e == EOPNOTSUPP || e == ENOSYS)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: the file system has no hard links, so the path cannot be kept; use target= without --keep-path",
                         p->path);
    if (e)
        return snap_fail_errno(err, e == EEXIST ? SNAP_EXISTS : SNAP_IO, e,
                               "naming %s also %s", p->path, base);
    return snap_overlay_sync_folder(base, err);
}

/* Let the path name what tmp is, at once; its folder is still to be synced. */
static int replace_path(const char *tmp, const char *path,
                        struct snap_err *err)
{
    int rc = snap_file_rename_only(tmp, path, err);

    if (rc)
        unlink(tmp);
    return rc;
}

/* Let the path be a link to file, relative if they are neighbours. */
static int point(const struct snap_disk_ctx *c, const char *path,
                 const char *file, struct snap_err *err)
{
    int rc, e;
    char *tmp = snap_overlay_temp(c, path), *dir = snap_dirname(path),
         *dir2 = snap_dirname(file);

    unlink(tmp);
    e = do_symlink(strcmp(dir, dir2) ? file : snap_basename(file), tmp);
    rc = e ? snap_fail_errno(err, SNAP_IO, e, "%s", tmp)
           : replace_path(tmp, path, err);
    free(dir2);
    free(dir);
    free(tmp);
    return rc;
}

int snap_overlay_link_active(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err)
{
    const char *file = snap_overlay_file(p);

    if (!keeps_path(p) || snap_same_file(p->path, file))
        return 0;
    if (!snap_same_file(p->path, snap_overlay_base(p)))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is another image now; it was left alone, and does not name the active image %s",
                         p->path, file);
    return point(c, p->path, file, err);
}

int snap_overlay_link_secure(const struct snap_part *p, struct snap_err *err)
{
    return keeps_path(p) ? snap_overlay_sync_folder(p->path, err) : 0;
}

/* Somebody died before he had renamed it. */
static int remove_temp(const char *tmp, struct snap_err *err)
{
    return snap_file_exists(tmp) ? snap_file_remove(tmp, err) : 0;
}

int snap_overlay_unlink_active(struct snap_disk_ctx *c,
                               const struct snap_part *p, struct snap_err *err)
{
    int rc, e;
    struct stat st;
    const char *old = snap_json_get_str(p->data, "old_link");
    const char *base = snap_overlay_base(p);
    char *tmp = NULL;

    if (!keeps_path(p))
        return 0;
    tmp = snap_overlay_temp(c, p->path);
    rc = remove_temp(tmp, err);
    if (rc || lstat(p->path, &st) || !S_ISLNK(st.st_mode) ||
        !snap_same_file(p->path, snap_overlay_file(p)))
        goto out;
    e = old ? do_symlink(old, tmp) : do_link(base, tmp);
    if (e) {
        rc = snap_fail_errno(err, SNAP_IO, e, "%s", tmp);
        goto out;
    }
    rc = replace_path(tmp, p->path, err);
    if (!rc)
        rc = snap_overlay_link_secure(p, err);

out:
    free(tmp);
    return rc;
}

int snap_overlay_unlink_base(const struct snap_part *p, struct snap_err *err)
{
    struct stat a, b;
    const char *base = snap_overlay_base(p);

    if (!keeps_path(p) || !snap_json_get_bool(p->data, "link_base", false) ||
        lstat(p->path, &a) || lstat(base, &b) || !S_ISREG(a.st_mode) ||
        a.st_dev != b.st_dev || a.st_ino != b.st_ino || !strcmp(p->path, base))
        return 0;
    return snap_file_remove(base, err);
}

/* ---- revert ---- */

/* Where the link of before waits, in case of an undo. */
static char *old_link_path(const struct snap_disk_ctx *c,
                           const struct snap_part *p)
{
    return snap_printf("%s.xlsnap-%s-old", p->path, c->op_id);
}

static bool keeps_leaf(const struct snap_part *p)
{
    return keeps_path(p) && snap_streq(p->leaf_path, p->path);
}

bool snap_overlay_can_keep(const struct snap_part *p)
{
    struct stat st;

    if (!keeps_path(p) || !p->path)
        return false;
    return lstat(p->path, &st) ? errno == ENOENT : S_ISLNK(st.st_mode);
}

const char *snap_overlay_leaf(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "leaf_file");

    return s && keeps_leaf(p) ? s : p->leaf_path;
}

static void add_existing(struct snap_held_images *l, const char *path,
                         bool changes)
{
    if (snap_file_exists(path))
        snap_held_images_add(l, path, changes);
}

/* What the path leads to, before and afterwards. */
void snap_overlay_link_in_place(const struct snap_disk_ctx *c,
                                const struct snap_part *p, bool back,
                                struct snap_held_images *l)
{
    char *old;
    const char *leaf = snap_overlay_leaf(p);

    if (!keeps_leaf(p))
        return;
    old = old_link_path(c, p);
    if (!snap_same_file(p->path, leaf)) {
        add_existing(l, p->path, !back);
        add_existing(l, leaf, false);
    } else {
        add_existing(l, leaf, true);
        add_existing(l, old, false);
    }
    free(old);
}

int snap_overlay_link_leaf(struct snap_disk_ctx *c, const struct snap_part *p,
                           struct snap_err *err)
{
    int rc, e;
    char was[PATH_MAX], *old = NULL;
    ssize_t n;

    if (!keeps_leaf(p))
        return 0;
    if (!snap_overlay_can_keep(p))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is no longer the link that --keep-path made",
                         p->path);
    old = old_link_path(c, p);
    n = readlink(p->path, was, sizeof(was) - 1);
    if (n > 0) {
        was[n] = '\0';
        e = do_symlink(was, old);
        rc = e ? snap_fail_errno(err, SNAP_IO, e, "%s", old)
               : snap_overlay_sync_folder(old, err);
        if (rc)
            goto out;
    }
    rc = point(c, p->path, snap_overlay_leaf(p), err);
    if (!rc)
        rc = snap_overlay_link_secure(p, err);

out:
    free(old);
    return rc;
}

int snap_overlay_unlink_leaf(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err)
{
    int rc;
    char *old = NULL, *tmp = NULL;
    struct stat st;

    if (!keeps_leaf(p))
        return 0;
    old = old_link_path(c, p);
    tmp = snap_overlay_temp(c, p->path);
    rc = snap_file_remove(tmp, err);
    if (rc)
        goto out;
    if (lstat(p->path, &st) || !S_ISLNK(st.st_mode) ||
        !snap_same_file(p->path, snap_overlay_leaf(p)))
        rc = snap_file_remove(old, err);
    else if (!lstat(old, &st))
        rc = snap_file_rename(old, p->path, err);
    else
        rc = snap_file_remove(p->path, err);

out:
    free(tmp);
    free(old);
    return rc;
}

int snap_overlay_forget_link(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err)
{
    char *old;
    int rc;

    if (!keeps_leaf(p))
        return 0;
    old = old_link_path(c, p);
    rc = snap_file_remove(old, err);
    free(old);
    return rc;
}
