/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Was somebody at an image since we last knew it?  Its time stamp tells, and
 * its size; a device has none.
 */
#ifndef SNAP_DISK_FILE_IMAGE_STAMP_H
#define SNAP_DISK_FILE_IMAGE_STAMP_H

#include <sys/stat.h>

#include "model/disk_ops.h"

int64_t snap_stat_mtime_ns(const struct stat *st);
/* The image as it is now; not known if it is no file, or is not there. */
void snap_image_stamp(const char *path, struct snap_stamp *now_r);
/* Is it another one than then?  NULL: no. */
bool snap_image_differs(const char *path, const struct snap_stamp *then);

#endif /* SNAP_DISK_FILE_IMAGE_STAMP_H */
