/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whose pause is it?  A domain that we paused had some processor time by then,
 * which the journal holds.  If it has had more since, somebody let it go on,
 * and who paused it again is not us.
 */
#ifndef SNAP_OP_PAUSED_H
#define SNAP_OP_PAUSED_H

#include "model/env.h"
#include "store/journal.h"

/* We have just paused dom: a note, which costs the guest next to nothing.
 * Without one (we die before, or Xen does not tell) a pause counts as ours. */
void snap_paused_note(struct snap_env *env, struct snap_journal *j,
                      const struct snap_domain *dom, const char *step);
/* dom is paused, and e is such a note: has it stood since? */
int snap_paused_since(struct snap_env *env, const struct snap_domain *dom,
                      const struct snap_journal_entry *e, bool *since_r,
                      struct snap_err *err);

#endif /* SNAP_OP_PAUSED_H */
