/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Snapshots inside a qcow2 image that no running domain has, by qemu-img.
 * Others are kept from the image meanwhile (image_guard.h); what qemu-img says
 * is not believed, but what is there afterwards; and that is on the disk when
 * one of these returns 0.  SNAP_BUSY: somebody has the image open for writing.
 */
#ifndef SNAP_DISK_QEMU_IMAGE_TAG_H
#define SNAP_DISK_QEMU_IMAGE_TAG_H

#include "model/disk_ops.h"

/* Make one of what the image holds now.  There must be none of that name. */
int snap_image_tag_make(struct snap_disk_ctx *c, const char *path,
                        const char *tag, struct snap_err *err);
/* Bring it back: the image holds what the snapshot does.  On failure it may be
 * a mixture of this and before; another call puts that right. */
int snap_image_tag_apply(struct snap_disk_ctx *c, const char *path,
                         const char *tag, struct snap_err *err);
/* Remove it; 0 if there is none.  SNAP_REFUSED if the name is not unique.
 * Readers of the image are in the way as well. */
int snap_image_tag_drop(struct snap_disk_ctx *c, const char *path,
                        const char *tag, struct snap_err *err);
/* What a qemu-img that died in one of these may have left, reference counts
 * that are too high, is put right.  No harm is done if that fails; it is said
 * if the image has other errors. */
void snap_image_tag_mend(struct snap_disk_ctx *c, const char *path);

#endif /* SNAP_DISK_QEMU_IMAGE_TAG_H */
