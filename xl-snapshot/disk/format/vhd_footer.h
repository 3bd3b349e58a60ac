/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * QEMU opens a differencing VHD as if it were a whole disk, and its parent's
 * data reads as zeros.  So the kind of a VHD is looked at here.
 */
#ifndef SNAP_DISK_FORMAT_VHD_FOOTER_H
#define SNAP_DISK_FORMAT_VHD_FOOTER_H

#include "lib/rc.h"

/* 0: a fixed or dynamic VHD.  SNAP_REFUSED: a differencing one.
 * SNAP_CORRUPT: neither its head nor its end is a VHD footer. */
int snap_vhd_check(const char *path, struct snap_err *err);

#endif /* SNAP_DISK_FORMAT_VHD_FOOTER_H */
