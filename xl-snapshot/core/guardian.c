/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See guardian.h.  The child is a fresh exec of our own program, since a
 * libxl context cannot be shared with a forked child.  The write end of the
 * pipe is close-on-exec, so that no tool or save helper of ours keeps it open
 * after our death.
 */
#include "core/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"

#define READY           'r'
#define DONE            'd'
#define READY_WAIT_MS   5000
#define RESCUE_TRIES    20
#define RESCUE_PAUSE_MS 250

/* Runs between fork and exec: async-signal-safe calls only. */
static void child(const char *exe, char *const argv[], int in, int out)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
        _exit(127);
    execv(exe, argv);
    _exit(127);
}

int snap_guardian_start(struct snap_env *env, const struct snap_domain *dom,
                        struct snap_guardian *g, struct snap_err *err)
{
    int rc, fault;
    int down[2] = { -1, -1 }, up[2] = { -1, -1 };
    char monitor[16], uuid[37];
    char *argv[] = { (char *)"xl-snapshot",
                     (char *)"--guardian",
                     uuid,
                     monitor,
                     (char *)(dom->paused ? "1" : "0"),
                     NULL };
    struct pollfd p;
    pid_t pid;
    char c = 0;

    g->pid = 0;
    g->fd = -1;
    if (!env->self_exe)
        return 0;

    snprintf(monitor, sizeof(monitor), "%ld", (long)dom->monitor_pid);
    snprintf(uuid, sizeof(uuid), "%s", dom->uuid);

    fault = snap_fault("hyp", "guardian");
    if (fault || pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC)) {
        rc = snap_fail_errno(err, SNAP_FAIL, fault ? fault : errno,
                             "cannot start the guardian of the guest");
        goto out;
    }
    pid = fork();
    if (pid < 0) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno,
                             "cannot start the guardian of the guest");
        goto out;
    }
    if (!pid)
        child(env->self_exe, argv, down[0], up[1]);

    close(up[1]);
    up[1] = -1;
    p = (struct pollfd){ .fd = up[0], .events = POLLIN };
    if (poll(&p, 1, READY_WAIT_MS) != 1 || read(up[0], &c, 1) != 1 ||
        c != READY) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        rc = snap_fail(err, SNAP_FAIL,
                       "the guardian of the guest (%s --guardian) did not "
                       "start",
                       env->self_exe);
        goto out;
    }
    g->pid = pid;
    g->fd = down[1];
    down[1] = -1;
    rc = 0;

out:
    if (down[0] >= 0)
        close(down[0]);
    if (down[1] >= 0)
        close(down[1]);
    if (up[0] >= 0)
        close(up[0]);
    if (up[1] >= 0)
        close(up[1]);
    return rc;
}

void snap_guardian_end(struct snap_guardian *g)
{
    char c = DONE;
    ssize_t r;

    if (g->fd < 0)
        return;
    do
        r = write(g->fd, &c, 1);
    while (r < 0 && errno == EINTR);
    close(g->fd);
    g->fd = -1;
    waitpid(g->pid, NULL, 0);
    g->pid = 0;
}

int snap_guardian_main(struct snap_env *env, int argc, char **argv)
{
    struct snap_err err = SNAP_ERR_INIT;
    char c = READY;
    ssize_t r;
    int i, rc = SNAP_FAIL;

    if (argc != 3)
        return 2;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (write(1, &c, 1) != 1)
        return 1;
    close(1);

    do
        r = read(0, &c, 1);
    while (r < 0 && errno == EINTR);
    if (r == 1 && c == DONE)
        return 0;

    /* We are alone.  Try for a while: what our parent had begun (a suspend, a
     * save helper) may take a moment to come to rest. */
    for (i = 0; i < RESCUE_TRIES; i++) {
        snap_err_clear(&err);
        if (!env->hyp)
            rc = env->ops->open(env->log, &env->hyp, &err);
        else
            rc = 0;
        if (!rc)
            rc = env->ops->rescue(env->hyp, argv[0],
                                  (pid_t)strtol(argv[1], NULL, 10),
                                  argv[2][0] == '1', &err);
        /* Once more after the first success: a suspend that was under way
         * when we looked is seen the second time. */
        if (!rc && i > 0)
            break;
        usleep(RESCUE_PAUSE_MS * 1000);
    }
    if (rc)
        snap_say(env->log, SNAP_LOG_WARN, "guardian of %s: %s", argv[0],
                 err.msg);
    return rc ? 1 : 0;
}
