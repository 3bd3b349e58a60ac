/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * While a revert, or the undo of one, changes images in place, the domain is
 * off, and nothing but this keeps its user from starting it: on some disks of
 * one moment and some of another.  So all of them are held together, from
 * before the first is touched until after the last.
 *
 * If others get a new image, an xl.cfg goes on naming their old ones, which
 * fit those that were changed no more.  They are held until the new domain is
 * there, whose name and UUID no other can have then.
 */
#ifndef SNAP_OP_HOLD_H
#define SNAP_OP_HOLD_H

#include "model/env.h"
#include "op/revert.h"

/* Zero-initialise; snap_hold_end() may be called at any time. */
struct snap_hold {
    struct snap_env *env;
    struct snap_image_guard *changed; /* what is changed in place */
    struct snap_image_guard *left; /* what the domain had, and leaves */
};

/* Domain gone, before the first revert_switch().  SNAP_BUSY: somebody has an
 * image that would be changed; none is held then.  c is borrowed. */
int snap_hold_begin(struct snap_hold *h, struct snap_env *env,
                    struct snap_disk_ctx *c, const struct snap_revert_plan *p,
                    struct snap_err *err);
/* After the last one: the new domain may open what is its own. */
void snap_hold_switched(struct snap_hold *h);
/* Before the first revert_undo(); also what that would refuse. */
int snap_hold_begin_undo(struct snap_hold *h, struct snap_env *env,
                         struct snap_disk_ctx *c,
                         const struct snap_record *rec, struct snap_err *err);
void snap_hold_end(struct snap_hold *h);

#endif /* SNAP_OP_HOLD_H */
