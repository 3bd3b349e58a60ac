/* SPDX-License-Identifier: LGPL-2.1-only */
/* See disk_slots.h. */
#include "model/disk_slots.h"

#include <stdlib.h>

#include "lib/file.h"
#include "lib/mem.h"

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
                           struct snap_object o, enum snap_stand *how_r,
                           struct snap_err *err)
{
    char *dir;
    int rc = 0;

    (void)c;
    (void)p;
    *how_r = o.kind ? SNAP_STAND_GONE : SNAP_STAND_ALONE;
    if (o.kind || o.id[0] != '/')
        return 0;
    dir = snap_dirname(o.id);
    *how_r = snap_file_exists(o.id) ? SNAP_STAND_ALONE : SNAP_STAND_GONE;
    if (!snap_file_exists(dir))
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s does not exist; is its file system mounted?", dir);
    free(dir);
    return rc;
}

char *snap_slot_no_identity(struct snap_object o)
{
    (void)o;
    return NULL;
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
