/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What has been read of images: where each is, and what its qcow2 header says.
 * A plan asks that of thousands, for each disk again and by several ways; it
 * is read once.  Good for one plan, in which nothing is changed: what is looked
 * at before a deed is looked at anew.
 */
#ifndef SNAP_DISK_QEMU_IMAGE_CARDS_H
#define SNAP_DISK_QEMU_IMAGE_CARDS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "disk/format/qcow2_header.h"
#include "lib/seen.h"

struct snap_card {
    int e; /* of stat(); 0: it is there */
    struct stat st;
    /* Only by snap_cards_header(). */
    bool read;
    int rc;
    char *why; /* rc says that it failed, this why */
    struct snap_qcow2 h;
};

struct snap_cards;

/* Those of this plan, or a box of their own if seen is NULL.  Each use ends
 * with snap_cards_close(); what was got then is no longer good. */
struct snap_cards *snap_cards_open(struct snap_seen *seen);
void snap_cards_close(struct snap_cards *cs, const struct snap_seen *seen);

/* stat(2) of path. */
const struct snap_card *snap_cards_stat(struct snap_cards *cs,
                                        const char *path);
/* The same, and snap_qcow2_read() of it: rc, why, and h. */
const struct snap_card *snap_cards_header(struct snap_cards *cs,
                                          const char *path);
/* As snap_same_file(). */
bool snap_cards_same(struct snap_cards *cs, const char *a, const char *b);

#endif /* SNAP_DISK_QEMU_IMAGE_CARDS_H */
