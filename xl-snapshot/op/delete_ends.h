/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The two ends of a deletion, shared by delete and its recovery: finish it after
 * its commit point, which is the removal of the record, or undo it before.
 */
#ifndef SNAP_OP_DELETE_ENDS_H
#define SNAP_OP_DELETE_ENDS_H

#include "op/delete_view.h"

/* The record is there: stop what works, protect again.  Idempotent. */
int snap_deletion_undo(const struct snap_deletion *x, struct snap_err *err);
/* The record is gone: everything else.  Idempotent. */
int snap_deletion_finish(struct snap_deletion *x, struct snap_err *err);
/* Or: nothing more, whatever is half done.  No job goes on, the state names
 * what the domain has, and every image stays. */
int snap_deletion_keep(struct snap_deletion *x, struct snap_err *err);

#endif /* SNAP_OP_DELETE_ENDS_H */
