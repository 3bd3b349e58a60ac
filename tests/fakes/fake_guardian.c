/* SPDX-License-Identifier: LGPL-2.1-only */
/* See fake_guardian.h. */
#include "fakes/fake_guardian.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"
#include "op/guardian.h"

/* What an exec does: what is close-on-exec closes, handlers go, and threads,
 * of which a forked child has none. */
static void close_on_exec(void)
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    int fd;

    while (d && (e = readdir(d))) {
        fd = atoi(e->d_name);
        if (fd > 2 && fd != dirfd(d) && (fcntl(fd, F_GETFD) & FD_CLOEXEC))
            close(fd);
    }
    if (d)
        closedir(d);
}

/* ---- syslog ---- */

static char *said; /* shared with all processes */
#define SAID_MAX 8192

const char *fake_guardian_said(void)
{
    return said ? said : "";
}

static void said_begin(void)
{
    if (!said)
        said = mmap(NULL, SAID_MAX, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED)
        abort();
    said[0] = '\0';
}

static void keep(const char *fmt, va_list ap)
{
    size_t len;

    if (!said)
        return;
    len = strlen(said);
    vsnprintf(said + len, SAID_MAX - len, fmt, ap);
    len = strlen(said);
    snprintf(said + len, SAID_MAX - len, "\n");
}

/* In place of the C library's, which compilers call by either name. */
void syslog(int level, const char *fmt, ...);
void __syslog_chk(int level, int flag, const char *fmt, ...);

void syslog(int level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    keep(fmt, ap);
    va_end(ap);
}

void __syslog_chk(int level, int flag, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    (void)flag;
    va_start(ap, fmt);
    keep(fmt, ap);
    va_end(ap);
}

/* ---- nobody outlives the test ---- */

#define KNOWN 64

/* Commands and guardians of this program, some of them perhaps stopped. */
static struct known {
    pid_t pid[KNOWN];
    unsigned n;
} * known;

static void remember(pid_t pid)
{
    if (known)
        known->pid[__atomic_fetch_add(&known->n, 1, __ATOMIC_SEQ_CST) %
                   KNOWN] = pid;
}

static bool same_program(pid_t pid)
{
    char path[64];
    struct stat a, b;

    snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
    return !stat(path, &a) && !stat("/proc/self/exe", &b) &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void kill_known(void)
{
    unsigned i;

    for (i = 0; i < KNOWN; i++)
        if (known->pid[i] > 1 && same_program(known->pid[i]))
            kill(known->pid[i], SIGKILL);
}

/* Not our child, for which fake_guardian_wait() would wait: its parent goes at
 * once, while we are nobody's reaper yet. */
static void watch_over(void)
{
    struct pollfd p = { .events = POLLIN };
    pid_t test = getpid(), pid;

    known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (known == MAP_FAILED)
        abort();
    p.fd = (int)syscall(SYS_pidfd_open, test, 0);
    fflush(NULL);
    pid = fork();
    if (pid) {
        waitpid(pid, NULL, 0);
        close(p.fd);
        return;
    }
    if (p.fd < 0 || fork())
        _exit(0);
    setsid();
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    kill_known();
    _exit(0);
}

int (*fake_guardian_hook)(const char *layer, const char *what);

static void become_guardian(void *opaque, char *const argv[])
{
    const struct fake_host *h = opaque;
    struct snap_env env = h->env;
    int argc;

    remember(getpid());
    close_on_exec();
    snap_fault_hook = fake_guardian_hook;
    env.hyp = NULL;
    for (argc = 2; argv[argc]; argc++)
        ;
    _exit(snap_guardian_main(&env, argc - 2, (char **)argv + 2));
}

void fake_guardian_use(struct fake_host *h, unsigned stall_ms)
{
    /* What a test before this one left, because it failed. */
    if (known)
        kill_known();
    else
        watch_over();
    /* Orphans come to us, so that we can wait for them. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    said_begin();
    h->env.self_exe = "the fake program";
    h->env.exec = become_guardian;
    h->env.exec_opaque = h;
    h->env.stall_ms = stall_ms;
}

static struct {
    int rc;
    char msg[SNAP_ERR_MAX];
} * result;

pid_t fake_command(struct fake_host *h, fake_op *fn, void *arg,
                   int (*hook)(const char *layer, const char *what))
{
    struct snap_err err = SNAP_ERR_INIT;
    pid_t pid;

    if (!result)
        result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    result->rc = -1000;
    fflush(NULL);
    pid = fork();
    if (pid) {
        remember(pid);
        return pid;
    }
    setsid();
    snap_fault_hook = hook;
    result->rc = fake_host_attach(h, &err);
    if (!result->rc)
        result->rc = fn(h, arg, &err);
    fake_host_detach(h);
    snprintf(result->msg, sizeof(result->msg), "%s", err.msg);
    _exit(0);
}

int fake_command_end(pid_t pid, char *msg, size_t size)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (msg)
        snprintf(msg, size, "%s", result->msg);
    return WIFEXITED(status) && !WEXITSTATUS(status) ? result->rc : -1000;
}

unsigned fake_guardian_wait(void)
{
    unsigned n = 0;

    while (waitpid(-1, NULL, 0) > 0)
        n++;
    if (known)
        memset(known, 0, sizeof(*known));
    return n;
}

bool fake_guardian_wait_ms(unsigned ms)
{
    double deadline = snap_now_ms() + ms;

    while (waitpid(-1, NULL, WNOHANG) >= 0 && snap_now_ms() < deadline)
        poll(NULL, 0, 5);
    return waitpid(-1, NULL, WNOHANG) < 0;
}
