/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The table's own part: choosing a driver, a part's memory, and what a slot
 * does that has nothing to do.  Knows no driver.
 */
#include "model/disk_ops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/disk_slots.h"

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
    snap_free(&p->leaf_path);
    snap_free(&p->leaf_format);
    snap_free(&p->drop_path);
    snap_json_free(p->data);
    p->data = NULL;
}

void snap_delete_dispose(struct snap_delete *d)
{
    size_t i;

    for (i = 0; i < d->n_known; i++)
        free(d->known[i].path);
    for (i = 0; i < d->n_child; i++)
        free(d->child[i].path);
    free(d->known);
    free(d->child);
    snap_free(&d->leaf);
    snap_free(&d->parent);
    snap_free(&d->parent_format);
    snap_free(&d->active_path);
    snap_free(&d->active_format);
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

const struct snap_disk_driver *
snap_disk_match(const struct snap_disk_driver *const *drivers,
                const struct snap_part *p, enum snap_disk_type want)
{
    const struct snap_disk_driver *best = NULL;
    int score, best_score = 0;

    for (; *drivers; drivers++) {
        score = (*drivers)->match(p, want);
        if (score > best_score) {
            best_score = score;
            best = *drivers;
        }
    }
    return best;
}

const struct snap_disk_driver *snap_disk_by_name(const struct snap_disk_driver
                                                     *const *drivers,
                                                 const char *name)
{
    for (; *drivers; drivers++)
        if (snap_streq((*drivers)->name, name))
            return *drivers;
    return NULL;
}

int snap_slot_nothing(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    (void)c;
    (void)p;
    (void)err;
    return 0;
}

static int not_merged(const struct snap_part *p, struct snap_err *err)
{
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "%s: a snapshot of this kind is not merged", p->vdev);
}

int snap_slot_never(struct snap_disk_ctx *c, struct snap_part *p,
                    const struct snap_delete *d, struct snap_err *err)
{
    (void)c;
    (void)d;
    return not_merged(p, err);
}

int snap_slot_never_switched(struct snap_disk_ctx *c,
                             const struct snap_part *p,
                             const struct snap_delete *d, bool *yes_r,
                             struct snap_err *err)
{
    (void)c;
    (void)d;
    *yes_r = false;
    return not_merged(p, err);
}

bool snap_slot_never_went_on(const struct snap_part *p,
                             const struct snap_delete *d)
{
    (void)p;
    (void)d;
    return false;
}

bool snap_slot_never_astray(const struct snap_part *p,
                            const struct snap_delete *d, bool live)
{
    (void)p;
    (void)d;
    (void)live;
    return false;
}

int snap_slot_never_child(struct snap_disk_ctx *c, struct snap_part *p,
                          const struct snap_delete *d, size_t i,
                          struct snap_err *err)
{
    (void)i;
    return snap_slot_never(c, p, d, err);
}

int snap_slot_nothing_deleted(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    (void)d;
    return snap_slot_nothing(c, p, err);
}

const char *snap_slot_group_name(const struct snap_part *p)
{
    return p->drv->group->name;
}

int snap_slot_stands_alone(struct snap_disk_ctx *c, const struct snap_part *p,
                           const char *path, enum snap_stand *how_r,
                           struct snap_err *err)
{
    char *dir;
    int rc = 0;

    (void)c;
    (void)p;
    *how_r = SNAP_STAND_ALONE;
    if (path[0] != '/')
        return 0;
    dir = snap_dirname(path);
    *how_r = snap_file_exists(path) ? SNAP_STAND_ALONE : SNAP_STAND_GONE;
    if (!snap_file_exists(dir))
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s does not exist; is its file system mounted?", dir);
    free(dir);
    return rc;
}

int snap_slot_check_files(const struct snap_part *p, struct snap_err *err)
{
    return p->before_kind || p->frozen_kind || p->active_kind
               ? snap_fail(err, SNAP_CORRUPT,
                           "kind: not a file, and its driver has nothing else")
               : 0;
}

static int check_type(const struct snap_part *p, enum snap_disk_type type,
                      struct snap_err *err)
{
    int rc = snap_slot_check_files(p, err);

    if (!rc && p->type != type)
        rc = snap_fail(err, SNAP_CORRUPT, "type: %s takes %s snapshots",
                       p->drv->name, snap_disk_type_name(type));
    return rc;
}

int snap_slot_check_inside(const struct snap_part *p, struct snap_err *err)
{
    int rc = check_type(p, SNAP_DISK_INTERNAL, err);

    if (!rc && !snap_streq(p->path, p->active_path) &&
        !snap_streq(p->frozen_path, p->active_path))
        rc = snap_fail(err, SNAP_CORRUPT,
                       "active: an internal snapshot has one image, and this is neither before nor frozen");
    return rc;
}

int snap_slot_check_over(const struct snap_part *p, struct snap_err *err)
{
    int rc = check_type(p, SNAP_DISK_EXTERNAL, err);

    if (!rc && snap_streq(p->frozen_path, p->active_path))
        rc = snap_fail(err, SNAP_CORRUPT,
                       "active: the guest would write into the frozen image");
    return rc;
}

int snap_part_look(struct snap_disk_ctx *c, struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err)
{
    int rc;

    *state_r = SNAP_PART_ABSENT;
    rc = p->drv->inspect(c, p, state_r, err);
    if (rc)
        snap_err_prefix(err, "%s", p->vdev);
    p->taken = !rc && *state_r == SNAP_PART_PRESENT;
    return rc;
}

int snap_group_all_there(struct snap_disk_ctx *c,
                         struct snap_part *const *parts, size_t n,
                         enum snap_taken *how_r, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    enum snap_part_state st;

    *how_r = SNAP_TAKEN_ALL;
    for (i = 0; !rc && i < n; i++) {
        rc = snap_part_look(c, parts[i], &st, err);
        if (!parts[i]->taken)
            *how_r = SNAP_TAKEN_NONE;
    }
    return rc;
}

bool snap_stamp_differs(const struct snap_stamp *then,
                        const struct snap_stamp *now)
{
    if (!then->known || !now->known ||
        (then->mtime_ns == now->mtime_ns && then->bytes == now->bytes))
        return false;
    return !then->old_boot || now->mtime_ns > then->at_ns;
}
