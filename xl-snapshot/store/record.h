/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The record of one complete snapshot.  Written once; what happens to the disks
 * of others later (a deletion) replaces it whole.
 */
#ifndef SNAP_STORE_RECORD_H
#define SNAP_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json.h"
#include "model/disk_ops.h"
#include "model/hyp_ops.h"

struct snap_record {
    char *id; /* 32 hex digits, random */
    char *name;
    char *description; /* or NULL */
    char *parent; /* name of the snapshot it came after */
    int64_t created; /* epoch seconds */
    char *domain_name;
    char domain_uuid[37];
    enum snap_guest_type guest_type;
    bool paused; /* it was, by the toolstack, before and while it was taken */
    char *consistency; /* "memory", "crash", "offline", … */
    /* libxl's, as at the snapshot: disks name the images that it froze */
    char *config_json;
    bool has_memory;
    bool live;
    char *mem_path;
    uint64_t mem_size; /* bytes of the file */
    char mem_hash[33]; /* XXH3-128, hex */
    uint64_t mem_kb; /* memory the guest had */
    double window_ms; /* how long the guest stood still */
    char *versions; /* Xen, QEMU, ours */
    struct snap_part *parts;
    size_t n_parts;
    char **left_out; /* vdevs not in it */
    size_t n_left_out;
};
void snap_record_dispose(struct snap_record *r);

#endif /* SNAP_STORE_RECORD_H */
