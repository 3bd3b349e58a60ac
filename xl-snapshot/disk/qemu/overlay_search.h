/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who has an image as its backing file: the one search of all that would
 * change or remove an image.  By inode, never by text.
 *
 * A guest can write any header into its raw disk.  So what the first bytes of
 * a file say makes it a reason to refuse and nothing more: a child, which is
 * written to, is only what somebody has said to be a qcow2 image.  What cannot
 * be read, or not be told, counts as if it were over the image.
 */
#ifndef SNAP_DISK_QEMU_OVERLAY_SEARCH_H
#define SNAP_DISK_QEMU_OVERLAY_SEARCH_H

#include "disk/qemu/qemu_node.h"
#include "model/disk_ops.h"

/*
 * Every image that has base as its backing file, by a name under which that
 * is so, each once: among those of known that are qcow2, and what QEMU has
 * open as qcow2 (v may be NULL).  All files in the folders of base and of
 * known are looked at as well: SNAP_REFUSED, with the way out, if one of them
 * that nobody has named seems to be over base.  seen: of this plan, or NULL.
 */
int snap_overlay_children(const char *base, const struct snap_known *known,
                          size_t n_known, const struct snap_qemu_view *v,
                          struct snap_seen *seen, char ***paths_r, size_t *n_r,
                          struct snap_err *err);

/* What in the folder of path is over it, or may be; NULL: nothing.  Caller
 * frees. */
char *snap_overlay_child(const char *path);

#endif /* SNAP_DISK_QEMU_OVERLAY_SEARCH_H */
