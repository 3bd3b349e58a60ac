/* SPDX-License-Identifier: LGPL-2.1-only */
/* See disk_object.h. */
#include "model/disk_object.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/mem.h"

struct snap_object snap_object_file(const char *path)
{
    return (struct snap_object){ .id = path };
}

struct snap_object snap_part_before(const struct snap_part *p)
{
    return (struct snap_object){ p->before_kind, p->path, p->format };
}

struct snap_object snap_part_frozen(const struct snap_part *p)
{
    return (struct snap_object){ p->frozen_kind, p->frozen_path,
                                 p->frozen_format };
}

struct snap_object snap_part_active(const struct snap_part *p)
{
    return (struct snap_object){ p->active_kind, p->active_path,
                                 p->active_format };
}

struct snap_object snap_part_leaf(const struct snap_part *p)
{
    return (struct snap_object){ p->leaf_kind, p->leaf_path, p->leaf_format };
}

struct snap_object snap_part_drop(const struct snap_part *p)
{
    return (struct snap_object){ p->drop_kind, p->drop_path, p->drop_format };
}

struct snap_object snap_delete_leaf(const struct snap_delete *d)
{
    return (struct snap_object){ d->leaf_kind, d->leaf, d->leaf_format };
}

struct snap_object snap_delete_active(const struct snap_delete *d)
{
    return (struct snap_object){ d->active_kind, d->active_path,
                                 d->active_format };
}

bool snap_object_has_path(struct snap_object o)
{
    return !o.kind && o.id && o.id[0] == '/';
}

/* As snap_same_file() compares. */
static char *file_identity(const char *path)
{
    struct stat st;

    if (stat(path, &st))
        return snap_printf("name %s", path);
    if (S_ISBLK(st.st_mode))
        return snap_printf("device %u:%u", major(st.st_rdev),
                           minor(st.st_rdev));
    return snap_printf("inode %llu of %u:%u", (unsigned long long)st.st_ino,
                       major(st.st_dev), minor(st.st_dev));
}

char *snap_object_identity(const struct snap_disk_driver *const *drivers,
                           struct snap_object o)
{
    char *identity;

    if (!o.id)
        return NULL;
    for (; *drivers; drivers++) {
        identity = (*drivers)->identity(o);
        if (identity)
            return identity;
    }
    return o.kind ? snap_printf("%s %s", o.kind, o.id) : file_identity(o.id);
}

bool snap_object_is(const struct snap_disk_driver *const *drivers,
                    struct snap_object o, const char *identity)
{
    char *its = identity ? snap_object_identity(drivers, o) : NULL;
    bool same = its && snap_streq(its, identity);

    free(its);
    return same;
}

bool snap_object_same(const struct snap_disk_driver *const *drivers,
                      struct snap_object a, struct snap_object b)
{
    char *identity;
    bool same;

    if (!a.id || !b.id)
        return false;
    if (snap_streq(a.kind, b.kind) && snap_streq(a.id, b.id))
        return true;
    identity = snap_object_identity(drivers, a);
    same = snap_object_is(drivers, b, identity);
    free(identity);
    return same;
}
