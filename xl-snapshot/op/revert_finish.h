/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The two ends of a revert, shared by revert and recover: finish it after its
 * commit point, or undo it before.
 */
#ifndef SNAP_OP_REVERT_FINISH_H
#define SNAP_OP_REVERT_FINISH_H

#include "op/hold.h"
#include "op/intent.h"
#include "op/revert.h"
#include "store/state.h"

extern const struct snap_op snap_op_revert;

/* What recovery needs to know; borrows of p. */
void snap_revert_intent(struct snap_revert_plan *p,
                        const struct snap_revert_req *req,
                        struct snap_intent *in);

/* The images that a revert drops, as the domain has left them (op/stamp.h),
 * for "restored". */
struct snap_json *snap_revert_left_json(const struct snap_env *env,
                                        struct snap_record *rec);

/* The new domain is there.  Drops what served undo and leaves that nobody
 * needs, moves the state.  Idempotent.  What cannot be dropped is an error, so
 * that the journal stays and recover tries again; with last_try, a warning.
 * With last_try somebody may have started the domain on what it had before, and
 * that is its disks then: all of it is kept, and the state names it. */
int snap_revert_finish(struct snap_env *env, const struct snap_store *s,
                       struct snap_record *rec, struct snap_state *state,
                       bool no_metadata, bool last_try, const char *op_id,
                       struct snap_err *err);

/* The domain that ran before, and how far the revert came. */
struct snap_revert_old {
    const char *name; /* of the domain that is built; NULL: not known */
    const char *config; /* to boot it again; NULL: never touched */
    uint32_t domid; /* it had; UINT32_MAX: none ran */
    bool paused; /* it was */
    bool had_qemu;
    bool destroyed; /* its destruction may have begun */
    bool other_boot; /* all that was before the host was booted */
    bool keep; /* the user keeps the disks as they are */
    bool discard; /* or as they were before, whatever was written since */
    struct snap_hold *hold; /* the revert's (hold.h), or NULL: it ends once the
                             * undo has one of its own */
    bool last_try; /* if it cannot be booted for certain, it stays off */
};

/* How an undo ends. */
enum snap_revert_end {
    SNAP_REVERTED_BACK, /* all as before; a domain that is there runs on */
    SNAP_REVERTED_BOOTED, /* likewise, but it had to be booted */
    SNAP_REVERTED_OFF, /* likewise, but it cannot be booted, which was said */
    SNAP_REVERTED_LEFT, /* likewise, and somebody else had started it */
    SNAP_REVERTED_KEEP, /* nothing was undone, as was asked for */
    SNAP_REVERTED_RUNS, /* nothing was undone: somebody has let the new domain
                         * run.  snap_revert_finish() is what is left. */
};

/*
 * Undo every part, and see to it that the old domain is there: what a
 * destruction that was cut short left of it is let run on if its QEMU still
 * lives, or else destroyed; and if there is none, it is booted from its
 * configuration, once nobody has its images open.  A domain that is not ours
 * (op/owned.h) is left alone, and so are the images that it has: SNAP_BUSY
 * with the way out.  Idempotent.
 */
int snap_revert_undo(struct snap_env *env, struct snap_record *rec,
                     const struct snap_revert_old *old, const char *op_id,
                     enum snap_revert_end *end_r, struct snap_err *err);

#endif /* SNAP_OP_REVERT_FINISH_H */
