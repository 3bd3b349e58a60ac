/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finding a disk in what QEMU says: the shapes that were seen on a real one
 * (tests/tools has it), the ones of HVM guests, and those of a QEMU that lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/qemu/qemu_node.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define MS 20000

/* One node as query-named-block-nodes has it. */
#define NODE(name, drv, file, ro)                                             \
    "{\"node-name\":\"" name "\",\"drv\":\"" drv "\",\"file\":\"" file        \
    "\",\"ro\":" ro ",\"image\":{\"filename\":\"" file "\",\"format\":\"" drv \
    "\",\"virtual-size\":1048576}}"
#define V(id, type, name) \
    "{\"id\":" id ",\"type\":\"" type "\",\"name\":\"" name "\"}"
#define E(name, parent, child)                                      \
    "{\"name\":\"" name "\",\"parent\":" parent ",\"child\":" child \
    ",\"perm\":[],\"shared-perm\":[]}"
#define GRAPH(nodes, edges) "{\"nodes\":[" nodes "],\"edges\":[" edges "]}"
#define DRV                 "block-driver"
#define BB                  "block-backend"

struct says {
    const char *nodes, *devices, *graph; /* graph NULL: no such command */
};

/* Ask a peer that says this, through slot fn of the caller. */
static int look(const struct says *q, struct snap_qemu_view *v,
                struct snap_err *err)
{
    int fd, rc;
    struct snap_qmp *qmp;
    struct peer *p;
    const char *bad;

    p = PEER_START(
        &fd, { PEER_GREET }, { PEER_EXPECT, "qmp_capabilities" },
        { PEER_RETURN },
        { PEER_EXPECT, "query-named-block-nodes", "{\"flat\":true}" },
        { PEER_RETURN, q->nodes },
        { PEER_EXPECT, "x-debug-query-block-graph" },
        { q->graph ? PEER_RETURN : PEER_ERROR,
          q->graph ? q->graph : "no such command" });
    assert_int_equal(snap_qmp_start(fd, "QEMU", MS, NULL, &qmp, NULL), 0);
    rc = snap_qemu_look(qmp, MS, v, err);
    snap_qmp_close(qmp);
    bad = peer_finish(p);
    if (!rc)
        assert_null(bad);
    return rc;
}

/* The whole of find_disk() for one part. */
static int find(const struct says *q, struct snap_part *part,
                struct snap_err *err)
{
    int fd, rc;
    struct peer *p;
    struct snap_disk_ctx c = { .domid = 1, .op_id = "op" };

    p = PEER_START(&fd, { PEER_GREET }, { PEER_EXPECT, "qmp_capabilities" },
                   { PEER_RETURN }, { PEER_EXPECT, "query-named-block-nodes" },
                   { PEER_RETURN, q->nodes },
                   { PEER_EXPECT, "x-debug-query-block-graph" },
                   { q->graph ? PEER_RETURN : PEER_ERROR,
                     q->graph ? q->graph : "no such command" },
                   { PEER_EXPECT, "query-block" },
                   { PEER_RETURN, q->devices ? q->devices : "[]" });
    assert_int_equal(snap_qmp_start(fd, "QEMU", MS, NULL, &c.qmp, NULL), 0);
    rc = snap_qemu_find_disk(&c, part, NULL, err);
    snap_qmp_close(c.qmp);
    peer_finish(p);
    return rc;
}

static void part(struct snap_part *p, const char *path, const char *format)
{
    memset(p, 0, sizeof(*p));
    p->vdev = snap_strdup("xvda");
    p->path = snap_strdup(path);
    p->format = snap_strdup(format);
    p->tag = snap_strdup("s1");
    p->frontend_state = 4;
}

static void finds(const struct says *q, const char *path, const char *format,
                  const char *node)
{
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;

    part(&p, path, format);
    if (find(q, &p, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(p.node, node);
    assert_int_equal(p.size, 1048576);
    snap_part_dispose(&p);
}

static void refuses_hvm(const struct says *q, const char *path,
                        const char *format, int frontend, int rc,
                        const char *words)
{
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;

    part(&p, path, format);
    if (frontend >= 0) {
        p.hvm = true;
        p.frontend_state = frontend;
    }
    assert_int_equal(find(q, &p, &e), rc);
    if (!strstr(e.msg, words))
        fail_msg("\"%s\" has no \"%s\"", e.msg, words);
    snap_part_dispose(&p);
}

#define REFUSES(q, path, format, rc, words) \
    refuses_hvm(q, path, format, -1, rc, words)

/* ---- shapes of a PV guest ---- */

#define PV_NODES                                                  \
    NODE("xvda-qcow2", "qcow2", "/vm/a.qcow2", "false")           \
    "," NODE("#block1", "file", "/vm/a.qcow2", "false") "," NODE( \
        "xvdb-raw", "raw", "/vm/b.img",                           \
        "false") "," NODE("#block2", "file", "/vm/b.img", "false")
#define PV_VERTICES                                                 \
    V("1", BB, "")                                                  \
    "," V("2", DRV, "xvda-qcow2") "," V("3", DRV, "#block1") "," V( \
        "4", BB, "") "," V("5", DRV, "xvdb-raw") "," V("6", DRV, "#block2")
#define PV_EDGES        \
    E("root", "1", "2") \
    "," E("file", "2", "3") "," E("root", "4", "5") "," E("file", "5", "6")

static void pv_disks(void **state)
{
    const struct says q = {
        "[" PV_NODES "]",
        NULL,
        GRAPH(PV_VERTICES, PV_EDGES),
    };

    (void)state;
    finds(&q, "/vm/a.qcow2", "qcow2", "xvda-qcow2");
    finds(&q, "/vm/b.img", "raw", "xvdb-raw");
    REFUSES(&q, "/vm/c.img", "raw", SNAP_NOTFOUND, "does not have /vm/c.img");
    REFUSES(&q, "/vm/b.img", "qcow2", SNAP_REFUSED, "as raw, not as qcow2");
}

/* Without the graph, file names have to do. */
static void no_graph(void **state)
{
    const struct says q = { "[" PV_NODES "]", NULL, NULL };

    (void)state;
    finds(&q, "/vm/a.qcow2", "qcow2", "xvda-qcow2");
    finds(&q, "/vm/b.img", "raw", "xvdb-raw");
}

#define OVER_NODES                                                          \
    "{\"node-name\":\"xlsn-1\",\"drv\":\"qcow2\",\"file\":\"/vm/o.qcow2\"," \
    "\"ro\":false,\"image\":{\"virtual-size\":1048576,"                     \
    "\"full-backing-filename\":\"/vm/b.img\"}}," NODE(                      \
        "#block3", "file", "/vm/o.qcow2",                                   \
        "false") "," NODE("xvdb-raw", "raw", "/vm/b.img",                   \
                          "true") "," NODE("#block2", "file", "/vm/b.img",  \
                                           "true")

static void after_an_overlay(void **state)
{
    const struct says q = {
        "[" OVER_NODES "]",
        NULL,
        GRAPH(V("1", BB, "") "," V("2", DRV, "xlsn-1") "," V(
                  "3", DRV, "#block3") "," V("4", DRV,
                                             "xvdb-raw") "," V("5", DRV,
                                                               "#block2"),
              E("root", "1", "2") "," E("file", "2", "3") "," E(
                  "backing", "2", "4") "," E("file", "4", "5")),
    };
    const struct says bare = { "[" OVER_NODES "]", NULL, NULL };

    (void)state;
    finds(&q, "/vm/o.qcow2", "qcow2", "xlsn-1");
    REFUSES(&q, "/vm/b.img", "raw", SNAP_REFUSED,
            "QEMU writes to "
            "/vm/o.qcow2, not to /vm/b.img");
    finds(&bare, "/vm/o.qcow2", "qcow2", "xlsn-1");
    REFUSES(&bare, "/vm/b.img", "raw", SNAP_REFUSED, "snapshot-recover");
}

/* QEMU opened the base by another name than the overlay's header has. */
static void a_json_name(void **state)
{
    static const char nodes[] =
        "[{\"node-name\":\"xlsn-1\",\"drv\":\"qcow2\",\"file\":\"json:{"
        "\\\"backing\\\": {\\\"driver\\\": \\\"qcow2\\\"}, \\\"driver\\\": "
        "\\\"qcow2\\\", \\\"file\\\": {\\\"driver\\\": \\\"file\\\", "
        "\\\"filename\\\": \\\"/vm/o.qcow2\\\"}}\",\"ro\":false,"
        "\"image\":{\"virtual-size\":1048576}}," NODE(
            "#block1", "file", "/vm/o.qcow2", "false") "]";
    const struct says q = {
        nodes,
        NULL,
        GRAPH(V("1", BB, "") "," V("2", DRV, "xlsn-1") "," V("3", DRV,
                                                             "#block1"),
              E("root", "1", "2") "," E("file", "2", "3")),
    };

    (void)state;
    finds(&q, "/vm/o.qcow2", "qcow2", "xlsn-1");
}

static void nobody_or_a_job_on_top(void **state)
{
    const struct says idle = {
        "[" PV_NODES "]",
        NULL,
        GRAPH(PV_VERTICES, E("file", "2", "3")),
    };
    const struct says job = {
        "[" PV_NODES "]",
        NULL,
        GRAPH(PV_VERTICES "," V("9", "block-job", "commit"),
              PV_EDGES "," E("main node", "9", "2")),
    };

    (void)state;
    REFUSES(&idle, "/vm/a.qcow2", "qcow2", SNAP_REFUSED, "no device uses it");
    REFUSES(&job, "/vm/a.qcow2", "qcow2", SNAP_BUSY, "block job");
    finds(&job, "/vm/b.img", "raw", "xvdb-raw");
}

/* ---- HVM ---- */

#define HVM_NODES                                    \
    NODE("#block9", "qcow2", "/vm/a.qcow2", "false") \
    "," NODE("#block8", "file", "/vm/a.qcow2", "false") "," PV_NODES
#define HVM_GRAPH                                              \
    GRAPH(PV_VERTICES "," V("7", BB, "ide0-hd0") "," V(        \
              "8", DRV, "#block9") "," V("9", DRV, "#block8"), \
          PV_EDGES "," E("root", "7", "8") "," E("file", "8", "9"))
#define EMULATED(device)                                              \
    "[{\"device\":\"ide1-cd0\",\"locked\":false,\"removable\":true}," \
    "{\"device\":\"\",\"inserted\":{\"file\":\"/vm/a.qcow2\"}},"      \
    "{\"device\":\"" device "\",\"inserted\":{\"drv\":\"qcow2\","     \
    "\"file\":\"/vm/a.qcow2\",\"node-name\":\"#block9\"}}]"

static void hvm_both_live(void **state)
{
    static const char *const devices[] = {
        EMULATED("ide0-hd0"),
        EMULATED("ahcidisk-0"),
        EMULATED("scsi0-hd0"),
    };
    static const char *const names[] = {
        "ide0-hd0",
        "ahcidisk-0",
        "scsi0-hd0",
    };
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        const struct says q = { "[" HVM_NODES "]", devices[i], HVM_GRAPH };

        refuses_hvm(&q, "/vm/a.qcow2", "qcow2", 4, SNAP_REFUSED,
                    "both are live");
        refuses_hvm(&q, "/vm/a.qcow2", "qcow2", 4, SNAP_REFUSED, names[i]);
        refuses_hvm(&q, "/vm/a.qcow2", "qcow2", 1, SNAP_REFUSED,
                    "booting, or has no PV drivers.  Try again");
    }
}

static void hvm_unplugged(void **state)
{
    const struct says q = {
        "[" PV_NODES "]",
        "[{\"device\":\"ide0-hd0\",\"removable\":false}]",
        GRAPH(PV_VERTICES, PV_EDGES),
    };
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;

    (void)state;
    part(&p, "/vm/a.qcow2", "qcow2");
    p.hvm = true;
    assert_int_equal(find(&q, &p, &e), 0);
    assert_string_equal(p.node, "xvda-qcow2");
    snap_part_dispose(&p);
    refuses_hvm(&q, "/vm/a.qcow2", "qcow2", 3, SNAP_REFUSED,
                "not connected (state 3)");
}

/* Two roots without a named device is no HVM story; refused all the same. */
static void open_twice(void **state)
{
    const struct says q = { "[" HVM_NODES "]", "[]", HVM_GRAPH };

    (void)state;
    REFUSES(&q, "/vm/a.qcow2", "qcow2", SNAP_REFUSED, "open twice");
}

/* ---- a QEMU that lies ---- */

static void wrong_shapes(void **state)
{
    static const struct {
        struct says q;
        int rc;
    } bad[] = {
        { { "{}", NULL, "{}" }, SNAP_PROTO },
        { { "7", NULL, "{}" }, SNAP_PROTO },
        { { "null", NULL, "{}" }, SNAP_PROTO },
        { { "[]", NULL, "[]" }, SNAP_PROTO },
        { { "[]", NULL, "{\"nodes\":[],\"edges\":{}}" }, SNAP_PROTO },
        { { "[]", NULL, "{\"nodes\":1,\"edges\":[]}" }, SNAP_PROTO },
        { { "[]", NULL, GRAPH("", "") }, SNAP_NOTFOUND },
        { { "[1,null,\"x\",[],{}]", "{}", GRAPH("", "") }, SNAP_NOTFOUND },
        { { "[{\"node-name\":1,\"drv\":2,\"file\":3}]", "[1,{},[]]",
            GRAPH("1,[],{}", "1,[],{},{\"parent\":{},\"child\":1}") },
          SNAP_NOTFOUND },
        { { "[{\"node-name\":\"n\",\"drv\":\"qcow2\",\"file\":\"json:{\"}]",
            "[{\"device\":\"d\",\"inserted\":[]}]", GRAPH("", "") },
          SNAP_NOTFOUND },
        { { "[{\"node-name\":\"n\",\"drv\":\"qcow2\",\"file\":\"json:[]\"}]",
            "[]", GRAPH("", "") },
          SNAP_NOTFOUND },
        /* No size, no "ro": not believed to be writable. */
        { { "[{\"node-name\":\"n\",\"drv\":\"qcow2\",\"file\":"
            "\"/vm/a.qcow2\"}]",
            "[]",
            GRAPH(V("1", BB, "") "," V("2", DRV, "n"), E("root", "1", "2")) },
          SNAP_REFUSED },
        { { "[{\"node-name\":\"n\",\"drv\":\"qcow2\",\"ro\":false,\"file\":"
            "\"/vm/a.qcow2\",\"image\":{\"virtual-size\":-1}}]",
            "[]",
            GRAPH(V("1", BB, "") "," V("2", DRV, "n"), E("root", "1", "2")) },
          SNAP_PROTO },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct snap_part p;
        struct snap_err e = SNAP_ERR_INIT;
        int rc;

        part(&p, "/vm/a.qcow2", "qcow2");
        rc = find(&bad[i].q, &p, &e);
        if (rc != bad[i].rc || !e.msg[0])
            fail_msg("%zu: got %d \"%s\"", i, rc, e.msg);
        snap_part_dispose(&p);
    }
}

static void cycles(void **state)
{
    const struct says q = {
        "[" PV_NODES "]",
        NULL,
        GRAPH(PV_VERTICES,
              PV_EDGES "," E("backing", "3", "2") "," E(
                  "backing", "2", "2") "," E("backing", "5", "5")),
    };
    const struct says by_name = {
        "[{\"node-name\":\"x\",\"drv\":\"qcow2\",\"file\":\"/vm/a.qcow2\","
        "\"ro\":false,\"image\":{\"virtual-size\":1048576,"
        "\"full-backing-filename\":\"/vm/b.qcow2\"}},"
        "{\"node-name\":\"y\",\"drv\":\"qcow2\",\"file\":\"/vm/b.qcow2\","
        "\"ro\":false,\"image\":{\"virtual-size\":1048576,"
        "\"full-backing-filename\":\"/vm/a.qcow2\"}}]",
        NULL,
        NULL,
    };

    (void)state;
    REFUSES(&q, "/vm/a.qcow2", "qcow2", SNAP_REFUSED, "no top");
    finds(&q, "/vm/b.img", "raw", "xvdb-raw");
    REFUSES(&by_name, "/vm/a.qcow2", "qcow2", SNAP_REFUSED, "no top");
}

/* n nodes in one chain, top first; the disk is at the bottom. */
static char *chain_nodes(unsigned n)
{
    struct snap_buf b = { 0 };
    unsigned i;

    for (i = 0; i < n; i++)
        snap_buf_addf(&b,
                      "%c{\"node-name\":\"n%u\",\"drv\":\"qcow2\","
                      "\"file\":\"/vm/%u\",\"ro\":%s,\"image\":{"
                      "\"virtual-size\":1048576}}",
                      i ? ',' : '[', i, i, i ? "true" : "false");
    snap_buf_adds(&b, "]");
    return b.data;
}

static char *chain_graph(unsigned n)
{
    struct snap_buf b = { 0 };
    unsigned i;

    snap_buf_adds(&b, "{\"nodes\":[{\"id\":0,\"type\":\"block-backend\","
                      "\"name\":\"\"}");
    for (i = 0; i < n; i++)
        snap_buf_addf(&b,
                      ",{\"id\":%u,\"type\":\"block-driver\",\"name\":"
                      "\"n%u\"}",
                      i + 1, i);
    snap_buf_adds(&b, "],\"edges\":[" E("root", "0", "1"));
    for (i = 1; i < n; i++)
        snap_buf_addf(&b,
                      ",{\"name\":\"backing\",\"parent\":%u,\"child\":"
                      "%u}",
                      i, i + 1);
    snap_buf_adds(&b, "]}");
    return b.data;
}

static void very_many_nodes(void **state)
{
    char *nodes = chain_nodes(10000), *graph;
    struct says q = { nodes, NULL, "{}" };
    double began = snap_now_ms();

    (void)state;
    REFUSES(&q, "/vm/9999", "qcow2", SNAP_PROTO, "10000 block nodes");
    free(nodes);
    nodes = chain_nodes(2000);
    graph = chain_graph(2000);
    q = (struct says){ nodes, NULL, graph };
    finds(&q, "/vm/0", "qcow2", "n0");
    REFUSES(&q, "/vm/1999", "qcow2", SNAP_REFUSED, "QEMU writes to /vm/0");
    q.graph = NULL;
    finds(&q, "/vm/0", "qcow2", "n0");
    assert_true(snap_now_ms() - began < 20000);
    free(nodes);
    free(graph);
}

static void what_a_view_tells(void **state)
{
    const struct says q = {
        "[{\"node-name\":\"n\",\"drv\":\"qcow2\",\"file\":\"/vm/a\","
        "\"dirty-bitmaps\":[{\"name\":\"t\"},{\"name\":\"b\","
        "\"persistent\":true}]},"
        "{\"node-name\":\"m\",\"drv\":\"qcow2\",\"file\":\"/vm/b\","
        "\"dirty-bitmaps\":[{\"name\":\"t\"}]}]",
        NULL,
        GRAPH(V("1", DRV, "n") "," V("2", DRV, "m"), E("backing", "1", "2")),
    };
    struct snap_qemu_view v;
    struct snap_err e = SNAP_ERR_INIT;
    const struct snap_qemu_node *n, *m;

    (void)state;
    assert_int_equal(look(&q, &v, &e), 0);
    n = snap_qemu_named(&v, "n");
    m = snap_qemu_named(&v, "m");
    assert_true(n->bitmaps);
    assert_false(m->bitmaps);
    assert_ptr_equal(snap_qemu_backing(&v, n), m);
    assert_null(snap_qemu_backing(&v, m));
    assert_true(snap_qemu_is_root(&v, n));
    assert_false(snap_qemu_is_root(&v, m));
    assert_null(snap_qemu_named(&v, "x"));
    assert_null(snap_qemu_named(&v, NULL));
    snap_qemu_view_dispose(&v);
    snap_qemu_view_dispose(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pv_disks),
        cmocka_unit_test(no_graph),
        cmocka_unit_test(after_an_overlay),
        cmocka_unit_test(a_json_name),
        cmocka_unit_test(nobody_or_a_job_on_top),
        cmocka_unit_test(hvm_both_live),
        cmocka_unit_test(hvm_unplugged),
        cmocka_unit_test(open_twice),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(cycles),
        cmocka_unit_test(very_many_nodes),
        cmocka_unit_test(what_a_view_tells),
    };

    return cmocka_run_group_tests_name("nodes of a QEMU", tests, NULL, NULL);
}
