/* SPDX-License-Identifier: LGPL-2.1-only */
/* See stamp.h. */
#include "op/stamp.h"

#include <stdlib.h>
#include <string.h>

#include "lib/boot_id.h"
#include "lib/mem.h"

struct snap_json *snap_stamp_json(const struct snap_stamp *st)
{
    char *boot;
    struct snap_json *j;

    if (!st->known)
        return NULL;
    j = snap_json_object();
    boot = snap_boot_id();
    snap_json_set_int(j, "mtime_ns", st->mtime_ns);
    snap_json_set_int(j, "bytes", st->bytes);
    snap_json_set_int(j, "at_ns", st->at_ns);
    snap_json_set_str(j, "boot_id", boot);
    free(boot);
    return j;
}

void snap_stamp_from_json(const struct snap_json *j, struct snap_stamp *st_r)
{
    char *boot = snap_boot_id();

    memset(st_r, 0, sizeof(*st_r));
    st_r->known = snap_json_get(j, "mtime_ns") != NULL;
    st_r->mtime_ns = snap_json_get_int(j, "mtime_ns", 0);
    st_r->bytes = snap_json_get_int(j, "bytes", 0);
    st_r->at_ns = snap_json_get_int(j, "at_ns", 0);
    st_r->old_boot = !snap_streq(snap_json_get_str(j, "boot_id"), boot);
    free(boot);
}

bool snap_stamp_changed(const struct snap_env *env, const char *path,
                        const struct snap_stamp *then)
{
    struct snap_stamp now;

    env->image_stamp(path, &now);
    return snap_stamp_differs(then, &now);
}
