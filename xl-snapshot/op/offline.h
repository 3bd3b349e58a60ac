/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain that does not run, as far as a snapshot of it needs it: its UUID
 * and its configuration, out of the xl.cfg that the user names or as the store
 * last knew it, and the images that it would write to.  Reads only.
 */
#ifndef SNAP_OP_OFFLINE_H
#define SNAP_OP_OFFLINE_H

#include "model/env.h"
#include "model/request.h"
#include "store/state.h"
#include "store/store.h"

struct snap_offline {
    char *file; /* the xl.cfg, without links; NULL: the store knows */
    /* With file from find() on, else from load() on.  Its disks name the
     * images that the domain would write to, once load() was called. */
    char *config_json;
    bool no_uuid; /* the xl.cfg says none, and nor does the store */
};
void snap_offline_dispose(struct snap_offline *o);

/* Whose snapshot is this?  No lock is held, and nobody has asked yet whether
 * a domain with this UUID exists under another name. */
int snap_offline_find(struct snap_env *env, const struct snap_create_req *req,
                      struct snap_offline *o, char uuid_r[37],
                      struct snap_err *err);
/* The store is locked and its state read.  dom_r (zeroed) describes the
 * domain, with domid UINT32_MAX.  Refuses a configuration that names an image
 * which a snapshot of any domain froze; SNAP_REFUSED, too, if what those froze
 * cannot be told, for a folder of the store or a record in it cannot be read.
 * *note_r (or NULL): what the user should know about where it came from. */
int snap_offline_load(struct snap_env *env, const struct snap_store *s,
                      const struct snap_state *st, struct snap_offline *o,
                      struct snap_domain *dom_r, char **note_r,
                      struct snap_err *err);
/* The same refusals once more, load() having been called: of what commands for
 * other domains have done since. */
int snap_offline_look_again(struct snap_env *env, const struct snap_offline *o,
                            const struct snap_state *st, struct snap_err *err);
/* The first line of the xl.cfg that has this image in it; 0: none, or no
 * xl.cfg. */
unsigned snap_offline_line(const struct snap_offline *o, const char *image);

#endif /* SNAP_OP_OFFLINE_H */
