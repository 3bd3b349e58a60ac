/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What there is to show of a domain's snapshots.  Only looks: takes no lock,
 * recovers nothing, reads of each snapshot the record and no part.
 */
#ifndef SNAP_OP_LISTING_H
#define SNAP_OP_LISTING_H

#include "model/env.h"
#include "store/record.h"

struct snap_listing { /* one domain */
    char uuid[37];
    char *name; /* that it has, or had; its UUID if nobody knows */
    bool there; /* it exists now, and dom describes it */
    struct snap_domain dom;
    char *current; /* snapshot it descends from, or NULL */
    char *interrupted; /* "create": its journal waits; or NULL */
    struct snap_record *rs; /* by time; without configuration */
    size_t n;
};
void snap_listings_free(struct snap_listing **ls, size_t *n);

/*
 * One domain (who: name, number or UUID), or with who NULL all of the store,
 * by name.  env->hyp NULL: the store alone is asked.  Damage is named in
 * env->log (WARN) and left out, as are journals that wait (NOTE); a domain
 * that cannot be read at all is an error only if it was asked for.
 */
int snap_listings_load(struct snap_env *env, const char *who,
                       struct snap_listing **ls_r, size_t *n_r,
                       struct snap_err *err);

#endif /* SNAP_OP_LISTING_H */
