/* SPDX-License-Identifier: LGPL-2.1-only */
/* Where a file's file system is mounted. */
#ifndef SNAP_LIB_MOUNT_H
#define SNAP_LIB_MOUNT_H

#include <stdbool.h>

/* The folder on which the file system is mounted that has, or would have, a
 * file of this name; the last part of the name need not exist, nor the folders
 * above it.  A folder that is only bound onto itself is none.  NULL if the kernel does not say (before Linux 5.8).  Caller
 * frees. */
char *snap_mount_of(const char *path);
/* A file that is not there is not gone if its file system is not mounted where
 * it was (mount: what snap_mount_of() said then, or NULL); what lies in the mount
 * point proves nothing.  In doubt false. */
bool snap_mount_missing(const char *path, const char *mount);

#endif /* SNAP_LIB_MOUNT_H */
