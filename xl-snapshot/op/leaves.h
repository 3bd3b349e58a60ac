/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What an intent says of each disk that a snapshot is brought back on: the new
 * leaf, and what goes for it.  For whoever brings one back, as the domain that
 * it is of or as another.
 */
#ifndef SNAP_OP_LEAVES_H
#define SNAP_OP_LEAVES_H

#include "op/intent.h"

/* The key in a plan, for op->disks. */
#define SNAP_LEAVES "leaves"

/* Those planned in the parts of rec. */
struct snap_json *snap_leaves_json(const struct snap_record *rec);
/* From in->disks into the parts of in->rec. */
int snap_leaves_read(struct snap_intent *in, struct snap_err *err);
/* For op->check. */
int snap_leaves_check(struct snap_intent *in, struct snap_err *err);

/* Both of a revert and of a clone (op/op.h): what is brought back is read, or
 * changes in place, and the leaf and what goes are changed. */
int snap_leaves_uses(struct snap_intent *in, struct snap_uses *u,
                     struct snap_err *err);

#endif /* SNAP_OP_LEAVES_H */
