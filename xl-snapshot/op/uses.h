/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The objects that an operation has in hand, and whether two operations can be
 * under way at the same time.  One image may be known to the store under several
 * UUIDs, for an xl.cfg without a uuid gives its domain another with each xl
 * create; so the locks of the domains do not tell.
 */
#ifndef SNAP_OP_USES_H
#define SNAP_OP_USES_H

#include "model/disk_object.h"
#include "model/env.h"

enum snap_use_how {
    SNAP_USE_READ, /* it, and all that it reads through, has to stay as it is */
    SNAP_USE_CHANGE, /* it is made, written to, frozen, renamed or removed */
};

struct snap_use {
    char *kind, *id, *format;
    enum snap_use_how how;
};

struct snap_uses {
    struct snap_use *v;
    size_t n;
};

/* No object (id NULL) is none. */
void snap_uses_add(struct snap_uses *u, struct snap_object o,
                   enum snap_use_how how);
void snap_uses_dispose(struct snap_uses *u);

/* An object of a's that the one changes and the other has in hand, or reads
 * through, or NULL; lives as long as a.  Reads headers of images; what cannot
 * be read stands alone, since nobody can work with it either. */
const char *snap_uses_clash(struct snap_env *env, const struct snap_uses *a,
                            const struct snap_uses *b);

#endif /* SNAP_OP_USES_H */
