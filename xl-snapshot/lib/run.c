/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Run another program and hear what it has to say, but not for ever and not
 * without bound.  The child gets its own process group so that what it
 * starts dies with it, default signals, LC_ALL=C, a PATH that finds the sbin
 * folders, and no descriptor of ours but its three.
 *
 * It ends when we do, even by SIGKILL: what kept others from the files that it
 * writes to is gone then, and a recovery may begin.  The kernel tells it of the
 * end of the thread that started it, which waits for it.
 *
 * Assumes that SIGCHLD is not ignored and that nobody else reaps our child.
 * Must never wait for a pid that is not its own, never start a shell, and
 * between fork() and execve() only make async-signal-safe calls.
 *
 * A child that has ended is not held up by a daemon that it left behind with
 * our pipe still open: what the pipes hold by then is all we read.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"

#define TIMEOUT_MS 60000
#define GRACE_MS   2000 /* between SIGTERM and SIGKILL */
#define TICK_MS    100 /* between two calls of tick() */
#define KILLED_MS  5000 /* for a killed process to be gone */
#define SLICE_MS   20 /* without pidfd: how often to look */
#define QUOTE_MAX  300 /* bytes of stderr in a message */
#define SANE_PATH  "/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

const char *snap_run_path_first = NULL;

enum { STDOUT, STDERR, EXEC, STREAMS };

struct child {
    pid_t pid;
    int pidfd; /* readable once it has ended; or -1 */
    int fd[STREAMS]; /* our ends; -1 once at end of file */
    struct snap_buf text[STREAMS];
    bool flooded; /* more than SNAP_RUN_OUT_MAX */
    bool stopped; /* tick() asked for it */
    bool ended;
    int wstatus;
};

/* --- before the fork --------------------------------------------------- */

static const struct {
    const char *tool; /* a prefix if it ends in '*' */
    const char *package;
} packages[] = {
    { "qemu-img", "qemu-utils" },
    { "qemu-io", "qemu-utils" },
    { "qemu-nbd", "qemu-utils" },
    { "lv*", "lvm2" },
    { "vg*", "lvm2" },
    { "pv*", "lvm2" },
    { "dmsetup", "dmsetup" },
    { "losetup", "mount" },
    { "blockdev", "util-linux" },
    { "fsfreeze", "util-linux" },
    { "zfs", "zfsutils-linux" },
    { "zpool", "zfsutils-linux" },
    { "rbd", "ceph-common" },
    { "xl", "xen-utils-common" },
};

static const char *package_of(const char *tool)
{
    size_t i, n;

    for (i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        n = strcspn(packages[i].tool, "*");
        if (!strncmp(packages[i].tool, tool, n) &&
            (packages[i].tool[n] || !tool[n]))
            return packages[i].package;
    }
    return NULL;
}

static const char *tool_name(const struct snap_run *r)
{
    const char *slash;

    slash = strrchr(r->argv[0], '/');
    return slash ? slash + 1 : r->argv[0];
}

/* The folders to look in, and the PATH of the child.  Empty and relative
 * ones are left out: root's tools do not come from the current folder. */
static char *search_path(void)
{
    const char *parts[] = { snap_run_path_first, getenv("PATH"), SANE_PATH };
    struct snap_buf b = { 0 };
    const char *p;
    size_t i, n;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (p = parts[i]; p && *p; p += n, p += *p == ':') {
            n = strcspn(p, ":");
            if (*p != '/')
                continue;
            if (b.len)
                snap_buf_add(&b, ":", 1);
            snap_buf_add(&b, p, n);
        }
    }
    return b.data;
}

/* The file behind a tool's name, or NULL with errno; caller frees. */
static char *find_tool(const char *tool, const char *path)
{
    int why = ENOENT;
    struct stat st;
    const char *p;
    char *file;
    size_t n;

    if (strchr(tool, '/'))
        return snap_strdup(tool);
    for (p = path; *p; p += n, p += *p == ':') {
        n = strcspn(p, ":");
        file = snap_printf("%.*s/%s", (int)n, p, tool);
        if (!stat(file, &st) && S_ISREG(st.st_mode)) {
            if (!access(file, X_OK))
                return file;
            why = EACCES;
        }
        free(file);
    }
    errno = why;
    return NULL;
}

char *snap_run_find(const char *tool)
{
    char *path = search_path(), *file = find_tool(tool, path);

    free(path);
    return file;
}

/* Our environment but for what changes a tool's language or search.  Frees
 * with free_env(). */
static char **make_env(const char *path)
{
    static const char *const dropped[] = { "PATH=", "LC_ALL=", "LANGUAGE=" };
    char **env = NULL;
    size_t n = 0, i, k;

    for (i = 0; environ && environ[i]; i++)
        ;
    env = snap_realloc(NULL, i + 3, sizeof(*env));
    for (i = 0; environ && environ[i]; i++) {
        for (k = 0; k < sizeof(dropped) / sizeof(dropped[0]); k++)
            if (snap_has_prefix(environ[i], dropped[k]))
                break;
        if (k == sizeof(dropped) / sizeof(dropped[0]))
            env[n++] = snap_strdup(environ[i]);
    }
    env[n++] = snap_strdup("LC_ALL=C");
    env[n++] = snap_printf("PATH=%s", path);
    env[n] = NULL;
    return env;
}

static void free_env(char **env)
{
    size_t i;

    for (i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above stderr, so that dup2() in the child cannot hit it; like dup(2), but
 * the old one is closed. */
static int raise_fd(int *fd)
{
    int high;

    if (*fd > STDERR_FILENO)
        return 0;
    high = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (high < 0)
        return -1;
    close(*fd);
    *fd = high;
    return 0;
}

static int make_pipe(int *read_r, int *write_r)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC))
        return -1;
    *read_r = fds[0];
    *write_r = fds[1];
    if (raise_fd(read_r) || raise_fd(write_r))
        return -1;
    return fcntl(*read_r, F_SETFL, O_NONBLOCK);
}

static void say_start(const struct snap_run *r)
{
    struct snap_buf b = { 0 };
    const char *a;
    size_t i;

    if (!r->log)
        return;
    for (i = 0; r->argv[i]; i++) {
        a = r->argv[i];
        snap_buf_addf(&b,
                      !*a || strpbrk(a, " '\"\\$*?;&|<>()") ? " '%s'" : " %s",
                      a);
    }
    snap_say(r->log, SNAP_LOG_DEBUG, "run:%s", b.data);
    snap_buf_dispose(&b);
}

/* --- the child --------------------------------------------------------- */

static void close_from(unsigned int low)
{
    struct rlimit lim;
    rlim_t fd;

    if (!close_range(low, ~0U, 0))
        return;
    if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur > 1048576)
        lim.rlim_cur = 1048576;
    for (fd = low; fd < lim.rlim_cur; fd++)
        close(fd);
}

/* Never returns; what went wrong goes to fd[EXEC], whose silence is
 * success. */
static void __attribute__((noreturn))
become(const char *file, const char *const *argv, char **env, int in,
       const int fd[STREAMS], pid_t parent)
{
    struct sigaction sa = { .sa_handler = SIG_DFL };
    int sig, e, say = fd[EXEC];
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    for (sig = 1; sig < NSIG; sig++)
        sigaction(sig, &sa, NULL);
    sigemptyset(&none);

    /* in first: the caller may have passed us its 1 or 2. */
    if ((in == STDIN_FILENO && fcntl(in, F_SETFD, 0)) ||
        dup2(in, STDIN_FILENO) < 0 || dup2(fd[STDOUT], STDOUT_FILENO) < 0 ||
        dup2(fd[STDERR], STDERR_FILENO) < 0)
        goto fail;
    if (say != STDERR_FILENO + 1) {
        if (dup3(say, STDERR_FILENO + 1, O_CLOEXEC) < 0)
            goto fail;
        say = STDERR_FILENO + 1;
    }
    close_from(say + 1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(file, (char *const *)argv, env);

fail:
    e = errno;
    if (write(say, &e, sizeof(e)) != sizeof(e))
        _exit(126);
    _exit(127);
}

/* --- beside the child -------------------------------------------------- */

/* Read what a stream holds now. */
static void drain(struct child *c, int which)
{
    char chunk[16384];
    ssize_t n;

    while (c->fd[which] >= 0) {
        n = read(c->fd[which], chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_fd(&c->fd[which]);
            return;
        }
        if ((size_t)n > SNAP_RUN_OUT_MAX - c->text[which].len) {
            c->flooded = true;
            return;
        }
        snap_buf_add(&c->text[which], chunk, n);
    }
}

/* Reap it if it has ended. */
static int reap(struct child *c)
{
    pid_t got;

    if (c->ended)
        return 0;
    do
        got = waitpid(c->pid, &c->wstatus, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    c->ended = got == c->pid;
    return 0;
}

/* How much it has read by now: what copies reads all the time.  0: unknown. */
static uint64_t has_read(const struct child *c)
{
    char name[40], line[64];

    snprintf(name, sizeof(name), "/proc/%d/io", (int)c->pid);
    if (!snap_line_read(AT_FDCWD, name, line, sizeof(line)) ||
        !snap_has_prefix(line, "rchar: "))
        return 0;
    return strtoull(line + strlen("rchar: "), NULL, 10);
}

/*
 * Collect output until the child has ended, or the deadline, or it printed
 * too much, or is to stop.  Returns 0, or -1 with errno if the child got lost.
 */
static int attend(struct child *c, const struct snap_run *r, double deadline)
{
    struct pollfd pfd[STREAMS + 1];
    double left;
    uint64_t now, before = 0;
    int i;

    while (!c->flooded) {
        now = r->stall_ms ? has_read(c) : 0;
        if (now != before)
            deadline = snap_now_ms() + r->stall_ms;
        before = now;
        /* Reap first: what is drained afterwards is then all of it. */
        if (reap(c))
            return -1;
        for (i = 0; i < STREAMS; i++)
            drain(c, i);
        left = deadline - snap_now_ms();
        if (c->ended || left <= 0)
            return 0;
        if (r->tick && r->tick(r->opaque)) {
            c->stopped = true;
            return 0;
        }
        for (i = 0; i < STREAMS; i++)
            pfd[i] = (struct pollfd){ .fd = c->fd[i], .events = POLLIN };
        pfd[STREAMS] = (struct pollfd){ .fd = c->pidfd, .events = POLLIN };
        if (left > (c->pidfd < 0 ? SLICE_MS : TIMEOUT_MS))
            left = c->pidfd < 0 ? SLICE_MS : TIMEOUT_MS;
        if (r->tick && left > TICK_MS)
            left = TICK_MS;
        if (poll(pfd, STREAMS + 1, (int)left + 1) < 0 && errno != EINTR)
            return -1;
    }
    return 0;
}

/* Wait for the end of a child we have given up on, its output unread.  It
 * is not reaped: until then its pid, and so its group, cannot be another's. */
static void await_end(const struct child *c, double deadline)
{
    struct pollfd pfd = { .fd = c->pidfd, .events = POLLIN };
    siginfo_t si = { 0 };

    while (snap_now_ms() < deadline) {
        if (waitid(P_PID, c->pid, &si, WEXITED | WNOHANG | WNOWAIT))
            return;
        if (si.si_pid == c->pid)
            return;
        poll(&pfd, 1, SLICE_MS);
    }
}

/* End the whole group, kindly first: LVM and qemu-img tidy up on SIGTERM. */
static void put_down(struct child *c)
{
    kill(-c->pid, SIGTERM);
    await_end(c, snap_now_ms() + GRACE_MS);
    /* Also when the leader went: the rest of its group may not have. */
    kill(-c->pid, SIGKILL);
    await_end(c, snap_now_ms() + KILLED_MS);
    reap(c);
}

/* --- together ---------------------------------------------------------- */

static int fail_start(const struct snap_run *r, int errnum,
                      struct snap_err *err)
{
    const char *tool = tool_name(r), *package;
    int rc = SNAP_FAIL;

    if (errnum == ENOENT) {
        package = package_of(tool);
        rc = snap_fail(err, SNAP_NOTFOUND, "%s is not installed", r->argv[0]);
        if (package)
            snap_err_append(err, "Debian package %s", package);
        return rc;
    }
    if (errnum == ETIMEDOUT)
        rc = SNAP_TIMEOUT;
    return snap_fail_errno(err, rc, errnum, "cannot run %s", r->argv[0]);
}

/* The last line that says something, without the tool's own name in front;
 * NULL if there is none.  Caller frees. */
static char *last_line(const char *tool, const char *text, size_t len)
{
    const char *line, *end = text + len;
    size_t n;

    while (end > text && strchr(" \t\r\n", end[-1]))
        end--;
    if (end == text)
        return NULL;
    for (line = end; line > text && line[-1] != '\n'; line--)
        ;
    line += strspn(line, " \t");
    n = strlen(tool);
    if (end - line > (ptrdiff_t)n + 2 && !strncmp(line, tool, n) &&
        !strncmp(line + n, ": ", 2))
        line += n + 2;
    return snap_excerpt(line, end - line, QUOTE_MAX);
}

/* What its end means; timeout_ms: it passed its deadline, else 0. */
static int judge(const struct snap_run *r, const struct child *c,
                 int timeout_ms, struct snap_err *err)
{
    const char *tool = tool_name(r);
    char *line = NULL;
    int e, rc;

    if (c->text[EXEC].len == sizeof(e)) {
        memcpy(&e, c->text[EXEC].data, sizeof(e));
        return fail_start(r, e, err);
    }
    if (c->flooded)
        return snap_fail(err, SNAP_PROTO,
                         "%s: printed more than %u bytes and was stopped",
                         tool, SNAP_RUN_OUT_MAX);
    if (c->stopped)
        return snap_fail(err, SNAP_INTR, "%s: interrupted; %s", tool,
                         c->ended ? "it was stopped"
                                  : "it could not be killed and may go on");
    if (timeout_ms)
        return snap_fail(err, SNAP_TIMEOUT, "%s: %s %d ms; %s", tool,
                         r->stall_ms ? "it has read nothing for"
                                     : "not done after",
                         timeout_ms,
                         c->ended ? "it was stopped"
                                  : "it could not be killed and may go on");
    if (r->status == 0)
        return 0;

    line = last_line(tool, r->err_text, strlen(r->err_text));
    if (WIFSIGNALED(c->wstatus))
        rc = snap_fail(err, SNAP_FAIL, "%s: %s (killed by signal %d)", tool,
                       line ? line : "died", WTERMSIG(c->wstatus));
    else
        rc = snap_fail(err, SNAP_FAIL, "%s: %s (exit %d)", tool,
                       line ? line : "failed without a message", r->status);
    free(line);
    return rc;
}

/* Start it; whatever of c is open after a failure is the caller's. */
static int run_start(const struct snap_run *r, struct child *c,
                     struct snap_err *err)
{
    int theirs[STREAMS] = { -1, -1, -1 };
    char *path = NULL, *file = NULL;
    int null_fd = -1, i, rc;
    char **env = NULL;
    pid_t self = getpid();
    sigset_t all, old;

    path = search_path();
    file = find_tool(r->argv[0], path);
    if (!file) {
        rc = fail_start(r, errno, err);
        goto out;
    }
    env = make_env(path);
    if (r->stdin_fd < 0)
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (r->stdin_fd < 0 && null_fd < 0) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno, "cannot open /dev/null");
        goto out;
    }
    for (i = 0; i < STREAMS; i++) {
        if (make_pipe(&c->fd[i], &theirs[i])) {
            rc = fail_start(r, errno, err);
            goto out;
        }
    }

    /* No handler of ours may run in the child before it is the tool. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    c->pid = fork();
    if (c->pid == 0)
        become(file, r->argv, env, null_fd < 0 ? r->stdin_fd : null_fd, theirs,
               self);
    i = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (c->pid < 0) {
        rc = fail_start(r, i, err);
        goto out;
    }
    setpgid(c->pid, c->pid); /* whoever comes first, it or we */
    c->pidfd = syscall(SYS_pidfd_open, c->pid, 0);
    rc = 0;

out:
    for (i = 0; i < STREAMS; i++)
        close_fd(&theirs[i]);
    close_fd(&null_fd);
    free_env(env);
    free(file);
    free(path);
    return rc;
}

/* Hand over what it printed. */
static void deliver(struct snap_run *r, struct child *c)
{
    int wstatus = c->ended ? c->wstatus : SIGKILL; /* as it will be */

    r->status = WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus)
                                     : WEXITSTATUS(wstatus);
    if (c->text[EXEC].len)
        return; /* it never ran */
    r->out = c->text[STDOUT].data;
    r->out_len = c->text[STDOUT].len;
    r->err_text = c->text[STDERR].data;
    c->text[STDOUT].data = c->text[STDERR].data = NULL;
}

int snap_run(struct snap_run *r, struct snap_err *err)
{
    int timeout_ms = r->stall_ms > 0     ? r->stall_ms
                     : r->timeout_ms > 0 ? r->timeout_ms
                                         : TIMEOUT_MS;
    struct child c = { .pid = -1, .pidfd = -1, .fd = { -1, -1, -1 } };
    double begun = snap_now_ms();
    int late = 0, e, i, rc;

    snap_run_dispose(r);
    for (i = 0; i < STREAMS; i++)
        snap_buf_add(&c.text[i], "", 0);
    say_start(r);
    e = snap_fault("tool", r->argv[0]);
    if (e) {
        rc = fail_start(r, e, err);
        goto out;
    }
    rc = run_start(r, &c, err);
    if (rc)
        goto out;
    if (attend(&c, r, begun + timeout_ms)) {
        e = errno;
        if (e != ECHILD) /* its pid may be another's by now */
            put_down(&c);
        rc = snap_fail_errno(err, SNAP_FAIL, e, "%s: lost sight of it",
                             tool_name(r));
        goto out;
    }
    if (!c.ended) {
        late = c.flooded || c.stopped ? 0 : timeout_ms;
        put_down(&c);
        drain(&c, STDERR);
    }
    deliver(r, &c);
    rc = judge(r, &c, late, err);
    snap_say(r->log, SNAP_LOG_DEBUG, "%s: exit %d after %.0f ms", tool_name(r),
             r->status, snap_now_ms() - begun);

out:
    for (i = 0; i < STREAMS; i++) {
        close_fd(&c.fd[i]);
        snap_buf_dispose(&c.text[i]);
    }
    close_fd(&c.pidfd);
    return rc;
}

void snap_run_dispose(struct snap_run *r)
{
    snap_free(&r->out);
    snap_free(&r->err_text);
    r->out_len = 0;
    r->status = 0;
}
