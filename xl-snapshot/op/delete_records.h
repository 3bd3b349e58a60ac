/* SPDX-License-Identifier: LGPL-2.1-only */
/* What the other records, and the state, have to do with a deletion. */
#ifndef SNAP_OP_DELETE_RECORDS_H
#define SNAP_OP_DELETE_RECORDS_H

#include "op/delete_view.h"
#include "store/state.h"

/* Records that freeze an image which was changed are brought up to date:
 * what a pull wrote to, or, with inside, what had a snapshot removed. */
int snap_deletion_refreeze(const struct snap_deletion *x, bool inside,
                           struct snap_err *err);
/* The tail of it: the snapshot is in nobody's history any more.  all: the n
 * records that are left. */
int snap_deletion_forget(const struct snap_deletion *x,
                         struct snap_record *all, size_t n,
                         struct snap_err *err);

/* For who asks what stands on an image: more that may be over the one that
 * goes. */
void snap_deletion_know_object(struct snap_delete *d, struct snap_object o,
                               bool frozen);
/* What the domain has. */
void snap_deletion_set_leaf(struct snap_delete *d, struct snap_object o);
void snap_deletion_know(struct snap_delete *d, const struct snap_record *rs,
                        size_t n);
void snap_deletion_know_state(struct snap_delete *d,
                              const struct snap_state *state);

#endif /* SNAP_OP_DELETE_RECORDS_H */
