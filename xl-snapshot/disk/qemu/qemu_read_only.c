/* SPDX-License-Identifier: LGPL-2.1-only */
/* See qemu_read_only.h. */
#include "disk/qemu/qemu_read_only.h"

#include "disk/qemu/qemu_node.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS    10000
#define COMMAND_MS 10000

/* The only node that is below this one, as backing or otherwise; NULL: none,
 * or several. */
static const struct snap_qemu_node *
only_child(const struct snap_qemu_view *v, const struct snap_qemu_node *node,
           bool backing)
{
    const struct snap_qemu_node *found = NULL;
    size_t i;

    for (i = 0; i < v->n_edges; i++) {
        if (&v->node[v->edge[i].parent] != node ||
            v->edge[i].backing != backing)
            continue;
        if (found)
            return NULL;
        found = &v->node[v->edge[i].child];
    }
    return found;
}

static bool is_backing(const struct snap_qemu_view *v,
                       const struct snap_qemu_node *node)
{
    size_t i;

    for (i = 0; i < v->n_edges; i++)
        if (v->edge[i].backing && &v->node[v->edge[i].child] == node)
            return true;
    return false;
}

/* What is not said is as QEMU has it by default: so the cache is. */
static int reopen(struct snap_disk_ctx *c, const struct snap_qemu_view *v,
                  const struct snap_qemu_node *node, struct snap_err *err)
{
    const struct snap_qemu_node *file = only_child(v, node, false);
    const struct snap_qemu_node *backing = only_child(v, node, true);
    struct snap_json *args, *list, *options, *cache;

    if (!file)
        return snap_fail(err, SNAP_REFUSED,
                         "QEMU's node %s does not stand on one file",
                         node->name);
    cache = snap_json_object();
    snap_json_set_bool(cache, "direct", node->cache_direct);
    snap_json_set_bool(cache, "no-flush", node->cache_no_flush);
    options = snap_json_object();
    snap_json_set_str(options, "driver", node->driver);
    snap_json_set_str(options, "node-name", node->name);
    snap_json_set_bool(options, "read-only", true);
    snap_json_set(options, "cache", cache);
    snap_json_set_str(options, "file", file->name);
    if (backing)
        snap_json_set_str(options, "backing", backing->name);
    list = snap_json_array();
    snap_json_push(list, options);
    args = snap_json_object();
    snap_json_set(args, "options", list);
    return snap_qmp_command(c->qmp, "blockdev-reopen", args, COMMAND_MS, NULL,
                            err);
}

int snap_qemu_read_only(struct snap_disk_ctx *c, const char *path,
                        struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_qemu_view v;

    rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
    if (rc)
        return rc;
    for (i = 0; i < v.n && !rc; i++)
        if (!v.node[i].ro && !v.node[i].job && v.node[i].file[0] &&
            is_backing(&v, &v.node[i]) && snap_same_file(v.node[i].file, path))
            rc = reopen(c, &v, &v.node[i], err);
    snap_qemu_view_dispose(&v);
    return rc;
}
