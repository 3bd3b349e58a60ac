/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who has an image open for writing.  QEMU opens a PV guest's image without
 * taking its lock, so a lock proves nothing: what counts is what domains have
 * it (asked through the driver's context), what processes and loop devices hold
 * it, and, of a device, what the kernel itself does with it (in_kernel.h).
 */
#ifndef SNAP_DISK_FILE_IN_USE_H
#define SNAP_DISK_FILE_IN_USE_H

#include <stdbool.h>

#include "model/disk_ops.h"

/* *who_r: "qemu-system-i38 (process 123)" or NULL; caller frees.  A path that
 * does not exist is used by nobody. */
int snap_image_writer(const char *path, char **who_r, struct snap_err *err);
/* The same of who reads it, the domain's own QEMU (c->qmp) left out. */
int snap_image_reader(struct snap_disk_ctx *c, const char *path, char **who_r,
                      struct snap_err *err);
/* SNAP_BUSY, naming who, if a domain (other than c->domid) or any process
 * could write to it. */
int snap_image_check_unused(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err);
/* The same, and nobody but the domain's own QEMU even reads it. */
int snap_image_check_left(struct snap_disk_ctx *c, const char *path,
                          struct snap_err *err);
/* The same, and nobody at all. */
int snap_image_check_closed(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err);
/* SNAP_BUSY if anybody but the domain itself could write to it or, with
 * readers, reads it: domains, the kernel, and processes other than its QEMU.
 * Processes are not asked where the domain runs (c->domid) and which of them is
 * its QEMU is not known (no c->qmp). */
int snap_image_check_others(struct snap_disk_ctx *c, const char *path,
                            bool readers, struct snap_err *err);

#endif /* SNAP_DISK_FILE_IN_USE_H */
