/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a deletion's intent says of each disk. */
#ifndef SNAP_OP_DELETE_INTENT_H
#define SNAP_OP_DELETE_INTENT_H

#include "op/delete.h"
#include "op/intent.h"

/* What becomes of the disks of rec, for intent->disks. */
struct snap_json *snap_deletion_disks(const struct snap_record *rec,
                                      const struct snap_delete *del);

/* What becomes of each part of in->rec, which gets the tag that it goes by.
 * SNAP_CORRUPT: nothing is in *del_r.  snap_deletion_free() it. */
int snap_deletion_read(struct snap_intent *in, struct snap_delete **del_r,
                       struct snap_err *err);
void snap_deletion_free(struct snap_delete **del, size_t n);
/* For op->check. */
int snap_deletion_check(struct snap_intent *in, struct snap_err *err);

/* Both of a deletion (op/op.h). */
int snap_deletion_uses(struct snap_intent *in, struct snap_uses *u,
                       struct snap_err *err);

#endif /* SNAP_OP_DELETE_INTENT_H */
