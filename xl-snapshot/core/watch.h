/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Progress of a file that somebody else writes: a thread looks at its size a
 * few times a second and reports.
 */
#ifndef SNAP_CORE_WATCH_H
#define SNAP_CORE_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/env.h"

struct snap_watch {
    const struct snap_progress *progress;
    const char *what;
    int fd;
    uint64_t total;
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopped;
};

/* progress NULL: does nothing.  fd must stay open until stop. */
void snap_watch_start(struct snap_watch *w,
                      const struct snap_progress *progress, const char *what,
                      int fd, uint64_t total);
void snap_watch_stop(struct snap_watch *w);

#endif /* SNAP_CORE_WATCH_H */
