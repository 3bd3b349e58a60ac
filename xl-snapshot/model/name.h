/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What may be a name: of a snapshot, a disk, a format; other words; and how long,
 * and how many, there may be.
 */
#ifndef SNAP_MODEL_NAME_H
#define SNAP_MODEL_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"

#define SNAP_NAME_MAX        64 /* bytes */
#define SNAP_DESCRIPTION_MAX 1024
#define SNAP_DISKS_MAX       256 /* of a domain, and of a snapshot */

/* [A-Za-z0-9][A-Za-z0-9._-]*, at most SNAP_NAME_MAX, not ending in a dot, and
 * not "." or ".."; SNAP_INVAL says which rule. */
int snap_name_check(const char *name, struct snap_err *err);
/* A vdev such as xvda, hda, sdb, xvdaa, hdc1: [a-z]{2,}[a-z0-9]*, at most
 * 16 characters. */
int snap_vdev_check(const char *vdev, struct snap_err *err);
/* 36 characters, lower-case hex and dashes in their places. */
int snap_uuid_check(const char *uuid, struct snap_err *err);
/* One line of UTF-8 without control characters, of 1 to max bytes.  What
 * names the text in the message. */
int snap_text_check(const char *text, size_t max, const char *what,
                    struct snap_err *err);
/* One of libxl's words for an image format that we can name: raw, qcow2,
 * qcow, qed, vhd. */
bool snap_format_known(const char *format);

#endif /* SNAP_MODEL_NAME_H */
