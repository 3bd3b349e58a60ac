/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A guest that reboots is not there for some seconds: its domain is destroyed
 * and built anew by its monitor, xl's daemon.  What is done to its images
 * meanwhile, as to those of a domain that is off, would keep its next QEMU
 * from them, and the guest would be gone.  Likewise one that was saved when the
 * host went down, and is restored when it is up.
 */
#ifndef SNAP_OP_ABSENT_H
#define SNAP_OP_ABSENT_H

#include "model/env.h"

/* All may be called at any time, and change nothing. */

/* As find_uuid() of hyp_ops.h, but a domain that is not there while a monitor
 * of that name is (NULL: nothing is known), or that is being built, is waited
 * for, up to env->build_ms.  may_stop: the user's interrupt ends that.
 * SNAP_NOTFOUND: nobody is about to build it.  SNAP_BUSY: it is still not
 * there; SNAP_INTR. */
int snap_absent_find(struct snap_env *env, const char *uuid, const char *name,
                     bool may_stop, struct snap_domain *dom,
                     struct snap_err *err);
/* The waiting alone: 0, SNAP_BUSY or SNAP_INTR.  One that was there at once,
 * though it is being built, is not waited for. */
int snap_absent_wait(struct snap_env *env, const char *uuid, const char *name,
                     bool may_stop, struct snap_err *err);
/* It is not there: SNAP_BUSY if its memory was saved when the host went down,
 * and will go on from there with the disks that it had.  since: a file; an
 * image that is older than this does not count (NULL: each counts). */
int snap_absent_saved(struct snap_env *env, const char *uuid, const char *name,
                      const char *since, struct snap_err *err);

#endif /* SNAP_OP_ABSENT_H */
