/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who else saves, migrates or restores a domain.  Nothing in Xen says so, and
 * a domain in the first rounds of a migration looks like any that runs; but
 * libxl does that work in a process of its own (libxl_save_callout.c,
 * unchanged from Xen 4.17 to 4.21):
 *     libxl-save-helper --save-domain FD FD DOMID FLAGS...
 * with a pipe to the program that wants it done.  Whoever holds the other end
 * of that pipe is its user; a helper whose user is dead ends by itself as soon
 * as it wants to tell something.
 */
#include "hyp/savers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/proc.h"
#include "lib/file.h"

#define HELPER      "libxl-save-helper"
#define CMDLINE_MAX 4096
#define TICK_US     20000

/* What /proc/PID/NAME begins with, NUL-terminated; its length, or -1. */
static ssize_t proc_text(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, buf, size - 1);
    close(fd);
    if (n >= 0)
        buf[n] = '\0';
    return n;
}

/* Is it a save helper for this domain?  The fifth word is the domain. */
static bool is_helper(pid_t pid, uint32_t domid)
{
    char text[CMDLINE_MAX], number[16], *word = text;
    ssize_t n = proc_text(pid, "cmdline", text, sizeof(text));
    int i;

    if (n <= 0 || strcmp(snap_basename(text), HELPER))
        return false;
    for (i = 0; i < 4; i++) {
        word += strlen(word) + 1;
        if (word >= text + n)
            return false;
        if (i == 0 && strcmp(word, "--save-domain") &&
            strcmp(word, "--restore-domain"))
            return false;
    }
    snprintf(number, sizeof(number), "%u", domid);
    return !strcmp(word, number);
}

static pid_t parent_of(pid_t pid)
{
    char text[512], *p;
    ssize_t n = proc_text(pid, "stat", text, sizeof(text));

    /* "PID (NAME) S PPID ...": the name may hold anything. */
    p = n > 0 ? strrchr(text, ')') : NULL;
    if (!p || strlen(p) < 5)
        return 0;
    return strtol(p + 4, NULL, 10);
}

/* Does this process have the pipe that is the other one's standard input? */
static bool holds_stdin_of(pid_t user, pid_t helper)
{
    char path[64], want[64], have[64];
    bool found = false;
    struct dirent *e;
    ssize_t n;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)helper);
    n = readlink(path, want, sizeof(want) - 1);
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)user);
    dir = n > 0 ? opendir(path) : NULL;
    if (!dir)
        return false;
    want[n] = '\0';
    while (!found && (e = readdir(dir))) {
        n = readlinkat(dirfd(dir), e->d_name, have, sizeof(have) - 1);
        if (n <= 0)
            continue;
        have[n] = '\0';
        found = !strcmp(want, have);
    }
    closedir(dir);
    return found;
}

static void describe(pid_t helper, struct hyp_saver *s)
{
    pid_t user = parent_of(helper);
    char exe[PATH_MAX], path[64];
    ssize_t n;

    memset(s, 0, sizeof(*s));
    s->helper = helper;
    if (user <= 1 || !holds_stdin_of(user, helper))
        return;
    s->user = user;
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)user);
    n = readlink(path, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    snprintf(s->program, sizeof(s->program), "%.31s",
             n > 0 ? snap_basename(exe) : "?");
    snap_clean(s->program);
}

bool hyp_saver_find(uint32_t domid, struct hyp_saver *s_r)
{
    bool found = false;
    struct dirent *e;
    char *end;
    DIR *dir;
    long pid;

    memset(s_r, 0, sizeof(*s_r));
    dir = opendir("/proc");
    while (dir && !found && (e = readdir(dir))) {
        pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 1 || !is_helper(pid, domid))
            continue;
        describe(pid, s_r);
        /* The guardian's parent is the command that it guards. */
        found = !s_r->user ||
                (s_r->user != getpid() && s_r->user != getppid());
    }
    if (dir)
        closedir(dir);
    if (!found)
        memset(s_r, 0, sizeof(*s_r));
    return found;
}

int hyp_saver_refuse(const struct snap_domain *dom, struct snap_err *err)
{
    struct hyp_saver s;

    if (!hyp_saver_find(dom->domid, &s))
        return 0;
    if (!s.user)
        return snap_fail(err, SNAP_BUSY,
                         "%s: what is left of another save of it (process %d) has not ended yet: try again in a moment",
                         dom->name, (int)s.helper);
    return snap_fail(err, SNAP_BUSY,
                     "%s: it is being saved or migrated by %s (process %d): try again when that has ended",
                     dom->name, s.program, (int)s.user);
}

int hyp_saver(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err)
{
    int rc = hyp_enter(h, "saver", err);

    return rc ? rc : hyp_saver_refuse(dom, err);
}

/* `xl save -c` resumes the domain, and `xl save` destroys it, after its helper
 * has gone: it has seen to the domain when it has gone itself. */
int hyp_saver_wait(uint32_t domid, int timeout_ms, struct hyp_saver *s_r)
{
    double deadline = snap_now_ms() + timeout_ms;
    struct hyp_saver s;
    int fd, rc = 0;

    memset(s_r, 0, sizeof(*s_r));
    while (hyp_saver_find(domid, &s)) {
        *s_r = s;
        if (snap_now_ms() >= deadline)
            return SNAP_TIMEOUT;
        usleep(TICK_US);
    }
    if (s_r->user && (fd = hyp_pidfd_open(s_r->user)) >= 0) {
        rc = hyp_pidfd_wait(fd, (int)(deadline - snap_now_ms()));
        close(fd);
    }
    return rc;
}
