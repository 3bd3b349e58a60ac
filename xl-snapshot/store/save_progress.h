/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A file that somebody else writes, front to back: a thread looks at its size
 * a few times a second.  It reports, says that something gets on, and follows
 * the writer: what is written goes into the checksum while it is still in
 * memory, and is sent to the disk, so that neither has to be waited for at the
 * end.
 */
#ifndef SNAP_STORE_SAVE_PROGRESS_H
#define SNAP_STORE_SAVE_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/file.h"
#include "model/env.h"

struct snap_watched {
    const struct snap_progress *progress; /* or NULL */
    const char *what;
    int fd; /* stays open until stop */
    uint64_t total; /* an estimate */
    struct snap_hash *tail; /* or NULL; the thread's until stop */
    /* From the thread, whenever the file has grown; or NULL. */
    void (*grew)(void *opaque);
    void *opaque;
};

struct snap_save_progress {
    struct snap_watched of;
    uint64_t size; /* as last seen */
    uint64_t sent; /* to the disk, up to here */
    uint64_t dropped; /* from memory */
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopped;
};

void snap_save_progress_start(struct snap_save_progress *w,
                              const struct snap_watched *of);
/* Idempotent. */
void snap_save_progress_stop(struct snap_save_progress *w);

#endif /* SNAP_STORE_SAVE_PROGRESS_H */
