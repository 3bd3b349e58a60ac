/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Removing images that op/ has proved nobody needs.  They are looked at once
 * more: never a link or a device, never one that anybody has open or that
 * another image in its folder is over.  No file of that name is no error.
 *
 * then: as it was when the last to write to it had left it; NULL: not known.
 * One that was written to since has what somebody needs.  It is kept, with a
 * warning, and no longer protected.
 */
#ifndef SNAP_DISK_QEMU_LEAF_DROP_H
#define SNAP_DISK_QEMU_LEAF_DROP_H

#include "model/disk_ops.h"

/* A leaf that we made: an overlay, or an image with a name that revert gives,
 * or create to an image of this stem (a deletion may have left it without a
 * backing file).  SNAP_REFUSED for anything else. */
int snap_leaf_drop(struct snap_disk_ctx *c, const char *path, const char *stem,
                   const struct snap_stamp *then, struct snap_err *err);
/* Any image; format is libxl's word for what it is said to be.  One that has
 * snapshots inside is kept, with a note, and no longer protected. */
int snap_image_drop(struct snap_disk_ctx *c, const char *path,
                    const char *format, const struct snap_stamp *then,
                    struct snap_err *err);

#endif /* SNAP_DISK_QEMU_LEAF_DROP_H */
