/* SPDX-License-Identifier: LGPL-2.1-only */
/* See limited.h. */
#include "op/limited.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/rc.h"

#define LOOK_MS 2

int snap_limited(unsigned ms, int (*fn)(void *opaque), void *opaque)
{
    double deadline = snap_now_ms() + ms;
    int status = 0;
    pid_t gone = 0, us = getpid(), pid = fork();

    /* It must not come to it when we, who would end it, are gone ourselves and
     * somebody else works on. */
    if (!pid && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != us))
        _exit(1);
    if (!pid)
        _exit(fn(opaque) ? 1 : 0);
    while (pid > 0 && !(gone = waitpid(pid, &status, WNOHANG)) &&
           snap_now_ms() < deadline)
        poll(NULL, 0, LOOK_MS);
    if (pid > 0 && !gone) { /* never -1: that is everybody */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, WNOHANG);
        return SNAP_TIMEOUT;
    }
    if (pid < 0)
        return SNAP_BUSY;
    return gone == pid && !status ? 0 : SNAP_FAIL;
}

const char *snap_limited_why(int rc)
{
    if (rc == SNAP_BUSY)
        return " (no process can be started)";
    return rc == SNAP_TIMEOUT ? " (the store, Xen or QEMU does not answer)"
                              : "";
}
