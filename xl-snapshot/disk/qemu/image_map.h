/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which parts of a qcow2 image are its own, and which does it read from the
 * image below?  As qemu-img map says it, window by window.
 */
#ifndef SNAP_DISK_QEMU_IMAGE_MAP_H
#define SNAP_DISK_QEMU_IMAGE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/rc.h"

struct snap_range {
    uint64_t at, end;
};

struct snap_image_map {
    const char *path;
    uint64_t size; /* of the disk */
    /* Is a part of this kind wanted?  depth as qemu-img map says it: 0 is the
     * image itself; zero: it reads as zeroes; present: there is something */
    bool (*wants)(void *opaque, int64_t depth, bool zero, bool present);
    /* Once for each window; non-zero ends it. */
    int (*each)(void *opaque, const struct snap_range *r, size_t n,
                struct snap_err *err);
    void *opaque;
    int (*tick)(void *opaque); /* as in lib/run.h */
    void *tick_opaque;
    const struct snap_log *log;
};

/* The wanted parts, in their order, neighbours joined. */
int snap_image_map(const struct snap_image_map *m, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_IMAGE_MAP_H */
