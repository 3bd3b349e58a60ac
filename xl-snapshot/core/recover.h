/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finish or undo what an interrupted command left.  The journal says where to
 * look; the domain and the images say what is there.  Before its commit point
 * a snapshot is undone if nothing was taken, and finished if it was.
 */
#ifndef SNAP_CORE_RECOVER_H
#define SNAP_CORE_RECOVER_H

#include "core/env.h"
#include "core/journal.h"
#include "core/store.h"

/* Store locked.  No journal: success, *what_r NULL.  Otherwise *what_r says in
 * one sentence what was done (or, with dry_run, would be looked at).
 * SNAP_RECOVER if it could not be finished; running it again is safe. */
int snap_recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                 char **what_r, struct snap_err *err);

/* Where every command that changes something begins: the store is locked, wait
 * or not, and what an earlier command left is recovered, which is said.
 * dry_run: no lock, and only told what would be recovered. */
int snap_enter(struct snap_env *env, struct snap_store *s, const char *command,
               bool wait, bool dry_run, struct snap_err *err);

/* Store locked: writes down, durably, what op ("create") is about to do, after
 * a look whether snap_recover() could read it: SNAP_FAIL if not, which is a
 * defect of ours, and nothing has been done. */
int snap_recover_plan(const struct snap_env *env, const struct snap_store *s,
                      const char *op, const struct snap_json *plan,
                      struct snap_journal *j, struct snap_err *err);

#endif /* SNAP_CORE_RECOVER_H */
