/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The daemon that reacts to a domain's reboot, crash and power-off.
 *
 * xl keeps no pid file for it.  What identifies it (tools/xl, Xen 4.17:
 * do_daemonize(), create_domain()): its program is xl, its output goes to
 * /var/log/xen/xl-NAME.log, and there it wrote
 *     Waiting for domain NAME (domid N) to die [pid P]
 * after creating the domain and again after each reboot.  Our own monitor
 * (monitor.c) does the same.  A pid is never signalled on the strength of a
 * log alone: what runs under it is looked at first.
 */
#include "hyp/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/foreground.h"
#include "hyp/limits.h"
#include "hyp/proc.h"
#include "lib/file.h"

#define LOG_TAIL 65536 /* bytes read of a daemon's log */

/* "/var/log/xen/xl-NAME.log", NAME made fit to be a file name. */
static char *monitor_log(const char *name)
{
    char *path = snap_printf("%s/xl-%s.log", hyp_log_dir, name), *p;

    for (p = path + strlen(hyp_log_dir) + 1; *p; p++)
        if (*p == '/')
            *p = '_';
    return path;
}

static bool is_log(const char *path)
{
    size_t n = strlen(hyp_log_dir);

    return !strncmp(path, hyp_log_dir, n) && snap_has_prefix(path + n, "/xl-");
}

static bool our_program(const char *exe)
{
    char self[PATH_MAX];

    return hyp_proc_link(getpid(), "exe", self, sizeof(self)) &&
           !strcmp(exe, self);
}

/* The log that a monitor writes to, or false if pid is none. */
static bool monitor_output(pid_t pid, char *log, size_t size)
{
    char exe[PATH_MAX];
    const char *base;

    if (pid <= 1 || pid == getpid() || !hyp_is_trusted(pid) ||
        !hyp_proc_link(pid, "exe", exe, sizeof(exe)))
        return false;
    base = snap_basename(exe);
    /* The front leaves the xl of a Xen built from source as xl.distrib. */
    if (strcmp(base, "xl") && strcmp(base, "xl.distrib") &&
        strcmp(base, "xl-snapshot") && !our_program(exe))
        return false;
    return (hyp_proc_link(pid, "fd/1", log, size) ||
            hyp_proc_link(pid, "fd/2", log, size)) &&
           is_log(log);
}

bool hyp_is_monitor(pid_t pid)
{
    char log[PATH_MAX];

    return monitor_output(pid, log, sizeof(log)) || hyp_foreground_is(pid);
}

/* The end of a file; bounded, NUL-terminated; NULL if it cannot be read. */
static char *read_tail(const char *path)
{
    char *text = NULL;
    off_t size;
    ssize_t n;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    size = lseek(fd, 0, SEEK_END);
    if (size >= 0) {
        text = snap_zalloc(LOG_TAIL + 1);
        n = pread(fd, text, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0);
        if (n < 0)
            n = 0;
        text[n] = '\0';
    }
    close(fd);
    return text;
}

/* "Waiting for domain NAME (domid N) to die [pid P]"; a name may hold
 * anything, so it is read from the end. */
static bool parse_waiting(const char *line, size_t len, long *domid_r,
                          long *pid_r)
{
    const char *p, *at = NULL;
    char end[8] = "";

    if (strncmp(line, "Waiting for domain ", 19))
        return false;
    for (p = line; p < line + len; p++)
        if (!strncmp(p, "(domid ", 7))
            at = p;
    /* At most nine digits: NOLINTNEXTLINE(cert-err34-c) */
    return at && sscanf(at, "(domid %9ld) to die [pid %9ld%1[]]", domid_r,
                        pid_r, end) == 3;
}

/*
 * The last such line of one process (pid given) or of one domain (pid 0):
 * returns the domain, or the process; -1 if there is none.
 */
static long last_waiting(const char *text, pid_t pid, uint32_t domid)
{
    long found = -1, line_domid, line_pid;
    const char *line;
    size_t len;

    for (line = text; *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        if (!parse_waiting(line, len, &line_domid, &line_pid))
            continue;
        if (pid ? line_pid == pid : line_domid == (long)domid)
            found = pid ? line_domid : line_pid;
    }
    return found;
}

/*
 * Does this process watch the domain?  2: it says so.  1: it is a monitor
 * with the log of this name, whose log was emptied since (logrotate).
 */
static int watches(pid_t pid, uint32_t domid, const char *name_log)
{
    char log[PATH_MAX], *text;
    long watched;

    if (!monitor_output(pid, log, sizeof(log)))
        return 0;
    text = read_tail(log);
    watched = text ? last_waiting(text, pid, 0) : -1;
    free(text);
    if (watched == (long)domid)
        return 2;
    return watched < 0 && !strcmp(log, name_log) ? 1 : 0;
}

pid_t hyp_monitor_find(uint32_t domid, const char *name)
{
    char *log = monitor_log(name), *text, *end;
    struct dirent *e;
    pid_t found = 0;
    int sure = 0, how;
    DIR *dir = NULL;
    long pid;

    /* Nearly always the log tells.  After `xl rename` it has the old name,
     * and then all processes are looked at. */
    text = read_tail(log);
    pid = text ? last_waiting(text, 0, domid) : -1;
    if (pid > 1 && watches(pid, domid, log) == 2) {
        found = pid;
        sure = 2;
    }
    free(text);
    if (sure < 2)
        dir = opendir("/proc");
    while (dir && sure < 2 && (e = readdir(dir))) {
        pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 1)
            continue;
        how = watches(pid, domid, log);
        if (how > sure) {
            sure = how;
            found = pid;
        }
    }
    if (dir)
        closedir(dir);
    free(log);
    return found ? found : hyp_foreground_find(name);
}

/* Does it write to that log, or to that of its migration to here, and watch no
 * domain that is there?  (One that was renamed keeps its log.)  What was stopped
 * builds nothing. */
static bool watches_none(struct snap_hyp *h, pid_t pid,
                         const char *const logs[2])
{
    char log[PATH_MAX], *text;
    long domid;

    if (!monitor_output(pid, log, sizeof(log)) ||
        (strcmp(log, logs[0]) != 0 && strcmp(log, logs[1]) != 0) ||
        hyp_wait_stopped(pid, 0))
        return false;
    text = read_tail(log);
    domid = text ? last_waiting(text, pid, 0) : -1;
    free(text);
    return domid < 0 || libxl_domain_info(h->ctx, NULL, (uint32_t)domid);
}

pid_t hyp_monitor_named(struct snap_hyp *h, const char *name)
{
    char *end, *incoming = snap_printf("%s--incoming", name);
    char *logs[] = { monitor_log(name), monitor_log(incoming) };
    struct dirent *e;
    pid_t found = 0;
    DIR *dir = opendir("/proc");
    long pid;

    while (dir && !found && (e = readdir(dir))) {
        pid = strtol(e->d_name, &end, 10);
        if (!*end && pid > 1 &&
            watches_none(h, (pid_t)pid, (const char *const *)logs))
            found = (pid_t)pid;
    }
    if (dir)
        closedir(dir);
    free(logs[0]);
    free(logs[1]);
    free(incoming);
    return found ? found : hyp_foreground_find(name);
}
