/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The tables of the product's drivers, for disk/table.c and the tests that
 * want one of them by name.
 */
#ifndef SNAP_DISK_DRIVERS_H
#define SNAP_DISK_DRIVERS_H

#include "model/disk_ops.h"

extern const struct snap_disk_driver snap_disk_qcow2_internal;
extern const struct snap_disk_driver snap_disk_overlay;

#endif /* SNAP_DISK_DRIVERS_H */
