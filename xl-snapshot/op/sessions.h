/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Several domains, while one command has them all in hand: a session each
 * (op/session.h), all of them or none.  Whoever takes several locks takes them
 * in the order of the domains' UUIDs, so that no two commands wait for each
 * other, whatever order their users named the domains in.
 */
#ifndef SNAP_OP_SESSIONS_H
#define SNAP_OP_SESSIONS_H

#include "op/session_open.h"

struct snap_sessions {
    struct snap_session *v; /* by UUID */
    size_t n;
};

/*
 * Each who is found as snap_session_find() does, opened as snap_session_open()
 * does, and once all are locked looked at with snap_session_look(), since a
 * lock further down may have been waited for.  how->snapshot: one that each of
 * them must have a folder for.  On failure the message names the domain, those
 * that were opened are let go, the last first, and ss is empty.  What a recovery
 * had put right by then stays so.
 * SNAP_INVAL, before anything is locked: no domain, or one named twice.  Else as
 * those three.
 */
int snap_sessions_open(struct snap_sessions *ss, struct snap_env *env,
                       const char *const *who, size_t n,
                       const struct snap_entry *how, struct snap_err *err);
/* Lets all go, the last first.  Idempotent. */
void snap_sessions_close(struct snap_sessions *ss);

/* The one with this UUID, or NULL. */
struct snap_session *snap_sessions_find(const struct snap_sessions *ss,
                                        const char *uuid);

#endif /* SNAP_OP_SESSIONS_H */
