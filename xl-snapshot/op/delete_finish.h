/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a delete leaves to its recovery, which finishes or undoes it. */
#ifndef SNAP_OP_DELETE_FINISH_H
#define SNAP_OP_DELETE_FINISH_H

#include "op/delete.h"
#include "op/intent.h"
#include "op/op.h"

extern const struct snap_op snap_op_delete;

/* What is about to be done; borrows of p. */
void snap_deletion_intent(struct snap_delete_plan *p, struct snap_intent *in);

#endif /* SNAP_OP_DELETE_FINISH_H */
