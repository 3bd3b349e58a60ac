/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a delete leaves to its recovery, which finishes or undoes it. */
#ifndef SNAP_OP_DELETE_FINISH_H
#define SNAP_OP_DELETE_FINISH_H

#include "op/op.h"

extern const struct snap_op snap_op_delete;

#endif /* SNAP_OP_DELETE_FINISH_H */
