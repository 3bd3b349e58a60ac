/* SPDX-License-Identifier: LGPL-2.1-only */
#include "lib/space.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/file.h"

/* What is noted of a file system; a place for it if it has none and add is
 * set.  NULL if nothing is, or nothing can be any more. */
static struct snap_space_fs *fs_of(struct snap_space *s, dev_t dev, bool add)
{
    size_t i;

    for (i = 0; s && i < s->n; i++)
        if (!s->fs[i].pool[0] && s->fs[i].dev == dev)
            return &s->fs[i];
    if (!s || !add || s->n == SNAP_SPACE_MAX)
        return NULL;
    s->fs[s->n] = (struct snap_space_fs){ .dev = dev };
    return &s->fs[s->n++];
}

/* The same where only the path is known; NULL also where nothing can be. */
static struct snap_space_fs *fs_at(struct snap_space *s, const char *path)
{
    uint64_t bytes;
    dev_t dev;

    if (snap_free_bytes(path, &bytes, &dev, NULL))
        return NULL;
    return fs_of(s, dev, true);
}

static void less(uint64_t *bytes, uint64_t n)
{
    *bytes -= n < *bytes ? n : *bytes;
}

static int ask(struct snap_space *s, const char *path, bool to_grow,
               uint64_t *bytes_r, struct snap_err *err)
{
    struct snap_space_fs *fs;
    dev_t dev;
    int rc = snap_free_bytes(path, bytes_r, &dev, err);

    if (rc)
        return rc;
    fs = fs_of(s, dev, false);
    if (fs) {
        less(bytes_r, fs->taken);
        if (!to_grow)
            less(bytes_r, fs->kept);
    }
    return 0;
}

int snap_space_to_grow(struct snap_space *s, const char *path,
                       uint64_t *bytes_r, struct snap_err *err)
{
    return ask(s, path, true, bytes_r, err);
}

int snap_space_left(struct snap_space *s, const char *path, uint64_t *bytes_r,
                    struct snap_err *err)
{
    return ask(s, path, false, bytes_r, err);
}

static void take(struct snap_space_fs *fs, uint64_t bytes)
{
    if (fs && __builtin_add_overflow(fs->taken, bytes, &fs->taken))
        fs->taken = UINT64_MAX;
}

void snap_space_take(struct snap_space *s, const char *path, uint64_t bytes)
{
    take(fs_at(s, path), bytes);
}

void snap_space_keep(struct snap_space *s, const char *path, uint64_t bytes)
{
    struct snap_space_fs *fs = fs_at(s, path);

    if (fs && fs->kept < bytes)
        fs->kept = bytes;
}

static const struct snap_space_fs *pool_of(const struct snap_space *s,
                                           const char *name)
{
    size_t i;

    for (i = 0; s && i < s->n; i++)
        if (!strcmp(s->fs[i].pool, name))
            return &s->fs[i];
    return NULL;
}

uint64_t snap_space_pool_left(const struct snap_space *s, const char *name,
                              uint64_t all)
{
    const struct snap_space_fs *pool = pool_of(s, name);

    if (pool)
        less(&all, pool->taken);
    return all;
}

void snap_space_pool_take(struct snap_space *s, const char *name,
                          uint64_t bytes)
{
    const struct snap_space_fs *have = pool_of(s, name);
    struct snap_space_fs *pool;

    if (have) {
        take(&s->fs[have - s->fs], bytes);
        return;
    }
    if (!s || s->n == SNAP_SPACE_MAX || strlen(name) >= SNAP_SPACE_NAME)
        return;
    pool = &s->fs[s->n++];
    *pool = (struct snap_space_fs){ .taken = bytes };
    snprintf(pool->pool, sizeof(pool->pool), "%s", name);
}
