/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The lock of a domain's folder in the store.
 */
#ifndef SNAP_STORE_LOCK_H
#define SNAP_STORE_LOCK_H

#include <stdbool.h>

#include "lib/log.h"
#include "lib/rc.h"
#include "store/folder.h"

/* Take the domain's lock (flock, so a dead owner never blocks).  If another
 * command holds it: SNAP_BUSY naming pid and command, or, when wait is set,
 * one NOTE and then waiting. */
int snap_store_lock(struct snap_store *s, bool wait, const char *command,
                    const struct snap_log *log, struct snap_err *err);
/* Likewise, but others may have it so at the same time: whoever changes nothing
 * in the folder, and needs that nobody else does. */
int snap_store_lock_shared(struct snap_store *s, bool wait,
                           const char *command, const struct snap_log *log,
                           struct snap_err *err);
/* The lock of a dead parent, in a descriptor that it left us: it is ours now,
 * and says so.  SNAP_REFUSED if fd is not that. */
int snap_store_inherit(struct snap_store *s, int fd, const char *command,
                       struct snap_err *err);
/*
 * The lock of the store itself, ROOT/lock, for who begins something: it is held
 * for as long as it takes to see what others have in hand and to write down what
 * one is about to do, and never while a guest stands, somebody is waited for, or
 * data is moved.  Taken after the domain's.  SNAP_BUSY, naming who has it, at
 * once.  Let go of by snap_store_close().
 */
int snap_store_lock_whole(struct snap_store *whole_r, const char *root,
                          const char *command, struct snap_err *err);
void snap_store_unlock(struct snap_store *s);
/* Who holds the lock, "snapshot-create (pid 123)"; NULL: nobody who lives.
 * By the lock's text, without taking it: good for a message and no more.
 * Caller frees. */
char *snap_store_worker(const struct snap_store *s);

#endif /* SNAP_STORE_LOCK_H */
