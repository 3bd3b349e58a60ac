/* SPDX-License-Identifier: LGPL-2.1-only */
/* An image that nobody may write to any more. */
#ifndef SNAP_DISK_FILE_IMAGE_PROTECT_H
#define SNAP_DISK_FILE_IMAGE_PROTECT_H

#include <stdbool.h>

#include "lib/log.h"
#include "lib/rc.h"

/* The immutable attribute: what keeps root's QEMU from writing. */
int snap_image_protect(const char *path, struct snap_err *err);
int snap_image_unprotect(const char *path, struct snap_err *err);
bool snap_image_protected(const char *path);
/* Can it be made so?  Not on NFS. */
bool snap_image_can_protect(const char *path);

#endif /* SNAP_DISK_FILE_IMAGE_PROTECT_H */
