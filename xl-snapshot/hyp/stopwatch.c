/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The moment at which a guest stopped.  libxl_domain_suspend() returns only
 * when the memory is written, and a live save goes on for long before the
 * guest stops; the window that users are told begins here.
 *
 * xenstored fires "@releaseDomain" when any domain shuts down, which is how
 * libxl itself learns of a suspend.  The thread has its own connections, as
 * those of the caller are busy, and of Xen it only reads.
 *
 * It is also the first to know that the guest's images can be snapshotted:
 * at_stop is called here, beside libxl_domain_suspend()'s last round.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hyp/hyp.h"

struct hyp_stopwatch {
    uint32_t domid;
    pthread_t thread;
    bool running;
    int stop_fd;
    libxl_ctx *ctx;
    struct xs_handle *xsh;
    struct hyp_logger logger;
    const struct snap_at_stop *at_stop;
    double stopped_ms; /* written by the thread, read after it */
};

static bool has_suspended(struct hyp_stopwatch *w)
{
    libxl_dominfo info;
    bool yes;

    libxl_dominfo_init(&info);
    yes = !libxl_domain_info(w->ctx, &info, w->domid) && info.shutdown &&
          info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
    libxl_dominfo_dispose(&info);
    return yes;
}

static void *watch(void *arg)
{
    struct hyp_stopwatch *w = arg;
    struct pollfd p[2] = {
        { .fd = xs_fileno(w->xsh), .events = POLLIN },
        { .fd = w->stop_fd, .events = POLLIN },
    };
    double now;
    char **event;

    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            break;
        if (!p[0].revents)
            continue;
        if (p[0].revents & ~POLLIN)
            break;
        now = snap_now_ms();
        while ((event = xs_check_watch(w->xsh)))
            free(event);
        if (has_suspended(w)) {
            w->stopped_ms = now;
            if (w->at_stop)
                w->at_stop->fn(w->at_stop->opaque);
            break;
        }
    }
    return NULL;
}

struct hyp_stopwatch *hyp_stopwatch_start(uint32_t domid,
                                          const struct snap_at_stop *at_stop)
{
    struct hyp_stopwatch *w = snap_zalloc(sizeof(*w));
    sigset_t all, old;

    w->domid = domid;
    w->at_stop = at_stop;
    w->stop_fd = eventfd(0, EFD_CLOEXEC);
    hyp_logger_init(&w->logger, NULL);
    w->ctx = hyp_ctx_new(&w->logger);
    w->xsh = xs_open(0);
    if (w->stop_fd < 0 || !w->ctx || !w->xsh ||
        !xs_watch(w->xsh, "@releaseDomain", "stop"))
        return w;
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->running = !pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return w;
}

double hyp_stopwatch_stop(struct hyp_stopwatch *w)
{
    uint64_t one = 1;

    if (w->running) {
        /* Cannot fail: the counter is far from its limit. */
        if (write(w->stop_fd, &one, sizeof(one)) != sizeof(one))
            abort();
        pthread_join(w->thread, NULL);
        w->running = false;
    }
    return w->stopped_ms;
}

void hyp_stopwatch_free(struct hyp_stopwatch **watch)
{
    struct hyp_stopwatch *w = *watch;

    *watch = NULL;
    if (!w)
        return;
    if (w->xsh)
        xs_close(w->xsh);
    if (w->ctx)
        libxl_ctx_free(w->ctx);
    if (w->stop_fd >= 0)
        close(w->stop_fd);
    pthread_mutex_destroy(&w->logger.lock);
    free(w);
}
