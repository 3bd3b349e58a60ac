/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which block node of a running QEMU is a domain's disk.  Names cannot be
 * computed: "xvda-qcow2" is the first one's, an overlay has another, a reboot
 * gives new ones.  So QEMU is asked, the image is found by its file, and the
 * graph is walked up to the node that the device writes to.
 *
 * A view is what one look saw.  QEMU's answers are hostile (a guest may own
 * it): they are bounded, walks end, and nothing is taken for granted.
 */
#ifndef SNAP_DISK_QEMU_QEMU_NODE_H
#define SNAP_DISK_QEMU_QEMU_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/disk_ops.h"

/* An image has two nodes.  Beyond the first number nothing is begun: all that
 * comes after must still be below the second, which is what is believed. */
#define SNAP_QEMU_NODES_PLAN 4096
#define SNAP_QEMU_NODES_MAX  8192
#define SNAP_QEMU_EDGES_MAX  32768

struct snap_qemu_node {
    const char *name; /* borrowed from the view */
    const char *driver; /* QEMU's: "qcow2", "raw", "vpc", "file" */
    char *file; /* below it, as QEMU opened it; "" if not a single one */
    bool ro;
    bool cache_direct, cache_no_flush;
    bool bitmaps; /* has persistent dirty bitmaps */
    bool used; /* a device (or export) is on top of it */
    bool job; /* a block job works on it */
    const struct snap_json *image; /* ImageInfo, borrowed */
};

struct snap_qemu_edge {
    int parent, child; /* indices into node */
    bool backing;
};

struct snap_qemu_view {
    struct snap_qemu_node *node;
    size_t n;
    struct snap_qemu_edge *edge;
    size_t n_edges;
    struct snap_json *nodes;
};

/* Look, within timeout_ms for all of it. */
int snap_qemu_look(struct snap_qmp *q, int timeout_ms,
                   struct snap_qemu_view *v_r, struct snap_err *err);
void snap_qemu_view_dispose(struct snap_qemu_view *v);

const struct snap_qemu_node *snap_qemu_named(const struct snap_qemu_view *v,
                                             const char *name);
/* The path in a file name of QEMU's: plain, or inside a json: name; "" if it
 * is not one file.  Caller frees. */
char *snap_qemu_plain_file(const char *file, const char *driver);

/* The node that node has as backing, or NULL. */
const struct snap_qemu_node *snap_qemu_backing(const struct snap_qemu_view *v,
                                               const struct snap_qemu_node
                                                   *node);
/* True if no other node stands on this one. */
bool snap_qemu_is_root(const struct snap_qemu_view *v,
                       const struct snap_qemu_node *node);
/* The root that the device writes to and that has this file in it, anywhere.
 * SNAP_NOTFOUND: QEMU does not have the file; SNAP_REFUSED: it has it more
 * than once, or no device uses it. */
int snap_qemu_root_of(const struct snap_qemu_view *v, const char *path,
                      const struct snap_qemu_node **root_r,
                      struct snap_err *err);

/*
 * For probe(): find the disk, refuse what cannot be snapshotted here (an HVM
 * guest's image that is open twice, a block job, a stale path, another
 * format, more nodes than can be handled), fill p->node and p->size.
 * *v_r is for further questions and NULL is fine.
 */
int snap_qemu_find_disk(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_qemu_view *v_r, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_QEMU_NODE_H */
