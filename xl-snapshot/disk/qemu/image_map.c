/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_map.h. */
#include "disk/qemu/image_map.h"

#include <stdlib.h>
#include <string.h>

#include "disk/qemu/qemu_img.h"
#include "lib/mem.h"

/* How much of the disk is asked for at a time: the answer has a limit
 * (lib/run.h), and each time costs two processes. */
#define WINDOW     (4ull << 30)
#define WINDOW_MAX (64ull << 30)
#define WINDOW_MIN (4ull << 20)
#define FEW        2000 /* ranges in an answer, so that more may be asked */

struct ranges {
    struct snap_range *r;
    size_t n;
};

static void add_range(struct ranges *l, uint64_t at, uint64_t end)
{
    if (l->n && l->r[l->n - 1].end == at) {
        l->r[l->n - 1].end = end;
        return;
    }
    if (!(l->n & (l->n + 1)))
        l->r = snap_realloc(l->r, 2 * (l->n + 1), sizeof(*l->r));
    l->r[l->n++] = (struct snap_range){ at, end };
}

/* What of the window is wanted.  The answer must cover all of it. */
static int list(const struct snap_image_map *m, const struct snap_json *map,
                uint64_t from, uint64_t to, struct ranges *l,
                struct snap_err *err)
{
    size_t i;
    uint64_t at = from, len;
    int64_t depth;

    for (i = 0; i < snap_json_len(map) && at < to; i++) {
        const struct snap_json *e = snap_json_at(map, i);

        len = snap_json_unsigned(snap_json_get(e, "length"), 0);
        depth = snap_json_get_int(e, "depth", -1);
        if (snap_json_unsigned(snap_json_get(e, "start"), 0) != at || !len ||
            len > to - at || depth < 0)
            break;
        if (m->wants(m->opaque, depth, snap_json_get_bool(e, "zero", false),
                     snap_json_get_bool(e, "present", true)))
            add_range(l, at, at + len);
        at += len;
    }
    if (at != to)
        return snap_fail(err, SNAP_PROTO,
                         "qemu-img map: not the answer that it should give");
    return 0;
}

/* One window; *to_r: as far as it came. */
static int image_map_look(const struct snap_image_map *m, uint64_t from,
                          uint64_t *window, struct ranges *l, uint64_t *to_r,
                          struct snap_err *err)
{
    int rc;
    struct snap_json *map = NULL;
    struct snap_err why;

    for (;;) {
        memset(&why, 0, sizeof(why));
        *to_r = m->size - from > *window ? from + *window : m->size;
        rc = snap_qemu_img_map(m->log, m->path, from, *to_r - from, m->tick,
                               m->tick_opaque, &map, &why);
        if (rc != SNAP_PROTO || *window <= WINDOW_MIN)
            break;
        *window /= 8;
        if (*window < WINDOW_MIN)
            *window = WINDOW_MIN;
    }
    if (rc)
        return snap_fail(err, rc, "%s", why.msg);
    if (snap_json_len(map) < FEW && *window < WINDOW_MAX)
        *window *= 2;
    rc = list(m, map, from, *to_r, l, err);
    snap_json_free(map);
    return rc;
}

int snap_image_map(const struct snap_image_map *m, struct snap_err *err)
{
    int rc = 0;
    uint64_t at, to, window = WINDOW;
    struct ranges l = { 0 };

    for (at = 0; !rc && at < m->size; at = to) {
        l.n = 0;
        rc = image_map_look(m, at, &window, &l, &to, err);
        if (!rc)
            rc = m->each(m->opaque, l.r, l.n, err);
    }
    free(l.r);
    return rc;
}
