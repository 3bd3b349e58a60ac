/* SPDX-License-Identifier: LGPL-2.1-only */
/* What is below others in a running QEMU is open for reading only. */
#ifndef SNAP_DISK_QEMU_QEMU_READ_ONLY_H
#define SNAP_DISK_QEMU_QEMU_READ_ONLY_H

#include "model/disk_ops.h"

/*
 * A stream job opens an image that is below others for writing, and QEMU 10
 * leaves it so.  Where the domain's QEMU has this image below another and open
 * for writing, and no job works on it, it opens it for reading again; else
 * nothing is done.  Called by who was the job's, after its end; c->qmp is there.
 */
int snap_qemu_read_only(struct snap_disk_ctx *c, const char *path,
                        struct snap_err *err);

#endif /* SNAP_DISK_QEMU_QEMU_READ_ONLY_H */
