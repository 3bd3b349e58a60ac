/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Was a snapshot inside a qcow2 image brought back, and was the image written
 * to since?
 */
#ifndef SNAP_DISK_FORMAT_QCOW2_WRITTEN_H
#define SNAP_DISK_FORMAT_QCOW2_WRITTEN_H

#include <stdbool.h>

#include "lib/rc.h"

/*
 * Nobody has the image open.  tag and other: names of snapshots inside it, of
 * which one is, or is just being, made the active state ("qemu-img snapshot
 * -a", done, torn or not begun).  *written_r: the active state has something
 * that is in neither.  Reads only.  SNAP_NOTFOUND: a snapshot is not there;
 * SNAP_CORRUPT: the image says what cannot be.
 */
int snap_qcow2_written(const char *path, const char *tag, const char *other,
                       bool *written_r, struct snap_err *err);

/* Nobody has the image open.  *active_r: its active state is, cluster for
 * cluster, what the snapshot tag has.  Reads only; fails likewise. */
int snap_qcow2_active(const char *path, const char *tag, bool *active_r,
                      struct snap_err *err);

#endif /* SNAP_DISK_FORMAT_QCOW2_WRITTEN_H */
