/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A second process that outlives us.  It is started before the window, waits
 * on a pipe, and does nothing if we say that the guest runs again.  If the
 * pipe ends without that word, we are dead: it resumes or unpauses the guest
 * and lets its monitor go on.  It never touches disks or the store.
 */
#ifndef SNAP_CORE_GUARDIAN_H
#define SNAP_CORE_GUARDIAN_H

#include <sys/types.h>

#include "core/env.h"

struct snap_guardian {
    pid_t pid; /* 0: none */
    int fd; /* write end; -1 */
};
#define SNAP_GUARDIAN_INIT \
    {                      \
        .fd = -1           \
    }

/* Start it and wait (5 s at most) until it is ready.  Guest running.
 * env->self_exe NULL: nothing is started, and that is success. */
int snap_guardian_start(struct snap_env *env, const struct snap_domain *dom,
                        struct snap_guardian *g, struct snap_err *err);
/* The guest runs again: dismiss it.  Idempotent; never fails. */
void snap_guardian_end(struct snap_guardian *g);

/* The guardian itself: argv = UUID MONITOR-PID WAS-PAUSED(0|1).  env's hyp is
 * not open yet; opened only if needed.  Returns an exit status. */
int snap_guardian_main(struct snap_env *env, int argc, char **argv);

#endif /* SNAP_CORE_GUARDIAN_H */
