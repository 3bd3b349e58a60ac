/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The name of a snapshot inside an image.  qemu-img looks a name up among the
 * IDs first ("1", "2", …), so a name of digits alone, which the default name
 * is, could hit another snapshot: such a name gets a prefix.
 */
#ifndef SNAP_DISK_QEMU_QCOW2_TAG_H
#define SNAP_DISK_QEMU_QCOW2_TAG_H

#include "model/disk_ops.h"

#define SNAP_TAG_PREFIX "snap-"

/* The name in the image, borrowed from p. */
const char *snap_qcow2_tag(const struct snap_part *p);
/* Decide it, and keep it in p->data. */
void snap_qcow2_tag_set(struct snap_part *p);

#endif /* SNAP_DISK_QEMU_QCOW2_TAG_H */
