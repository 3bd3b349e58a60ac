/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See in_use.h.  A process may appear or go while we look: this is a last
 * guard, not a lock.  The domain's lock of the caller and xenstore are what
 * keeps new users away.
 */
#include "disk/file/in_use.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_held.h"
#include "disk/file/in_kernel.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

/* flags: of /proc/PID/fdinfo/N, octal, in one of its first lines. */
static bool writable(int proc_fd, const char *number)
{
    char name[64], buf[512], *at;
    int fd;
    ssize_t n;
    unsigned long flags;

    snprintf(name, sizeof(name), "fdinfo/%.20s", number);
    fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    at = strstr(buf, "flags:");
    if (!at)
        return false;
    flags = strtoul(at + 6, NULL, 8);
    return (flags & O_ACCMODE) != O_RDONLY;
}

#define NO_PROCESS (-1)

struct who {
    const struct stat *file;
    bool readers; /* they count, too */
    pid_t but; /* this one does not; 0: everybody does, NO_PROCESS: nobody */
};

static bool process_has(int proc_fd, const struct who *w)
{
    int fds = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d;
    const struct dirent *e;
    struct stat st;
    bool found = false;

    if (fds < 0)
        return false;
    d = fdopendir(fds);
    if (!d) {
        close(fds);
        return false;
    }
    while (!found && (e = readdir(d)))
        if (isdigit((unsigned char)e->d_name[0]) &&
            !fstatat(dirfd(d), e->d_name, &st, 0) &&
            snap_same_stat(&st, w->file) &&
            (w->readers || writable(proc_fd, e->d_name)))
            found = true;
    closedir(d);
    return found;
}

static char *using_process(const struct who *w, struct snap_err *err)
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    char comm[64], *who = NULL;
    int fd;

    if (!proc) {
        snap_fail_errno(err, SNAP_IO, errno, "/proc");
        return NULL;
    }
    while (!who && (e = readdir(proc))) {
        if (!isdigit((unsigned char)e->d_name[0]) ||
            (w->but && strtol(e->d_name, NULL, 10) == w->but))
            continue;
        fd = openat(dirfd(proc), e->d_name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (process_has(fd, w)) {
            if (!snap_line_read(fd, "comm", comm, sizeof(comm)))
                snprintf(comm, sizeof(comm), "a program");
            snap_clean(comm);
            who = snap_printf("%s (process %s)", comm, e->d_name);
        }
        close(fd);
    }
    closedir(proc);
    return who;
}

static int image_user(const char *path, bool readers, pid_t but, char **who_r,
                      struct snap_err *err)
{
    int e;
    struct stat st;
    struct who w = { .file = &st, .readers = readers, .but = but };
    struct snap_err why = SNAP_ERR_INIT;

    *who_r = NULL;
    e = snap_fault("file", "look for users");
    if (!e && stat(path, &st))
        e = errno;
    if (e == ENOENT)
        return 0;
    if (e)
        return snap_fail_errno(err, SNAP_IO, e, "%s", path);
    if (but != NO_PROCESS)
        *who_r = using_process(&w, &why);
    if (why.rc)
        return snap_fail(err, why.rc, "looking for users of %s: %s", path,
                         why.msg);
    if (!*who_r)
        *who_r = snap_kernel_user(path, &st, readers);
    return 0;
}

int snap_image_writer(const char *path, char **who_r, struct snap_err *err)
{
    return image_user(path, false, 0, who_r, err);
}

/* The process at the other end of its monitor. */
static pid_t own_qemu(const struct snap_disk_ctx *c)
{
    return c->qmp ? snap_qmp_peer(c->qmp) : 0;
}

int snap_image_reader(struct snap_disk_ctx *c, const char *path, char **who_r,
                      struct snap_err *err)
{
    return image_user(path, true, own_qemu(c), who_r, err);
}

static int in_use_check(struct snap_disk_ctx *c, const char *path,
                        bool readers, pid_t but, struct snap_err *err)
{
    int rc;
    char *who = NULL;

    if (c->image_user && !snap_image_is_held(path)) {
        rc = c->image_user(c->opaque, path, &who, err);
        if (rc)
            goto out;
    }
    if (!who) {
        rc = image_user(path, readers, but, &who, err);
        if (rc)
            goto out;
    }
    rc = who ? snap_fail(err, SNAP_BUSY, "%s is in use by %s", path, who) : 0;

out:
    free(who);
    return rc;
}

int snap_image_check_unused(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err)
{
    return in_use_check(c, path, false, 0, err);
}

int snap_image_check_closed(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err)
{
    return in_use_check(c, path, true, 0, err);
}

int snap_image_check_left(struct snap_disk_ctx *c, const char *path,
                          struct snap_err *err)
{
    int rc = in_use_check(c, path, false, 0, err);

    return rc ? rc : in_use_check(c, path, true, own_qemu(c), err);
}

int snap_image_check_others(struct snap_disk_ctx *c, const char *path,
                            bool readers, struct snap_err *err)
{
    bool its_own = c->domid != UINT32_MAX && !c->qmp;

    return in_use_check(c, path, readers, its_own ? NO_PROCESS : own_qemu(c),
                        err);
}
