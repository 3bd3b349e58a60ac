/* SPDX-License-Identifier: LGPL-2.1-only */
/* How a session gets its domain's folder, and the lock. */
#ifndef SNAP_OP_SESSION_OPEN_H
#define SNAP_OP_SESSION_OPEN_H

#include "op/session.h"

/* How a session is opened. */
struct snap_entry {
    const char *command; /* "snapshot-create", for who waits for us */
    bool wait; /* for another command */
    bool shared; /* nothing is changed in its folder: others may do likewise at
                  * the same time */
    bool dry_run; /* no lock, and only told what would be recovered */
    bool make; /* its folder in the store, if it has none */
    const char *snapshot; /* that the command is about: SNAP_NOTFOUND if there
                           * is no such folder.  NULL: none */
};
/* The domain's folder is opened and locked, a domain that reboots is waited for,
 * and what an earlier command left is recovered, which is said.  SNAP_BUSY;
 * SNAP_RECOVER: what is left cannot be put right, so nothing else may be done. */
int snap_session_open(struct snap_session *s, const struct snap_entry *how,
                      struct snap_err *err);

#endif /* SNAP_OP_SESSION_OPEN_H */
