/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * From a plan to its journal.  A plan looks at what all domains of the store
 * need, but has the lock of one of them, and may take minutes; so what it saw
 * is looked at once more here, under the lock of the store itself, which is held
 * until the journal says what is being done.  Whoever begins second sees what
 * the first has in hand, or what came of it.
 */
#ifndef SNAP_OP_BEGIN_H
#define SNAP_OP_BEGIN_H

#include "op/intent.h"

/*
 * Store s locked, guest running or off; nothing has been done.  Writes in down,
 * as snap_intent_begin() does.
 *   again(opaque)   asks once more what commands for other domains may have
 *                   changed since the plan; fails if that cannot be carried
 *                   out any more.  NULL: nothing.
 * SNAP_BUSY if the journal of another domain's command, alive or dead, has one
 * of its objects in hand, or if somebody keeps the lock for longer than
 * env->begin_ms.  A journal that cannot be read may have: SNAP_REFUSED, unless
 * the domain is there, so that its disks are in nobody's hand but its QEMU's.
 * On failure there is no journal.
 */
int snap_begin(struct snap_env *env, const struct snap_store *s,
               struct snap_intent *in,
               int (*again)(void *opaque, struct snap_err *err), void *opaque,
               struct snap_journal *j, struct snap_err *err);

#endif /* SNAP_OP_BEGIN_H */
