/* SPDX-License-Identifier: LGPL-2.1-only */
/* Finding a domain by what people call it, also one that does not run. */
#ifndef SNAP_CORE_RESOLVE_H
#define SNAP_CORE_RESOLVE_H

#include "core/env.h"
#include "lib/rc.h"

/* who: a UUID, or the name a domain had at its last snapshot command.
 * SNAP_NOTFOUND; SNAP_INVAL if two domains had that name. */
int snap_store_resolve(const char *root, const char *who, char uuid_r[37],
                       struct snap_err *err);

/* The same for any domain: who may also be the name, the number or the UUID of
 * one that exists.  env->hyp NULL: the store alone is asked. */
int snap_resolve(struct snap_env *env, const char *who, char uuid_r[37],
                 struct snap_err *err);

#endif /* SNAP_CORE_RESOLVE_H */
