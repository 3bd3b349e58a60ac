/* SPDX-License-Identifier: LGPL-2.1-only */
/* See shelter.h. */
#include "core/shelter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cgroup.h"

/* 0 or an errno. */
static int put(const char *path, const char *text)
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

void snap_shelter(const struct snap_log *log)
{
    struct snap_err err = SNAP_ERR_INIT;
    int e;

    if (snap_cgroup_leave(getpid(), &err))
        snap_say(log, SNAP_LOG_DEBUG, "%s", err.msg);
    e = put("/proc/self/oom_score_adj", "-1000");
    if (e)
        snap_say(log, SNAP_LOG_DEBUG, "oom_score_adj: %s", strerror(e));
    if (mlockall(MCL_CURRENT | MCL_FUTURE))
        snap_say(log, SNAP_LOG_DEBUG, "mlockall: %s", strerror(errno));
}
