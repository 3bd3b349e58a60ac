/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whose is the domain that is there while a revert or a clone is not over?  A
 * guest that anybody else started, unpaused, renamed or rebuilt is never
 * touched: what is destroyed here is proved to be ours, and to have never run.
 */
#ifndef SNAP_OP_OWNED_H
#define SNAP_OP_OWNED_H

#include "model/env.h"
#include "store/record.h"

enum snap_owner {
    SNAP_OWNER_NONE, /* there is no such domain */
    SNAP_OWNER_BEFORE, /* the one of before, by its number, in this boot */
    SNAP_OWNER_OURS, /* built by this operation or its undo, perhaps by half,
                      * paused, has never run; or dying anyway, so that to
                      * destroy it is to wait */
    SNAP_OWNER_DONE, /* built by it, and somebody has let it run: it stands on
                      * all that the operation was to make */
    SNAP_OWNER_AGAIN, /* the one of before, which an undo has booted again */
    SNAP_OWNER_OTHER, /* anything else: somebody else's */
};

/* What the operation knows. */
struct snap_owned {
    const char *uuid;
    const char *name; /* that the new domain was to have; NULL: any */
    const char *op_id; /* the mark that it was given */
    const struct snap_part *parts; /* with the planned leaves */
    size_t n_parts;
    uint32_t domid; /* of the one before; UINT32_MAX: there was none */
    bool other_boot; /* the operation began before the host was booted */
};

/* The mark of what an undo boots again.  Static text would not do: two of one
 * domain must differ. */
void snap_owned_again(const char *op_id, char mark_r[17]);

/* Looks for the domain; dom_r (zeroed) is filled unless it is NONE.  An error
 * is never an answer: SNAP_BUSY if two have this UUID. */
int snap_owned_look(struct snap_env *env, const struct snap_owned *o,
                    struct snap_domain *dom_r, enum snap_owner *who_r,
                    struct snap_err *err);

/* Ends the domain that was found to be OURS.  It is held by a pause of its own
 * first, and looked at once more: if somebody has taken it over since, it is as
 * he left it, and dom and *who_r say what it is now.  One that has gone
 * meanwhile is success. */
int snap_owned_destroy(struct snap_env *env, const struct snap_owned *o,
                       struct snap_domain *dom, enum snap_owner *who_r,
                       struct snap_err *err);

#endif /* SNAP_OP_OWNED_H */
