/* SPDX-License-Identifier: LGPL-2.1-only */
/* See overlay_space.h. */
#include "disk/qemu/overlay_space.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "lib/space.h"

#define SPACE_MIN  (64ull << 20)
#define SPACE_WARN (1024ull << 20)

int snap_overlay_check_space(struct snap_disk_ctx *c,
                             const struct snap_part *p, const char *path,
                             struct snap_err *err)
{
    int rc;
    uint64_t bytes;
    char *human;

    rc = snap_space_to_grow(c->space, path, &bytes, err);
    if (rc)
        return rc;
    human = snap_size_human(bytes);
    if (bytes < SPACE_MIN)
        rc = snap_fail(err, SNAP_NOSPACE,
                       "only %s are free where %s would grow", human, path);
    else if (bytes < SPACE_WARN && bytes < p->size)
        snap_say(c->log, SNAP_LOG_WARN,
                 "%s: only %s are free where %s will grow", p->vdev, human,
                 path);
    snap_space_keep(c->space, path, SPACE_MIN);
    free(human);
    return rc;
}
