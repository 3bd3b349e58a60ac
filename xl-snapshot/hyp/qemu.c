/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Every QEMU that may have a domain's images open, also when xenstore does
 * not know it any more: libxl only sends it a SIGHUP and removes the domain
 * (libxl_dm.c: libxl__destroy_device_model(), Xen 4.17), whether it is `xl
 * destroy` or the end of a build that failed.
 *
 * libxl starts it as "PROGRAM -xen-domid D … -name NAME …".  Xen 4.20 begins
 * with another one, "PROGRAM -S … -machine none,accel=xen …", only to ask for
 * its options; it opens no image, but has the same node in xenstore.
 */
#include "hyp/qemu.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/proc.h"

#define CMDLINE_MAX 65536

/* A process's arguments, each with a NUL behind it, and one more at the end;
 * NULL if they cannot be read. */
static char *cmdline(pid_t pid, size_t *len_r)
{
    char path[64], *text;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    text = snap_zalloc(CMDLINE_MAX + 1);
    n = read(fd, text, CMDLINE_MAX);
    close(fd);
    *len_r = n > 0 ? n : 0;
    if (!*len_r)
        snap_free(&text);
    return text;
}

/* The argument behind this one, or NULL. */
static const char *value_of(const char *text, size_t len, const char *option)
{
    const char *p, *end = text + len;
    bool next = false;

    for (p = text; p < end; p += strlen(p) + 1) {
        if (next)
            return p;
        next = !strcmp(p, option);
    }
    return NULL;
}

static bool is_probe(pid_t pid)
{
    size_t len;
    char *text = cmdline(pid, &len);
    const char *machine = text ? value_of(text, len, "-machine") : NULL;
    bool yes = machine && !strcmp(machine, "none,accel=xen");

    free(text);
    return yes;
}

static void keep(struct hyp_qemus *q, pid_t pid, int pidfd)
{
    size_t i;

    for (i = 0; i < q->n; i++)
        if (q->a[i].pid == pid) {
            close(pidfd);
            return;
        }
    q->a = snap_realloc(q->a, q->n + 1, sizeof(*q->a));
    q->a[q->n++] = (struct hyp_qemu){ .pid = pid, .pidfd = pidfd };
}

void hyp_qemus_add(struct hyp_qemus *q, pid_t pid, uint32_t domid)
{
    /* The descriptor first: what is looked at afterwards is what it holds. */
    int pidfd = pid > 1 ? hyp_pidfd_open(pid) : -1;

    if (pidfd < 0)
        return;
    if (hyp_is_qemu(pid, domid) || is_probe(pid))
        keep(q, pid, pidfd);
    else
        close(pidfd);
}

/* domid: UINT32_MAX if it is not known any more; then of a domain that is
 * not there. */
static bool serves(struct snap_hyp *h, pid_t pid, const char *name,
                   uint32_t domid)
{
    bool yes = false;
    size_t len;
    long its;
    char *end, *text = cmdline(pid, &len);
    const char *id = text ? value_of(text, len, "-xen-domid") : NULL;
    const char *word = id ? value_of(text, len, "-name") : NULL;

    if (!word || strcmp(word, name))
        goto out;
    its = strtol(id, &end, 10);
    if (!*id || *end || its < 0)
        goto out;
    if (domid != UINT32_MAX)
        yes = its == (long)domid;
    else
        yes = libxl_domain_info(h->ctx, NULL, its) == ERROR_DOMAIN_NOTFOUND;

out:
    free(text);
    return yes;
}

void hyp_qemus_find(struct snap_hyp *h, struct hyp_qemus *q, const char *name,
                    uint32_t domid)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    char *end;
    int pidfd;
    long pid;

    while (dir && (e = readdir(dir))) {
        pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 1)
            continue;
        if (!serves(h, pid, name, domid))
            continue;
        pidfd = hyp_pidfd_open(pid);
        if (pidfd >= 0 && serves(h, pid, name, domid))
            keep(q, pid, pidfd);
        else if (pidfd >= 0)
            close(pidfd);
    }
    if (dir)
        closedir(dir);
}

pid_t hyp_qemus_wait(const struct hyp_qemus *q, double deadline)
{
    size_t i;
    double left;

    for (i = 0; i < q->n; i++) {
        left = deadline - snap_now_ms();
        if (hyp_pidfd_wait(q->a[i].pidfd, left > 0 ? (int)left : 0))
            return q->a[i].pid;
    }
    return 0;
}

void hyp_qemus_dispose(struct hyp_qemus *q)
{
    size_t i;

    for (i = 0; i < q->n; i++)
        close(q->a[i].pidfd);
    free(q->a);
    memset(q, 0, sizeof(*q));
}
