/* SPDX-License-Identifier: LGPL-2.1-only */
/* Where a file's file system is mounted. */
#ifndef SNAP_LIB_MOUNT_H
#define SNAP_LIB_MOUNT_H

/* The folder on which the file system is mounted that has, or would have, a
 * file of this name; the last part of the name need not exist, nor the folders
 * above it.  NULL if the kernel does not say (before Linux 5.8).  Caller
 * frees. */
char *snap_mount_of(const char *path);

#endif /* SNAP_LIB_MOUNT_H */
