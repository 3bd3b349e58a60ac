/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The product's drivers.  A new one is a file here with its table, a line in
 * this list, a page in docs/ and a row in tests/tools/conformance.c.
 */
#include "disk/drivers.h"

const struct snap_disk_driver *const snap_disk_drivers[] = {
    &snap_disk_qcow2_internal,
    &snap_disk_overlay,
    NULL,
};
