/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * libxl's per-domain lock files, taken the way libxl takes them, so that an
 * `xl block-attach` or another QMP user and we do not step on each other.
 * The names are private to libxl (libxl_internal.c: libxl__lock_file,
 * libxl__ev_devlock_init, libxl__ev_qmplock_init, Xen 4.17): this is the one
 * file that knows them.  While holding one, no libxl function may be called
 * that takes the same one: it would wait for us, for ever.  Nothing here waits
 * without a deadline, and neither does what is called with one held.
 */
#include "hyp/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/limits.h"

/* libxl unlinks a lock file with its domain: what we locked must still be
 * what the name stands for. */
static bool still_named(int fd, const char *path)
{
    struct stat have, named;

    return !fstat(fd, &have) && !stat(path, &named) &&
           have.st_dev == named.st_dev && have.st_ino == named.st_ino;
}

int hyp_lock_userdata(const struct snap_domain *dom, const char *what,
                      int timeout_ms, int *fd_r, struct snap_err *err)
{
    double deadline = snap_now_ms() + timeout_ms;
    char *path = NULL;
    int rc, fd = -1;

    *fd_r = -1;
    path = snap_printf("%s/userdata-l.%u.%s.%s", hyp_lib_dir, dom->domid,
                       dom->uuid, what);
    for (;;) {
        if (fd < 0)
            fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) {
            rc = snap_fail_errno(err, SNAP_FAIL, errno,
                                 "cannot open libxl's lock %s", path);
            goto out;
        }
        if (!flock(fd, LOCK_EX | LOCK_NB)) {
            if (still_named(fd, path))
                break;
            close(fd);
            fd = -1;
            continue;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = snap_fail_errno(err, SNAP_FAIL, errno,
                                 "cannot take libxl's lock %s", path);
            goto out;
        }
        if (snap_now_ms() >= deadline) {
            rc = snap_fail(err, SNAP_BUSY,
                           "%s: another xl command has been holding its lock %s for %d ms",
                           dom->name, what, timeout_ms);
            goto out;
        }
        usleep(1000);
    }
    *fd_r = fd;
    fd = -1;
    rc = 0;

out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

bool hyp_lock_is_free(const struct snap_domain *dom, const char *what)
{
    char *path = snap_printf("%s/userdata-l.%u.%s.%s", hyp_lib_dir, dom->domid,
                             dom->uuid, what);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool yes;

    /* libxl removes the file when it lets go. */
    yes = fd < 0 ? errno == ENOENT : !flock(fd, LOCK_EX | LOCK_NB);
    if (fd >= 0)
        close(fd);
    free(path);
    return yes;
}

int hyp_lock_wait_free(const struct snap_domain *dom, struct snap_err *err)
{
    static const char *const what[] = { HYP_LOCK_DEVICES, HYP_LOCK_DATA };
    int rc = 0, fd;
    size_t i;

    for (i = 0; i < sizeof(what) / sizeof(what[0]) && !rc; i++) {
        rc = hyp_lock_userdata(dom, what[i], hyp_limits.lock_ms, &fd, err);
        hyp_unlock(&fd);
    }
    return rc;
}

void hyp_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
