/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The product's drivers.  A new one is a file here with its table, a line in
 * this list and in disk/drivers.h, and a tests/tools/test_conformance_NAME.c
 * with the variants that the suite is run over.
 */
#include "disk/drivers.h"

const struct snap_disk_driver *const snap_disk_drivers[] = {
    &snap_disk_qcow2_internal,
    &snap_disk_overlay,
    NULL,
};
