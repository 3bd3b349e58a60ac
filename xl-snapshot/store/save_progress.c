/* SPDX-License-Identifier: LGPL-2.1-only */
/* See save_progress.h.  What goes wrong in the thread goes wrong again, and is
 * said, when the file is finished (store/memfile.c). */
#include "store/save_progress.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PERIOD_NS 250000000
#define CHUNK     (8u << 20) /* read at a time: grew() is not kept waiting */
/* Behind the writer: pages under way to the disk, and those that are there. */
#define SEND_MIN (16u << 20)
#define KEEP     (64u << 20)

static void report(struct snap_save_progress *w, bool last)
{
    const struct snap_progress *p = w->of.progress;
    uint64_t done = w->size, total = w->of.total;

    if (!p || !p->fn)
        return;
    if (last || done > total)
        total = done; /* the estimate was too low */
    if (!last && done == total)
        total++; /* only the last one ends the line */
    p->fn(p->opaque, w->of.what, done, total);
}

static void save_progress_look(struct snap_save_progress *w)
{
    struct stat st;
    uint64_t size = fstat(w->of.fd, &st) ? 0 : (uint64_t)st.st_size;

    if (size > w->size && w->of.grew)
        w->of.grew(w->of.opaque);
    w->size = size;
}

static bool is_stopped(struct snap_save_progress *w)
{
    bool stopped;

    pthread_mutex_lock(&w->lock);
    stopped = w->stopped;
    pthread_mutex_unlock(&w->lock);
    return stopped;
}

/* On their way to the disk, and what was sent long ago out of the cache: the
 * sync at the end is short then, and the guests' pages stay.  Hints, both. */
static void send(struct snap_save_progress *w, uint64_t done)
{
    uint64_t old;

    if (done - w->sent < SEND_MIN)
        return;
    sync_file_range(w->of.fd, (off_t)w->sent, (off_t)(done - w->sent),
                    SYNC_FILE_RANGE_WRITE);
    w->sent = done;
    old = done > KEEP ? done - KEEP : 0;
    if (old <= w->dropped)
        return;
    posix_fadvise(w->of.fd, (off_t)w->dropped, (off_t)(old - w->dropped),
                  POSIX_FADV_DONTNEED);
    w->dropped = old;
}

/* Up to the writer, as far as it has come by now. */
static void follow(struct snap_save_progress *w)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    uint64_t done, left;

    while (w->of.tail && !is_stopped(w)) {
        done = snap_hash_done(w->of.tail);
        if (done >= w->size)
            break;
        left = w->size - done;
        if (snap_hash_read(w->of.tail, w->of.fd, "",
                           left < CHUNK ? left : CHUNK, &ignored))
            break;
        send(w, snap_hash_done(w->of.tail));
        save_progress_look(w);
    }
}

static void *save_progress_watch(void *arg)
{
    struct snap_save_progress *w = arg;
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
        if (w->stopped)
            break;
        pthread_mutex_unlock(&w->lock);
        save_progress_look(w);
        report(w, false);
        follow(w);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void snap_save_progress_start(struct snap_save_progress *w,
                              const struct snap_watched *of)
{
    sigset_t all, old;

    memset(w, 0, sizeof(*w));
    w->of = *of;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stop, NULL);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->running = !pthread_create(&w->thread, NULL, save_progress_watch, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void snap_save_progress_stop(struct snap_save_progress *w)
{
    if (!w->running)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopped = true;
    pthread_cond_signal(&w->stop);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    save_progress_look(w);
    report(w, true);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->stop);
    w->running = false;
}
