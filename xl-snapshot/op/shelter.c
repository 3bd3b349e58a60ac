/* SPDX-License-Identifier: LGPL-2.1-only */
/* See shelter.h. */
#include "op/shelter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/scope.h"

#define SCOPE_MS 2000 /* the command waits for us */

/* 0 or an errno. */
static int shelter_put(const char *path, const char *text)
{
    size_t len = strlen(text);
    int e = 0, fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno;
    if (write(fd, text, len) != (ssize_t)len)
        e = errno ? errno : EIO;
    close(fd);
    return e;
}

/* By ourselves, which takes no time; else by systemd. */
static bool leave_group(const struct snap_log *log)
{
    struct snap_err err = SNAP_ERR_INIT, why = SNAP_ERR_INIT;

    if (!snap_cgroup_leave(getpid(), &err) ||
        !snap_scope_enter(log, "guardian of a guest (xl-snapshot)", SCOPE_MS,
                          &why))
        return true;
    snap_say(log, SNAP_LOG_WARN,
             "cannot leave the control group of the command: %s; and no scope of systemd's: %s",
             err.msg, why.msg);
    return false;
}

bool snap_shelter(const struct snap_log *log)
{
    bool left = leave_group(log);
    int e;

    e = shelter_put("/proc/self/oom_score_adj", "-1000");
    if (e)
        snap_say(log, SNAP_LOG_DEBUG, "oom_score_adj: %s", strerror(e));
    if (mlockall(MCL_CURRENT | MCL_FUTURE))
        snap_say(log, SNAP_LOG_DEBUG, "mlockall: %s", strerror(errno));
    return left;
}
