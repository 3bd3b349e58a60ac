/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The slots of the overlay driver for deleting: the plan in overlay_delete.c,
 * the work in overlay_pull.c and overlay_merge.c.
 */
#ifndef SNAP_DISK_EXTERNAL_OVERLAY_DELETE_H
#define SNAP_DISK_EXTERNAL_OVERLAY_DELETE_H

#include "model/disk_ops.h"

int snap_overlay_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_delete *d, struct snap_err *err);

int snap_overlay_pull(struct snap_disk_ctx *c, struct snap_part *p,
                      const struct snap_delete *d, size_t i,
                      struct snap_err *err);
int snap_overlay_delete_stop(struct snap_disk_ctx *c, struct snap_part *p,
                             const struct snap_delete *d,
                             struct snap_err *err);
/* The id of this operation's job on this disk; caller frees. */
char *snap_overlay_job_id(const struct snap_disk_ctx *c,
                          const struct snap_part *p);
/* QEMU keeps a node that it was told to open (blockdev-add) after nobody
 * uses it any more, and the file open with it: let go of it. */
void snap_overlay_release(struct snap_disk_ctx *c, const char *node);

int snap_overlay_merge(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err);
bool snap_overlay_merge_went_on(const struct snap_part *p,
                                const struct snap_delete *d);
bool snap_overlay_merge_went_below(const struct snap_part *p,
                                   const struct snap_delete *d);
bool snap_overlay_merge_astray(const struct snap_part *p,
                               const struct snap_delete *d, bool live);
int snap_overlay_merge_switch(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err);
int snap_overlay_merge_switched(struct snap_disk_ctx *c,
                                const struct snap_part *p,
                                const struct snap_delete *d, bool *yes_r,
                                struct snap_err *err);
int snap_overlay_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err);

#endif /* SNAP_DISK_EXTERNAL_OVERLAY_DELETE_H */
