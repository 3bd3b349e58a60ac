/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-delete: give up a snapshot, and let no other one, no chain and no
 * domain lose anything by it.  One snapshot after another, each an operation
 * of its own with a plan, a journal and a commit point.
 */
#ifndef SNAP_OP_DELETE_H
#define SNAP_OP_DELETE_H

#include "model/env.h"
#include "model/request.h"
#include "op/session.h"
#include "store/record.h"

/* All that a command is about to do. */
struct snap_delete_plan {
    struct snap_session ses;
    char **names; /* snapshots, in the order in which they go */
    size_t n_names;
    /* the first of them: */
    struct snap_record rec;
    struct snap_delete *del; /* one a part of rec */
};
void snap_delete_plan_dispose(struct snap_delete_plan *p);

/* Finds the snapshots, recovers if need be, and plans the first one.  Touches
 * nothing.  dry_run: no lock. */
int snap_delete_plan_make(struct snap_env *env,
                          const struct snap_delete_req *req, bool dry_run,
                          struct snap_delete_plan *p, struct snap_err *err);
/* The same for the i-th of p->names, in place of what was planned before. */
int snap_delete_plan_next(struct snap_env *env, struct snap_delete_plan *p,
                          size_t i, struct snap_err *err);
/* Store's own lock held, before the first step: does another domain need by now
 * what is about to be changed?  As the plan asked; SNAP_REFUSED. */
int snap_delete_plan_others(struct snap_delete_plan *p, struct snap_err *err);
/* What becomes of this part, in a few words; caller frees. */
char *snap_delete_what(const struct snap_part *part,
                       const struct snap_delete *d);

struct snap_delete_result {
    size_t n_done; /* of p->names; on failure, too */
    bool left; /* the one in hand is gone, and not all that goes with it: of
                * what is noted in the plan there is only what is so by now */
    double total_ms;
    /* Called for each snapshot that is gone, p still describing it. */
    void (*done)(void *opaque, const struct snap_delete_plan *p);
    void *opaque;
};

/* Carries it out.  SNAP_INTR and other failures: the snapshot in hand is as
 * it was, those before it (n_done) are gone.  SNAP_RECOVER: it is gone, and
 * what it left is not all tidied up. */
int snap_delete_run(struct snap_env *env, struct snap_delete_plan *p,
                    struct snap_delete_result *res, struct snap_err *err);

#endif /* SNAP_OP_DELETE_H */
