/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_stamp.h. */
#include "disk/file/image_stamp.h"

#include <string.h>
#include <time.h>

int64_t snap_stat_mtime_ns(const struct stat *st)
{
    return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

void snap_image_stamp(const char *path, struct snap_stamp *now_r)
{
    struct stat st;
    struct timespec at;

    memset(now_r, 0, sizeof(*now_r));
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return;
    clock_gettime(CLOCK_REALTIME, &at);
    now_r->known = true;
    now_r->mtime_ns = snap_stat_mtime_ns(&st);
    now_r->bytes = st.st_size;
    now_r->at_ns = at.tv_sec * 1000000000ll + at.tv_nsec;
}

bool snap_image_differs(const char *path, const struct snap_stamp *then)
{
    struct snap_stamp now;

    if (!then)
        return false;
    snap_image_stamp(path, &now);
    return snap_stamp_differs(then, &now);
}
