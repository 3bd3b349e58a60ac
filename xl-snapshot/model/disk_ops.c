/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The table's own part: choosing a driver, and groups that take one disk after
 * the other.  Knows no driver.
 */
#include "model/disk_ops.h"

#include "lib/mem.h"

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
