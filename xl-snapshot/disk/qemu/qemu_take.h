/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The instant itself, for both drivers that work through QEMU: one QMP
 * transaction over all disks of a group, or, with the domain off, the same
 * with qemu-img, undone if one of them fails.
 */
#ifndef SNAP_DISK_QEMU_QEMU_TAKE_H
#define SNAP_DISK_QEMU_QEMU_TAKE_H

#include "model/disk_ops.h"

/* The group of both drivers.  take() with SNAP_RECOVER: QEMU did not answer,
 * and what it did is not known; any other failure: nothing is active that was
 * not before. */
extern const struct snap_group snap_qemu_group;

/* Write back what the host's cache holds of an image, guest running, so that
 * the flush inside the transaction has little left to do.  Failure is said
 * in the log only. */
void snap_qemu_preflush(struct snap_disk_ctx *c, const char *path);

/* Delete a snapshot inside the disk that has this file.  One that is not
 * there is success. */
int snap_qemu_drop_tag(struct snap_disk_ctx *c, const char *path,
                       const char *tag, struct snap_err *err);
/*
 * Make the base of an active overlay active again: what was written to the
 * overlay is merged into it.  The file name under which QEMU opened the base
 * must name the base again (QEMU reopens it by name).  0 also if QEMU does
 * not have the overlay.
 */
int snap_qemu_merge_back(struct snap_disk_ctx *c, const char *overlay,
                         struct snap_err *err);

#endif /* SNAP_DISK_QEMU_QEMU_TAKE_H */
