/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a create leaves to its recovery, which finishes or undoes it. */
#ifndef SNAP_OP_CREATE_FINISH_H
#define SNAP_OP_CREATE_FINISH_H

#include "op/create.h"
#include "op/intent.h"

extern const struct snap_op snap_op_create;

/* What recovery needs to know; borrows of p. */
void snap_create_intent(struct snap_create_plan *p,
                        const struct snap_create_req *req,
                        struct snap_intent *in);

#endif /* SNAP_OP_CREATE_FINISH_H */
