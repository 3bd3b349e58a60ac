/* SPDX-License-Identifier: LGPL-2.1-only */
/* See mount.h.  By the mount's number (statx(2)), not by st_dev, which a bind
 * mount shares with what it shows. */
#include "lib/mount.h"

#include <fcntl.h>
#include <stdint.h>
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
        if (!mount_id(up, &above) || above != id) {
            free(up);
            break;
        }
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
