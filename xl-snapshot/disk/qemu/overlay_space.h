/* SPDX-License-Identifier: LGPL-2.1-only */
/* Is there room for an image to grow? */
#ifndef SNAP_DISK_QEMU_OVERLAY_SPACE_H
#define SNAP_DISK_QEMU_OVERLAY_SPACE_H

#include "model/disk_ops.h"

/* SNAP_NOSPACE if an image at path could hardly begin to grow. */
int snap_overlay_check_space(struct snap_disk_ctx *c,
                             const struct snap_part *p, const char *path,
                             struct snap_err *err);

#endif /* SNAP_DISK_QEMU_OVERLAY_SPACE_H */
