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
#include "disk/external/overlay.h"
#include "disk/external/overlay_commit.h"
#include "disk/external/overlay_delete.h"
#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/format/format_names.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qemu_img.h"
#include "disk/qemu/qemu_node.h"
#include "disk/qemu/qemu_take.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/disk_slots.h"

#define LOOK_MS 5000

static int match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_INTERNAL || !snap_part_by_qemu(p) ||
        (p->format && !snap_qemu_format(p->format)))
        return 0;
    return 10;
}

static int overlay_prepare(struct snap_disk_ctx *c, struct snap_part *p,
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
    if (!rc)
        rc = snap_overlay_link_secure(p, err);
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

/* Is there while merge_offline() works, so that another, after its death, takes
 * the base's last writes for its own. */
static char *merge_mark(const struct snap_disk_ctx *c,
                        const struct snap_part *p)
{
    return snap_printf("%s.xlsnap-%s-in", snap_overlay_file(p), c->op_id);
}

static int merge_mark_undo(const struct snap_disk_ctx *c,
                           const struct snap_part *p, struct snap_err *err)
{
    char *mark = merge_mark(c, p);
    int rc = snap_file_remove(mark, err);

    free(mark);
    return rc;
}

/* The domain is off and the overlay holds writes: they belong to the base,
 * unless that went another way since. */
static int merge_offline(struct snap_disk_ctx *c, const struct snap_part *p,
                         struct snap_err *err)
{
    int rc = 0;
    char *begun = merge_mark(c, p);
    bool again = snap_file_exists(begun);
    const char *file = snap_overlay_file(p);
    bool reused = snap_json_get_bool(p->data, "reused", false);
    char *retired = snap_overlay_temp(c, file);
    const struct snap_overlay_commit m = {
        .over = file,
        .base = snap_overlay_base(p),
        .base_format = p->format,
        .retired = reused ? NULL : retired,
    };

    if (snap_overlay_base_newer(file, m.base, again))
        rc = snap_fail(err, SNAP_RECOVER,
                       "%s holds writes of the guest, and %s below it was changed later; which of the two is right must be decided by hand",
                       file, m.base);
    else if (!again)
        rc = snap_file_write(begun, "", 0, 0600, true, err);
    if (!rc)
        rc = snap_overlay_commit(c, &m, err);
    if (!rc)
        rc = snap_file_remove(begun, err);
    free(retired);
    free(begun);
    return rc;
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
    /* The overlay has another name then, of what undo() removes. */
    if (written && !open)
        return merge_offline(c, p, err);
    if (snap_json_get_bool(p->data, "reused", false))
        return 0;
    return snap_file_remove(file, err);
}

static int overlay_undo(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    enum snap_part_state state = SNAP_PART_FOREIGN;

    rc = inspect(c, p, &state, err);
    if (rc)
        return rc;
    /* take() of a domain that is off protects it; and an immutable image gets
     * no other name. */
    if (state != SNAP_PART_FOREIGN)
        rc = snap_image_unprotect(snap_overlay_base(p), err);
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
    if (!rc)
        rc = merge_mark_undo(c, p, err);
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
    .read_through = true,
    .can_fill_up = true,
    .needs_qmp = true,
    .match = match,
    .probe = snap_overlay_probe,
    .check = snap_slot_check_over,
    .identity = snap_slot_no_identity,
    .group = &snap_qemu_group,
    .group_key = snap_slot_group_name,
    .prepare = overlay_prepare,
    .secure = snap_overlay_secure,
    .finish = finish,
    .undo = overlay_undo,
    .inspect = inspect,
    .verify = snap_overlay_verify,
    .revert_prepare = snap_overlay_revert_prepare,
    .in_place = snap_overlay_in_place,
    .revert_switch = snap_overlay_revert_switch,
    .revert_finish = snap_overlay_revert_finish,
    .revert_undo = snap_overlay_revert_undo,
    .stands_on = snap_overlay_stands_on,
    .delete_plan = snap_overlay_delete_plan,
    .pull = snap_overlay_pull,
    .delete_stop = snap_overlay_delete_stop,
    .refreeze = snap_overlay_refreeze,
    .merge = snap_overlay_merge,
    .merge_astray = snap_overlay_merge_astray,
    .merge_went_on = snap_overlay_merge_went_on,
    .merge_went_below = snap_overlay_merge_went_below,
    .merge_switch = snap_overlay_merge_switch,
    .merge_switched = snap_overlay_merge_switched,
    .merge_finish = snap_overlay_merge_finish,
    .remove = snap_overlay_remove,
};
