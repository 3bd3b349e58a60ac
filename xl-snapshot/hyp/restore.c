/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * From a memory image back to a domain, through `xl restore -p /dev/stdin`:
 * xl gives it the lock, the ballooning and the monitor daemon that every
 * other domain has.  The image's own header is left out; xl gets a fresh one
 * with the configuration asked for, and the rest of the file behind it
 * through a pipe, so no second copy of the memory is needed.
 *
 * xl forks the daemon that watches the domain, and that one may keep what it
 * inherited: so xl's exit is waited for and never an end of file, and what it
 * prints goes to a memory file and not to a pipe.  xl gets a process group of
 * its own: Ctrl-C reaches us, and we decide.  If we die the pipe ends and xl
 * destroys what it began.
 */
#include "hyp/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/config_file.h"
#include "hyp/create.h"
#include "hyp/destroy.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/mark.h"
#include "hyp/proc.h"
#include "hyp/saveheader.h"
#include "hyp/scope.h"
#include "hyp/xl_lock.h"
#include "lib/file.h"
#include "model/domain_json.h"

#define PIPE_SIZE    (1 << 20)
#define LOCK_TELL_MS 60000
#define SAID_MAX \
    32768 /* bytes looked at of the begin and the end of what
                          * xl says */
#define SAID_LINES 3 /* of which this many are quoted */

int hyp_image_check(struct snap_hyp *h, int fd, char **config_r,
                    struct snap_err *err)
{
    bool poisoned;
    char byte;
    ssize_t n;
    int rc;

    *config_r = NULL;
    rc = hyp_enter(h, "image_check", err);
    if (rc)
        goto out;
    if (lseek(fd, 0, SEEK_SET) < 0) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "the memory image");
        goto out;
    }
    rc = snap_saveheader_read(fd, config_r, &poisoned, err);
    if (rc)
        goto out;
    n = pread(fd, &byte, 1, lseek(fd, 0, SEEK_CUR));
    if (n != 1) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image holds no memory behind its header");
        goto out;
    }
    rc = 0;

out:
    if (rc)
        snap_free(config_r);
    return rc;
}

/* --- the xl process ---------------------------------------------------- */

struct xl {
    pid_t pid; /* 0: not started or waited for */
    int pidfd;
    int in; /* we write the stream here */
    int said; /* its stdout and stderr */
    const char *name; /* of the domain */
    bool waiting; /* for the lock, when last looked */
    double look_at, tell_at;
};

static int restore_start(struct snap_hyp *h, struct xl *x,
                         struct snap_err *err)
{
    char *program = hyp_xl_program(h);
    char *argv[] = { program, (char *)"restore", (char *)"-p",
                     (char *)"/dev/stdin", NULL };
    int rc, p[2] = { -1, -1 };
    struct hyp_scope scope;
    sigset_t none;

    if (!program)
        return hyp_no_xl(h, err);
    hyp_scope_enter(h, &scope);

    x->said = memfd_create("xl-restore", MFD_CLOEXEC);
    if (x->said < 0 || pipe2(p, O_CLOEXEC)) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno, "cannot start xl");
        goto out;
    }
    fcntl(p[1], F_SETPIPE_SZ, PIPE_SIZE); /* only faster */
    x->pid = fork();
    if (x->pid == 0) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        setpgid(0, 0);
        if (dup2(p[0], 0) < 0 || dup2(x->said, 1) < 0 || dup2(x->said, 2) < 0)
            _exit(126);
        execv(program, argv);
        dprintf(2, "%s: %s\n", program, strerror(errno));
        _exit(127);
    }
    if (x->pid < 0) {
        x->pid = 0;
        rc = snap_fail_errno(err, SNAP_FAIL, errno, "cannot start xl");
        goto out;
    }
    x->pidfd = hyp_pidfd_open(x->pid);
    if (x->pidfd < 0) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno, "cannot watch xl");
        goto out;
    }
    x->in = p[1];
    p[1] = -1;
    fcntl(x->in, F_SETFL, O_WRONLY | O_NONBLOCK);
    rc = 0;

out:
    hyp_scope_leave(&scope);
    free(program);
    if (p[0] >= 0)
        close(p[0]);
    if (p[1] >= 0)
        close(p[1]);
    return rc;
}

/* The beginning and the end of what it printed; caller frees. */
static char *all_said(int fd)
{
    char *text = snap_zalloc(2 * (SAID_MAX + 1));
    struct stat st;
    ssize_t n;
    size_t len;

    n = pread(fd, text, SAID_MAX, 0);
    len = n > 0 ? n : 0;
    if (len == SAID_MAX && !fstat(fd, &st) && st.st_size > SAID_MAX) {
        text[len++] = '\n';
        n = pread(fd, text + len, SAID_MAX,
                  st.st_size > 2 * SAID_MAX ? st.st_size - SAID_MAX
                                            : SAID_MAX);
        len += n > 0 ? n : 0;
    }
    text[len] = '\0';
    return text;
}

/* What explains a failure: the first error, which names the cause, and the
 * last ones, which say how far it got; without errors the same of all lines;
 * in one. */
char *hyp_xl_words(int fd)
{
    char *text = all_said(fd), *line, *save = NULL;
    const char *keep[SAID_LINES] = { NULL };
    struct snap_buf b = { 0 };
    size_t i, n = 0;
    bool errors;

    errors = strstr(text, "error: ");
    for (line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (errors && !strstr(line, "error: "))
            continue;
        if (n == SAID_LINES) {
            for (i = 1; i + 1 < SAID_LINES; i++)
                keep[i] = keep[i + 1];
            n--;
        }
        keep[n++] = line;
    }
    for (i = 0; i < n; i++)
        snap_buf_addf(&b, "%s%.240s", b.len ? "; " : "", keep[i]);
    free(text);
    return b.data ? b.data : snap_strdup("it said nothing");
}

/* --- feeding it -------------------------------------------------------- */

/* Move what the pipe takes.  1: more to come, 0: all written, <0 failed. */
static int feed(struct xl *x, int fd, const struct snap_buf *head,
                size_t *head_done, struct snap_err *err)
{
    ssize_t n;

    if (*head_done < head->len) {
        n = write(x->in, head->data + *head_done, head->len - *head_done);
        if (n > 0)
            *head_done += n;
    } else {
        n = splice(fd, NULL, x->in, NULL, PIPE_SIZE,
                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n == 0)
            return 0;
    }
    if (n > 0 || errno == EAGAIN || errno == EINTR)
        return 1;
    if (errno == EPIPE) /* xl gave up; its exit says why */
        return 0;
    return snap_fail_errno(err, SNAP_IO, errno, "reading the memory image");
}

/* xl waits for its lock as long as another holds it, and reads nothing. */
static bool waits_for_lock(struct snap_hyp *h, struct xl *x)
{
    double now = snap_now_ms();
    pid_t holder;

    if (now < x->look_at)
        return x->waiting;
    x->look_at = now + hyp_limits.restore_look_ms;
    holder = hyp_xl_lock_holder();
    x->waiting = holder && holder != x->pid;
    if (x->waiting && now >= x->tell_at) {
        hyp_xl_lock_tell(h, x->name, holder);
        x->tell_at = now + LOCK_TELL_MS;
    }
    return x->waiting;
}

/* Feed it and wait for its exit.  Runs with SIGPIPE blocked. */
static int drive(struct snap_hyp *h, struct xl *x, int fd,
                 const struct snap_buf *head, int *status_r,
                 struct snap_err *err)
{
    double last = snap_now_ms();
    struct pollfd p[2];
    size_t done = 0;
    int n, more = 1;

    for (;;) {
        p[0].fd = x->pidfd;
        p[1].fd = more > 0 ? x->in : -1;
        p[0].events = POLLIN;
        p[1].events = POLLOUT;
        p[0].revents = p[1].revents = 0;
        n = poll(p, 2, hyp_limits.restore_look_ms);
        if (n < 0 && errno != EINTR)
            return snap_fail_errno(err, SNAP_FAIL, errno, "waiting for xl");
        if (n > 0 && p[1].revents) {
            more = feed(x, fd, head, &done, err);
            if (more < 0)
                return more;
            last = snap_now_ms();
            if (!more) {
                close(x->in);
                x->in = -1;
            }
        }
        if (n > 0 && p[0].revents) {
            while (waitpid(x->pid, status_r, 0) < 0 && errno == EINTR)
                ;
            x->pid = 0;
            return 0;
        }
        if (waits_for_lock(h, x))
            last = snap_now_ms();
        if (snap_now_ms() - last > hyp_limits.restore_stall_ms)
            return snap_fail(err, SNAP_TIMEOUT,
                             "xl restore made no progress for %d minutes",
                             hyp_limits.restore_stall_ms / 60000);
    }
}

static void finish(struct xl *x)
{
    int status;

    if (x->in >= 0)
        close(x->in);
    if (x->pid > 0) {
        /* Its pipe has ended: it cleans up what it made.  Then for good. */
        if (x->pidfd < 0 ||
            hyp_pidfd_wait(x->pidfd, hyp_limits.restore_end_ms))
            kill(x->pid, SIGKILL);
        while (waitpid(x->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (x->pidfd >= 0)
        close(x->pidfd);
    if (x->said >= 0)
        close(x->said);
}

/* --- restore ----------------------------------------------------------- */

/* Our header, then the rest of fd, through an xl of our own. */
static int through_xl(struct snap_hyp *h, int fd, const struct snap_buf *head,
                      const char *name, struct snap_err *err)
{
    struct xl x = { .pidfd = -1, .in = -1, .said = -1, .name = name };
    struct timespec no_time = { 0 };
    sigset_t pipe_set, old_set;
    int rc, status = 0;
    char *said;

    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old_set);
    rc = restore_start(h, &x, err);
    if (!rc)
        rc = drive(h, &x, fd, head, &status, err);
    if (!rc && status) {
        said = hyp_xl_words(x.said);
        rc = snap_fail(err, SNAP_FAIL, "%s: xl restore failed: %s", name,
                       said);
        free(said);
    }
    finish(&x);
    /* One that a write of ours left pending must not strike now. */
    if (!sigismember(&old_set, SIGPIPE))
        while (sigtimedwait(&pipe_set, NULL, &no_time) > 0)
            ;
    pthread_sigmask(SIG_SETMASK, &old_set, NULL);
    return rc;
}

/* What is ours is told by its mark: another with this uuid may have been
 * started meanwhile. */
static void clear_away(struct snap_hyp *h, const char *uuid, const char *mark,
                       const char *name, struct snap_err *err)
{
    uint32_t domid = INVALID_DOMID;

    if (hyp_mark_find(h, uuid, mark, &domid) == SNAP_FAIL)
        snap_err_append(err,
                        "and Xen does not tell whether something of it is left: see xl list");
    hyp_clear_away(h, uuid, name, domid, err);
}

int hyp_restore(struct snap_hyp *h, int fd, const char *config_json,
                const char *mark, struct snap_domain *dom_r,
                struct snap_err *err)
{
    char *old = NULL, *name = NULL, *marked = NULL, uuid[37];
    struct snap_buf head = { 0 };
    bool started = false;
    uint32_t domid;
    int rc;

    rc = hyp_image_check(h, fd, &old, err);
    if (rc)
        goto out;
    rc = hyp_enter(h, "restore", err);
    if (rc)
        goto out;
    rc = hyp_clash(h, config_json, &name, uuid, err);
    if (rc)
        goto out;
    rc = hyp_mark_put(config_json, mark, &marked, err);
    if (rc)
        goto out;
    snap_saveheader_write(&head, marked, false);

    started = true;
    rc = through_xl(h, fd, &head, name, err);
    if (rc)
        goto out;
    rc = hyp_mark_find(h, uuid, mark, &domid);
    if (rc) {
        rc = snap_fail(err, SNAP_FAIL,
                       "%s: xl restore made no domain, and said nothing of it",
                       name);
        goto out;
    }
    rc = hyp_describe(h, domid, dom_r, err);
    if (!rc)
        hyp_mark_forget(h, dom_r);

out:
    if (rc && started) {
        clear_away(h, uuid, mark, name, err);
        snap_domain_dispose(dom_r);
        memset(dom_r, 0, sizeof(*dom_r));
    }
    snap_buf_dispose(&head);
    free(old);
    free(marked);
    free(name);
    return rc;
}
