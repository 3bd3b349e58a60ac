/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The files of an external snapshot: making them, and the marks that they
 * have.
 */
#ifndef SNAP_DISK_QEMU_OVERLAY_FILES_H
#define SNAP_DISK_QEMU_OVERLAY_FILES_H

#include "model/disk_ops.h"

/* A whole, empty, durable overlay at path, which must not exist, marked as
 * new.  Whoever may read or write the base may do so with it, and nobody
 * else (disk/file/image_attr.h). */
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

#endif /* SNAP_DISK_QEMU_OVERLAY_FILES_H */
