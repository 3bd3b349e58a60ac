/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qemu_node.h.  Two questions make a view:
 *
 *   query-named-block-nodes {flat}  what each node is and which file it has
 *   x-debug-query-block-graph       who stands on whom; an unstable command,
 *                                   there since QEMU 4.0.  Where it is
 *                                   missing, file names stand in for edges
 *
 * Neither nests: query-block has each image inside the one above it, and says
 * no more, so it is asked only for what the others do not know: the names of
 * emulated devices.
 *
 * File names alone are not enough: an overlay whose header names its base
 * otherwise than QEMU opened it is called "json:{...}", and after --keep-path
 * the old path names another file than the one that QEMU opened by it.
 */
#include "disk/qemu/qemu_node.h"

#include <stdlib.h>
#include <string.h>

#include "disk/file/in_use.h"
#include "disk/format/format_names.h"
#include "disk/qemu/image_info.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS 5000

/* ---- making a view ---- */

static bool is_protocol(const char *driver)
{
    return snap_streq(driver, "file") || snap_streq(driver, "host_device");
}

char *snap_qemu_plain_file(const char *file, const char *driver)
{
    struct snap_json *j = NULL;
    const struct snap_json *in;
    char *s = NULL;

    if (!file)
        return snap_strdup("");
    if (file[0] == '/')
        return snap_strdup(file);
    if (snap_has_prefix(file, "json:") &&
        !snap_json_parse(file + 5, strlen(file + 5), &j, NULL)) {
        in = is_protocol(driver) ? j : snap_json_get(j, "file");
        if (is_protocol(snap_json_get_str(in, "driver")))
            s = snap_strdup(snap_json_get_str(in, "filename"));
        snap_json_free(j);
    }
    return s && s[0] == '/' ? s : (free(s), snap_strdup(""));
}

static bool has_persistent_bitmap(const struct snap_json *node)
{
    const struct snap_json *a = snap_json_get(node, "dirty-bitmaps");
    size_t i;

    if (!a || snap_json_type(a) != SNAP_JSON_ARRAY)
        return false;
    for (i = 0; i < snap_json_len(a); i++)
        if (snap_json_get_bool(snap_json_at(a, i), "persistent", false))
            return true;
    return false;
}

static int parse_nodes(struct snap_qemu_view *v, struct snap_err *err)
{
    size_t i, len;

    if (snap_json_type(v->nodes) != SNAP_JSON_ARRAY)
        return snap_fail(err, SNAP_PROTO,
                         "QEMU's list of block nodes is no list");
    len = snap_json_len(v->nodes);
    if (len > SNAP_QEMU_NODES_MAX)
        return snap_fail(err, SNAP_PROTO,
                         "QEMU lists %zu block nodes; more than %d are not believed",
                         len, SNAP_QEMU_NODES_MAX);
    v->node = snap_realloc(NULL, len + 1, sizeof(*v->node));
    for (i = 0; i < len; i++) {
        const struct snap_json *j = snap_json_at(v->nodes, i);
        struct snap_qemu_node *node = &v->node[v->n];
        const char *name = snap_json_get_str(j, "node-name");
        const char *driver = snap_json_get_str(j, "drv");
        const struct snap_json *cache;

        /* Without a name there is nothing that could be done with it. */
        if (!name || !driver)
            continue;
        memset(node, 0, sizeof(*node));
        node->name = name;
        node->driver = driver;
        node->file = snap_qemu_plain_file(snap_json_get_str(j, "file"),
                                          driver);
        node->ro = snap_json_get_bool(j, "ro", true);
        cache = snap_json_get(j, "cache");
        node->cache_direct = snap_json_get_bool(cache, "direct", false);
        node->cache_no_flush = snap_json_get_bool(cache, "no-flush", false);
        node->bitmaps = has_persistent_bitmap(j);
        node->image = snap_json_get(j, "image");
        v->n++;
    }
    return 0;
}

static int node_index(const struct snap_qemu_view *v, const char *name)
{
    size_t i;

    for (i = 0; name && i < v->n; i++)
        if (!strcmp(v->node[i].name, name))
            return (int)i;
    return -1;
}

static int qemu_node_by_name(const void *a, const void *b)
{
    const struct snap_qemu_node *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* The nodes by name, to be looked up thousands of times. */
static const struct snap_qemu_node **sort_nodes(const struct snap_qemu_view *v)
{
    const struct snap_qemu_node *
        *a = snap_realloc(NULL, v->n + 1,
                          sizeof(const struct snap_qemu_node *));
    size_t i;

    for (i = 0; i < v->n; i++)
        a[i] = &v->node[i];
    qsort(a, v->n, sizeof(*a), qemu_node_by_name);
    return a;
}

static int index_in(const struct snap_qemu_view *v,
                    const struct snap_qemu_node **sorted, const char *name)
{
    const struct snap_qemu_node key = { .name = name }, *k = &key;
    const struct snap_qemu_node **found;

    if (!name)
        return -1;
    found = bsearch(&k, sorted, v->n, sizeof(*sorted), qemu_node_by_name);
    return found ? (int)(*found - v->node) : -1;
}

/* What the graph says of one of its ids. */
struct vertex {
    int64_t id;
    int node; /* index, or -1 */
    bool backend, job;
};

static int by_id(const void *a, const void *b)
{
    const struct vertex *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static void add_edge(struct snap_qemu_view *v, int parent, int child,
                     bool backing)
{
    v->edge[v->n_edges].parent = parent;
    v->edge[v->n_edges].child = child;
    v->edge[v->n_edges].backing = backing;
    v->n_edges++;
}

static int parse_graph(struct snap_qemu_view *v, const struct snap_json *g,
                       struct snap_err *err)
{
    int rc;
    size_t i, n_vertices, n_edges;
    const struct snap_json *nodes = snap_json_get(g, "nodes");
    const struct snap_json *edges = snap_json_get(g, "edges");
    struct vertex *vertex = NULL;
    const struct snap_qemu_node **sorted = sort_nodes(v);

    if (!nodes || snap_json_type(nodes) != SNAP_JSON_ARRAY || !edges ||
        snap_json_type(edges) != SNAP_JSON_ARRAY ||
        snap_json_len(nodes) > 2 * SNAP_QEMU_NODES_MAX ||
        snap_json_len(edges) > SNAP_QEMU_EDGES_MAX) {
        rc = snap_fail(err, SNAP_PROTO, "QEMU's block graph is not one");
        goto out;
    }
    n_vertices = snap_json_len(nodes);
    n_edges = snap_json_len(edges);
    vertex = snap_realloc(NULL, n_vertices + 1, sizeof(*vertex));
    for (i = 0; i < n_vertices; i++) {
        const struct snap_json *j = snap_json_at(nodes, i);
        const char *type = snap_json_get_str(j, "type");

        vertex[i].id = snap_json_get_int(j, "id", -1);
        vertex[i].backend = snap_streq(type, "block-backend");
        vertex[i].job = snap_streq(type, "block-job");
        vertex[i].node = snap_streq(type, "block-driver")
                             ? index_in(v, sorted,
                                        snap_json_get_str(j, "name"))
                             : -1;
    }
    qsort(vertex, n_vertices, sizeof(*vertex), by_id);
    v->edge = snap_realloc(NULL, n_edges + 1, sizeof(*v->edge));
    for (i = 0; i < n_edges; i++) {
        const struct snap_json *j = snap_json_at(edges, i);
        struct vertex pk = { .id = snap_json_get_int(j, "parent", -2) };
        struct vertex ck = { .id = snap_json_get_int(j, "child", -2) };
        const struct vertex *parent, *child;

        parent = bsearch(&pk, vertex, n_vertices, sizeof(*vertex), by_id);
        child = bsearch(&ck, vertex, n_vertices, sizeof(*vertex), by_id);
        if (!parent || !child || child->node < 0)
            continue;
        if (parent->backend)
            v->node[child->node].used = true;
        else if (parent->job)
            v->node[child->node].job = true;
        else if (parent->node >= 0)
            add_edge(v, parent->node, child->node,
                     snap_streq(snap_json_get_str(j, "name"), "backing"));
    }
    rc = 0;

out:
    free(sorted);
    free(vertex);
    return rc;
}

/* No graph: a format node stands on the protocol node of the same file, and
 * on the format node of its backing file. */
static void guess_graph(struct snap_qemu_view *v)
{
    size_t i, k;

    v->edge = snap_realloc(NULL, SNAP_QEMU_EDGES_MAX, sizeof(*v->edge));
    for (i = 0; i < v->n; i++) {
        const char *backing = snap_json_get_str(v->node[i].image,
                                                "full-backing-filename");

        v->node[i].used = true;
        if (is_protocol(v->node[i].driver) || !v->node[i].file[0])
            continue;
        for (k = 0; k < v->n && v->n_edges < SNAP_QEMU_EDGES_MAX; k++) {
            bool protocol = is_protocol(v->node[k].driver);

            if (k == i)
                continue;
            if (protocol && v->node[k].ro == v->node[i].ro &&
                !strcmp(v->node[k].file, v->node[i].file))
                add_edge(v, (int)i, (int)k, false);
            else if (!protocol && snap_streq(v->node[k].file, backing))
                add_edge(v, (int)i, (int)k, true);
        }
    }
}

static int left(double deadline)
{
    double ms = deadline - snap_now_ms();

    return ms < 1 ? 1 : (int)ms;
}

int snap_qemu_look(struct snap_qmp *q, int timeout_ms,
                   struct snap_qemu_view *v_r, struct snap_err *err)
{
    int rc;
    double deadline = snap_now_ms() + timeout_ms;
    struct snap_json *args = snap_json_object(), *graph = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    memset(v_r, 0, sizeof(*v_r));
    snap_json_set_bool(args, "flat", true);
    rc = snap_qmp_command(q, "query-named-block-nodes", args, timeout_ms,
                          &v_r->nodes, err);
    if (rc)
        goto out;
    rc = parse_nodes(v_r, err);
    if (rc)
        goto out;
    rc = snap_qmp_command(q, "x-debug-query-block-graph", NULL, left(deadline),
                          &graph, &why);
    if (rc == SNAP_FAIL && snap_qmp_alive(q)) {
        guess_graph(v_r);
        rc = 0;
        goto out;
    }
    if (rc) {
        rc = snap_fail(err, rc, "%s", why.msg);
        goto out;
    }
    rc = parse_graph(v_r, graph, err);
    if (rc)
        goto out;
    rc = 0;

out:
    snap_json_free(graph);
    if (rc)
        snap_qemu_view_dispose(v_r);
    return rc;
}

void snap_qemu_view_dispose(struct snap_qemu_view *v)
{
    size_t i;

    for (i = 0; i < v->n; i++)
        free(v->node[i].file);
    free(v->node);
    free(v->edge);
    snap_json_free(v->nodes);
    memset(v, 0, sizeof(*v));
}

/* ---- asking a view ---- */

const struct snap_qemu_node *snap_qemu_named(const struct snap_qemu_view *v,
                                             const char *name)
{
    int i = node_index(v, name);

    return i < 0 ? NULL : &v->node[i];
}

const struct snap_qemu_node *snap_qemu_backing(const struct snap_qemu_view *v,
                                               const struct snap_qemu_node
                                                   *node)
{
    size_t i;

    for (i = 0; i < v->n_edges; i++)
        if (v->edge[i].backing && &v->node[v->edge[i].parent] == node)
            return &v->node[v->edge[i].child];
    return NULL;
}

bool snap_qemu_is_root(const struct snap_qemu_view *v,
                       const struct snap_qemu_node *node)
{
    size_t i;

    for (i = 0; i < v->n_edges; i++)
        if (&v->node[v->edge[i].child] == node &&
            v->edge[i].parent != v->edge[i].child)
            return false;
    return true;
}

/* Mark all that stands on what is marked.  Ends with any graph: a pass that
 * marks nothing new is the last. */
static void mark_upwards(const struct snap_qemu_view *v, bool *mark)
{
    bool more = true;
    size_t i;

    while (more) {
        more = false;
        for (i = 0; i < v->n_edges; i++)
            if (mark[v->edge[i].child] && !mark[v->edge[i].parent]) {
                mark[v->edge[i].parent] = true;
                more = true;
            }
    }
}

/* Does a device write to this very node?  What stands on it may be idle: the
 * former top of a disk, after a merge, that nobody has closed yet. */
static bool is_top(const struct snap_qemu_view *v, size_t node)
{
    bool *mark, used_above = false, ends = false;
    size_t i;

    if (!v->node[node].used)
        return false;
    mark = snap_zalloc(v->n + 1);
    mark[node] = true;
    mark_upwards(v, mark);
    for (i = 0; i < v->n; i++) {
        if (!mark[i])
            continue;
        used_above = used_above || (i != node && v->node[i].used);
        ends = ends || snap_qemu_is_root(v, &v->node[i]);
    }
    free(mark);
    return ends && !used_above;
}

int snap_qemu_root_of(const struct snap_qemu_view *v, const char *path,
                      const struct snap_qemu_node **root_r,
                      struct snap_err *err)
{
    int rc;
    size_t i, marked = 0, idle = 0;
    const struct snap_qemu_node *root = NULL;
    bool *mark = snap_zalloc(v->n + 1);

    *root_r = NULL;
    for (i = 0; i < v->n; i++)
        if (v->node[i].file[0] && snap_same_file(v->node[i].file, path)) {
            mark[i] = true;
            marked++;
        }
    if (!marked) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "QEMU of the domain does not have %s", path);
        goto out;
    }
    mark_upwards(v, mark);
    for (i = 0; i < v->n; i++) {
        if (!mark[i])
            continue;
        if (!is_top(v, i)) {
            idle += snap_qemu_is_root(v, &v->node[i]);
        } else if (root) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "QEMU of the domain has %s open twice, as %s and as %s",
                           path, root->name, v->node[i].name);
            goto out;
        } else {
            root = &v->node[i];
        }
    }
    if (!root) {
        rc = snap_fail(err, SNAP_REFUSED,
                       idle
                           ? "QEMU of the domain has %s open, but no device uses it"
                           : "QEMU's block graph has no top above %s",
                       path);
        goto out;
    }
    *root_r = root;
    rc = 0;

out:
    free(mark);
    return rc;
}

/* The name of the emulated device that has this file too ("ide0-hd0"), or
 * NULL.  A PV disk's device has none. */
static const char *emulated(const struct snap_json *devices, const char *path)
{
    const char *device, *found = NULL;
    size_t i;

    for (i = 0; !found && i < snap_json_len(devices); i++) {
        const struct snap_json *d = snap_json_at(devices, i);
        const struct snap_json *in = snap_json_get(d, "inserted");
        char *file;

        device = snap_json_get_str(d, "device");
        if (!device || !device[0] || !in)
            continue;
        file = snap_qemu_plain_file(snap_json_get_str(in, "file"),
                                    snap_json_get_str(in, "drv"));
        if (file[0] && snap_same_file(file, path))
            found = device;
        free(file);
    }
    return found;
}

/* An HVM guest's disk is an emulated one until its drivers take over. */
static int check_frontend(const struct snap_part *p, const char *device,
                          struct snap_err *err)
{
    if (device && p->frontend_state == 4)
        return snap_fail(err, SNAP_REFUSED,
                         "%s: %s is open twice in QEMU, as the emulated disk %s and as the PV disk %s, and both are live; a snapshot through one would destroy what the other wrote.  Give it to the guest as a PV disk only (vdev=xvda), or shut the guest down and snapshot it then",
                         p->vdev, p->path, device, p->vdev);
    if (device)
        return snap_fail(err, SNAP_REFUSED,
                         "%s: the guest still uses the emulated disk %s: it is booting, or has no PV drivers.  Try again when it is up, or shut it down and snapshot it then",
                         p->vdev, device);
    if (p->frontend_state != 4)
        return snap_fail(err, SNAP_REFUSED,
                         "%s: the guest's PV driver is not connected (state %d): it is booting, or has given the disk up.  Try again when it is up, or use --no-disk %s",
                         p->vdev, p->frontend_state, p->vdev);
    return 0;
}

static int check_hvm(struct snap_qmp *q, const struct snap_part *p,
                     struct snap_err *err)
{
    int rc;
    struct snap_json *devices = NULL;

    rc = snap_qmp_command(q, "query-block", NULL, LOOK_MS, &devices, err);
    if (!rc && snap_json_type(devices) != SNAP_JSON_ARRAY)
        rc = snap_fail(err, SNAP_PROTO, "QEMU's list of disks is no list");
    if (!rc)
        rc = check_frontend(p, emulated(devices, p->path), err);
    snap_json_free(devices);
    return rc;
}

/* Each look after this one must be believed as well: the one in the window
 * finds a few nodes more, and a guest stands still meanwhile. */
static int check_amount(const struct snap_qemu_view *v,
                        const struct snap_part *p, struct snap_err *err)
{
    if (v->n <= SNAP_QEMU_NODES_PLAN)
        return 0;
    return snap_fail(err, SNAP_REFUSED,
                     "%s: QEMU of the domain has %zu block nodes, two for each image of each disk, and more than %d are not handled; delete snapshots that are not needed, or shut the domain down and snapshot it then",
                     p->vdev, v->n, SNAP_QEMU_NODES_PLAN);
}

static int check_root(const struct snap_qemu_node *root,
                      const struct snap_part *p, struct snap_err *err)
{
    const char *format = snap_qemu_format(p->format);

    if (!snap_same_file(root->file, p->path))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: QEMU writes to %s, not to %s; an earlier command did not end, run xl snapshot-recover",
                         p->vdev, root->file[0] ? root->file : root->name,
                         p->path);
    if (root->job)
        return snap_fail(err, SNAP_BUSY,
                         "%s: a block job of QEMU works on %s; wait until it has ended",
                         p->vdev, p->path);
    if (!snap_streq(root->driver, format))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: QEMU has %s open as %s, not as %s", p->vdev,
                         p->path, root->driver, p->format);
    if (root->ro)
        return snap_fail(err, SNAP_REFUSED, "%s: QEMU has %s open read-only",
                         p->vdev, p->path);
    if (!snap_image_size(root->image))
        return snap_fail(err, SNAP_PROTO,
                         "%s: QEMU does not say how large %s is", p->vdev,
                         p->path);
    return 0;
}

int snap_qemu_find_disk(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_qemu_view *v_r, struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root = NULL;

    rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
    if (rc)
        goto out;
    rc = check_amount(&v, p, err);
    if (!rc && p->hvm)
        rc = check_hvm(c->qmp, p, err);
    if (rc)
        goto out;
    rc = snap_qemu_root_of(&v, p->path, &root, err);
    if (rc || !root)
        goto out;
    rc = check_root(root, p, err);
    if (rc)
        goto out;
    rc = snap_image_check_others(c, p->path, false, err);
    if (rc) {
        snap_err_append(err, "end that first");
        goto out;
    }
    snap_set(&p->node, root->name);
    p->size = snap_image_size(root->image);
    if (v_r) {
        *v_r = v;
        memset(&v, 0, sizeof(v));
    }
    rc = 0;

out:
    snap_qemu_view_dispose(&v);
    return rc;
}
