/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The lock by which creations of domains exclude each other while dom0 gives
 * memory to guests: a record lock, fcntl(2), on /var/lock/xl (tools/xl/
 * xl_vmcontrol.c: acquire_lock(), Xen 4.17).  xl holds it for as long as a
 * restore takes, and waits for it without limit; so do we, once the domain
 * that is to be built anew is gone: to give up would leave it off for good.
 * Whoever is about to destroy one looks here first.
 *
 * A record lock is the process's, and any close(2) of the file ends it: while
 * we hold it nothing else here may be called.
 */
#include "hyp/xl_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TELL_FIRST_MS 1000
#define TELL_MS       60000

const char *hyp_xl_lock_file = HYP_LOCK_XL;

pid_t hyp_xl_lock_holder(void)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    pid_t pid = 0;
    int fd;

    fd = open(hyp_xl_lock_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (!fcntl(fd, F_GETLK, &fl) && fl.l_type != F_UNLCK)
        pid = fl.l_pid > 0 ? fl.l_pid : -1;
    close(fd);
    return pid;
}

char *hyp_process_title(pid_t pid)
{
    char path[64], text[128];
    ssize_t n = -1, i;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    if (n <= 0)
        return snap_printf("process %ld", (long)pid);
    text[n] = '\0';
    for (i = 0; i + 1 < n; i++)
        if (!text[i])
            text[i] = ' ';
    snap_clean(text);
    return snap_printf("process %ld (%s%s)", (long)pid, text,
                       n == sizeof(text) - 1 ? "..." : "");
}

void hyp_xl_lock_tell(struct snap_hyp *h, const char *name, pid_t pid)
{
    char *title = pid > 0 ? hyp_process_title(pid) : NULL;

    snap_say(h->log, SNAP_LOG_NOTE,
             "%s: waiting for %s, which builds another domain (%s)", name,
             title ? title : "somebody", hyp_xl_lock_file);
    free(title);
}

int hyp_xl_lock(struct snap_hyp *h, const char *name, int *fd_r,
                struct snap_err *err)
{
    double next = snap_now_ms() + TELL_FIRST_MS;
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    fd = open(hyp_xl_lock_file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
              0200);
    if (fd < 0)
        return snap_fail_errno(err, SNAP_FAIL, errno, "%s", hyp_xl_lock_file);
    while (fcntl(fd, F_SETLK, &fl)) {
        if (errno != EACCES && errno != EAGAIN && errno != EINTR) {
            int e = errno;

            close(fd);
            return snap_fail_errno(err, SNAP_FAIL, e, "%s", hyp_xl_lock_file);
        }
        if (snap_now_ms() >= next) {
            hyp_xl_lock_tell(h, name, hyp_xl_lock_holder());
            next = snap_now_ms() + TELL_MS;
        }
        usleep(50000);
    }
    *fd_r = fd;
    return 0;
}
