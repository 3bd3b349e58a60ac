/* SPDX-License-Identifier: LGPL-2.1-only */
/* See disk_part.h. */
#include "model/disk_part.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

const char *snap_disk_type_name(enum snap_disk_type t)
{
    switch (t) {
    case SNAP_DISK_AUTO:
        return "auto";
    case SNAP_DISK_INTERNAL:
        return "internal";
    case SNAP_DISK_EXTERNAL:
        return "external";
    }
    return "unknown";
}

void snap_part_dispose(struct snap_part *p)
{
    snap_free(&p->vdev);
    snap_free(&p->path);
    snap_free(&p->format);
    snap_free(&p->backend);
    snap_free(&p->script);
    snap_free(&p->tag);
    snap_free(&p->target);
    snap_free(&p->stem);
    snap_free(&p->node);
    snap_free(&p->frozen_path);
    snap_free(&p->frozen_format);
    snap_free(&p->active_path);
    snap_free(&p->active_format);
    snap_free(&p->before_kind);
    snap_free(&p->frozen_kind);
    snap_free(&p->active_kind);
    snap_free(&p->leaf_dir);
    snap_free(&p->leaf_kind);
    snap_free(&p->leaf_path);
    snap_free(&p->leaf_format);
    snap_free(&p->drop_path);
    snap_free(&p->drop_format);
    snap_free(&p->drop_kind);
    snap_json_free(p->data);
    p->data = NULL;
}

void snap_delete_dispose(struct snap_delete *d)
{
    size_t i;

    for (i = 0; i < d->n_known; i++) {
        free(d->known[i].path);
        free(d->known[i].format);
    }
    for (i = 0; i < d->n_child; i++)
        free(d->child[i].path);
    free(d->known);
    free(d->child);
    snap_free(&d->leaf);
    snap_free(&d->leaf_kind);
    snap_free(&d->leaf_format);
    snap_free(&d->parent);
    snap_free(&d->parent_format);
    snap_free(&d->active_path);
    snap_free(&d->active_format);
    snap_free(&d->active_kind);
    snap_free(&d->gone);
    memset(d, 0, sizeof(*d));
}

void snap_held_images_add(struct snap_held_images *l, const char *path,
                          bool changes)
{
    l->image = snap_realloc(l->image, l->n + 1, sizeof(*l->image));
    l->image[l->n].path = snap_strdup(path);
    l->image[l->n++].changes = changes;
}

void snap_held_images_dispose(struct snap_held_images *l)
{
    while (l->n)
        free(l->image[--l->n].path);
    free(l->image);
    l->image = NULL;
}

bool snap_part_by_qemu(const struct snap_part *p)
{
    return (!p->backend || snap_streq(p->backend, "qdisk")) &&
           (!p->script || !p->script[0]);
}

bool snap_stamp_differs(const struct snap_stamp *then,
                        const struct snap_stamp *now)
{
    if (!then->known || !now->known ||
        (then->mtime_ns == now->mtime_ns && then->bytes == now->bytes))
        return false;
    return !then->old_boot || now->mtime_ns > then->at_ns;
}
