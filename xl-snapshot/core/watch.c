/* SPDX-License-Identifier: LGPL-2.1-only */
/* See watch.h.  The thread only calls fstat() and the progress hook. */
#include "core/watch.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PERIOD_NS 250000000

static void report(struct snap_watch *w, bool last)
{
    struct stat st;
    uint64_t done = fstat(w->fd, &st) ? 0 : (uint64_t)st.st_size;
    uint64_t total = w->total;

    if (last || done > total)
        total = done; /* the estimate was too low */
    if (!last && done == total)
        total++; /* only the last one ends the line */
    w->progress->fn(w->progress->opaque, w->what, done, total);
}

static void *watch(void *arg)
{
    struct snap_watch *w = arg;
    struct timespec at;

    pthread_mutex_lock(&w->lock);
    while (!w->stopped) {
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += PERIOD_NS;
        if (at.tv_nsec >= 1000000000) {
            at.tv_nsec -= 1000000000;
            at.tv_sec++;
        }
        pthread_cond_timedwait(&w->stop, &w->lock, &at);
        if (!w->stopped)
            report(w, false);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void snap_watch_start(struct snap_watch *w,
                      const struct snap_progress *progress, const char *what,
                      int fd, uint64_t total)
{
    sigset_t all, old;

    memset(w, 0, sizeof(*w));
    if (!progress || !progress->fn)
        return;
    w->progress = progress;
    w->what = what;
    w->fd = fd;
    w->total = total;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stop, NULL);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->running = !pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void snap_watch_stop(struct snap_watch *w)
{
    if (!w->running)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopped = true;
    pthread_cond_signal(&w->stop);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    report(w, true);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->stop);
    w->running = false;
}
