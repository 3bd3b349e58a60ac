/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * QEMU's ImageInfo, as qemu-img prints it and query-named-block-nodes returns
 * it: the same object, read in one place.
 */
#ifndef SNAP_DISK_QEMU_IMAGE_INFO_H
#define SNAP_DISK_QEMU_IMAGE_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/json.h"

struct snap_image_tag {
    unsigned count; /* snapshots of this name */
    bool id_clash; /* another one has the name as its ID */
    int64_t date; /* epoch seconds of the (last) one */
    int64_t id; /* of the (last) one; 0 if it is no number */
};

uint64_t snap_image_size(const struct snap_json *image);
size_t snap_image_snapshots(const struct snap_json *image);
bool snap_image_corrupt(const struct snap_json *image);
bool snap_image_has_bitmaps(const struct snap_json *image);
/* The highest ID of its snapshots, or 0: QEMU gives each new one a higher one
 * (find_new_snapshot_id() of QEMU). */
int64_t snap_image_last_id(const struct snap_json *image);
void snap_image_find_tag(const struct snap_json *image, const char *tag,
                         struct snap_image_tag *t_r);

#endif /* SNAP_DISK_QEMU_IMAGE_INFO_H */
