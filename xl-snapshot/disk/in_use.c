/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See in_use.h.  A process may appear or go while we look: this is a last
 * guard, not a lock.  The domain's lock of the caller and xenstore are what
 * keeps new users away.
 */
#include "disk/in_use.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool process_has(int proc_fd, const struct stat *want, bool readers)
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
            snap_same_stat(&st, want) &&
            (readers || writable(proc_fd, e->d_name)))
            found = true;
    closedir(d);
    return found;
}

static char *using_process(const struct stat *want, bool readers,
                           struct snap_err *err)
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
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        fd = openat(dirfd(proc), e->d_name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (process_has(fd, want, readers)) {
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

/* A loop device has its file open inside the kernel. */
static char *using_loop(const struct stat *want, bool readers)
{
    DIR *d = opendir("/sys/block");
    const struct dirent *e;
    char name[300], file[4096], ro[8], *who = NULL;
    struct stat st;

    if (!d)
        return NULL;
    while (!who && (e = readdir(d))) {
        if (!snap_has_prefix(e->d_name, "loop"))
            continue;
        snprintf(name, sizeof(name), "%s/loop/backing_file", e->d_name);
        if (!snap_line_read(dirfd(d), name, file, sizeof(file)) ||
            stat(file, &st) || !snap_same_stat(&st, want))
            continue;
        snprintf(name, sizeof(name), "%s/ro", e->d_name);
        if (readers || !snap_line_read(dirfd(d), name, ro, sizeof(ro)) ||
            ro[0] != '1')
            who = snap_printf("/dev/%s", e->d_name);
    }
    closedir(d);
    return who;
}

static int image_user(const char *path, bool readers, char **who_r,
                      struct snap_err *err)
{
    int rc, e;
    struct stat st;
    struct snap_err why = SNAP_ERR_INIT;

    *who_r = NULL;
    e = snap_fault("file", "look for users");
    if (!e && stat(path, &st))
        e = errno;
    if (e == ENOENT)
        return 0;
    if (e)
        return snap_fail_errno(err, SNAP_IO, e, "%s", path);
    *who_r = using_process(&st, readers, &why);
    if (why.rc) {
        rc = snap_fail(err, why.rc, "looking for users of %s: %s", path,
                       why.msg);
        return rc;
    }
    if (!*who_r)
        *who_r = using_loop(&st, readers);
    return 0;
}

int snap_image_writer(const char *path, char **who_r, struct snap_err *err)
{
    return image_user(path, false, who_r, err);
}

static int check(struct snap_disk_ctx *c, const char *path, bool readers,
                 struct snap_err *err)
{
    int rc;
    char *who = NULL;

    if (c->image_user) {
        rc = c->image_user(c->opaque, path, &who, err);
        if (rc)
            goto out;
    }
    if (!who) {
        rc = image_user(path, readers, &who, err);
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
    return check(c, path, false, err);
}

int snap_image_check_closed(struct snap_disk_ctx *c, const char *path,
                            struct snap_err *err)
{
    return check(c, path, true, err);
}
