/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The files of an external snapshot by name: what p->data of the overlay driver
 * holds, and how new ones are called.  All are in the image's own folder.
 */
#ifndef SNAP_DISK_QEMU_OVERLAY_NAMES_H
#define SNAP_DISK_QEMU_OVERLAY_NAMES_H

#include "model/disk_ops.h"

/* From p->data: the overlay's file (never a link to it), QEMU's name for its
 * node, and the backing file that its header names. */
const char *snap_overlay_file(const struct snap_part *p);
const char *snap_overlay_node(const struct snap_part *p);
const char *snap_overlay_base(const struct snap_part *p);

/* An image's name without what only says its format; caller frees. */
char *snap_overlay_stem(const char *path);
/* "<dir>/<stem>.<tag><suffix>"; stem from p->stem or the image's name.
 * SNAP_REFUSED if that is too long. */
int snap_overlay_name(const struct snap_part *p, const char *beside,
                      const char *suffix, char **path_r, struct snap_err *err);

/* The name under which this run makes what is to be path; caller frees. */
char *snap_overlay_temp(const struct snap_disk_ctx *c, const char *path);
int snap_overlay_sync_folder(const char *path, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_OVERLAY_NAMES_H */
