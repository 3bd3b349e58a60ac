/* SPDX-License-Identifier: LGPL-2.1-only */
/* What libxl and QEMU call the formats of images. */
#ifndef SNAP_DISK_FORMAT_FORMAT_NAMES_H
#define SNAP_DISK_FORMAT_FORMAT_NAMES_H

/* libxl's word for a format as QEMU's ("vhd" is "vpc"), or NULL. */
const char *snap_qemu_format(const char *libxl_format);
/* The other way, or NULL. */
const char *snap_libxl_format(const char *qemu_format);

#endif /* SNAP_DISK_FORMAT_FORMAT_NAMES_H */
