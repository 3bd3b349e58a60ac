/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See image_info.h.  Keys may be missing and of any type: each read then
 * gives what is harmless (0, NULL, false).
 */
#include "disk/qemu/image_info.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

static const struct snap_json *specific(const struct snap_json *image,
                                        const char *key)
{
    return snap_json_get(snap_json_path(image, "format-specific.data"), key);
}

uint64_t snap_image_size(const struct snap_json *image)
{
    return snap_json_unsigned(snap_json_get(image, "virtual-size"), 0);
}

size_t snap_image_snapshots(const struct snap_json *image)
{
    const struct snap_json *a = snap_json_get(image, "snapshots");

    return a && snap_json_type(a) == SNAP_JSON_ARRAY ? snap_json_len(a) : 0;
}

bool snap_image_corrupt(const struct snap_json *image)
{
    return snap_json_truth(specific(image, "corrupt"), false);
}

bool snap_image_has_bitmaps(const struct snap_json *image)
{
    return snap_json_len(specific(image, "bitmaps")) > 0;
}

/* As QEMU reads it. */
static int64_t id_of(const struct snap_json *snapshot)
{
    const char *id = snap_json_get_str(snapshot, "id");

    return id ? (int64_t)strtoul(id, NULL, 10) : 0;
}

int64_t snap_image_last_id(const struct snap_json *image)
{
    const struct snap_json *a = snap_json_get(image, "snapshots");
    size_t i, n = snap_image_snapshots(image);
    int64_t id, last = 0;

    for (i = 0; i < n; i++) {
        id = id_of(snap_json_at(a, i));
        last = id > last ? id : last;
    }
    return last;
}

void snap_image_find_tag(const struct snap_json *image, const char *tag,
                         struct snap_image_tag *t_r)
{
    const struct snap_json *a = snap_json_get(image, "snapshots");
    size_t i, n = snap_image_snapshots(image);

    memset(t_r, 0, sizeof(*t_r));
    for (i = 0; i < n; i++) {
        const struct snap_json *s = snap_json_at(a, i);

        if (snap_streq(snap_json_get_str(s, "name"), tag)) {
            t_r->count++;
            t_r->date = snap_json_get_int(s, "date-sec", 0);
            t_r->id = id_of(s);
        } else if (snap_streq(snap_json_get_str(s, "id"), tag)) {
            t_r->id_clash = true;
        }
    }
}
