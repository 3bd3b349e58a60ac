/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See overlay_levels.h.  A node of QEMU's is told by its place in the chain and
 * not by its file name: after --keep-path a name may be another file's.
 */
#include "disk/qemu/overlay_levels.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "disk/qemu/overlay_chain.h"
#include "lib/file.h"
#include "lib/mem.h"

void snap_overlay_levels_free(struct snap_overlay_level **l, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        free((*l)[i].path);
    free(*l);
    *l = NULL;
    *n = 0;
}

/* What the header of an image says is below it; NULL: nothing. */
static int below(const char *path, const char *driver, char **next_r,
                 struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    *next_r = NULL;
    if (!snap_streq(driver, "qcow2"))
        return 0;
    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        return rc;
    *next_r = snap_overlay_backing(path, &h);
    if (h.backing && !*next_r)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is over %s, which is not a file", path, h.backing);
    snap_qcow2_dispose(&h);
    return rc;
}

/* A block job puts nodes of its own between; they have no file. */
static const struct snap_qemu_node *
below_filters(const struct snap_qemu_view *v,
              const struct snap_qemu_node *node)
{
    size_t i, left = SNAP_OVERLAY_DEPTH_MAX;

    while (node && left-- &&
           (snap_streq(node->driver, "mirror_top") ||
            snap_streq(node->driver, "commit_top") ||
            snap_streq(node->driver, "copy-on-read"))) {
        const struct snap_qemu_node *next = NULL;

        for (i = 0; !next && i < v->n_edges; i++)
            if (&v->node[v->edge[i].parent] == node)
                next = &v->node[v->edge[i].child];
        node = next;
    }
    return node;
}

int snap_overlay_levels(const struct snap_qemu_view *v, const char *leaf,
                        struct snap_overlay_level **l_r, size_t *n_r,
                        struct snap_err *err)
{
    int rc;
    struct snap_overlay_level *l = NULL;
    size_t n = 0;
    const struct snap_qemu_node *node;
    char *path = NULL;

    *l_r = NULL;
    *n_r = 0;
    rc = snap_qemu_root_of(v, leaf, &node, err);
    if (rc)
        return rc;
    node = below_filters(v, node);
    if (!node || !snap_same_file(node->file, leaf)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "QEMU writes to %s, not to %s; an earlier command did not end, run xl snapshot-recover",
                       node && node->file[0] ? node->file : "another image",
                       leaf);
        goto out;
    }
    path = realpath(leaf, NULL);
    while (path) {
        if (!node || n == SNAP_OVERLAY_DEPTH_MAX) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is not what QEMU of the domain reads through, though the headers of the images say so",
                           path);
            goto out;
        }
        l = snap_realloc(l, n + 1, sizeof(*l));
        l[n].path = path;
        l[n].node = node;
        l[n].named = snap_same_file(node->file, path);
        n++;
        rc = below(l[n - 1].path, node->driver, &path, err);
        if (rc)
            goto out;
        node = below_filters(v, snap_qemu_backing(v, node));
    }
    if (node) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "QEMU of the domain reads through %s, which no header of an image says",
                       node->file[0] ? node->file : node->name);
        goto out;
    }
    *l_r = l;
    *n_r = n;
    l = NULL;
    n = 0;

out:
    free(path);
    snap_overlay_levels_free(&l, &n);
    return rc;
}
