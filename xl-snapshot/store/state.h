/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * state.json: where a domain is now.  It belongs to the folder, so whoever changes
 * it has the lock.
 */
#ifndef SNAP_STORE_STATE_H
#define SNAP_STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

/* Where the domain is: the snapshot it descends from, and the leaf of each
 * disk as we last left it.  made: created by us (revert or create), so it may
 * be dropped once nobody needs it. */
struct snap_leaf {
    char *vdev;
    char *kind; /* NULL: a file */
    char *path; /* its name */
    char *format;
    char *stem;
    bool made;
    char *mount; /* where a file's file system was mounted then, or NULL */
};
struct snap_object snap_leaf_object(const struct snap_leaf *l);
/* Of a clone: the snapshot it was made from. */
struct snap_origin {
    char *uuid; /* of the domain whose snapshot that is; NULL: no clone */
    char *domain; /* its name then */
    char *name;
    char *id;
};
struct snap_state {
    char *current; /* name, or NULL */
    char *domain_name;
    struct snap_origin origin;
    struct snap_leaf *leaves;
    size_t n;
};
void snap_origin_dispose(struct snap_origin *o);
void snap_state_dispose(struct snap_state *st);
int snap_state_load(const struct snap_store *s, struct snap_state *st_r,
                    struct snap_err *err); /* missing file: empty */
/* The domain was never there.  Idempotent. */
int snap_state_remove(const struct snap_store *s, struct snap_err *err);
int snap_state_save(const struct snap_store *s, const struct snap_state *st,
                    struct snap_err *err);
const struct snap_leaf *snap_state_leaf(const struct snap_state *st,
                                        const char *vdev);
/* o may be borrowed from the leaf that it takes the place of. */
void snap_state_set_leaf(struct snap_state *st, const char *vdev,
                         struct snap_object o, const char *stem, bool made);

#endif /* SNAP_STORE_STATE_H */
