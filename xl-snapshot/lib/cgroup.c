/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See cgroup.h.  Which hierarchies there are is read from the mounts; where a
 * process is, from /proc/PID/cgroup: a line "ID:CONTROLLERS:/PATH" for each
 * hierarchy, ID 0 and no controllers for version 2 (cgroups(7)).  A process is
 * moved with all its threads by writing its number to cgroup.procs.
 */
#include "lib/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"

#define TEXT_MAX 16384 /* bytes of /proc/PID/cgroup; a path may have 4096 */

const char *snap_cgroup_mounts = "/proc/self/mounts";
const char *snap_cgroup_proc = "/proc";

struct hierarchy {
    bool v2;
    const char *dir; /* where it is mounted */
    const struct mntent *mount;
};

/* Calls fn for each hierarchy; goes on until all are done. */
static int each(int (*fn)(const struct hierarchy *hier, void *opaque,
                          struct snap_err *err),
                void *opaque, struct snap_err *err)
{
    int rc = 0, r;
    char text[8192];
    struct mntent m;
    struct hierarchy hier;
    FILE *f = setmntent(snap_cgroup_mounts, "re");

    if (!f)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", snap_cgroup_mounts);
    while (getmntent_r(f, &m, text, sizeof(text))) {
        hier.v2 = !strcmp(m.mnt_type, "cgroup2");
        if (!hier.v2 &&
            (strcmp(m.mnt_type, "cgroup") || hasmntopt(&m, "cpuset")))
            continue;
        hier.dir = m.mnt_dir;
        hier.mount = &m;
        r = fn(&hier, opaque, err);
        if (r && !rc)
            rc = r;
    }
    endmntent(f);
    return rc;
}

static int cgroup_put(const char *dir, pid_t pid)
{
    int e = 0, n, fd;
    char number[16], *path = snap_printf("%s/cgroup.procs", dir);

    fd = open(path, O_WRONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return errno;
    n = snprintf(number, sizeof(number), "%ld\n", (long)pid);
    if (write(fd, number, n) != n)
        e = errno ? errno : EIO;
    close(fd);
    return e;
}

static int leave(const struct hierarchy *hier, void *opaque,
                 struct snap_err *err)
{
    int rc = 0, e = 0;
    const pid_t *pid = opaque;
    char *dir = snap_printf("%s/" SNAP_CGROUP_NAME, hier->dir);

    if (mkdir(dir, 0755) && errno != EEXIST)
        e = errno;
    if (!e)
        e = cgroup_put(dir, *pid);
    if (e)
        rc = snap_fail_errno(err, SNAP_FAIL, e,
                             "process %ld cannot be put into the control group %s",
                             (long)*pid, dir);
    free(dir);
    return rc;
}

int snap_cgroup_leave(pid_t pid, struct snap_err *err)
{
    int fault = snap_fault("file", "cgroup");

    if (fault)
        return snap_fail_errno(err, SNAP_FAIL, fault,
                               "process %ld cannot change its control group",
                               (long)pid);
    return each(leave, &pid, err);
}

char *snap_cgroup_of(pid_t pid)
{
    char *path = snap_printf("%s/%ld/cgroup", snap_cgroup_proc, (long)pid);
    char *text;
    ssize_t n = 0;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    free(path);
    if (fd < 0)
        return NULL;
    text = snap_zalloc(TEXT_MAX + 1);
    while (len < TEXT_MAX && (n = read(fd, text + len, TEXT_MAX - len)) > 0)
        len += n;
    close(fd);
    if (n < 0 || !len)
        snap_free(&text);
    return text;
}

struct back {
    pid_t pid;
    const char *before;
};

/* Does a line's list of controllers, or "name=systemd", mean this mount? */
static bool is_of(const struct hierarchy *hier, char *controllers)
{
    char *save = NULL, *one = strtok_r(controllers, ",", &save);

    if (!one)
        return hier->v2;
    return !hier->v2 && hasmntopt(hier->mount, one);
}

static int cgroup_go_back(const struct hierarchy *hier, void *opaque,
                          struct snap_err *err)
{
    const struct back *b = opaque;
    const char *line, *from, *to;
    char *controllers, *dir;
    size_t len;
    bool found;

    (void)err;
    for (line = b->before; *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        from = memchr(line, ':', len);
        to = from ? memchr(from + 1, ':', line + len - from - 1) : NULL;
        if (!to)
            continue;
        controllers = snap_strndup(from + 1, to - from - 1);
        found = is_of(hier, controllers);
        free(controllers);
        if (!found)
            continue;
        dir = snap_printf("%s%.*s", hier->dir, (int)(line + len - to - 1),
                          to + 1);
        cgroup_put(dir, b->pid);
        free(dir);
    }
    return 0;
}

void snap_cgroup_return(pid_t pid, const char *before)
{
    struct back b = { .pid = pid, .before = before };

    if (before)
        each(cgroup_go_back, &b, NULL);
}
