/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Is every part of a snapshot still there and whole?  The same questions that
 * a revert asks before it touches anything.  Changes nothing, takes no lock.
 */
#ifndef SNAP_OP_VERIFY_H
#define SNAP_OP_VERIFY_H

#include "model/env.h"
#include "store/record.h"
#include "store/store.h"

struct snap_check { /* of one part */
    char *part; /* "memory", or the virtual disk's name */
    char *problem; /* NULL: it is whole */
};

/*
 * env->hyp open; dom: the domain, if it exists, else NULL; rec as
 * snap_store_get() gave it, and only to be disposed of afterwards.  Disks
 * first, then memory, which may take long (env->progress), then, if they are
 * not there, images that are in no snapshot and that the domain cannot be
 * started without: CDs, read-only disks.  A part that is
 * not whole is a result and no error.
 */
int snap_check_record(struct snap_env *env, const struct snap_store *s,
                      const struct snap_domain *dom, struct snap_record *rec,
                      struct snap_check **checks_r, size_t *n_r,
                      struct snap_err *err);
void snap_checks_free(struct snap_check **checks, size_t *n);

#endif /* SNAP_OP_VERIFY_H */
