/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See guardian.h; this is the side of the command.  The child is a fresh exec
 * of our own program, since a libxl context cannot be shared with a forked
 * child.  Our end of the line is close-on-exec, so that no tool or save helper
 * of ours keeps it open after our death.  The lock's descriptor is handed
 * over: flock(2) belongs to the open file, not to the process.
 */
#include "op/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"

#define READY_WAIT_MS 5000
#define END_WAIT_MS   2000
#define STALL_MS      30000

/* Runs between fork and exec: async-signal-safe calls only. */
static void child(const struct snap_env *env, char *const argv[], int line,
                  int lock)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (lock >= 0)
        fcntl(lock, F_SETFD, 0);
    if (line ? dup2(line, 0) < 0 : fcntl(0, F_SETFD, 0) < 0)
        _exit(127);
    if (env->exec)
        env->exec(env->exec_opaque, argv);
    else
        execv(env->self_exe, argv);
    _exit(127);
}

static void guardian_stop(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void warn_exposed(const struct snap_env *env, const char *name)
{
    snap_say(env->log, SNAP_LOG_WARN,
             "the guardian of %s cannot leave our control group: if this command is part of a systemd unit that is stopped in the middle, the guest stands until xl snapshot-recover %s; KillMode=process in the unit prevents that",
             name, name);
}

static int launch(const struct snap_env *env, char *const argv[], int lock,
                  struct snap_guardian *g, struct snap_err *err)
{
    int fault, line[2] = { -1, -1 };
    struct pollfd p;
    pid_t pid = -1;
    char c = 0;

    fault = snap_fault("hyp", "guardian");
    if (fault ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) < 0 ||
        (pid = fork()) < 0) {
        fault = fault ? fault : errno;
        if (line[0] >= 0) {
            close(line[0]);
            close(line[1]);
        }
        return snap_fail_errno(err, SNAP_FAIL, fault,
                               "cannot start the guardian of the guest");
    }
    if (!pid)
        child(env, argv, line[1], lock);
    close(line[1]);
    p = (struct pollfd){ .fd = line[0], .events = POLLIN };
    if (poll(&p, 1, READY_WAIT_MS) != 1 || read(line[0], &c, 1) != 1 ||
        (c != SNAP_GUARD_READY && c != SNAP_GUARD_EXPOSED)) {
        guardian_stop(pid);
        close(line[0]);
        return snap_fail(err, SNAP_FAIL,
                         "the guardian of the guest (%s --guardian) did not start",
                         env->self_exe);
    }
    if (c == SNAP_GUARD_EXPOSED)
        warn_exposed(env, argv[SNAP_GUARD_NAME + 2]);
    g->pid = pid;
    g->fd = line[0];
    return 0;
}

int snap_guardian_start(struct snap_env *env, const struct snap_store *s,
                        const struct snap_guarded *what,
                        struct snap_guardian *g, struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_domain *dom = what->dom;
    char *argv[SNAP_GUARD_ARGC + 3] = { NULL }, **a = argv + 2;

    g->pid = 0;
    g->fd = -1;
    if (!env->self_exe)
        return 0;
    argv[0] = snap_strdup("xl-snapshot");
    argv[1] = snap_strdup("--guardian");
    a[SNAP_GUARD_UUID] = snap_strdup(dom->uuid);
    a[SNAP_GUARD_DOMID] = snap_printf("%u", dom->domid);
    a[SNAP_GUARD_NAME] = snap_strdup(dom->name ? dom->name : dom->uuid);
    a[SNAP_GUARD_MONITOR] = snap_printf("%ld", (long)dom->monitor_pid);
    a[SNAP_GUARD_SUSPEND] = snap_printf("%d", what->suspend);
    a[SNAP_GUARD_WAS_PAUSED] = snap_printf("%d", dom->paused);
    a[SNAP_GUARD_PARENT] = snap_printf("%ld", (long)getpid());
    a[SNAP_GUARD_STALL] = snap_printf("%u", env->stall_ms ? env->stall_ms
                                                          : STALL_MS);
    a[SNAP_GUARD_LOCK] = snap_printf("%d", s->lock_fd);
    a[SNAP_GUARD_ROOT] = snap_strdup(s->root);
    rc = launch(env, argv, s->lock_fd, g, err);
    for (i = 0; argv[i]; i++)
        free(argv[i]);
    return rc;
}

static bool guardian_say(const struct snap_guardian *g, char c)
{
    ssize_t n;

    if (g->fd < 0)
        return true;
    do
        n = send(g->fd, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

void snap_guardian_window(struct snap_guardian *g)
{
    guardian_say(g, SNAP_GUARD_WINDOW);
}

void snap_guardian_beat(struct snap_guardian *g)
{
    guardian_say(g, SNAP_GUARD_BEAT);
}

void snap_guardian_stays(struct snap_guardian *g)
{
    guardian_say(g, SNAP_GUARD_STAYS);
}

void snap_guardian_end(struct snap_guardian *g)
{
    double deadline = snap_now_ms() + END_WAIT_MS;
    pid_t gone = 0;

    if (g->fd < 0)
        return;
    if (!guardian_say(g, SNAP_GUARD_DONE))
        deadline = 0; /* it has not listened for hours, or is gone */
    close(g->fd);
    g->fd = -1;
    while (!(gone = waitpid(g->pid, NULL, WNOHANG)) &&
           snap_now_ms() < deadline)
        poll(NULL, 0, 1);
    /* Stopped, perhaps: the guest runs, so it has nothing to do. */
    if (!gone)
        guardian_stop(g->pid);
    g->pid = 0;
}

void snap_guardian_leave(struct snap_guardian *g)
{
    if (g->fd < 0)
        return;
    close(g->fd);
    g->fd = -1;
    g->pid = 0;
}
