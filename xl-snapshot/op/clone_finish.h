/* SPDX-License-Identifier: LGPL-2.1-only */
/* What clone and its recovery share. */
#ifndef SNAP_OP_CLONE_FINISH_H
#define SNAP_OP_CLONE_FINISH_H

#include "op/clone.h"
#include "op/intent.h"

extern const struct snap_op snap_op_clone;

/* What recovery needs to know; borrows of p. */
void snap_clone_intent(struct snap_clone_plan *p,
                       const struct snap_clone_req *req,
                       struct snap_intent *in);

/* s: the clone's, locked; rec: the snapshot with the planned leaves.  Before
 * the commit: the domain, which has never run, its images and its state go.
 * Not if somebody has let it run, or started it, though it may be off again:
 * then nothing goes, and *there_r says that the clone is there.  name: it was
 * to have; other_boot: the host was booted since.  The journal is left to the
 * caller.  Idempotent. */
int snap_clone_undo(struct snap_env *env, struct snap_store *s,
                    struct snap_record *rec, const char *name,
                    const char *op_id, bool other_boot, bool *there_r,
                    struct snap_err *err);

#endif /* SNAP_OP_CLONE_FINISH_H */
