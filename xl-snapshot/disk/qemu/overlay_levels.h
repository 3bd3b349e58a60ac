/* SPDX-License-Identifier: LGPL-2.1-only */
/* Who stands on whom in a running QEMU.  Reads only. */
#ifndef SNAP_DISK_QEMU_OVERLAY_LEVELS_H
#define SNAP_DISK_QEMU_OVERLAY_LEVELS_H

#include "disk/qemu/qemu_node.h"

/* One image of the chain that a disk of the running domain reads through. */
struct snap_overlay_level {
    char *path; /* by the header of the one above; the leaf by real path */
    const struct snap_qemu_node *node; /* borrowed from the view */
    /* The name by which QEMU opened it names it still.  If not, QEMU would
     * open another file if it had to open it again (overlay_link.h). */
    bool named;
};
/* From the leaf down.  SNAP_NOTFOUND: QEMU does not have the leaf;
 * SNAP_REFUSED: what QEMU has is not what the headers say. */
int snap_overlay_levels(const struct snap_qemu_view *v, const char *leaf,
                        struct snap_overlay_level **l_r, size_t *n_r,
                        struct snap_err *err);
void snap_overlay_levels_free(struct snap_overlay_level **l, size_t *n);

#endif /* SNAP_DISK_QEMU_OVERLAY_LEVELS_H */
