/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-revert: prove the snapshot usable, prepare the new leaves, only
 * then destroy the domain, switch, and build it again.
 */
#ifndef SNAP_OP_REVERT_H
#define SNAP_OP_REVERT_H

#include "model/env.h"
#include "model/request.h"
#include "op/session.h"
#include "store/record.h"

struct snap_revert_plan {
    struct snap_session ses; /* the domain, if it exists, will be destroyed */
    struct snap_record rec;
    char *config_json; /* what the new domain is built from, with
                                     * the leaves not yet in it */
    char *old_config; /* of the running domain, to go back */
    bool memory; /* it wakes up from the snapshot's memory */
    int mem_fd; /* -1 without memory */
};
void snap_revert_plan_dispose(struct snap_revert_plan *p);

/* Reads and verifies everything; touches nothing.  dry_run: no lock. */
int snap_revert_plan_make(struct snap_env *env,
                          const struct snap_revert_req *req, bool dry_run,
                          struct snap_revert_plan *p, struct snap_err *err);

/* What the new domain is built from, with its leaves.  *json_r is new. */
int snap_revert_config(const struct snap_revert_plan *p, char **json_r,
                       struct snap_err *err);
/* SNAP_BUSY: a domain that somebody saves or migrates is not ended. */
int snap_revert_refuse_suspended(const struct snap_domain *dom,
                                 struct snap_err *err);
/* Can it be built, once the domain that runs now is gone?  wait: for somebody
 * who builds another to be done, for ten minutes and with a note; else SNAP_BUSY
 * then. */
int snap_revert_can_build(struct snap_env *env,
                          const struct snap_revert_plan *p, const char *config,
                          bool wait, struct snap_err *err);

struct snap_revert_result {
    struct snap_domain dom; /* the new domain */
    double down_ms; /* from destroy to running */
    double total_ms;
    bool running_before;
    bool reverted; /* on SNAP_RECOVER too: what is noted in the plan is so */
};
void snap_revert_result_dispose(struct snap_revert_result *r);

int snap_revert_run(struct snap_env *env, const struct snap_revert_req *req,
                    struct snap_revert_plan *p, struct snap_revert_result *r,
                    struct snap_err *err);

#endif /* SNAP_OP_REVERT_H */
