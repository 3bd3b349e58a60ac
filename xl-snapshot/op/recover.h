/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finish or undo what an interrupted command left.  The journal says where to
 * look; the domain and the images say what is there.  Before its commit point
 * a snapshot is undone if nothing was taken, and finished if it was.
 */
#ifndef SNAP_OP_RECOVER_H
#define SNAP_OP_RECOVER_H

#include "model/env.h"
#include "store/journal.h"
#include "store/store.h"

/* Store locked.  No journal: success, *what_r NULL.  Otherwise *what_r says in
 * one sentence what was done (or, with dry_run, would be looked at).
 * SNAP_RECOVER if it could not be finished; running it again is safe. */
int snap_recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                 char **what_r, struct snap_err *err);

/* What only the caller can know: a command that waits for the answer to its
 * own doings, the guardian, or the user. */
struct snap_recovery {
    bool rescued; /* the caller has let the guest go on */
    bool stood; /* until then, as the command had left it */
    /* What its user wants to become of disks that an unfinished revert has
     * changed, and that somebody has written to since: they stay as they are,
     * and the revert is given up; or they become what they were before it.
     * Without either, that is SNAP_RECOVER. */
    bool keep, discard;
    bool take_over; /* also what another machine left */
    bool tell; /* the caller wants "stale" */
    int why; /* out: the rc behind a SNAP_RECOVER; SNAP_RECOVER itself: it
              * has to be decided by hand, and does not pass */
    /* out, after success: what its user has to change in the domain's xl.cfg
     * now (op/stale.h), a line each, or NULL */
    char *stale;
};
int snap_recover_how(struct snap_env *env, struct snap_store *s,
                     struct snap_recovery *how, bool dry_run, char **what_r,
                     struct snap_err *err);
/* That, as notes, and lets go of it. */
void snap_recover_say_stale(const struct snap_env *env,
                            struct snap_recovery *how);
/*
 * For the guardian, before it lets the guest of a create or a delete go on:
 * what QEMU writes to by now becomes known to Xen, so that no reboot finds the
 * image that it has left.  Store open, and the lock held by the command or by
 * us.
 * hangs: the command lives, with libxl's locks and QEMU's ear; then only what
 * its journal says is believed.  Success as well if there is nothing to tell.
 * Does not change the store, but may wait: the caller sets the limit.
 */
int snap_recover_known(struct snap_env *env, struct snap_store *s,
                       uint32_t domid, bool hangs, struct snap_err *err);

#endif /* SNAP_OP_RECOVER_H */
