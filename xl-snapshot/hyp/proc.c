/* SPDX-License-Identifier: LGPL-2.1-only */
/* Processes that belong to a domain, by what /proc says of them. */
#include "hyp/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/file.h"

/* --- /proc ------------------------------------------------------------- */

bool hyp_proc_link(pid_t pid, const char *what, char *buf, size_t size)
{
    static const char gone[] = " (deleted)";
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
    n = readlink(path, buf, size - 1);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    if (snap_has_suffix(buf, gone))
        buf[n - (ssize_t)strlen(gone)] = '\0';
    return true;
}

/* The owner of /proc/PID would not do: it is root for a process that its user
 * made undumpable. */
bool hyp_is_trusted(pid_t pid)
{
    static const char line[] = "\nUid:\t";
    char path[64], *text = NULL, *at;
    unsigned long uid = (unsigned long)-1;
    size_t len;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    if (!snap_file_read(path, 65536, &text, &len, NULL) &&
        (at = strstr(text, line)))
        uid = strtoul(at + strlen(line), NULL, 10);
    free(text);
    return uid == 0 || uid == geteuid();
}

bool hyp_is_qemu(pid_t pid, uint32_t domid)
{
    char path[64], text[16384], number[16], *p, *end;
    bool named = false;
    ssize_t n;
    int fd;

    if (pid <= 1)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    end = text + n;

    /* libxl_dm.c: "PROGRAM -xen-domid D ..." */
    snprintf(number, sizeof(number), "%u", domid);
    for (p = text; p < end; p += strlen(p) + 1) {
        if (named)
            return !strcmp(p, number);
        named = !strcmp(p, "-xen-domid");
    }
    return false;
}

/* --- pidfds: glibc 2.36 wraps them, older ones do not ------------------- */

int hyp_pidfd_open(pid_t pid)
{
    return syscall(SYS_pidfd_open, pid, 0);
}

int hyp_pidfd_signal(int pidfd, int sig)
{
    return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int hyp_pidfd_wait(int pidfd, int timeout_ms)
{
    double deadline = snap_now_ms() + timeout_ms, left;
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    int n;

    for (;;) {
        left = deadline - snap_now_ms();
        n = poll(&p, 1, left > 0 ? (int)left + 1 : 0);
        if (n > 0)
            return 0;
        if (n == 0)
            return SNAP_TIMEOUT;
        if (errno != EINTR)
            return SNAP_IO;
    }
}

bool hyp_wait_stopped(pid_t pid, int timeout_ms)
{
    double deadline = snap_now_ms() + timeout_ms;
    char path[64], text[512], *p;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (;;) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return false;
        text[n] = '\0';
        /* "PID (NAME) T ...": the name may hold anything. */
        p = strrchr(text, ')');
        if (p && !strncmp(p, ") T", 3))
            return true;
        if (snap_now_ms() >= deadline)
            return false;
        usleep(1000);
    }
}
