/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The other domains of the store, and what of a snapshot they stand on.  A
 * clone is known by its own folder, running or not: state.json there names
 * its images and the snapshot it came from, and the headers of its images
 * tell what it reads.  Once its images are gone there is no clone any more.
 */
#ifndef SNAP_OP_NEIGHBOURS_H
#define SNAP_OP_NEIGHBOURS_H

#include "model/env.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

struct snap_clone_image {
    char *kind, *id, *format; /* of the object */
};
struct snap_clone {
    char uuid[37];
    char *name; /* its last name, or its UUID */
    struct snap_origin origin; /* uuid NULL: not a clone */
    struct snap_clone_image *images; /* that its state and snapshots name */
    size_t n_images;
    bool unfinished; /* a command was interrupted, or is at work */
    char *unseen; /* an image that cannot be seen: why, as a clause; or NULL */
    bool alive; /* a journal, a snapshot or an image of it is there */
};
void snap_clones_free(struct snap_clone **cs, size_t *n);

/* By name, all domains of the store but except (a UUID, or NULL).  Only the states, not
 * the snapshots; a damaged one is warned of in env->log. */
int snap_clones_look(struct snap_env *env, const char *except,
                     struct snap_clone **cs_r, size_t *n_r,
                     struct snap_err *err);
/* The same with the images of their snapshots, for whoever would harm what it
 * does not know of: a state that cannot be read is SNAP_REFUSED, and so is a
 * clone's snapshot. */
int snap_clones_load(struct snap_env *env, const char *except,
                     struct snap_clone **cs_r, size_t *n_r,
                     struct snap_err *err);

/* Is it a living clone of this snapshot? */
bool snap_clone_is_of(const struct snap_clone *c,
                      const struct snap_record *rec);

/* SNAP_REFUSED, naming them and the way out, if any domain of cs reads through
 * what the part froze. */
int snap_clones_stand_on(struct snap_disk_ctx *ctx,
                         const struct snap_clone *cs, size_t n,
                         const struct snap_part *part, struct snap_err *err);

/* May a new domain be called so?  SNAP_EXISTS if a domain has the name, or one
 * of the store that is not there now, but for the one with UUID but (or NULL).
 * Clones of that name that have ended are forgotten, unless it is a dry run. */
int snap_clones_name_free(struct snap_env *env, const char *name,
                          const char *but, bool dry_run, struct snap_err *err);

#endif /* SNAP_OP_NEIGHBOURS_H */
