/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * External snapshots: the image is frozen as it is, and a new qcow2 image
 * over it takes the writes.  Works for qcow2, raw and VHD images and for
 * block devices.
 *
 * Assumes QEMU (or nobody) serves the disk.  Must never write to a frozen
 * image, remove a file that is not an overlay of ours, or remove an overlay
 * that holds a guest's writes: undo() of an overlay that was written to
 * merges them into the base first.
 *
 * p->data:
 *   "file"       the overlay's own name
 *   "node"       QEMU's name for it
 *   "base"       the backing file in its header: the frozen image's name for
 *                life, also p->frozen_path
 *   "base_format"  QEMU's word
 *   "keep_path"  the old path is to name the overlay, by a symbolic link
 *   "link_base"  so the base, whose only name that was, gets another before
 *   "old_link"   what the old path said, if it was a symbolic link
 *   "reused"     the overlay is the user's (--reuse-external)
 *   "base_bytes", "base_mtime_ns"  the frozen image, when it was frozen
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "disk/drivers.h"
#include "disk/in_use.h"
#include "disk/overlay.h"
#include "disk/overlay_chain.h"
#include "disk/overlay_delete.h"
#include "disk/overlay_files.h"
#include "disk/overlay_link.h"
#include "disk/qemu_img.h"
#include "disk/qemu_node.h"
#include "disk/qemu_take.h"
#include "disk/slots.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS 5000

static int match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_INTERNAL || !snap_qemu_format(p->format))
        return 0;
    return 10;
}

static int prepare(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    int rc;

    rc = snap_overlay_link_base(p, err);
    if (rc)
        return rc;
    if (p->reuse_target)
        rc = snap_overlay_mark_new(snap_overlay_file(p), err);
    else
        rc = snap_overlay_make(c, snap_overlay_file(p), snap_overlay_base(p),
                               snap_qemu_format(p->format), p->size, err);
    if (rc)
        return rc;
    if (c->qmp)
        snap_qemu_preflush(c, p->path);
    p->prepared = true;
    return 0;
}

static int finish(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc;

    /* When recover finishes what died right after the transaction. */
    rc = snap_overlay_link_active(c, p, err);
    if (rc)
        return rc;
    return snap_image_protect(p->frozen_path, err);
}

/* Does QEMU have the overlay, as the top of its disk or below? */
static int in_qemu(struct snap_disk_ctx *c, const char *file, bool *yes_r,
                   struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root;
    struct snap_err why = SNAP_ERR_INIT;

    *yes_r = false;
    if (!c->qmp)
        return 0;
    rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
    if (rc)
        return rc;
    rc = snap_qemu_root_of(&v, file, &root, &why);
    *yes_r = !rc;
    if (rc == SNAP_NOTFOUND)
        rc = 0;
    else if (rc)
        snap_fail(err, rc, "%s", why.msg);
    snap_qemu_view_dispose(&v);
    return rc;
}

/* Anything that prepare() can have left besides the overlay. */
static bool has_leftovers(const struct snap_disk_ctx *c,
                          const struct snap_part *p)
{
    char *tmp = snap_printf("%s.xlsnap-%s", snap_overlay_file(p), c->op_id);
    bool yes = snap_file_exists(tmp) ||
               (snap_json_get_bool(p->data, "link_base", false) &&
                snap_file_exists(snap_overlay_base(p)));

    free(tmp);
    return yes;
}

static int inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err)
{
    int rc;
    const char *file = snap_overlay_file(p);
    bool ours, written, open;
    struct snap_err why = SNAP_ERR_INIT;

    rc = snap_overlay_is_over(file, snap_overlay_base(p), &ours, &written,
                              &why);
    if (rc == SNAP_NOTFOUND) {
        *state_r = has_leftovers(c, p) ? SNAP_PART_PARTIAL : SNAP_PART_ABSENT;
        return 0;
    }
    if (rc)
        return snap_fail(err, rc, "%s", why.msg);
    if (!ours) {
        *state_r = SNAP_PART_FOREIGN;
        return 0;
    }
    rc = in_qemu(c, file, &open, err);
    if (rc)
        return rc;
    /* With QEMU gone its writes tell; the mark, if there were none. */
    *state_r = open || (!c->qmp && (written || !snap_overlay_is_new(file)))
                   ? SNAP_PART_PRESENT
                   : SNAP_PART_PARTIAL;
    return 0;
}

/* The domain is off and the overlay holds writes: they belong to the base,
 * unless that went another way since. */
static int merge_offline(struct snap_disk_ctx *c, const struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    struct stat over, base;
    const char *file = snap_overlay_file(p), *path = snap_overlay_base(p);

    if (stat(file, &over) || stat(path, &base))
        return snap_fail_errno(err, SNAP_IO, errno, "%s over %s", file, path);
    if (S_ISREG(base.st_mode) &&
        (base.st_mtim.tv_sec > over.st_mtim.tv_sec ||
         (base.st_mtim.tv_sec == over.st_mtim.tv_sec &&
          base.st_mtim.tv_nsec > over.st_mtim.tv_nsec)))
        return snap_fail(err, SNAP_RECOVER,
                         "%s holds writes of the guest, and %s below it was "
                         "changed later; which of the two is right must be "
                         "decided by hand",
                         file, path);
    rc = snap_image_check_unused(c, path, err);
    if (rc)
        return rc;
    rc = snap_image_unprotect(path, err);
    if (rc)
        return rc;
    return snap_qemu_img_commit(c->log, file, NULL, NULL, err);
}

static int undo_overlay(struct snap_disk_ctx *c, const struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    const char *file = snap_overlay_file(p);
    bool open, ours, written;

    rc = in_qemu(c, file, &open, err);
    if (rc)
        return rc;
    /* The base's name first: QEMU opens it by that. */
    rc = snap_overlay_unlink_active(c, p, err);
    if (rc)
        return rc;
    if (open) {
        rc = snap_image_unprotect(snap_overlay_base(p), err);
        if (!rc)
            rc = snap_qemu_merge_back(c, file, err);
        if (rc)
            return rc;
    }
    rc = snap_image_check_unused(c, file, err);
    if (rc)
        return rc;
    rc = snap_overlay_is_over(file, snap_overlay_base(p), &ours, &written,
                              err);
    if (rc || !ours)
        return rc;
    if (written && !open) {
        rc = merge_offline(c, p, err);
        if (rc)
            return rc;
    }
    if (snap_json_get_bool(p->data, "reused", false))
        return 0;
    return snap_file_remove(file, err);
}

static int undo(struct snap_disk_ctx *c, struct snap_part *p,
                struct snap_err *err)
{
    int rc;
    enum snap_part_state state = SNAP_PART_FOREIGN;

    rc = inspect(c, p, &state, err);
    if (rc)
        return rc;
    if (state != SNAP_PART_FOREIGN && snap_file_exists(snap_overlay_file(p))) {
        rc = undo_overlay(c, p, err);
        if (rc)
            return rc;
    }
    rc = snap_overlay_unlink_base(p, err);
    if (rc)
        return rc;
    rc = snap_overlay_make_undo(c, snap_overlay_file(p), err);
    if (rc)
        return rc;
    p->taken = p->prepared = false;
    return 0;
}

const struct snap_disk_driver snap_disk_overlay = {
    .name = "overlay",
    .doc = "a new qcow2 image over the old one, which is frozen",
    .live = true,
    .offline = true,
    .moves_active = true,
    .can_fill_up = true,
    .match = match,
    .probe = snap_overlay_probe,
    .group_key = snap_slot_group_qemu,
    .prepare = prepare,
    .take = snap_qemu_take,
    .finish = finish,
    .undo = undo,
    .inspect = inspect,
    .verify = snap_overlay_verify,
    .revert_prepare = snap_overlay_revert_prepare,
    .revert_switch = snap_overlay_revert_switch,
    .revert_finish = snap_overlay_revert_finish,
    .revert_undo = snap_overlay_revert_undo,
    .stands_on = snap_overlay_stands_on,
    .delete_plan = snap_overlay_delete_plan,
    .pull = snap_overlay_pull,
    .delete_stop = snap_overlay_delete_stop,
    .refreeze = snap_overlay_refreeze,
    .merge = snap_overlay_merge,
    .merge_switch = snap_overlay_merge_switch,
    .merge_finish = snap_overlay_merge_finish,
    .remove = snap_overlay_remove,
};
