/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * --keep-path: the links that let an old path name the active image.
 *
 * The rule behind all of it: every image has one name for life.  QEMU opens
 * an image again by the name it was given (a base when it becomes read-only,
 * an overlay when the next one goes on top), so a file that is renamed, or
 * another file under its name, makes QEMU go on with the wrong one.  Hence
 * --keep-path never renames: the old path becomes a symbolic link to the
 * active image, and the base, if it was that path, gets a second, hard name
 * before.
 */
#ifndef SNAP_DISK_QEMU_OVERLAY_LINK_H
#define SNAP_DISK_QEMU_OVERLAY_LINK_H

#include "model/disk_ops.h"

/*
 * keep_path, forth and back; each is idempotent and does nothing without
 * keep_path.  link_base: the base gets its other name.  link_active: the path
 * names the overlay; in the window, so it is not yet durable: link_secure,
 * with the guest running, makes it so.  unlink_active: the path names the
 * base.  unlink_base: the other name goes, if the path names the base.
 */
int snap_overlay_link_base(const struct snap_part *p, struct snap_err *err);
int snap_overlay_link_active(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err);
int snap_overlay_link_secure(const struct snap_part *p, struct snap_err *err);
int snap_overlay_unlink_active(struct snap_disk_ctx *c,
                               const struct snap_part *p,
                               struct snap_err *err);
int snap_overlay_unlink_base(const struct snap_part *p, struct snap_err *err);

/*
 * The same for a revert, where the leaf takes the overlay's place.
 * can_keep: the path is a link, or not there at all.  leaf: the file that the
 * guest will write to, which leaf_path may be a link to.  link_leaf: domain
 * gone; the path names the leaf, the old link is kept for unlink_leaf, which
 * puts it back, and which is idempotent.  forget_link: it is not needed.
 */
bool snap_overlay_can_keep(const struct snap_part *p);
const char *snap_overlay_leaf(const struct snap_part *p);
int snap_overlay_link_leaf(struct snap_disk_ctx *c, const struct snap_part *p,
                           struct snap_err *err);
int snap_overlay_unlink_leaf(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err);
/* in_place() of model/disk_ops.h for such a path, and nothing for another. */
void snap_overlay_link_in_place(const struct snap_disk_ctx *c,
                                const struct snap_part *p, bool back,
                                struct snap_held_images *l);
int snap_overlay_forget_link(struct snap_disk_ctx *c,
                             const struct snap_part *p, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_OVERLAY_LINK_H */
