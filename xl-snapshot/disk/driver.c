/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The table's own part: choosing a driver, a part's memory, and what a slot
 * does that has nothing to do.  Knows no driver.
 */
#include "disk/driver.h"

#include "disk/slots.h"
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
    snap_free(&p->tag);
    snap_free(&p->target);
    snap_free(&p->stem);
    snap_free(&p->node);
    snap_free(&p->frozen_path);
    snap_free(&p->frozen_format);
    snap_free(&p->active_path);
    snap_free(&p->active_format);
    snap_free(&p->leaf_path);
    snap_free(&p->leaf_format);
    snap_free(&p->drop_path);
    snap_json_free(p->data);
    p->data = NULL;
}

const struct snap_disk_driver *snap_disk_match(
    const struct snap_disk_driver *const *drivers, const struct snap_part *p,
    enum snap_disk_type want)
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

const struct snap_disk_driver *snap_disk_by_name(
    const struct snap_disk_driver *const *drivers, const char *name)
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

const char *snap_slot_group_qemu(const struct snap_part *p)
{
    (void)p;
    return "qemu";
}
