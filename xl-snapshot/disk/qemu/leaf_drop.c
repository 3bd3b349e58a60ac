/* SPDX-License-Identifier: LGPL-2.1-only */
/* See leaf_drop.h. */
#include "disk/qemu/leaf_drop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/file/image_protect.h"
#include "disk/file/image_stamp.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/overlay_search.h"
#include "lib/file.h"
#include "lib/mem.h"

/* What is inside a qcow2 image is somebody's, who may be no record. */
static int has_inside(const char *path, const char *format, bool *yes_r,
                      struct snap_err *err)
{
    struct snap_qcow2 h = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    int rc;

    *yes_r = false;
    if (!snap_streq(format, "qcow2"))
        return 0;
    rc = snap_qcow2_read(path, &h, &why);
    if (rc)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is kept, since whether it has snapshots inside cannot be told (%s); if it is not needed, remove it by hand",
                       path, why.msg);
    *yes_r = h.snapshots;
    snap_qcow2_dispose(&h);
    return rc;
}

/* What is in it nobody else has, perhaps. */
static bool is_somebodys(struct snap_disk_ctx *c, const char *path,
                         bool inside, const struct snap_stamp *then)
{
    if (snap_image_differs(path, then))
        snap_say(c->log, SNAP_LOG_WARN,
                 "%s is kept: somebody has written to it since it was left, perhaps the domain, started from an old xl.cfg.  Copy what you need of it, and remove it by hand",
                 path);
    else if (inside)
        snap_say(c->log, SNAP_LOG_NOTE,
                 "%s is kept: it has snapshots inside that no record knows",
                 path);
    else
        return false;
    return true;
}

int snap_image_drop(struct snap_disk_ctx *c, const char *path,
                    const char *format, const struct snap_stamp *then,
                    struct snap_err *err)
{
    int rc;
    bool inside;
    char *child = NULL;
    struct stat st;

    if (lstat(path, &st))
        return errno == ENOENT
                   ? 0
                   : snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is a link or a device; it was kept", path);
    rc = has_inside(path, format, &inside, err);
    if (!rc)
        rc = snap_image_check_left(c, path, err);
    if (rc)
        goto out;
    child = snap_overlay_child(path);
    if (child) {
        rc = snap_fail(err, SNAP_REFUSED, "%s is kept: %s is over it", path,
                       child);
        goto out;
    }
    rc = snap_image_unprotect(path, err);
    if (rc || is_somebodys(c, path, inside, then))
        goto out;
    rc = snap_file_remove(path, err);
    if (rc)
        goto out;
    rc = 0;

out:
    free(child);
    return rc;
}

/* "….TAG-rOPID.qcow2" */
static bool revert_made(const char *path)
{
    const char *r = strstr(snap_basename(path), "-r");

    while (r && strstr(r + 2, "-r"))
        r = strstr(r + 2, "-r");
    return r &&
           !strcmp(r + 2 +
                       strspn(r + 2, "abcdefghijklmnopqrstuvwxyz0123456789"),
                   ".qcow2");
}

/* "STEM.TAG.qcow2" */
static bool create_made(const char *path, const char *stem)
{
    const char *name = snap_basename(path);
    size_t len = stem ? strlen(stem) : 0;

    return len && !strncmp(name, stem, len) && name[len] == '.' &&
           strlen(name) > len + 1 + strlen(".qcow2") &&
           snap_has_suffix(name, ".qcow2");
}

int snap_leaf_drop(struct snap_disk_ctx *c, const char *path, const char *stem,
                   const struct snap_stamp *then, struct snap_err *err)
{
    int rc;
    struct stat st;
    struct snap_qcow2 h = { 0 };

    if (stat(path, &st) && errno == ENOENT)
        return 0; /* or a link to what is not there */
    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        goto out;
    if (!h.backing && !revert_made(path) && !create_made(path, stem)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is neither an overlay nor an image that a snapshot command made; it was kept",
                       path);
        goto out;
    }
    /* No record needs it, or we would not be here; but the image itself may
     * tell that somebody does. */
    if (h.snapshots || snap_image_protected(path)) {
        snap_say(c->log, SNAP_LOG_NOTE, "%s is kept: %s", path,
                 h.snapshots ? "it has snapshots inside that no record knows"
                             : "it is protected, as a frozen image is");
        goto out;
    }
    rc = snap_image_drop(c, path, "qcow2", then, err);
    if (rc)
        goto out;
    rc = 0;

out:
    snap_qcow2_dispose(&h);
    return rc;
}
