/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who may have a new image: whoever may have the one that it stands for, so
 * that a QEMU that is not root, or a backup user, still reads the disk; and
 * nobody else.  It is made with mode 0600 and widened when it is whole.
 */
#ifndef SNAP_DISK_FILE_IMAGE_ATTR_H
#define SNAP_DISK_FILE_IMAGE_ATTR_H

#include "lib/log.h"
#include "lib/rc.h"

/* Before it is filled: owner and group of base, if that is a file. */
int snap_image_own_like(int fd, const char *path, const char *base,
                        struct snap_err *err);
/* When it is whole: extended attributes (ACL, security label) and mode of
 * base.  What cannot be had is left out, with a warning if it was a label or
 * an ACL, and then nobody but the owner has it. */
int snap_image_attr_copy(const struct snap_log *log, const char *base, int fd,
                         const char *path, struct snap_err *err);

#endif /* SNAP_DISK_FILE_IMAGE_ATTR_H */
