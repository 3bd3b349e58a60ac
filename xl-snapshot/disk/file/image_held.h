/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The images that a guard of this process keeps everybody from.  A domain that
 * names one of them cannot have opened it, so it is not its user.
 */
#ifndef SNAP_DISK_FILE_IMAGE_HELD_H
#define SNAP_DISK_FILE_IMAGE_HELD_H

#include <stdbool.h>

/* by: who holds it, until it drops all that it holds.  What is not there is
 * not held. */
void snap_image_held_add(const char *path, const void *by);
void snap_image_held_drop(const void *by);
/* By whatever name. */
bool snap_image_is_held(const char *path);

#endif /* SNAP_DISK_FILE_IMAGE_HELD_H */
