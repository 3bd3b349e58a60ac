/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the header of a qcow2 image says, read without running a tool: cheap
 * enough for every check, and it works when the backing file is missing.
 */
#ifndef SNAP_DISK_FORMAT_QCOW2_HEADER_H
#define SNAP_DISK_FORMAT_QCOW2_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/rc.h"

#define SNAP_QCOW2_BACKING_MAX 1023 /* bytes, by the format */

struct snap_qcow2 {
    bool begins; /* like a qcow2 image; true of a damaged one as well */
    uint32_t version;
    uint64_t size; /* guest-visible bytes */
    uint32_t snapshots;
    bool dirty, corrupt, data_file; /* incompatible features */
    bool encrypted;
    unsigned refcount_bits;
    bool bitmaps;
    /* No cluster of data was ever allocated.  To be relied on only if nobody
     * has the image open. */
    bool unwritten;
    char *backing; /* as it stands in the header, or NULL */
    char *backing_format; /* QEMU's word, or NULL */
};

/* h_r must be zeroed.  SNAP_NOTFOUND; SNAP_CORRUPT if it is no qcow2 image of
 * version 2 or 3. */
int snap_qcow2_read(const char *path, struct snap_qcow2 *h_r,
                    struct snap_err *err);
/* A cluster is counted once for the image and once for each snapshot inside:
 * would its count hold n more of those? */
bool snap_qcow2_has_room(const struct snap_qcow2 *h, unsigned n);
void snap_qcow2_dispose(struct snap_qcow2 *h);

#endif /* SNAP_DISK_FORMAT_QCOW2_HEADER_H */
