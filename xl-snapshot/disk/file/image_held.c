/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_held.h. */
#include "disk/file/image_held.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/mem.h"

struct held {
    struct held *next;
    struct stat file;
    const void *by;
};

static struct held *all;

void snap_image_held_add(const char *path, const void *by)
{
    struct stat st;
    struct held *h;

    if (stat(path, &st))
        return;
    h = snap_zalloc(sizeof(*h));
    *h = (struct held){ .next = all, .file = st, .by = by };
    all = h;
}

void snap_image_held_drop(const void *by)
{
    struct held **at = &all, *gone;

    while (*at) {
        gone = *at;
        if (gone->by == by) {
            *at = gone->next;
            free(gone);
        } else {
            at = &gone->next;
        }
    }
}

bool snap_image_is_held(const char *path)
{
    struct stat st;
    const struct held *h;

    if (!all || stat(path, &st))
        return false;
    for (h = all; h; h = h->next)
        if (snap_same_stat(&h->file, &st))
            return true;
    return false;
}
