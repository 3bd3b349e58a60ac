/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Images that a configuration names and no snapshot holds: those of CD drives
 * and read-only disks.  A domain is built with them as they are, so they have
 * to be there, or, of a CD drive, be done without.
 */
#ifndef SNAP_OP_MEDIA_H
#define SNAP_OP_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"
#include "model/hyp_ops.h"

/* Is what v has not there?  One without a path is empty, and one that is no
 * absolute path is a script's business. */
bool snap_media_gone(const struct snap_vbd *v);
/* Refuse because of it, with the way out.  Returns SNAP_NOTFOUND. */
int snap_media_refuse(const struct snap_vbd *v, const char *path,
                      struct snap_err *err);
/*
 * CD drives whose image is gone become empty; where a guest's type knows no
 * empty drive (PV and PVH: its only disk is a PV one, and QEMU makes none
 * without a file), the drive is left out.  memory: the guest wakes up, and
 * expects what it had: SNAP_REFUSED (an HVM guest's QEMU did not come up in
 * time when it was to load its state without the medium, Xen 4.17).  Each is
 * said in a note, if there is a place for them.  *json becomes another text, or
 * stays on failure.
 */
int snap_media_eject(char **json, bool memory, char ***notes, size_t *n_notes,
                     struct snap_err *err);
/* The first CD or read-only image that is gone, "vdev: path is not there"; NULL
 * if none is, or the configuration cannot be read.  To be freed. */
char *snap_media_lacks(const char *json);

#endif /* SNAP_OP_MEDIA_H */
