/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A command that lives, and does not know what became of what it asked for: a
 * QEMU that answers late may still do it.  The guest runs by now; we wait, and
 * finish or undo, before we end.
 */
#ifndef SNAP_OP_SETTLE_H
#define SNAP_OP_SETTLE_H

#include "model/env.h"
#include "store/store.h"

/* Store locked, journal let go of, no connection to QEMU open, guest running.
 * Recovers, again and again if need be, for env->late_ms at most; ends early
 * where waiting cannot help, or when asked to.  *what_r as from snap_recover().
 * SNAP_RECOVER: the journal is still there. */
int snap_settle(struct snap_env *env, struct snap_store *s, const char *domain,
                char **what_r, struct snap_err *err);

#endif /* SNAP_OP_SETTLE_H */
