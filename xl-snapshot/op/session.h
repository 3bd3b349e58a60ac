/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One domain, while a command has it in hand: who it is, whether it exists, its
 * folder in the store, locked, and what is known of it.  A plan is a session
 * and what the command is about to do.
 *
 * In this order: snap_session_init(), snap_session_find() or an UUID from
 * elsewhere, snap_session_open() (op/session_open.h), snap_session_look(); then
 * the rest.
 */
#ifndef SNAP_OP_SESSION_H
#define SNAP_OP_SESSION_H

#include "lib/space.h"
#include "model/env.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

struct snap_session {
    struct snap_env *env; /* borrowed */
    char op_id[17]; /* of this command */
    char uuid[37];
    char *name; /* as it is called now, or as the user called it */
    bool there; /* it exists: dom is it */
    struct snap_domain dom; /* else empty, or what is known of one that is off,
                             * with domid UINT32_MAX */
    struct snap_store store; /* locked, unless it is only looked at */
    bool lent; /* it is closed by somebody else */
    struct snap_state state;
    struct snap_record *all; /* every record of it, where one asked */
    size_t n_all;
    struct snap_qmp *qmp; /* its QEMU, where one asked, or NULL */
    struct snap_space space; /* that its disks are to have, or take */
    char **notes; /* for people: "xvdc: CD-ROM, left out" */
    size_t n_notes;
};
#define SNAP_SESSION_INIT           \
    {                               \
        .store = { .lock_fd = -1 }, \
    }

/* Empty, with an op_id of its own.  Whatever comes of it, dispose it. */
int snap_session_init(struct snap_session *s, struct snap_env *env,
                      struct snap_err *err);
/* Likewise, for who has locked the store already and keeps it: with that, and
 * with no op_id. */
void snap_session_lend(struct snap_session *s, struct snap_env *env,
                       const struct snap_store *store);
/* For who does several things one after the other: the session is as after
 * snap_session_open(), with another op_id. */
int snap_session_again(struct snap_session *s, struct snap_err *err);
/* Closes the store, unless it is lent, which gives up its lock.  Idempotent. */
void snap_session_dispose(struct snap_session *s);

/* Who is it: a domain that exists, by its name, number or UUID, or else one
 * that the store knows, by UUID or the name that it had.  Fills in uuid, name,
 * there and dom.  No lock is held, so it may change: snap_session_look().
 * SNAP_NOTFOUND; SNAP_INVAL if two were called so. */
int snap_session_find(struct snap_session *s, const char *who,
                      struct snap_err *err);
/* The same for one that exists: the store is not asked. */
int snap_session_find_there(struct snap_session *s, const char *who,
                            struct snap_err *err);

/* Session open.  The domain as it is by now: we may have waited, or repaired.
 * One that reboots or is being built is waited for.  That it does not exist is
 * success, but for one that was saved when the host went down: SNAP_BUSY. */
int snap_session_look(struct snap_session *s, struct snap_err *err);

/* For its drivers; borrows the session. */
void snap_session_ctx(struct snap_session *s, struct snap_disk_ctx *ctx);

#endif /* SNAP_OP_SESSION_H */
