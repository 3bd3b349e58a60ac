/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See guardian.h; this is the guardian itself.  The guest comes first, and by
 * what the command said on the line: a store that hangs cannot hold it up.
 * The journal, and all else, after that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/mem.h"
#include "op/guardian.h"
#include "op/limited.h"
#include "op/recover.h"
#include "op/shelter.h"
#include "store/lock.h"

#define LOOK_MS      1000
#define PAUSE_MS     50 /* before a second try; doubled up to */
#define PAUSE_MAX_MS 30000
#define RESCUE_MS    (24.0 * 60 * 60 * 1000)
#define RECOVER_MS   (10.0 * 60 * 1000)
#define SAY_EVERY    10 /* tries, after the first */

unsigned snap_guard_tell_ms = 10000;

struct guard {
    struct snap_env *env;
    struct snap_held held;
    const char *name; /* of the domain */
    const char *root;
    int lock;
    int parent; /* a pidfd, or -1 */
    double stall_ms;

    bool window; /* the guest may stand */
    double heard_ms; /* snap_now_ms() of the last word */
    double stands_ms; /* since when it was seen to stand; 0: it runs */
    struct snap_recovery how;
};

static void to_syslog(void *opaque, enum snap_level level, const char *msg)
{
    const struct guard *g = opaque;

    if (level != SNAP_LOG_DEBUG)
        syslog(LOG_WARNING, "%s: %s", g->name, msg);
}

/* ---- the guest ---- */

/* A connection that failed once is not used again. */
static void drop_hyp(struct guard *g)
{
    if (g->env->hyp)
        g->env->ops->close(g->env->hyp);
    g->env->hyp = NULL;
}

static int need_hyp(struct guard *g, struct snap_err *err)
{
    return g->env->hyp ? 0 : g->env->ops->open(g->env->log, &g->env->hyp, err);
}

/* Does it stand as the command left it? */
static bool guard_stands(struct guard *g)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_domain dom = { 0 };
    bool yes;

    if (need_hyp(g, &ignored))
        return false;
    yes = !g->env->ops->find_uuid(g->env->hyp, g->held.uuid, &dom, &ignored) &&
          dom.domid == g->held.domid &&
          (g->held.suspend ? dom.suspended
                           : dom.paused && !g->held.was_paused);
    snap_domain_dispose(&dom);
    return yes;
}

static int rescue(struct guard *g, struct snap_err *err)
{
    int rc;

    rc = need_hyp(g, err);
    if (!rc)
        rc = g->env->ops->rescue(g->env->hyp, &g->held, err);
    if (rc)
        drop_hyp(g);
    return rc;
}

/* The next of a row of tries.  False: it has taken too long. */
static bool again(struct guard *g, unsigned n, double *pause_ms,
                  double deadline, const struct snap_err *err)
{
    if (n % SAY_EVERY == 0)
        syslog(LOG_ERR, "%s: %s; trying again", g->name, err->msg);
    poll(NULL, 0, (int)*pause_ms);
    *pause_ms = *pause_ms * 2 < PAUSE_MAX_MS ? *pause_ms * 2 : PAUSE_MAX_MS;
    return snap_now_ms() < deadline;
}

/* ---- what Xen is told before ---- */

static int open_store(struct guard *g, struct snap_store *s,
                      struct snap_err *err);

struct telling {
    struct guard *g;
    bool hangs;
};

/* In a process of its own: with a connection of its own, and whatever hangs in
 * it, be it the store's file system, goes with it. */
static int tell_known(void *opaque)
{
    const struct telling *t = opaque;
    struct guard *g = t->g;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    close(g->lock); /* it may hang in the kernel after its end */
    g->env->hyp = NULL;
    rc = need_hyp(g, &err);
    if (!rc)
        rc = snap_store_open(&s, g->root, g->held.uuid, false, &err);
    if (!rc)
        rc = snap_recover_known(g->env, &s, g->held.domid, t->hangs, &err);
    if (rc)
        syslog(LOG_WARNING, "%s: its images are not known to Xen: %s", g->name,
               err.msg);
    return rc;
}

/* The guest may reboot as soon as it runs, from what Xen knows.  It stands
 * meanwhile, so there is a limit; then it goes on as it is, and a recovery
 * tells Xen, at once if we are alone. */
static void tell_xen(struct guard *g, bool hangs)
{
    struct telling t = { .g = g, .hangs = hangs };
    int rc;

    if (g->lock < 0 || !g->window)
        return;
    rc = snap_limited(snap_guard_tell_ms, tell_known, &t);
    if (rc)
        syslog(LOG_WARNING,
               "%s: it goes on before Xen knows its images%s; until the command or snapshot-recover has told Xen, a reboot may find such as it does not write to any more",
               g->name, snap_limited_why(rc));
}

/* We are alone.  There is nothing better to do than to try. */
static int rescue_or_try(struct guard *g)
{
    struct snap_err err = SNAP_ERR_INIT;
    double pause_ms = PAUSE_MS, deadline = snap_now_ms() + RESCUE_MS;
    unsigned n = 0;

    g->how.stood = guard_stands(g);
    tell_xen(g, false);
    while (rescue(g, &err)) {
        if (!again(g, n++, &pause_ms, deadline, &err))
            return SNAP_FAIL;
        snap_err_clear(&err);
    }
    g->how.rescued = true;
    if (g->how.stood)
        syslog(LOG_WARNING,
               "%s: the command that had stopped it ended; it goes on",
               g->name);
    return 0;
}

/* Nothing is heard.  If the guest stands, and has for as long, it goes on;
 * the command finds out when it wakes up. */
static void look_at_silence(struct guard *g)
{
    struct snap_err err = SNAP_ERR_INIT;
    double now = snap_now_ms();

    if (!g->window || now - g->heard_ms < g->stall_ms)
        return;
    if (!guard_stands(g)) {
        g->stands_ms = 0;
        return;
    }
    if (!g->stands_ms)
        g->stands_ms = now;
    /* The silence may have begun while it ran. */
    if (now - g->stands_ms < g->stall_ms / 2)
        return;
    tell_xen(g, true);
    if (rescue(g, &err))
        syslog(LOG_ERR, "%s: %s; trying again", g->name, err.msg);
    else
        syslog(LOG_WARNING,
               "%s: the command that stopped it hangs; it goes on, and its memory image is void",
               g->name);
}

/* ---- the line ---- */

/* True: dismissed. */
static bool hear(struct guard *g, char c)
{
    g->heard_ms = snap_now_ms();
    g->stands_ms = 0;
    if (c == SNAP_GUARD_WINDOW)
        g->window = true;
    if (c == SNAP_GUARD_STAYS)
        g->held.was_paused = true;
    return c == SNAP_GUARD_DONE;
}

/* Until we are dismissed (true) or alone. */
static bool listen_to_parent(struct guard *g)
{
    double wait_ms = g->stall_ms / 4 < LOOK_MS ? g->stall_ms / 4 : LOOK_MS;
    struct pollfd p[2] = { { .fd = 0, .events = POLLIN },
                           { .fd = g->parent, .events = POLLIN } };
    char c;
    ssize_t n;

    for (;;) {
        if (poll(p, 2, (int)wait_ms) < 0 && errno != EINTR)
            poll(NULL, 0, (int)wait_ms);
        /* What was said before the end comes first. */
        n = p[0].revents ? read(0, &c, 1) : -1;
        if (n == 1 && hear(g, c))
            return true;
        if (n == 1)
            continue;
        if (n == 0 || p[1].revents)
            return false;
        look_at_silence(g);
    }
}

/* ---- what it left ---- */

static int open_store(struct guard *g, struct snap_store *s,
                      struct snap_err *err)
{
    int rc;

    rc = snap_store_open(s, g->root, g->held.uuid, false, err);
    if (!rc)
        rc = snap_store_inherit(s, g->lock, "the guardian", err);
    if (rc)
        snap_store_close(s);
    return rc;
}

/* Does a failure of this kind go away by itself? */
static bool guard_may_pass(int why)
{
    return why != SNAP_RECOVER && why != SNAP_CORRUPT;
}

static int recover_or_try(struct guard *g)
{
    struct snap_store s = SNAP_STORE_INIT;
    double pause_ms = PAUSE_MS, deadline = snap_now_ms() + RECOVER_MS;
    unsigned n = 0;
    char *what = NULL;
    int rc;

    for (;;) {
        struct snap_err err = SNAP_ERR_INIT;

        rc = need_hyp(g, &err);
        if (!rc && s.lock_fd < 0)
            rc = open_store(g, &s, &err);
        g->how.why = rc;
        if (!rc)
            rc = snap_recover_how(g->env, &s, &g->how, false, &what, &err);
        if (!rc)
            break;
        drop_hyp(g);
        if (!guard_may_pass(g->how.why) ||
            !again(g, n++, &pause_ms, deadline, &err)) {
            syslog(LOG_ERR, "%s: %s", g->name, err.msg);
            break;
        }
    }
    if (what)
        syslog(LOG_WARNING, "%s: a command was interrupted: %s", g->name,
               what);
    free(what);
    snap_store_close(&s);
    return rc;
}

/* ---- the process ---- */

static int pidfd_of(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    /* It may have gone, and its number been given away. */
    if (fd >= 0 && getppid() != pid) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void guard_parse(struct guard *g, char **argv)
{
    g->held = (struct snap_held){
        .uuid = argv[SNAP_GUARD_UUID],
        .domid = (uint32_t)strtoul(argv[SNAP_GUARD_DOMID], NULL, 10),
        .monitor_pid = (pid_t)strtol(argv[SNAP_GUARD_MONITOR], NULL, 10),
        .suspend = argv[SNAP_GUARD_SUSPEND][0] == '1',
        .pause = argv[SNAP_GUARD_SUSPEND][0] != '1',
        .was_paused = argv[SNAP_GUARD_WAS_PAUSED][0] == '1',
    };
    g->name = argv[SNAP_GUARD_NAME];
    g->root = argv[SNAP_GUARD_ROOT];
    g->lock = (int)strtol(argv[SNAP_GUARD_LOCK], NULL, 10);
    g->parent = pidfd_of((pid_t)strtol(argv[SNAP_GUARD_PARENT], NULL, 10));
    g->stall_ms = strtod(argv[SNAP_GUARD_STALL], NULL);
    if (g->lock >= 0)
        fcntl(g->lock, F_SETFD, FD_CLOEXEC);
}

/* Nobody's terminal, and no reader that waits for our end. */
static void leave_stdio(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    dup2(fd, 1);
    dup2(fd, 2);
    if (fd > 2)
        close(fd);
}

int snap_guardian_main(struct snap_env *env, int argc, char **argv)
{
    static struct guard g; /* env->log outlives us */
    static struct snap_log log = { to_syslog, &g };
    struct snap_err err = SNAP_ERR_INIT;
    static const int deaf[] = { SIGINT,  SIGTERM, SIGHUP,
                                SIGPIPE, SIGQUIT, SIGTSTP };
    char c;
    size_t i;

    if (argc != SNAP_GUARD_ARGC)
        return 2;
    for (i = 0; i < sizeof(deaf) / sizeof(deaf[0]); i++)
        signal(deaf[i], SIG_IGN);
    g.env = env;
    guard_parse(&g, argv);
    openlog("xl-snapshot", LOG_PID, LOG_DAEMON);
    env->log = &log;
    env->progress = NULL;
    env->interrupted = NULL;
    env->before_change = NULL;
    env->store_root = g.root;
    c = snap_shelter(&log) ? SNAP_GUARD_READY : SNAP_GUARD_EXPOSED;
    /* Now, while there is memory; later again if need be. */
    need_hyp(&g, &err);
    leave_stdio();
    g.heard_ms = snap_now_ms();
    if (write(0, &c, 1) != 1)
        return 1;
    if (listen_to_parent(&g))
        return 0;
    if (g.window && rescue_or_try(&g))
        return 1;
    return g.lock >= 0 && recover_or_try(&g) ? 1 : 0;
}
