/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Clone: a new domain from a snapshot of another, which does not notice.  Its
 * disks are new images over the frozen ones, or copies of what is inside an
 * image; its memory, if it takes that, is the snapshot's.
 */
#ifndef SNAP_OP_CLONE_H
#define SNAP_OP_CLONE_H

#include "model/env.h"
#include "model/request.h"
#include "op/session.h"
#include "store/record.h"

struct snap_clone_plan {
    /* The snapshot's domain; locked, shared with other clones (not if dry_run) until the store knows of
     * the clone, so that nobody deletes the snapshot from under it. */
    struct snap_session ses;
    char uuid[37]; /* of the clone */
    struct snap_record rec; /* the snapshot; parts with leaf_* planned */
    bool memory; /* it wakes up from the snapshot's memory */
    int mem_fd; /* memory image, checked; -1 */
    char *config_json; /* to build it with */
    char **macs;
    size_t n_macs;
    char **left_out; /* disks it does not get */
    size_t n_left_out;
};
void snap_clone_plan_dispose(struct snap_clone_plan *p);

int snap_clone_plan_make(struct snap_env *env,
                         const struct snap_clone_req *req, bool dry_run,
                         struct snap_clone_plan *p, struct snap_err *err);

struct snap_clone_result {
    struct snap_domain dom; /* the clone; nothing with no_start */
    double total_ms;
    bool built; /* on SNAP_RECOVER too: what is noted in the plan is so */
};
void snap_clone_result_dispose(struct snap_clone_result *r);

int snap_clone_run(struct snap_env *env, const struct snap_clone_req *req,
                   struct snap_clone_plan *p, struct snap_clone_result *res,
                   struct snap_err *err);

#endif /* SNAP_OP_CLONE_H */
