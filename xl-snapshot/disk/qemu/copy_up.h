/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An image that nobody uses takes over what it reads through its backing
 * file, and is put over what is below that.
 */
#ifndef SNAP_DISK_QEMU_COPY_UP_H
#define SNAP_DISK_QEMU_COPY_UP_H

#include <stdint.h>

#include "lib/log.h"
#include "lib/rc.h"

struct snap_copy_up {
    const char *path; /* qcow2, over the image that is to go */
    /* What it will be over: named like this in its header.  NULL: nothing. */
    const char *parent, *parent_format;
    int (*tick)(void *opaque); /* as in lib/run.h */
    void *opaque;
    /* Asked right before the header is changed; non-zero: do not. */
    int (*may_switch)(void *opaque, struct snap_err *err);
    const struct snap_log *log;
};

/* Afterwards it reads the same as before, all of it on the disk.  At every
 * moment, and whatever the tools do, it reads so through the one or the
 * other; so this may fail, be stopped or die, and be called again. */
int snap_copy_up(const struct snap_copy_up *u, struct snap_err *err);

/* Somebody else, a QEMU, was to copy it: does the file have all that the image
 * reads?  SNAP_FAIL if not.  May be asked while a guest writes to it. */
int snap_copied_up(const struct snap_copy_up *u, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_COPY_UP_H */
