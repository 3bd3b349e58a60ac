/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What goes on beside libxl_domain_suspend(), which returns only when the
 * memory is written: a thread with connections of its own, that of Xen only
 * reads.
 *
 * It tells the moment at which the guest stopped; a live save goes on for long
 * before, and the window that users are told begins there.  xenstored fires
 * "@releaseDomain" when any domain shuts down, which is how libxl itself
 * learns of a suspend.  It is also the first to know that the guest's images
 * can be snapshotted: at_stop is called here, beside the last round of memory.
 *
 * And it ends a save that must not go on, by libxl_ao_abort(): libxl's own way
 * to let the save helper put the guest right (libxl_save_helper.c:
 * save_signal_handler()).  Signals are not the way: one that reaches the
 * helper kills it, and libxl then forgets watches and timers that point into
 * freed memory (Xen 4.17 to 4.21: domain_save_done()).  That is also why the
 * save has a context of its own: after one that failed it is neither used nor
 * freed any more, for libxl_ctx_free() would abort().
 */
#include "hyp/stopwatch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/savers.h"

#define TICK_MS 250
#define SCAN_MS 1000 /* a look for other saves, beside a live one */

enum { POLL_STOP, POLL_XS, POLL_ASK, N_POLL };

struct hyp_stopwatch {
    uint32_t domid;
    char uuid[37];
    int fd; /* the memory image */
    bool live;
    const struct snap_at_stop *at_stop;
    pthread_t thread;
    bool running;
    int stop_fd, ask_fd;
    libxl_ctx *save_ctx; /* the save's; NULL once it is spoilt */
    libxl_ctx *ctx; /* the thread's own, like all below */
    struct xs_handle *xsh;
    struct hyp_logger logger;
    unsigned requests; /* changes of control/shutdown that were seen */
    bool abort_sent;
    double scanned_ms, grew_ms;
    off_t size;
    struct hyp_watched seen; /* written by the thread, read after it */
};

/* --- what it sees ------------------------------------------------------ */

static void drain_events(struct hyp_stopwatch *w)
{
    char **event;

    while ((event = xs_check_watch(w->xsh))) {
        if (!strcmp(event[XS_WATCH_TOKEN], "request"))
            w->requests++;
        free(event);
    }
}

static void must_end(struct hyp_stopwatch *w, enum hyp_ended why)
{
    if (w->seen.ended == HYP_ENDED_NOT)
        w->seen.ended = why;
}

/* `xl destroy` removes the nodes long before Xen forgets the domain. */
static bool nodes_gone(struct hyp_stopwatch *w)
{
    char path[64];
    unsigned int len;
    void *name;

    snprintf(path, sizeof(path), "/local/domain/%u/name", w->domid);
    name = xs_read(w->xsh, XBT_NULL, path, &len);
    if (name) {
        free(name);
        return false;
    }
    return errno == ENOENT;
}

static void has_stopped(struct hyp_stopwatch *w, double now)
{
    w->seen.stopped_ms = w->grew_ms = now;
    if (w->at_stop) {
        w->seen.called = true;
        w->at_stop->fn(w->at_stop->opaque);
    }
    /* Somebody else's helper that is there now may have had the guest stop,
     * and will let it go on. */
    hyp_saver_find(w->domid, &w->seen.saver);
}

static void stopwatch_look_at_domain(struct hyp_stopwatch *w, double now)
{
    enum hyp_state state;
    char uuid[37];
    int xl = hyp_state_of_domid(w->ctx, w->domid, &state, uuid);

    if (xl && xl != ERROR_DOMAIN_NOTFOUND)
        return;
    if (xl || strcmp(uuid, w->uuid) || state == HYP_SHUTDOWN ||
        state == HYP_DYING || nodes_gone(w))
        must_end(w, HYP_ENDED_GONE);
    else if (state == HYP_SUSPENDED && w->seen.stopped_ms == 0)
        has_stopped(w, now);
}

/* While the guest stands, libxl waits for QEMU without a limit. */
static void look_at_file(struct hyp_stopwatch *w, double now)
{
    struct stat st;

    if (fstat(w->fd, &st))
        return;
    if (st.st_size != w->size) {
        w->size = st.st_size;
        w->grew_ms = now;
    } else if (now - w->grew_ms > hyp_limits.save_stall_ms) {
        must_end(w, HYP_ENDED_STALL);
    }
}

static void look_for_others(struct hyp_stopwatch *w, double now)
{
    if (!w->live || now - w->scanned_ms < SCAN_MS)
        return;
    w->scanned_ms = now;
    if (hyp_saver_find(w->domid, &w->seen.saver))
        must_end(w, HYP_ENDED_OTHER);
}

/* As long as there is no save in progress yet, it is asked again. */
static void end_save(struct hyp_stopwatch *w)
{
    if (w->seen.ended != HYP_ENDED_NOT && !w->abort_sent)
        w->abort_sent = libxl_ao_abort(w->save_ctx, NULL) != ERROR_NOTFOUND;
}

static void *stopwatch_watch(void *arg)
{
    struct hyp_stopwatch *w = arg;
    struct pollfd p[N_POLL] = {
        [POLL_STOP] = { .fd = w->stop_fd, .events = POLLIN },
        [POLL_XS] = { .fd = xs_fileno(w->xsh), .events = POLLIN },
        [POLL_ASK] = { .fd = w->ask_fd, .events = POLLIN },
    };
    double now;

    for (;;) {
        if (poll(p, N_POLL, TICK_MS) < 0 && errno != EINTR)
            break;
        now = snap_now_ms();
        if (p[POLL_STOP].revents)
            break;
        if (p[POLL_XS].revents & ~POLLIN)
            p[POLL_XS].fd = -1; /* the ticks still tell */
        drain_events(w);
        stopwatch_look_at_domain(w, now);
        if (w->seen.stopped_ms > 0)
            look_at_file(w, now);
        else
            look_for_others(w, now);
        /* Once the disks are taken it is finished. */
        if (p[POLL_ASK].revents && !w->seen.called)
            must_end(w, HYP_ENDED_ASKED);
        if (p[POLL_ASK].revents)
            p[POLL_ASK].fd = -1; /* it stays readable */
        end_save(w);
    }
    return NULL;
}

/* --- beginning and end ------------------------------------------------- */

/* Readable while one of the signals is pending that ask us to stop.  One that
 * is ignored (nohup) pends as well, as long as it is blocked. */
static int ask_fd_new(void)
{
    static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction sa;
    sigset_t set;
    size_t i;

    sigemptyset(&set);
    for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
        if (!sigaction(sigs[i], NULL, &sa) && sa.sa_handler != SIG_IGN)
            sigaddset(&set, sigs[i]);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool open_all(struct hyp_stopwatch *w, struct snap_hyp *h)
{
    char path[64];

    w->stop_fd = eventfd(0, EFD_CLOEXEC);
    w->ask_fd = ask_fd_new();
    w->save_ctx = hyp_ctx_new(&h->logger);
    w->ctx = hyp_ctx_new(&w->logger);
    w->xsh = xs_open(0);
    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown",
             w->domid);
    return w->stop_fd >= 0 && w->ask_fd >= 0 && w->save_ctx && w->ctx &&
           w->xsh && xs_watch(w->xsh, "@releaseDomain", "stop") &&
           xs_watch(w->xsh, path, "request");
}

int hyp_stopwatch_start(struct snap_hyp *h, const struct snap_domain *dom,
                        int fd, bool live, const struct snap_at_stop *at_stop,
                        struct hyp_stopwatch **w_r, struct snap_err *err)
{
    struct hyp_stopwatch *w = snap_zalloc(sizeof(*w));
    sigset_t all, old;
    int rc;

    w->domid = dom->domid;
    snprintf(w->uuid, sizeof(w->uuid), "%s", dom->uuid);
    w->fd = fd;
    w->live = live;
    w->at_stop = at_stop;
    hyp_logger_init(&w->logger, NULL);
    if (!open_all(w, h)) {
        rc = hyp_fail(h, err, 0, "%s: its save cannot be watched", dom->name);
        goto out;
    }
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->running = !pthread_create(&w->thread, NULL, stopwatch_watch, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!w->running) {
        rc = snap_fail(err, SNAP_FAIL, "%s: no thread to watch its save",
                       dom->name);
        goto out;
    }
    *w_r = w;
    w = NULL;
    rc = 0;

out:
    hyp_stopwatch_free(&w);
    return rc;
}

libxl_ctx *hyp_stopwatch_ctx(struct hyp_stopwatch *w)
{
    return w->save_ctx;
}

void hyp_stopwatch_stop(struct hyp_stopwatch *w, struct hyp_watched *seen_r)
{
    uint64_t one = 1;

    if (w->running) {
        /* Cannot fail: the counter is far from its limit. */
        if (write(w->stop_fd, &one, sizeof(one)) != sizeof(one))
            abort();
        pthread_join(w->thread, NULL);
        w->running = false;
    }
    *seen_r = w->seen;
}

/* The first event tells of the watch itself.  xenstored answers in order:
 * after a read, what was written before has been told. */
bool hyp_stopwatch_asked(struct hyp_stopwatch *w)
{
    char path[64], *value;
    unsigned int len;
    bool pending;

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown",
             w->domid);
    value = xs_read(w->xsh, XBT_NULL, path, &len);
    pending = value ? !strcmp(value, "suspend") : errno != ENOENT;
    free(value);
    drain_events(w);
    return pending || w->requests > 1;
}

void hyp_stopwatch_spoil(struct hyp_stopwatch *w)
{
    static libxl_ctx *spoilt[16]; /* that they are not lost to leak checkers */
    static size_t n;

    spoilt[n++ % (sizeof(spoilt) / sizeof(spoilt[0]))] = w->save_ctx;
    w->save_ctx = NULL;
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
    if (w->save_ctx)
        libxl_ctx_free(w->save_ctx);
    if (w->stop_fd >= 0)
        close(w->stop_fd);
    if (w->ask_fd >= 0)
        close(w->ask_fd);
    pthread_mutex_destroy(&w->logger.lock);
    free(w);
}
