/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finish or undo what an interrupted command left.  The journal says where to
 * look; the domain and the images say what is there.  Before its commit point
 * a snapshot is undone if nothing was taken, and finished if it was.
 */
#ifndef SNAP_OP_RECOVER_H
#define SNAP_OP_RECOVER_H

#include "model/env.h"
#include "op/recovery_how.h"
#include "store/store.h"

/* Store locked.  No journal: success, *what_r NULL.  Otherwise *what_r says in
 * one sentence what was done (or, with dry_run, would be looked at).
 * SNAP_RECOVER if it could not be finished; running it again is safe. */
int snap_recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                 char **what_r, struct snap_err *err);

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
