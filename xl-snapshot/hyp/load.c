/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Opening the module for the running Xen.  This file is in the program and
 * must never include a header of Xen's: the program itself runs, and is
 * tested, where there is no Xen.  A module stays open until the process ends.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/plugin.h"
#include "lib/file.h"
#include "lib/mem.h"

#define SYS_HYPERVISOR "/sys/hypervisor"

/* "4.17", or NULL if this machine does not run on Xen. */
static char *running_xen(void)
{
    char type[16], major[16], minor[16];

    if (!snap_line_read(AT_FDCWD, SYS_HYPERVISOR "/type", type,
                        sizeof(type)) ||
        strcmp(type, "xen") ||
        !snap_line_read(AT_FDCWD, SYS_HYPERVISOR "/version/major", major,
                        sizeof(major)) ||
        !snap_line_read(AT_FDCWD, SYS_HYPERVISOR "/version/minor", minor,
                        sizeof(minor)))
        return NULL;
    return snap_printf("%s.%s", major, minor);
}

/* The numbers of "…/hyp-xen-4.17.so" as one that can be compared; -1 if it has
 * none. */
static long order(const char *path)
{
    const char *p = strrchr(path, '/'), *dot;
    char *end;
    long major, minor;

    p = p ? p + 1 : path;
    if (!snap_has_prefix(p, "hyp-xen-"))
        return -1;
    p += strlen("hyp-xen-");
    major = strtol(p, &end, 10);
    if (end == p || *end != '.' || major < 0 || major > 9999)
        return -1;
    dot = end + 1;
    minor = strtol(dot, &end, 10);
    if (end == dot || minor < 0 || minor > 9999)
        return -1;
    return major * 10000 + minor;
}

/* The module for this Xen in dir, or without a version the newest one. */
static char *module_in(const char *dir, const char *version)
{
    char *pattern, *path = NULL;
    glob_t g = { 0 };
    long best = -1;
    size_t i;

    if (version) {
        path = snap_printf("%s/hyp-xen-%s.so", dir, version);
        if (access(path, R_OK))
            snap_free(&path);
        return path;
    }
    pattern = snap_printf("%s/hyp-xen-*.so", dir);
    if (!glob(pattern, 0, NULL, &g))
        for (i = 0; i < g.gl_pathc; i++)
            if (order(g.gl_pathv[i]) > best) {
                best = order(g.gl_pathv[i]);
                snap_set(&path, g.gl_pathv[i]);
            }
    globfree(&g);
    free(pattern);
    return path;
}

static char *program_dir(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (n <= 0)
        return NULL;
    path[n] = '\0';
    return snap_dirname(path);
}

static int missing(const char *dir, const char *version, struct snap_err *err)
{
    if (!version)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "this machine does not run on Xen, and no module to read configuration files with is in %s; to build one, install libxen-dev and run make and make install",
                         dir);
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "no module for Xen %s: %s/hyp-xen-%s.so is missing; to build it, install libxen-dev of that version and run make and make install",
                     version, dir, version);
}

static int open_module(const char *path, const char *version,
                       const struct snap_hyp_module **mod_r,
                       struct snap_err *err)
{
    const struct snap_hyp_module *mod;
    const char *why;
    void *handle;

    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        why = dlerror();
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "cannot use %s: %s; if a library of Xen is named, install Xen's libraries of that version, else run make and make install",
                         path, why ? why : "no reason given");
    }
    mod = dlsym(handle, SNAP_HYP_SYMBOL);
    if (!mod) {
        dlclose(handle);
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s is not a module of xl-snapshot; remove it and run make and make install",
                         path);
    }
    if (mod->abi != SNAP_HYP_ABI) {
        snap_fail(err, SNAP_UNSUPPORTED,
                  "%s belongs to another version of xl-snapshot (its interface is %d, ours %d): run make and make install",
                  path, mod->abi, SNAP_HYP_ABI);
        dlclose(handle);
        return SNAP_UNSUPPORTED;
    }
    if (version && mod->xen_version && mod->xen_version[0] &&
        strcmp(mod->xen_version, version)) {
        snap_fail(err, SNAP_UNSUPPORTED,
                  "%s was built for Xen %s, and Xen %s is running; install libxen-dev of that version and run make and make install",
                  path, mod->xen_version, version);
        dlclose(handle);
        return SNAP_UNSUPPORTED;
    }
    *mod_r = mod;
    return 0;
}

int snap_hyp_load(const char *dir, const struct snap_hyp_module **mod_r,
                  struct snap_err *err)
{
    char *version = NULL, *path = NULL, *beside = NULL;
    int rc;

    *mod_r = NULL;
    version = running_xen();
    if (dir) {
        path = module_in(dir, version);
    } else {
        dir = SNAP_PKGLIBDIR;
        beside = program_dir();
        if (beside)
            path = module_in(beside, version);
        if (!path)
            path = module_in(dir, version);
    }
    if (!path) {
        rc = missing(dir, version, err);
        goto out;
    }
    rc = open_module(path, version, mod_r, err);

out:
    free(version);
    free(path);
    free(beside);
    return rc;
}
