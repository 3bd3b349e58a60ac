/* SPDX-License-Identifier: LGPL-2.1-only */
/* Finding a domain that does not run by what the store knows of it. */
#ifndef SNAP_CORE_RESOLVE_H
#define SNAP_CORE_RESOLVE_H

#include "lib/rc.h"

/* who: a UUID, or the name a domain had at its last snapshot command.
 * SNAP_NOTFOUND; SNAP_INVAL if two domains had that name. */
int snap_store_resolve(const char *root, const char *who, char uuid_r[37],
                       struct snap_err *err);

#endif /* SNAP_CORE_RESOLVE_H */
