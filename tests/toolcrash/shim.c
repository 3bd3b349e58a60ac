/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Loaded into a tool (LD_PRELOAD): counts the calls with which it changes
 * files, over all its threads and over all tools of one case, and fails the
 * one that was asked for, or ends the process there.  What strace -e inject
 * does, but that counts for each thread, and which of QEMU's threads gets a
 * call is chance.  Or it lets the whole tool lie.  What a file holds when it is
 * synced is copied to where fakes/durable.c finds it.
 *
 * A file that all tools of a case map says which call (struct doom).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "toolcrash/doom.h"

static struct doom *doom;
static bool says_1;

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Who has started the tool, and the tool. */
static void power_goes(void)
{
    kill(getppid(), SIGKILL);
    die();
}

/* Is this the tool? */
static void tool_begins(void)
{
    unsigned n = __atomic_add_fetch(&doom->tools, 1, __ATOMIC_SEQ_CST);

    if (!doom_of_tools(doom->how) || doom->at != n)
        return;
    snprintf(doom->what, sizeof(doom->what), "%.20s",
             program_invocation_short_name);
    if (doom->how == DOOM_NOTHING)
        _exit(0);
    if (doom->how == DOOM_LAZY_POWER)
        power_goes();
    says_1 = true;
}

static void __attribute__((destructor)) end(void)
{
    if (!says_1)
        return;
    fflush(NULL);
    _exit(1);
}

static void __attribute__((constructor)) begin(void)
{
    const char *path = getenv("TOOLCRASH");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    doom = mmap(NULL, sizeof(*doom), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                0);
    close(fd);
    if (doom == MAP_FAILED)
        abort();
    tool_begins();
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (!f)
        abort();
    return f;
}

/* Is this the call?  0: carry it out; an errno: fail with it; -1: do half of
 * it and die. */
static int fate(const char *what, int fd)
{
    unsigned n;
    char link[32], name[256];
    ssize_t len;

    if (!doom)
        return 0;
    n = __atomic_add_fetch(&doom->calls, 1, __ATOMIC_SEQ_CST);
    if (!doom->at || doom_of_tools(doom->how) || n < doom->at ||
        (n > doom->at && !doom->from_then_on))
        return 0;
    if (n == doom->at) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        len = fd < 0 ? -1 : readlink(link, name, sizeof(name) - 1);
        name[len < 0 ? 0 : len] = '\0';
        snprintf(doom->what, sizeof(doom->what), "%.20s of %.80s in %.20s",
                 what, strrchr(name, '/') ? strrchr(name, '/') + 1 : name,
                 program_invocation_short_name);
    }
    if (doom->how == DOOM_KILL)
        die();
    if (doom->how == DOOM_POWER)
        power_goes();
    if (doom->how == DOOM_TEAR)
        return -1;
    return doom->how == DOOM_EIO || strstr(what, "sync") ? EIO : ENOSPC;
}

static int fail(int e)
{
    errno = e;
    return -1;
}

static ssize_t some(int fd, const void *buf, size_t n, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);

    if (!real)
        real = (ssize_t(*)(int, const void *, size_t, off64_t))next(
            "pwrite64");
    return real(fd, buf, n, at);
}

static ssize_t some_v(int fd, const struct iovec *v, int n, off64_t at)
{
    static ssize_t (*real)(int, const struct iovec *, int, off64_t);

    if (!real)
        real = (ssize_t(*)(int, const struct iovec *, int, off64_t))next(
            "pwritev64");
    return real(fd, v, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
    int e = fate("pwrite", fd);

    if (e < 0) {
        /* A disk keeps sectors whole. */
        some(fd, buf, n / 2 & ~(size_t)511, at);
        die();
    }
    return e ? fail(e) : some(fd, buf, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    return pwrite64(fd, buf, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
    int e = fate("pwritev", fd);

    if (e < 0) {
        some_v(fd, v, n / 2, at);
        die();
    }
    return e ? fail(e) : some_v(fd, v, n, at);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return pwritev64(fd, v, n, at);
}

/* The disk has what the file holds now.  Under its name at once, for another
 * thread may end us meanwhile. */
static void note(int fd)
{
    char self[32], to[256], tmp[280], buf[1 << 16];
    struct stat st;
    off64_t at = 0;
    ssize_t n;
    int from, out;

    if (!doom || !doom->disk[0] || fstat(fd, &st))
        return;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    snprintf(to, sizeof(to), "%s/f%llu", doom->disk,
             (unsigned long long)st.st_ino);
    snprintf(tmp, sizeof(tmp), "%s.%d", to, (int)gettid());
    from = open(self, O_RDONLY | O_CLOEXEC);
    out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (from < 0 || out < 0)
        abort();
    while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
        if (some(out, buf, n, at) != n)
            abort();
        at += n;
    }
    if (futimens(out, (struct timespec[2]){ st.st_mtim, st.st_mtim }) ||
        rename(tmp, to))
        abort();
    close(out);
    close(from);
}

static int sync_it(const char *what, int fd)
{
    int (*real)(int) = (int (*)(int))next(what);
    int r, e = fate(what, fd);

    if (e < 0)
        die();
    if (e)
        return fail(e);
    if (doom && doom->how == DOOM_LAZY_POWER)
        return 0;
    r = real(fd);
    if (!r)
        note(fd);
    return r;
}

int fsync(int fd)
{
    return sync_it("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_it("fdatasync", fd);
}

#define SIMPLE(name, params, args, types)     \
    int name params                           \
    {                                         \
        static int(*real) types;              \
        int e = fate(#name, fd);              \
                                              \
        if (!real)                            \
            real = (int(*) types)next(#name); \
        if (e < 0)                            \
            die();                            \
        return e ? fail(e) : real args;       \
    }

/* clang-format off */
SIMPLE(ftruncate64, (int fd, off64_t n), (fd, n), (int, off64_t))
SIMPLE(fallocate64, (int fd, int how, off64_t at, off64_t n),
       (fd, how, at, n), (int, int, off64_t, off64_t))
/* clang-format on */

int ftruncate(int fd, off_t n)
{
    return ftruncate64(fd, n);
}

int fallocate(int fd, int how, off_t at, off_t n)
{
    return fallocate64(fd, how, at, n);
}
