/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the user asked for: options and configuration file merged into one
 * struct, with every conflict and every unknown key refused.  Nothing here
 * looks at a domain or an image.
 */
#ifndef SNAP_MODEL_REQUEST_H
#define SNAP_MODEL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"
#include "model/cfg.h"
#include "model/disk_ops.h"
#include "model/diskspec.h"

enum snap_memory_want { SNAP_MEM_DEFAULT, SNAP_MEM_YES, SNAP_MEM_NO };

struct snap_create_req {
    char *domain;
    char *name; /* NULL: epoch seconds, made by create */
    char *description;
    enum snap_memory_want memory;
    char *memory_file; /* absolute; NULL: in the store */
    int live; /* -1 not said, 0, 1 */
    bool paused;
    bool reuse_external;
    bool keep_path;
    bool no_metadata;
    char *output; /* FILE of --output */
    char *domain_config; /* xl.cfg of a domain that does not run, or NULL */
    bool no_wait;
    enum snap_disk_type type; /* default for all disks; AUTO: best */
    struct snap_disk_choice *disks;
    size_t n_disks;
    /* where each single setting was said, for conflict messages; NULL: not */
    char *origin_name, *origin_description, *origin_memory, *origin_live;
    char *origin_type;
};
void snap_create_req_dispose(struct snap_create_req *r);

struct snap_revert_req {
    char *domain;
    char *name; /* NULL with config_file */
    char *config_file;
    bool disk_only; /* boot from the disks, though there is memory */
    bool eject_missing; /* an ISO that is gone: without it */
    bool paused;
    bool no_wait;
};
void snap_revert_req_dispose(struct snap_revert_req *r);

struct snap_clone_req {
    char *domain;
    char *name; /* of the snapshot */
    char *new_name; /* of the clone */
    char *dir; /* absolute; NULL: beside the images of the snapshot */
    bool disk_only; /* boot from the disks, though there is memory */
    bool eject_missing; /* an ISO that is gone: without it */
    bool paused;
    bool no_start; /* only the images */
    bool no_wait;
};
void snap_clone_req_dispose(struct snap_clone_req *r);

struct snap_delete_req {
    char *domain;
    char *name;
    bool children; /* and all that descend from it */
    bool children_only; /* those, and not itself */
    bool no_wait;
};
void snap_delete_req_dispose(struct snap_delete_req *r);

/* Append a choice; a second one for the same vdev is a conflict that names
 * both origins.  c is the request's, or gone, also on failure. */
int snap_create_req_add_disk(struct snap_create_req *r,
                             struct snap_disk_choice *c, /* moved */
                             struct snap_err *err);

/*
 * Merge a parsed file into r, which holds the options.  Keys: name,
 * description, memory ("yes", "no", absolute path), type, live (0/1),
 * disk or disks (not both), quiesce ("none" only), creationtime (ignored on
 * input as the RFC says, noted).  A key given by both that disagrees is an
 * error that names both places; an unknown key is an error with file:line and
 * the nearest known key.  Keys that --output writes for revert (format,
 * domain, uuid, domain_config, memory_size, memory_checksum, created, id,
 * consistency) are refused here with the hint that the file is for
 * snapshot-revert.
 */
int snap_create_req_merge(struct snap_create_req *r,
                          const struct snap_cfg *cfg, struct snap_err *err);
/* Conflicts among the options themselves (--live with --disk-only, --paused
 * without …, --output without --no-metadata, memory path relative, internal
 * with target=, and so on), after merging. */
int snap_create_req_check(const struct snap_create_req *r,
                          struct snap_err *err);

#endif /* SNAP_MODEL_REQUEST_H */
