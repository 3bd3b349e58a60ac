/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who inside the kernel has an image, which no process shows: loop devices,
 * and of a device mounts, the device mapper, md, swap.
 */
#ifndef SNAP_DISK_FILE_IN_KERNEL_H
#define SNAP_DISK_FILE_IN_KERNEL_H

#include <stdbool.h>
#include <sys/stat.h>

/* "/dev/loop0 (mounted at /mnt)", or NULL; caller frees.  st is path's.
 * Without readers, what can only read it does not count. */
char *snap_kernel_user(const char *path, const struct stat *st, bool readers);

#endif /* SNAP_DISK_FILE_IN_KERNEL_H */
