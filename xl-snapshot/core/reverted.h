/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The two ends of a revert, shared by revert and recover: finish it after its
 * commit point, or undo it before.
 */
#ifndef SNAP_CORE_REVERTED_H
#define SNAP_CORE_REVERTED_H

#include "core/revert.h"

/* What recover needs to know of a revert. */
struct snap_json *snap_reverted_plan_json(const struct snap_revert_plan *p,
                                          bool paused_after, bool no_metadata);
/* The leaves planned for the parts of rec, for such a plan's "leaves". */
struct snap_json *snap_reverted_leaves_json(const struct snap_record *rec);
/* Put the planned leaves of such a plan back into the parts of its record. */
int snap_reverted_plan_parts(const struct snap_json *plan,
                             struct snap_record *rec, struct snap_err *err);

/* The new domain is there.  Drops what served undo and leaves that nobody
 * needs, moves the state.  Idempotent.  What cannot be dropped is an error, so
 * that the journal stays and recover tries again; with last_try, a warning. */
int snap_reverted_finish(struct snap_env *env, const struct snap_store *s,
                         struct snap_record *rec, struct snap_state *state,
                         bool no_metadata, bool last_try, const char *op_id,
                         struct snap_err *err);

/* The domain that ran before. */
struct snap_reverted_old {
    const char *uuid; /* NULL: none ran */
    const char *config; /* to boot it again; NULL: never touched */
    bool paused; /* it was */
    bool other; /* one that is there was started by somebody else since */
};

/*
 * Undo every part, and see to it that the old domain is there: what a
 * destruction that was cut short left of it is let run on if its QEMU still
 * lives, or else destroyed; and if there is none, it is booted from its
 * configuration, which is then said in *booted_r.  Idempotent.
 */
int snap_reverted_undo(struct snap_env *env, struct snap_part *parts, size_t n,
                       const struct snap_reverted_old *old, const char *op_id,
                       bool *booted_r, struct snap_err *err);

#endif /* SNAP_CORE_REVERTED_H */
