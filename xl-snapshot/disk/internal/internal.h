/* SPDX-License-Identifier: LGPL-2.1-only */
/* What the files of the driver of internal snapshots share. */
#ifndef SNAP_DISK_INTERNAL_INTERNAL_H
#define SNAP_DISK_INTERNAL_INTERNAL_H

#include "model/disk_ops.h"

/* Delete the snapshot of that name from the image, through QEMU or without;
 * 0 if there is none.  (qcow2_internal.c) */
int snap_internal_drop(struct snap_disk_ctx *c, const char *path,
                       const char *tag, struct snap_err *err);

/* internal_delete.c */
int snap_internal_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                              struct snap_delete *d, struct snap_err *err);
int snap_internal_remove(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err);

/* internal_revert.c */
int snap_internal_verify(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err);
int snap_internal_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                                 struct snap_err *err);
int snap_internal_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                           bool back, struct snap_held_images *l,
                           struct snap_err *err);
int snap_internal_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err);
int snap_internal_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err);
int snap_internal_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                              struct snap_err *err);

#endif /* SNAP_DISK_INTERNAL_INTERNAL_H */
