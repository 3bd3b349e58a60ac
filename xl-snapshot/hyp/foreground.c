/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A monitor without a log: `xl create -F FILE`, as systemd units of guests
 * call it, stays in the foreground, watches the domain itself, and prints
 * wherever its output goes (tools/xl/xl_vmcontrol.c, Xen 4.17).  All that tells
 * which domain it watches is the file that it was given: the name in it.
 */
#include "hyp/foreground.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxlutil.h>

#include "hyp/cfg_xlu.h"
#include "hyp/proc.h"
#include "lib/file.h"
#include "model/cfg.h"

#define ARGS_MAX 64

struct args {
    char text[16384];
    const char *a[ARGS_MAX];
    size_t n;
};

static bool read_args(pid_t pid, struct args *args)
{
    char path[64], *p;
    ssize_t n;
    int fd;

    args->n = 0;
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, args->text, sizeof(args->text) - 1);
    close(fd);
    if (n <= 0)
        return false;
    args->text[n] = '\0';
    for (p = args->text; p < args->text + n && args->n < ARGS_MAX;
         p += strlen(p) + 1)
        args->a[args->n++] = p;
    return true;
}

/* Where "create" stands if these are of `xl … create … -F …`, else 0. */
static size_t in_foreground(const struct args *args)
{
    size_t i, create = 0;
    bool stays = false;

    for (i = 1; i < args->n && !create; i++)
        if (!strcmp(args->a[i], "create"))
            create = i;
        else if (args->a[i][0] != '-')
            return 0; /* another command */
    for (i = create + 1; create && i < args->n; i++)
        stays = stays || !strcmp(args->a[i], "-F") ||
                !strcmp(args->a[i], "--foreground") ||
                (args->a[i][0] == '-' && args->a[i][1] != '-' &&
                 strchr(args->a[i], 'F'));
    return stays ? create : 0;
}

static bool is_xl(pid_t pid)
{
    char path[64], exe[PATH_MAX];
    const char *base;
    ssize_t n;

    if (!hyp_is_trusted(pid))
        return false;
    snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
    n = readlink(path, exe, sizeof(exe) - 1);
    if (n <= 0)
        return false;
    exe[n] = '\0';
    base = snap_basename(exe);
    n = strlen("xl");
    return !strncmp(base, "xl", n) &&
           (!base[n] || base[n] == ' ' || base[n] == '.');
}

bool hyp_foreground_is(pid_t pid)
{
    struct args args;

    return pid > 1 && is_xl(pid) && read_args(pid, &args) &&
           in_foreground(&args);
}

/* Does this file, as the process sees it, configure a domain of this name? */
static bool names(pid_t pid, const char *arg, const char *name)
{
    char path[PATH_MAX], real[PATH_MAX], *text = NULL;
    struct hyp_cfg_text t = { .xlu = NULL };
    const char *value;
    bool yes = false;
    size_t len;

    if (arg[0] == '/')
        snprintf(path, sizeof(path), "%s", arg);
    else
        snprintf(path, sizeof(path), "/proc/%ld/cwd/%s", (long)pid, arg);
    if (!realpath(path, real) ||
        snap_file_read(real, SNAP_CFG_MAX, &text, &len, NULL))
        goto out;
    yes = !hyp_cfg_read(real, text, len, &t, NULL) &&
          !xlu_cfg_get_string(t.xlu, "name", &value, 1) &&
          !strcmp(value, name);

out:
    hyp_cfg_text_dispose(&t);
    free(text);
    return yes;
}

static bool watches(pid_t pid, const char *name)
{
    struct args args;
    size_t i;

    if (!is_xl(pid) || !read_args(pid, &args))
        return false;
    i = in_foreground(&args);
    for (; i && i + 1 < args.n; i++)
        if (args.a[i + 1][0] != '-' && names(pid, args.a[i + 1], name))
            return true;
    return false;
}

pid_t hyp_foreground_find(const char *name)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;
    char *end;
    long pid;

    while (dir && !found && (e = readdir(dir))) {
        pid = strtol(e->d_name, &end, 10);
        if (!*end && pid > 1 && watches(pid, name))
            found = pid;
    }
    if (dir)
        closedir(dir);
    return found;
}
