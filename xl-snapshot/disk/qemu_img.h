/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The calls of qemu-img that the drivers make.  Reading never takes the
 * image's lock (-U) and is therefore allowed while a guest runs; whoever
 * calls one of the writing ones has asked snap_image_check_unused() before.
 * Paths are absolute: what begins with "/" is never taken for a protocol.
 */
#ifndef SNAP_DISK_QEMU_IMG_H
#define SNAP_DISK_QEMU_IMG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/rc.h"

/* libxl's word for a format as QEMU's ("vhd" is "vpc"), or NULL. */
const char *snap_qemu_format(const char *libxl_format);
/* The other way, or NULL. */
const char *snap_libxl_format(const char *qemu_format);

/* format is QEMU's and never NULL: a raw disk that a guest has written a
 * qcow2 header to must stay raw.  With chain, *info_r is an array from the
 * image down, else one object. */
int snap_qemu_img_info(const struct snap_log *log, const char *path,
                       const char *format, bool chain,
                       struct snap_json **info_r, struct snap_err *err);
/* Write an empty overlay into target (created or truncated), not opening
 * base.  base_format is QEMU's word. */
int snap_qemu_img_create(const struct snap_log *log, const char *target,
                         const char *base, const char *base_format,
                         uint64_t size, struct snap_err *err);
/* what: "-c", "-a" or "-d". */
int snap_qemu_img_snapshot(const struct snap_log *log, const char *what,
                           const char *tag, const char *path,
                           struct snap_err *err);
/* Write into target (truncated) what the snapshot tag inside a qcow2 image
 * holds.  What the image has from a backing file is left to that. */
int snap_qemu_img_copy_tag(const struct snap_log *log, const char *path,
                           const char *tag, const char *target,
                           struct snap_err *err);
/* Merge a qcow2 overlay into its base; the overlay is left as it is. */
/* Merge a qcow2 overlay into its base; the overlay is left as it is.  tick
 * as in lib/run.h, or NULL. */
int snap_qemu_img_commit(const struct snap_log *log, const char *overlay,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err);
/* Give a qcow2 overlay another backing file (NULL: none), and whatever it
 * reads through the old one and would not through the new. */
int snap_qemu_img_rebase(const struct snap_log *log, const char *overlay,
                         const char *base, const char *base_format,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err);

#endif /* SNAP_DISK_QEMU_IMG_H */
