/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An overlay is written down into the image below it by qemu-img, the domain
 * being off.
 */
#ifndef SNAP_DISK_EXTERNAL_OVERLAY_COMMIT_H
#define SNAP_DISK_EXTERNAL_OVERLAY_COMMIT_H

#include "model/disk_ops.h"

struct snap_overlay_commit {
    const char *over, *base;
    const char *base_format; /* libxl's word */
    /* The name that the overlay has afterwards, which tells whoever comes
     * next that all of it is in the base.  NULL: it keeps its name. */
    const char *retired;
    bool all_there; /* the base has it already, and more */
};

/*
 * Nobody is let in to either image meanwhile.  Afterwards the base reads what
 * the overlay does, which was looked at, and is on the disk.  May fail, be
 * stopped (SNAP_INTR) or die and be called again.  While it works, the
 * overlay's time stamp is kept up with the base's, so that one of a later
 * writer can be told: snap_overlay_base_newer().
 */
int snap_overlay_commit(struct snap_disk_ctx *c,
                        const struct snap_overlay_commit *m,
                        struct snap_err *err);
/* Was the base written to since anything was written to the overlay, or a
 * snap_overlay_commit() worked on both?  again: one may have died in it, whose
 * tool went on for up to two seconds after the last time stamp. */
bool snap_overlay_base_newer(const char *over, const char *base, bool again);

/* The overlay gets the name retired, and that is on the disk; it may have it
 * already.  SNAP_NOTFOUND: it has neither. */
int snap_overlay_retire(const char *over, const char *retired,
                        const char *base, struct snap_err *err);

/* The base, a qcow2 image, was closed by whoever wrote to it last.
 * base_format is libxl's word. */
int snap_overlay_base_clean(const char *base, const char *base_format,
                            bool *clean_r, struct snap_err *err);

#endif /* SNAP_DISK_EXTERNAL_OVERLAY_COMMIT_H */
