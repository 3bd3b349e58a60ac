/* SPDX-License-Identifier: LGPL-2.1-only */
#include "lib/space.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/mem.h"

/* The file system of path, or of the first folder above it that is there. */
static bool device_of(const char *path, dev_t *dev_r)
{
    struct stat st;
    char *at = snap_strdup(path), *up;
    bool found;

    while (!(found = !stat(at, &st)) &&
           (errno == ENOENT || errno == ENOTDIR) && strcmp(at, "/") != 0 &&
           strcmp(at, ".") != 0) {
        up = snap_dirname(at);
        free(at);
        at = up;
    }
    free(at);
    if (found)
        *dev_r = st.st_dev;
    return found;
}

static const struct snap_space_fs *find(const struct snap_space *s,
                                        const char *path)
{
    size_t i;
    dev_t dev;

    if (!s || !s->n || !device_of(path, &dev))
        return NULL;
    for (i = 0; i < s->n; i++)
        if (s->fs[i].dev == dev)
            return &s->fs[i];
    return NULL;
}

static struct snap_space_fs *get(struct snap_space *s, const char *path)
{
    struct snap_space_fs *fs = (struct snap_space_fs *)find(s, path);
    dev_t dev;

    if (fs || !s || s->n == SNAP_SPACE_MAX || !device_of(path, &dev))
        return fs;
    fs = &s->fs[s->n++];
    fs->dev = dev;
    fs->taken = fs->kept = 0;
    return fs;
}

static void less(uint64_t *bytes, uint64_t n)
{
    *bytes -= n < *bytes ? n : *bytes;
}

int snap_space_to_grow(const struct snap_space *s, const char *path,
                       uint64_t *bytes_r, struct snap_err *err)
{
    const struct snap_space_fs *fs = find(s, path);
    int rc = snap_free_bytes(path, bytes_r, err);

    if (!rc && fs)
        less(bytes_r, fs->taken);
    return rc;
}

int snap_space_left(const struct snap_space *s, const char *path,
                    uint64_t *bytes_r, struct snap_err *err)
{
    const struct snap_space_fs *fs = find(s, path);
    int rc = snap_space_to_grow(s, path, bytes_r, err);

    if (!rc && fs)
        less(bytes_r, fs->kept);
    return rc;
}

void snap_space_take(struct snap_space *s, const char *path, uint64_t bytes)
{
    struct snap_space_fs *fs = get(s, path);

    if (fs && __builtin_add_overflow(fs->taken, bytes, &fs->taken))
        fs->taken = UINT64_MAX;
}

void snap_space_keep(struct snap_space *s, const char *path, uint64_t bytes)
{
    struct snap_space_fs *fs = get(s, path);

    if (fs && fs->kept < bytes)
        fs->kept = bytes;
}
