/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The domain's lock: flock(2) on UUID/lock, so that it goes with its owner
 * however that dies, and a text in the file that tells others who it is:
 *
 *     PID BOOTID STARTTIME COMMAND\n
 *
 * The text is only for messages and may be stale or half written; the boot
 * and the start time tell a living owner from a stranger with its pid.  The
 * file is never removed.  The descriptor is close-on-exec: a program that we
 * run must not hold the lock after us.
 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/boot_id.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define TEXT_MAX    512
#define COMMAND_MAX 80
/* How often the file may be replaced under our hands before we say so. */
#define TRIES 100

/* Clock ticks after boot when this process began; 0: unknown. */
static unsigned long long start_time(long pid)
{
    unsigned long long t = 0;
    char path[40], buf[1024];
    const char *p;
    ssize_t n;
    int fd, i;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    if (n <= 0)
        return 0;
    buf[n] = '\0';
    /* Field 22; the second is "(a command with anything in it)". */
    p = strrchr(buf, ')');
    for (i = 2; p && i < 22; i++)
        p = strchr(p + 1, ' ');
    if (p)
        t = strtoull(p + 1, NULL, 10);
    return t;
}

/* "snapshot-create (pid 123)", or NULL if the text does not name a living
 * process. */
static char *owner(int fd)
{
    char buf[TEXT_MAX + 1], bootid[64], *boot = NULL, *command, *p;
    char *who = NULL;
    unsigned long long start;
    size_t len;
    ssize_t n;
    long pid;

    n = pread(fd, buf, TEXT_MAX, 0);
    buf[n > 0 ? n : 0] = '\0';
    pid = strtol(buf, &p, 10);
    len = *p == ' ' ? strcspn(p + 1, " ") : 0;
    if (!strchr(buf, '\n') || pid <= 0 || !len || len >= sizeof(bootid))
        return NULL;
    memcpy(bootid, p + 1, len);
    bootid[len] = '\0';
    start = strtoull(p + 1 + len, &p, 10);
    if (*p++ != ' ')
        return NULL;
    boot = snap_boot_id();
    if (!snap_streq(boot, bootid) || !start || start_time(pid) != start)
        goto out;
    command = snap_excerpt(p, strcspn(p, "\n"), COMMAND_MAX);
    who = snap_printf("%s (pid %ld)", command, pid);
    free(command);

out:
    free(boot);
    return who;
}

static void sign(int fd, const char *command)
{
    char *boot = snap_boot_id(), *what, *text;
    long pid = getpid();

    what = snap_excerpt(command, strlen(command), COMMAND_MAX);
    text = snap_printf("%ld %s %llu %s\n", pid, boot[0] ? boot : "-",
                       start_time(pid), what);
    /* A lock without its text is as good a lock. */
    if (ftruncate(fd, 0) || pwrite(fd, text, strlen(text), 0) < 0)
        errno = 0;
    free(text);
    free(what);
    free(boot);
}

static int open_lock(const char *path, int *fd_r, struct snap_err *err)
{
    struct stat st;
    int fd, e;

    e = snap_fault("file", "open lock");
    fd = e ? -1
           : open(path,
                  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
                      O_NOCTTY,
                  0600);
    if (fd < 0) {
        e = e ? e : errno;
        if (e == ENOENT)
            return snap_fail(err, SNAP_NOTFOUND,
                             "this domain has no snapshots: there is no folder for %s",
                             path);
        if (e == ELOOP)
            return snap_fail(err, SNAP_REFUSED,
                             "%s is a symbolic link; remove it", path);
        return snap_fail_errno(err, SNAP_IO, e, "cannot open %s", path);
    }
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return snap_fail(err, SNAP_REFUSED,
                         "%s is not a regular file; remove it", path);
    }
    *fd_r = fd;
    return 0;
}

static int lock_take(int fd, int how, const char *path, struct snap_err *err)
{
    int e;

    e = snap_fault("file", "flock");
    if (!e && flock(fd, how))
        e = errno;
    if (!e)
        return 0;
    if (e == EWOULDBLOCK)
        return SNAP_BUSY; /* the caller knows more to say */
    if (e == EINTR)
        return snap_fail(err, SNAP_INTR,
                         "interrupted while waiting for another command; nothing was done");
    return snap_fail_errno(err, SNAP_IO, e, "cannot lock %s", path);
}

/* Is what we locked still what has the name? */
static bool current(int fd, const char *path)
{
    struct stat ours, theirs;

    return !fstat(fd, &ours) && !lstat(path, &theirs) &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* how: LOCK_EX or LOCK_SH. */
static int lock(struct snap_store *s, int how, bool wait, const char *command,
                const struct snap_log *log, struct snap_err *err)
{
    char *path = snap_printf("%s/lock", s->dir), *who = NULL;
    bool noted = false;
    int tries, fd = -1, rc;

    if (s->lock_fd >= 0) {
        rc = snap_fail(err, SNAP_FAIL, "%s is locked by us already", path);
        goto out;
    }
    for (tries = 0; tries < TRIES; tries++) {
        rc = open_lock(path, &fd, err);
        if (rc)
            goto out;
        rc = lock_take(fd, how | LOCK_NB, path, err);
        if (rc == SNAP_BUSY && !who)
            who = owner(fd);
        if (rc == SNAP_BUSY && !who)
            who = snap_strdup("another command");
        if (rc == SNAP_BUSY && !wait) {
            snap_fail(err, rc,
                      "%s is at work on this domain; wait until it has finished",
                      who);
            goto out;
        }
        if (rc == SNAP_BUSY) {
            if (!noted)
                snap_say(log, SNAP_LOG_NOTE,
                         "waiting for %s, which is at work on this domain",
                         who);
            noted = true;
            rc = lock_take(fd, how, path, err);
        }
        if (rc)
            goto out;
        if (current(fd, path))
            break;
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        rc = snap_fail(err, SNAP_BUSY,
                       "%s is replaced again and again by another process; end that, and try again",
                       path);
        goto out;
    }
    sign(fd, command);
    s->lock_fd = fd;
    fd = -1;
    rc = 0;

out:
    if (fd >= 0)
        close(fd);
    free(who);
    free(path);
    return rc;
}

int snap_store_lock(struct snap_store *s, bool wait, const char *command,
                    const struct snap_log *log, struct snap_err *err)
{
    return lock(s, LOCK_EX, wait, command, log, err);
}

int snap_store_lock_shared(struct snap_store *s, bool wait,
                           const char *command, const struct snap_log *log,
                           struct snap_err *err)
{
    return lock(s, LOCK_SH, wait, command, log, err);
}

int snap_store_lock_whole(struct snap_store *whole_r, const char *root,
                          const char *command, struct snap_err *err)
{
    int rc;
    char *who;
    struct snap_store *s = whole_r;

    *s = (struct snap_store)SNAP_STORE_INIT;
    s->dir = snap_strdup(root);
    rc = lock(s, LOCK_EX, false, command, NULL, err);
    if (rc == SNAP_BUSY) {
        who = snap_store_worker(s);
        snap_err_clear(err);
        snap_fail(err, rc,
                  "%s has the lock of the whole store, %s/lock, and does not let go of it; end that, and try again",
                  who ? who : "another command", root);
        free(who);
    }
    return rc;
}

int snap_store_inherit(struct snap_store *s, int fd, const char *command,
                       struct snap_err *err)
{
    char *path = snap_printf("%s/lock", s->dir);
    int rc = 0;

    if (fd < 0 || s->lock_fd >= 0 || !current(fd, path))
        rc = snap_fail(err, SNAP_REFUSED, "%s is not what was handed over",
                       path);
    /* Of the same open file this is no second lock. */
    if (!rc)
        rc = lock_take(fd, LOCK_EX | LOCK_NB, path, err);
    if (!rc) {
        sign(fd, command);
        s->lock_fd = fd;
    }
    free(path);
    return rc;
}

char *snap_store_worker(const struct snap_store *s)
{
    char *path = snap_printf("%s/lock", s->dir), *who = NULL;
    struct stat st;
    int fd;

    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
        who = owner(fd);
    if (fd >= 0)
        close(fd);
    free(path);
    return who;
}

/* Others that share it may have come after us. */
static bool is_signed_by_us(int fd)
{
    char buf[TEXT_MAX + 1];
    ssize_t n = pread(fd, buf, TEXT_MAX, 0);

    buf[n > 0 ? n : 0] = '\0';
    return strtol(buf, NULL, 10) == getpid();
}

void snap_store_unlock(struct snap_store *s)
{
    if (s->lock_fd < 0)
        return;
    /* Nobody should read our name once we are gone. */
    if (is_signed_by_us(s->lock_fd) && ftruncate(s->lock_fd, 0))
        errno = 0;
    close(s->lock_fd);
    s->lock_fd = -1;
}
