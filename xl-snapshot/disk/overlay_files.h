/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The files of an external snapshot: names, making and removing them, and
 * what p->data of the overlay driver holds.
 */
#ifndef SNAP_DISK_OVERLAY_FILES_H
#define SNAP_DISK_OVERLAY_FILES_H

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

/* A whole, empty, durable overlay at path, which must not exist, marked as
 * new.  Whoever may read or write the base may do so with it, and nobody
 * else (disk/image_attr.h). */
int snap_overlay_make(struct snap_disk_ctx *c, const char *path,
                      const char *base, const char *base_format, uint64_t size,
                      struct snap_err *err);
/* The same with a copy of what a snapshot inside a qcow2 image holds, over the
 * same backing file as that has.  The image is read only and may be in use if
 * nobody writes to it. */
int snap_image_copy(struct snap_disk_ctx *c, const char *path,
                    const char *image, const char *tag, struct snap_err *err);
/* Remove what one of both that died may have left. */
int snap_overlay_make_undo(struct snap_disk_ctx *c, const char *path,
                           struct snap_err *err);
/* 0 and *ours_r: path is a qcow2 image over base.  A missing file is
 * SNAP_NOTFOUND. */
int snap_overlay_is_over(const char *path, const char *base, bool *ours_r,
                         bool *written_r, struct snap_err *err);
/* The leaf is not there: was it never made, or removed, which is 0?  If what it
 * was to stand on is not there either, its file system may not be mounted yet,
 * after a boot for instance, and nothing may be concluded: SNAP_REFUSED. */
int snap_overlay_check_mounted(const char *leaf, const char *base,
                               struct snap_err *err);
/* Set, or look for, the mark of an overlay that no guest has had yet (its
 * time stamp: any write, and snap_overlay_taken(), changes it). */
int snap_overlay_mark_new(const char *path, struct snap_err *err);
bool snap_overlay_is_new(const char *path);

/* QEMU writes to the overlay now: mark it, remember what the base is, and let
 * the old path name it if that was asked for.  Idempotent.  In the window, so
 * nothing is synced: a mark or a link that a power cut loses is found out by
 * recovery. */
int snap_overlay_taken(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err);
/* The driver's slot: make that durable, guest running. */
int snap_overlay_secure(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err);
/* The driver's slot. */
int snap_overlay_refreeze(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err);
/* The immutable attribute: what keeps root's QEMU from writing. */
int snap_image_protect(const char *path, struct snap_err *err);
int snap_image_unprotect(const char *path, struct snap_err *err);
bool snap_image_protected(const char *path);
/* Can it be made so?  Not on NFS. */
bool snap_image_can_protect(const char *path);

#endif /* SNAP_DISK_OVERLAY_FILES_H */
