/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who stands on whom: what the headers of images say.  Reads only.
 */
#ifndef SNAP_DISK_QEMU_OVERLAY_CHAIN_H
#define SNAP_DISK_QEMU_OVERLAY_CHAIN_H

#include "disk/format/qcow2_header.h"
#include "model/disk_ops.h"

/* Above what is allowed to be made, so that all of that can be walked. */
#define SNAP_OVERLAY_DEPTH_MAX 256

/* The backing file that the header of image names, as an absolute path; NULL
 * if there is none, or it is no file.  Caller frees. */
char *snap_overlay_backing(const char *image, const struct snap_qcow2 *h);

/* Could this "json:" name of a backing file be base?  Yes if it cannot be
 * read. */
bool snap_overlay_json_names(const char *name, const char *base);

/* Images from this qcow2 one down, itself included; ends at one that its
 * overlay calls raw, whatever that begins with.  SNAP_REFUSED: more than 200,
 * or a circle. */
int snap_overlay_depth(const char *path, unsigned *depth_r,
                       struct snap_err *err);
/* Two names of one qcow2 image.  SNAP_REFUSED if it reads through one file by
 * the one and through another by the other: a relative name in its header
 * counts from the folder of the name by which it is opened. */
int snap_overlay_same_chain(const char *a, const char *b,
                            struct snap_err *err);
/* SNAP_REFUSED if this qcow2 image has a backing file of unknown format. */
int snap_overlay_check_format(const char *path, struct snap_err *err);

/* The slot of both QEMU drivers.  A chain that cannot be
 * followed to its end, for want of a file or of a header, is SNAP_REFUSED. */
int snap_overlay_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                           struct snap_object o, enum snap_stand *how_r,
                           struct snap_err *err);

#endif /* SNAP_DISK_QEMU_OVERLAY_CHAIN_H */
