/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The record of one complete snapshot, its JSON form (docs/formats.md) and
 * its form as a configuration file for --no-metadata.  Written once; what
 * happens to the disks of others later (a deletion) replaces it whole.  Reading trusts nothing: every path, name, size and enum is
 * checked, an unknown major format is refused.
 */
#ifndef SNAP_STORE_RECORD_H
#define SNAP_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json.h"
#include "model/disk_ops.h"
#include "model/hyp_ops.h"

#define SNAP_RECORD_FORMAT     2
#define SNAP_RECORD_FORMAT_OLD 1 /* had paths where there are objects now */
#define SNAP_RECORD_MAX        (8u << 20) /* bytes */

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

struct snap_json *snap_record_to_json(const struct snap_record *r);
/* what names the source in messages; drivers resolve part->drv.  Ends in
 * snap_record_check_draft(), since journals hold records too; who needs a
 * whole one asks snap_record_complete(). */
int snap_record_from_json(const struct snap_json *j, const char *what,
                          const struct snap_disk_driver *const *drivers,
                          struct snap_record *r_out, struct snap_err *err);
/* The same without the domain's configuration: config_json stays NULL, and
 * of domain_config nothing but its type is looked at. */
int snap_record_from_json_brief(const struct snap_json *j, const char *what,
                                const struct snap_disk_driver *const *drivers,
                                struct snap_record *r_out,
                                struct snap_err *err);
/* One disk's object of a record: the outcome, without progress and plan.
 * from_json() leaves tag and hvm to its caller; what names the disk. */
struct snap_json *snap_part_to_json(const struct snap_part *p);
int snap_part_from_json(const struct snap_json *j, const char *what,
                        const struct snap_disk_driver *const *drivers,
                        struct snap_part *p_out, struct snap_err *err);
#endif /* SNAP_STORE_RECORD_H */
