/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See image_guard.h.  fanotify(7): with FAN_OPEN_PERM an open() waits until
 * we have answered, and is answered with yes if our descriptor is closed,
 * which our death does.  Of our own processes none may wait for us: they, and
 * other commands of ours, which only read headers and ask for users before
 * they write, are let in.
 *
 * The descriptor must be ours alone: in a process that was forked and lives on,
 * as those that libxl forks beside a QEMU, it would let the kernel go on asking
 * when nobody answers any more.
 */
#include "disk/file/image_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_held.h"
#include "disk/file/in_use.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS 1000 /* between two questions who has an image */

struct guarded {
    char *path;
    bool look; /* it is looked who has it */
    bool asked; /* the kernel asks us who may open it */
};

struct snap_image_guard {
    struct snap_image_guard *next; /* of all that there are */
    struct snap_disk_ctx *c;
    struct guarded *image;
    size_t n;
    int fan; /* -1: the kernel cannot */
    int stop; /* an eventfd */
    bool readers; /* who only reads may go on */
    pthread_t thread;
    double looked;
    struct snap_err found;
    /* of the thread until it has ended */
    char refused[96], what[PATH_MAX];
};

/* ---- all guards of this process ---- */

static struct snap_image_guard *guards;

static void in_forked(void)
{
    const struct snap_image_guard *g;

    for (g = guards; g; g = g->next)
        if (g->fan >= 0)
            close(g->fan);
}

static void enlist(struct snap_image_guard *g)
{
    static bool once;

    if (!once && pthread_atfork(NULL, NULL, in_forked))
        abort(); /* no memory */
    once = true;
    g->next = guards;
    guards = g;
}

static void delist(struct snap_image_guard *g)
{
    struct snap_image_guard **at = &guards;

    while (*at && *at != g)
        at = &(*at)->next;
    if (*at)
        *at = g->next;
}

/* ---- the thread that answers ---- */

static pid_t parent_of(pid_t pid)
{
    char name[32], line[512];
    const char *at;

    snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
    if (!snap_line_read(AT_FDCWD, name, line, sizeof(line)))
        return 0;
    /* "PID (any name) S PARENT ..." */
    at = strrchr(line, ')');
    return at && strlen(at) > 4 ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

static bool is_ours(pid_t pid)
{
    char name[32];
    struct stat self, its;

    if (pid <= 0)
        return false;
    if (pid == getpid())
        return true;
    snprintf(name, sizeof(name), "/proc/%d/exe", (int)pid);
    return !stat("/proc/self/exe", &self) && !stat(name, &its) &&
           snap_same_stat(&self, &its);
}

/* One of the tools that we start, by the name that exec() gave it.  Not the QEMU
 * of a domain that our monitor builds anew: libxl forks the monitor, and so its
 * parent is a process of ours as well. */
static bool is_tool(pid_t pid)
{
    char name[32], comm[32];

    snprintf(name, sizeof(name), "/proc/%d/comm", (int)pid);
    return snap_line_read(AT_FDCWD, name, comm, sizeof(comm)) &&
           (!strcmp(comm, "qemu-img") || !strcmp(comm, "qemu-io"));
}

static void remember(struct snap_image_guard *g, pid_t pid, int fd)
{
    char name[32], comm[48];
    ssize_t n;

    if (g->refused[0])
        return;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, g->what, sizeof(g->what) - 1);
    g->what[n > 0 ? n : 0] = '\0';
    snap_clean(g->what);
    snprintf(name, sizeof(name), "/proc/%d/comm", (int)pid);
    if (!snap_line_read(AT_FDCWD, name, comm, sizeof(comm)))
        snprintf(comm, sizeof(comm), "a program");
    snap_clean(comm);
    snprintf(g->refused, sizeof(g->refused), "%s (process %d)", comm,
             (int)pid);
}

static void answer(struct snap_image_guard *g)
{
    _Alignas(struct fanotify_event_metadata) char buf[4096];
    ssize_t n = read(g->fan, buf, sizeof(buf));
    const struct fanotify_event_metadata *m = (const void *)buf;

    for (; n > 0 && FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
        struct fanotify_response r = { .fd = m->fd, .response = FAN_ALLOW };

        if (m->fd < 0)
            continue;
        if (!is_ours(m->pid) &&
            !(is_tool(m->pid) && is_ours(parent_of(m->pid)))) {
            r.response = FAN_DENY;
            remember(g, m->pid, m->fd);
        }
        /* Closed first: who looks for users would find it. */
        close(m->fd);
        if (write(g->fan, &r, sizeof(r)) != sizeof(r))
            continue; /* whoever waited was killed */
    }
}

static void *attend(void *opaque)
{
    struct snap_image_guard *g = opaque;
    struct pollfd p[2] = { { .fd = g->fan, .events = POLLIN },
                           { .fd = g->stop, .events = POLLIN } };

    while (!(p[1].revents & POLLIN)) {
        if (p[0].revents & POLLIN)
            answer(g);
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
    }
    return NULL;
}

/* ---- the others ---- */

/* Is there a kernel that asks us? */
static bool ask_kernel(struct snap_image_guard *g)
{
    size_t i;
    sigset_t all, old;

    g->fan = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK,
                           O_RDONLY | O_CLOEXEC);
    g->stop = eventfd(0, EFD_CLOEXEC);
    if (g->fan < 0 || g->stop < 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&g->thread, NULL, attend, g);
    i = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (i)
        return false;
    for (i = 0; i < g->n; i++) {
        g->image[i].asked = !fanotify_mark(g->fan, FAN_MARK_ADD, FAN_OPEN_PERM,
                                           AT_FDCWD, g->image[i].path);
        if (!g->image[i].asked)
            snap_say(g->c->log, SNAP_LOG_DEBUG, "fanotify of %s: %s",
                     g->image[i].path, strerror(errno));
    }
    return true;
}

int snap_image_guard_look(struct snap_image_guard *g, struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && i < g->n; i++)
        if (g->image[i].look)
            rc = g->readers
                     ? snap_image_check_unused(g->c, g->image[i].path, err)
                     : snap_image_check_closed(g->c, g->image[i].path, err);
    return rc;
}

static struct snap_image_guard *new_guard(struct snap_disk_ctx *c,
                                          bool readers)
{
    struct snap_image_guard *g = snap_zalloc(sizeof(*g));

    g->c = c;
    g->fan = g->stop = -1;
    g->readers = readers;
    return g;
}

static void image_guard_add(struct snap_image_guard *g, const char *path,
                            bool look)
{
    g->image = snap_realloc(g->image, g->n + 1, sizeof(*g->image));
    g->image[g->n++] = (struct guarded){
        .path = snap_strdup(path),
        .look = look,
    };
}

static int begin_guard(struct snap_image_guard *g,
                       struct snap_image_guard **g_r, struct snap_err *err)
{
    int rc;

    enlist(g);
    if (!ask_kernel(g)) {
        delist(g);
        if (g->fan >= 0)
            close(g->fan);
        g->fan = -1;
        snap_say(g->c->log, SNAP_LOG_DEBUG,
                 "the kernel cannot keep others from %s", g->image[0].path);
    }
    rc = snap_image_guard_look(g, err);
    if (rc)
        snap_image_guard_end(&g);
    *g_r = g;
    return rc;
}

int snap_image_guard_begin(struct snap_disk_ctx *c, const char *const *paths,
                           struct snap_image_guard **g_r, struct snap_err *err)
{
    struct snap_image_guard *g = new_guard(c, false);

    for (; *paths; paths++)
        image_guard_add(g, *paths, true);
    return begin_guard(g, g_r, err);
}

int snap_image_guard_writers(struct snap_disk_ctx *c, const char *path,
                             struct snap_image_guard **g_r,
                             struct snap_err *err)
{
    struct snap_image_guard *g = new_guard(c, true);

    image_guard_add(g, path, true);
    return begin_guard(g, g_r, err);
}

int snap_image_hold(struct snap_disk_ctx *c, const struct snap_held_images *l,
                    struct snap_image_guard **g_r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_image_guard *g = new_guard(c, true);

    for (i = 0; i < l->n; i++)
        image_guard_add(g, l->image[i].path, l->image[i].changes);
    rc = begin_guard(g, g_r, err);
    /* Looked at, and nobody else has come since. */
    for (i = 0; !rc && i < g->n; i++)
        if (g->image[i].asked && g->image[i].look)
            snap_image_held_add(g->image[i].path, g);
    return rc;
}

int snap_image_guard_tick(struct snap_image_guard *g)
{
    size_t i;
    char *who;

    if (g->found.rc || !g->c->image_user ||
        snap_now_ms() - g->looked < LOOK_MS)
        return g->found.rc;
    g->looked = snap_now_ms();
    for (i = 0; !g->found.rc && i < g->n; i++) {
        who = NULL;
        if (!g->c->image_user(g->c->opaque, g->image[i].path, &who,
                              &g->found) &&
            who)
            snap_fail(&g->found, SNAP_BUSY,
                      "%s is in use by %s now, which was started while it was worked on; shut it down",
                      g->image[i].path, who);
        free(who);
    }
    return g->found.rc;
}

int snap_image_guard_verdict(const struct snap_image_guard *g, int rc,
                             struct snap_err *err)
{
    if (rc != SNAP_INTR || !g->found.rc)
        return rc;
    if (err)
        snap_err_clear(err);
    return snap_fail(err, g->found.rc, "%s", g->found.msg);
}

void snap_image_guard_end(struct snap_image_guard **gp)
{
    size_t i;
    struct snap_image_guard *g = *gp;
    uint64_t one = 1;

    *gp = NULL;
    if (!g)
        return;
    snap_image_held_drop(g);
    if (g->fan >= 0) {
        if (write(g->stop, &one, sizeof(one)) != sizeof(one))
            abort(); /* an eventfd takes it */
        pthread_join(g->thread, NULL);
        delist(g);
        close(g->fan);
    }
    if (g->stop >= 0)
        close(g->stop);
    if (g->refused[0])
        snap_say(g->c->log, SNAP_LOG_NOTE,
                 "%s wanted to open %s while disks were worked on, and was refused; a domain that was started with it lacks that disk: destroy it, and start it when this command has ended",
                 g->refused, g->what);
    for (i = 0; i < g->n; i++)
        free(g->image[i].path);
    free(g->image);
    free(g);
}
