/* SPDX-License-Identifier: LGPL-2.1-only */
/* Who else in the store needs an object that is about to go. */
#ifndef SNAP_OP_NEEDED_H
#define SNAP_OP_NEEDED_H

#include "model/disk_object.h"
#include "model/env.h"

/* Does a record of another domain than uuid need this object?  One that had this
 * one's name and disks before, for instance: an xl.cfg without a uuid gets
 * another with each xl create.  What cannot be read may need it. */
int snap_others_need(struct snap_env *env, const char *uuid,
                     struct snap_object o, bool *need_r, struct snap_err *err);

/* Did a snapshot of another domain than uuid move its domain away from this
 * object and freeze it, so that it must not be changed in place?  What cannot be
 * read may have. */
int snap_others_freeze(struct snap_env *env, const char *uuid,
                       struct snap_object o, bool *freeze_r,
                       struct snap_err *err);

#endif /* SNAP_OP_NEEDED_H */
