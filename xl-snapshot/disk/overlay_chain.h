/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who stands on whom: what the headers of images say, and what a running
 * QEMU has.  Reads only.
 */
#ifndef SNAP_DISK_OVERLAY_CHAIN_H
#define SNAP_DISK_OVERLAY_CHAIN_H

#include "disk/driver.h"
#include "disk/qcow2_header.h"
#include "disk/qemu_node.h"

/* The backing file that the header of image names, as an absolute path; NULL
 * if there is none, or it is no file.  Caller frees. */
char *snap_overlay_backing(const char *image, const struct snap_qcow2 *h);

/*
 * Every image that has base as its backing file: among known, among what
 * QEMU has (v may be NULL), and among all files in the folders of base and
 * of known.  By real path, each once.  A folder that cannot be searched to
 * its end is an error: what is not seen may be there.
 */
int snap_overlay_children(const char *base, char *const *known, size_t n_known,
                          const struct snap_qemu_view *v, char ***paths_r,
                          size_t *n_r, struct snap_err *err);

/* The slot of both QEMU drivers.  path: a qcow2 image.  A chain that cannot be
 * followed to its end, for want of a file or of a header, is SNAP_REFUSED. */
int snap_overlay_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                           const char *path, enum snap_stand *how_r,
                           struct snap_err *err);

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

#endif /* SNAP_DISK_OVERLAY_CHAIN_H */
