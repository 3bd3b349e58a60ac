/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A second process that outlives us.  It is started before the guest is
 * stopped, holds the store's lock with us (so that nobody else gets in before
 * it has ended), and listens:
 *
 *  - we say that the guest runs again: it ends;
 *  - we are dead: it lets the guest go on, and then recovers what we left
 *    (op/recover.h), so that nothing is half done for long;
 *  - we live, and the guest stands, and nothing is heard of us for a while
 *    (stopped, frozen, hung in a system call): it lets the guest go on.  The
 *    memory image is torn then, which resume() tells us by SNAP_BUSY.
 *
 * It never gives up a guest that stands.
 */
#ifndef SNAP_OP_GUARDIAN_H
#define SNAP_OP_GUARDIAN_H

#include <sys/types.h>

#include "model/env.h"
#include "store/store.h"

struct snap_guardian {
    pid_t pid; /* 0: none */
    int fd; /* our end of the line; -1 */
};
#define SNAP_GUARDIAN_INIT \
    {                      \
        .fd = -1           \
    }

/* What is done to the guest. */
struct snap_guarded {
    const struct snap_domain *dom;
    bool suspend; /* by save(); else by pause() */
};

/* Start it and wait (5 s at most) until it is ready.  Guest running, store
 * locked.  env->self_exe NULL: nothing is started, and that is success. */
int snap_guardian_start(struct snap_env *env, const struct snap_store *s,
                        const struct snap_guarded *what,
                        struct snap_guardian *g, struct snap_err *err);

/* Three words to it; none waits or fails, and any thread may say them. */
/* The guest may stand from now on.  Before that it has nothing to let go. */
void snap_guardian_window(struct snap_guardian *g);
/* Something got on.  Said at least every few seconds while the guest stands,
 * by whoever sees that it is so. */
void snap_guardian_beat(struct snap_guardian *g);
/* All is taken, and the user wants the guest to stay paused. */
void snap_guardian_stays(struct snap_guardian *g);

/* The guest runs again: dismiss it.  Waits 2 s at most for its end, and ends
 * it then.  Idempotent; never fails. */
void snap_guardian_end(struct snap_guardian *g);
/* The guest stands, and we cannot change that: it goes on trying, without us.
 * It keeps the store's lock. */
void snap_guardian_leave(struct snap_guardian *g);

/* The guardian itself (op/guard.c); argv is between the two.  env's hyp is
 * not open yet.  Returns an exit status. */
int snap_guardian_main(struct snap_env *env, int argc, char **argv);
/* For how long it tries to tell Xen the new images before it lets the guest go
 * on; tests on a machine that has other work wait longer. */
extern unsigned snap_guard_tell_ms;

/* The words. */
#define SNAP_GUARD_READY   'r'
#define SNAP_GUARD_EXPOSED 'x' /* likewise, but it ends with our unit */
#define SNAP_GUARD_WINDOW  'w'
#define SNAP_GUARD_BEAT    'b'
#define SNAP_GUARD_STAYS   's'
#define SNAP_GUARD_DONE    'd'

/* argv */
enum {
    SNAP_GUARD_UUID,
    SNAP_GUARD_DOMID,
    SNAP_GUARD_NAME,
    SNAP_GUARD_MONITOR,
    SNAP_GUARD_SUSPEND, /* 0, 1 */
    SNAP_GUARD_WAS_PAUSED, /* 0, 1 */
    SNAP_GUARD_PARENT, /* pid */
    SNAP_GUARD_STALL, /* ms */
    SNAP_GUARD_LOCK, /* descriptor, or -1 */
    SNAP_GUARD_ROOT, /* of the store */
    SNAP_GUARD_ARGC,
};

#endif /* SNAP_OP_GUARDIAN_H */
