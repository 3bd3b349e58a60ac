/* SPDX-License-Identifier: LGPL-2.1-only */
/* Finding a domain by what people call it, also one that does not run. */
#ifndef SNAP_OP_RESOLVE_H
#define SNAP_OP_RESOLVE_H

#include "lib/rc.h"
#include "model/env.h"

/* who: a UUID, or the name a domain had at its last snapshot command, or, if
 * that cannot be read, at its newest snapshot.  SNAP_NOTFOUND; SNAP_INVAL if
 * two domains with snapshots had that name.  Asks no hypervisor. */
int snap_store_resolve(const struct snap_env *env, const char *who,
                       char uuid_r[37], struct snap_err *err);

/* The domain that exists and has this name, number or UUID; dom is empty
 * before.  SNAP_NOTFOUND.  Every command finds its domain by this. */
int snap_find_domain(struct snap_env *env, const char *who,
                     struct snap_domain *dom, struct snap_err *err);

/* The same as snap_store_resolve() for any domain: who may also be the name,
 * the number or the UUID of one that exists.  env->hyp NULL: the store alone
 * is asked. */
int snap_resolve(struct snap_env *env, const char *who, char uuid_r[37],
                 struct snap_err *err);

/* UUIDs of the domains in the store, but one, that had this name at their last
 * snapshot command and have snapshots: an xl.cfg without a uuid gets another
 * UUID with each xl create.  What cannot be read is passed over. */
void snap_namesakes(const struct snap_env *env, const char *name,
                    const char *except, char ***uuids_r, size_t *n_r);
/* err says that domain uuid, called name, has no such snapshot.  Adds which
 * namesake has one, if any; returns rc. */
int snap_hint_namesake(const struct snap_env *env, const char *name,
                       const char *uuid, const char *snapshot, int rc,
                       struct snap_err *err);

#endif /* SNAP_OP_RESOLVE_H */
