/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who has an image open for writing.  QEMU opens a PV guest's image without
 * taking its lock, so a lock proves nothing: what counts is what domains have
 * it (asked through the driver's context) and what processes and loop devices
 * hold it.
 */
#ifndef SNAP_DISK_IN_USE_H
#define SNAP_DISK_IN_USE_H

#include <stdbool.h>

#include "disk/driver.h"

/* *who_r: "qemu-system-i38 (process 123)" or NULL; caller frees.  A path that
 * does not exist is used by nobody. */
int snap_image_writer(const char *path, char **who_r, struct snap_err *err);
/* SNAP_BUSY, naming who, if a domain (other than c->domid) or any process
 * could write to it. */
int snap_image_check_unused(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err);
/* The same, and nobody even reads it. */
int snap_image_check_closed(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err);

#endif /* SNAP_DISK_IN_USE_H */
