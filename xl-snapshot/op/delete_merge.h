/* SPDX-License-Identifier: LGPL-2.1-only */
/* After the record is gone: the active image of a disk goes down into the one
 * that the snapshot froze. */
#ifndef SNAP_OP_DELETE_MERGE_H
#define SNAP_OP_DELETE_MERGE_H

#include "op/delete_view.h"

/* Until what the domain has is known everywhere, and the old overlay is gone.
 * Once the disk may have changed over, no failure but SNAP_RECOVER. */
int snap_deletion_merge(struct snap_deletion *x, struct snap_deletion_now *now,
                        struct snap_part *p, struct snap_delete *d,
                        struct snap_err *err);
/* Or it is given up: nothing works on, and the state, which is not saved, names
 * what the domain has, or had last. */
int snap_deletion_keep_merge(struct snap_deletion *x,
                             struct snap_deletion_now *now,
                             struct snap_part *p, struct snap_delete *d,
                             struct snap_err *err);

#endif /* SNAP_OP_DELETE_MERGE_H */
