/* SPDX-License-Identifier: LGPL-2.1-only */
/* See mount.h.  By the mount's number (statx(2)), not by st_dev, which a bind
 * mount shares with what it shows.  But a folder that is bound onto itself, as
 * systemd does for ReadWritePaths= (proc_pid_mountinfo(5) has the root of each
 * mount), is what it was without that. */
#include "lib/mount.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/mem.h"

static bool mount_id(const char *path, uint64_t *id_r)
{
    struct statx st;

    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) ||
        !(st.stx_mask & STATX_MNT_ID))
        return false;
    *id_r = st.stx_mnt_id;
    return true;
}

/* One line of mountinfo. */
struct mounted {
    char dev[32]; /* major:minor */
    char root[PATH_MAX], on[PATH_MAX]; /* octal escapes as they are */
};

/* The mount of this number. */
static bool find_mount(uint64_t id, struct mounted *m)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, *rest;
    size_t size = 0;
    bool found = false;

    while (f && !found && getline(&line, &size, f) > 0)
        found = strtoull(line, &rest, 10) == id &&
                sscanf(rest, "%*s %31s %4095s %4095s", m->dev, m->root,
                       m->on) == 3;
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* Does one mount show in its folder just what the one above has there? */
static bool is_the_same(uint64_t id, uint64_t above)
{
    struct mounted *m = snap_zalloc(2 * sizeof(*m));
    char *there = NULL;
    const char *below;
    bool same = find_mount(id, &m[0]) && find_mount(above, &m[1]) &&
                !strcmp(m[0].dev, m[1].dev);

    if (same) {
        below = m[0].on + (m[1].on[1] ? strlen(m[1].on) : 0);
        there = snap_printf("%s%s", m[1].root[1] ? m[1].root : "", below);
        same = !strcmp(there, m[0].root);
    }
    free(there);
    free(m);
    return same;
}

/* The nearest folder above it that exists, by its real name. */
static char *nearest_folder(const char *path)
{
    char *at = snap_dirname(path), *up, *real;

    while (!(real = realpath(at, NULL)) && at[1]) {
        up = snap_dirname(at);
        free(at);
        at = up;
    }
    free(at);
    return real;
}

char *snap_mount_of(const char *path)
{
    uint64_t id, above;
    char *up, *at = nearest_folder(path);

    if (!at || !mount_id(at, &id))
        goto unknown;
    while (at[1]) {
        up = snap_dirname(at);
        if (!mount_id(up, &above) ||
            (above != id && !is_the_same(id, above))) {
            free(up);
            break;
        }
        id = above;
        free(at);
        at = up;
    }
    return at;

unknown:
    free(at);
    return NULL;
}

bool snap_mount_missing(const char *path, const char *mount)
{
    char *now;
    bool other;

    if (!mount || snap_file_exists(path))
        return false;
    now = snap_mount_of(path);
    other = now && strcmp(now, mount) != 0;
    free(now);
    return other;
}
