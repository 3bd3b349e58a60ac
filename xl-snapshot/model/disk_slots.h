/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Slots that drivers share, so that no slot is ever NULL.
 */
#ifndef SNAP_MODEL_DISK_SLOTS_H
#define SNAP_MODEL_DISK_SLOTS_H

#include "model/disk_ops.h"

/* Nothing to do, successfully. */
int snap_slot_nothing(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err);
int snap_slot_nothing_deleted(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err);
/* For a driver whose delete_plan() answers DROP or STAY. */
int snap_slot_never(struct snap_disk_ctx *c, struct snap_part *p,
                    const struct snap_delete *d, struct snap_err *err);
int snap_slot_never_switched(struct snap_disk_ctx *c,
                             const struct snap_part *p,
                             const struct snap_delete *d, bool *yes_r,
                             struct snap_err *err);
bool snap_slot_never_went_on(const struct snap_part *p,
                             const struct snap_delete *d);
bool snap_slot_never_astray(const struct snap_part *p,
                            const struct snap_delete *d, bool live);
int snap_slot_never_child(struct snap_disk_ctx *c, struct snap_part *p,
                          const struct snap_delete *d, size_t i,
                          struct snap_err *err);
/*
 * The slots that only chains of images need, for a driver without read_through:
 * its delete_plan() answers DROP or STAY, and nothing is ever pulled or merged.
 * In a table, beside the slots that the driver has itself.
 */
#define SNAP_SLOTS_NO_CHAIN                                                  \
    .pull = snap_slot_never_child, .delete_stop = snap_slot_nothing_deleted, \
    .refreeze = snap_slot_nothing, .merge = snap_slot_never,                 \
    .merge_astray = snap_slot_never_astray,                                  \
    .merge_went_on = snap_slot_never_went_on,                                \
    .merge_went_below = snap_slot_never_went_on,                             \
    .merge_switch = snap_slot_never,                                         \
    .merge_switched = snap_slot_never_switched,                              \
    .merge_finish = snap_slot_never
/* And stands_on(), where a file that is seen is there, and nothing else is
 * known. */
int snap_slot_stands_alone(struct snap_disk_ctx *c, const struct snap_part *p,
                           struct snap_object o, enum snap_stand *how_r,
                           struct snap_err *err);
/* identity() of a driver that has files only: those the rest of the program
 * tells by their inodes. */
char *snap_slot_no_identity(struct snap_object o);
/* All three objects are files. */
int snap_slot_check_files(const struct snap_part *p, struct snap_err *err);
/* And a snapshot inside an image: that is active and frozen.  The path that
 * the domain had may be a link to it. */
int snap_slot_check_inside(const struct snap_part *p, struct snap_err *err);
/* And a new image over the frozen one: those two must not be mixed up.  The
 * path may be a third: a link to what was frozen. */
int snap_slot_check_over(const struct snap_part *p, struct snap_err *err);
/* One take() for all disks of the group. */
const char *snap_slot_group_name(const struct snap_part *p);

#endif /* SNAP_MODEL_DISK_SLOTS_H */
