/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A guest that reboots is not there for some seconds: its domain is destroyed
 * and built anew by its monitor, xl's daemon.  What is done to its images
 * meanwhile, as to those of a domain that is off, would keep its next QEMU
 * from them, and the guest would be gone.
 */
#ifndef SNAP_CORE_ABSENT_H
#define SNAP_CORE_ABSENT_H

#include "core/env.h"

/* Both may be called at any time, and change nothing. */

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

#endif /* SNAP_CORE_ABSENT_H */
