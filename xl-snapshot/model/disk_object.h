/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An object: what holds a disk's data, by its kind, its name and its format.
 * Two names may be one object's: a path and a link to it, a volume and its
 * device.  Whoever has to know asks here, and the drivers answer.
 */
#ifndef SNAP_MODEL_DISK_OBJECT_H
#define SNAP_MODEL_DISK_OBJECT_H

#include "model/disk_ops.h"

struct snap_object snap_object_file(const char *path);
struct snap_object snap_part_before(const struct snap_part *p);
struct snap_object snap_part_frozen(const struct snap_part *p);
struct snap_object snap_part_active(const struct snap_part *p);
struct snap_object snap_part_leaf(const struct snap_part *p);
struct snap_object snap_part_drop(const struct snap_part *p);
/* What the domain has before a deletion, and what after a merge. */
struct snap_object snap_delete_leaf(const struct snap_delete *d);
struct snap_object snap_delete_active(const struct snap_delete *d);
/* Its name is a path of this host's, so that it may be looked for there. */
bool snap_object_has_path(struct snap_object o);

/*
 * The same text for all names of one object, and for no other object's, as
 * long as nothing is made, removed or renamed: to be compared at once and not
 * to be kept.  The drivers are asked; what none of them knows is a file, and
 * known by its inode.  NULL if there is none; caller frees.
 */
char *snap_object_identity(const struct snap_disk_driver *const *drivers,
                           struct snap_object o);
/* Is it one object?  Never if there is none. */
bool snap_object_same(const struct snap_disk_driver *const *drivers,
                      struct snap_object a, struct snap_object b);
/* The same for who compares one with many: identity is that of the one. */
bool snap_object_is(const struct snap_disk_driver *const *drivers,
                    struct snap_object o, const char *identity);

#endif /* SNAP_MODEL_DISK_OBJECT_H */
