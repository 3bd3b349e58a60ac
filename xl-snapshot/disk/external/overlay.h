/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The slots of the overlay driver that have files of their own.
 */
#ifndef SNAP_DISK_EXTERNAL_OVERLAY_H
#define SNAP_DISK_EXTERNAL_OVERLAY_H

#include "model/disk_ops.h"

/* overlay_probe.c */
int snap_overlay_probe(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err);

/* overlay_revert.c */
int snap_overlay_verify(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err);
int snap_overlay_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err);
int snap_overlay_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                          bool back, struct snap_held_images *l,
                          struct snap_err *err);
int snap_overlay_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                               struct snap_err *err);
int snap_overlay_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                               struct snap_err *err);
int snap_overlay_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_err *err);
int snap_overlay_remove(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err);

#endif /* SNAP_DISK_EXTERNAL_OVERLAY_H */
