/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A snapshot inside an image is given up: no other image is concerned.  What
 * may be is the image itself, if a later snapshot froze it or it is below
 * what a domain writes to.
 */
#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/internal/internal.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/qcow2_tag.h"
#include "disk/qemu/qemu_node.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS 5000

/* Will remove() be able to?  Through QEMU only if the image is what it writes
 * to, through qemu-img only if nobody has it open: below an overlay, QEMU
 * has it open and can do nothing. */
int snap_internal_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                              struct snap_delete *d, struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root;
    struct snap_err why = SNAP_ERR_INIT;

    d->how = SNAP_DELETE_DROP;
    if (!snap_file_exists(p->frozen_path))
        return 0;
    if (c->qmp) {
        rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
        if (rc)
            return rc;
        rc = snap_qemu_root_of(&v, p->frozen_path, &root, &why);
        if (!rc && !snap_same_file(root->file, p->frozen_path))
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is below %s, to which the domain writes, and QEMU cannot change it there; delete the external snapshots over it first, or shut the domain down",
                           p->frozen_path, root->file);
        else if (!rc && root->job)
            rc = snap_fail(err, SNAP_BUSY,
                           "a block job of QEMU works on %s; wait until it has ended",
                           p->frozen_path);
        else if (rc && rc != SNAP_NOTFOUND)
            snap_fail(err, rc, "%s", why.msg);
        snap_qemu_view_dispose(&v);
        if (!rc) {
            rc = snap_image_check_others(c, p->frozen_path, false, err);
            if (rc)
                snap_err_append(err, "end that first");
        }
        if (rc != SNAP_NOTFOUND)
            return rc;
    }
    rc = snap_image_check_closed(c, p->frozen_path, err);
    if (rc)
        snap_err_append(err,
                        "snapshot %s is inside it; delete the external snapshots over it first, or end what uses it",
                        p->tag);
    return rc;
}

int snap_internal_remove(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    bool protect;
    struct snap_err e = SNAP_ERR_INIT;

    if (!snap_file_exists(p->frozen_path))
        return 0;
    protect = snap_image_protected(p->frozen_path);
    rc = snap_image_unprotect(p->frozen_path, err);
    if (rc)
        return rc;
    rc = snap_internal_drop(c, p->frozen_path, snap_qcow2_tag(p), err);
    if (!protect || !snap_image_protect(p->frozen_path, &e))
        return rc;
    /* A second try would find it as it is now, and be content. */
    snap_say(c->log, SNAP_LOG_WARN,
             "%s is frozen, but not protected any more: %s; run chattr +i %s",
             p->frozen_path, e.msg, p->frozen_path);
    return rc ? rc : snap_fail(err, e.rc, "%s", e.msg);
}
