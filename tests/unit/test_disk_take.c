/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The instant: which transaction QEMU is sent, word for word, and what is
 * made of each answer, or of none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/drivers.h"
#include "disk/qemu/qemu_take.h"
#include "lib/fault.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define MS 20000

#define ACTIONS                                                     \
    "{\"actions\":[{\"type\":\"blockdev-snapshot-internal-sync\","  \
    "\"data\":{\"device\":\"xvda-qcow2\",\"name\":\"snap-17\"}},"   \
    "{\"type\":\"blockdev-snapshot-sync\",\"data\":{\"node-name\":" \
    "\"xvdb-raw\",\"snapshot-file\":\"/vm/b, \\\"c\\\".17.qcow2\"," \
    "\"snapshot-node-name\":\"xlsn-op-xvdb\",\"format\":\"qcow2\"," \
    "\"mode\":\"existing\"}}]}"

#define NODE_A(snapshots)                                           \
    "{\"node-name\":\"xvda-qcow2\",\"drv\":\"qcow2\",\"ro\":false," \
    "\"file\":\"/vm/a.qcow2\",\"image\":{\"virtual-size\":512,"     \
    "\"snapshots\":[" snapshots "]}}"
#define TAG(name) "{\"id\":\"1\",\"name\":\"" name "\"}"
#define NODE_B(name, file, ro)                                     \
    "{\"node-name\":\"" name "\",\"drv\":\"qcow2\",\"ro\":" ro "," \
    "\"file\":\"" file "\",\"image\":{\"virtual-size\":512}}"
#define OVER "/vm/b, \\\"c\\\".17.qcow2"
#define GRAPH(edges)                                                   \
    "{\"nodes\":[{\"id\":1,\"type\":\"block-backend\",\"name\":\"\"}," \
    "{\"id\":2,\"type\":\"block-driver\",\"name\":\"xvda-qcow2\"},"    \
    "{\"id\":3,\"type\":\"block-driver\",\"name\":\"xlsn-op-xvdb\"},"  \
    "{\"id\":4,\"type\":\"block-driver\",\"name\":\"other\"}],"        \
    "\"edges\":[" edges "]}"
#define USED                                        \
    "{\"name\":\"root\",\"parent\":1,\"child\":2}," \
    "{\"name\":\"root\",\"parent\":1,\"child\":3}"

#define HELLO                                            \
    { PEER_GREET }, { PEER_EXPECT, "qmp_capabilities" }, \
    {                                                    \
        PEER_RETURN                                      \
    }
#define ASKED                               \
    HELLO,                                  \
    {                                       \
        PEER_EXPECT, "transaction", ACTIONS \
    }
#define LOOKED(nodes, graph)                                            \
    { PEER_EXPECT, "query-named-block-nodes" }, { PEER_RETURN, nodes }, \
        { PEER_EXPECT, "x-debug-query-block-graph" },                   \
    {                                                                   \
        PEER_RETURN, graph                                              \
    }

static void parts(struct snap_part p[2])
{
    memset(p, 0, 2 * sizeof(*p));
    p[0].vdev = snap_strdup("xvda");
    p[0].path = snap_strdup("/vm/a.qcow2");
    p[0].frozen_path = snap_strdup("/vm/a.qcow2");
    p[0].tag = snap_strdup("17");
    p[0].node = snap_strdup("xvda-qcow2");
    p[0].type = SNAP_DISK_INTERNAL;
    p[0].drv = &snap_disk_qcow2_internal;
    p[0].data = snap_json_object();
    snap_json_set_str(p[0].data, "tag", "snap-17");
    p[1].vdev = snap_strdup("xvdb");
    p[1].path = snap_strdup("/vm/b.img");
    p[1].frozen_path = snap_strdup("/vm/b.img");
    p[1].tag = snap_strdup("17");
    p[1].node = snap_strdup("xvdb-raw");
    p[1].type = SNAP_DISK_EXTERNAL;
    p[1].drv = &snap_disk_overlay;
    p[1].data = snap_json_object();
    snap_json_set_str(p[1].data, "file", "/vm/b, \"c\".17.qcow2");
    snap_json_set_str(p[1].data, "node", "xlsn-op-xvdb");
    snap_json_set_str(p[1].data, "base", "/vm/b.img");
}

/* Take both against this peer, and see what comes out. */
static void takes(struct peer *peer, int fd, int rc, const char *words,
                  bool taken)
{
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_disk_ctx c = { .domid = 1, .op_id = "op" };
    struct snap_err e = SNAP_ERR_INIT;
    const char *bad;
    int got;

    parts(p);
    assert_int_equal(snap_qmp_start(fd, "QEMU", MS, NULL, &c.qmp, NULL), 0);
    got = snap_qemu_group.take(&c, pp, 2, &e);
    snap_qmp_close(c.qmp);
    bad = peer_finish(peer);
    if (bad)
        fail_msg("%s", bad);
    if (got != rc || e.rc != rc || (words && !strstr(e.msg, words)))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc,
                 words ? words : "");
    assert_int_equal(p[0].taken, taken);
    assert_int_equal(p[1].taken, taken);
    snap_part_dispose(&p[0]);
    snap_part_dispose(&p[1]);
}

static void sent_and_believed_after_a_look(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED, { PEER_RETURN },
                                LOOKED("[" NODE_A(TAG("snap-17")) "," NODE_B(
                                           "xlsn-op-xvdb", OVER, "false") "]",
                                       GRAPH(USED)));

    (void)state;
    takes(p, fd, 0, NULL, true);
}

static void refused_by_qemu(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED,
                                { PEER_ERROR, "Device 'x' is busy" });

    (void)state;
    takes(p, fd, SNAP_FAIL, "transaction: Device 'x' is busy", false);
}

/* Each of these says "done" and shows something else. */
static void success_that_is_none(void **state)
{
    static const struct {
        const char *nodes, *graph, *words;
    } lies[] = {
        { "[" NODE_A("") "," NODE_B("xlsn-op-xvdb", OVER, "false") "]",
          GRAPH(USED), "xvda: QEMU reported success, but snapshot snap-17" },
        { "[" NODE_A(TAG("snap-17") "," TAG("snap-17")) "," NODE_B(
              "xlsn-op-xvdb", OVER, "false") "]",
          GRAPH(USED), "xvda" },
        { "[" NODE_A(TAG("snap-17")) "]", GRAPH(USED),
          "xvdb: QEMU reported success, but does not write to" },
        { "[" NODE_A(TAG("snap-17")) "," NODE_B("xlsn-op-xvdb", "/vm/x.qcow2",
                                                "false") "]",
          GRAPH(USED), "xvdb" },
        { "[" NODE_A(TAG("snap-17")) "," NODE_B("xlsn-op-xvdb", OVER,
                                                "true") "]",
          GRAPH(USED), "xvdb" },
        { "[" NODE_A(TAG("snap-17")) "," NODE_B("xlsn-op-xvdb", OVER,
                                                "false") "]",
          GRAPH(""), "xvdb" },
        { "[" NODE_A(TAG("snap-17")) "," NODE_B(
              "xlsn-op-xvdb", OVER, "false") "," NODE_B("other", "/vm/y",
                                                        "false") "]",
          GRAPH(USED ",{\"name\":\"backing\",\"parent\":4,\"child\":3}"),
          "xvdb" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        int fd;
        struct peer *p = PEER_START(&fd, ASKED, { PEER_RETURN },
                                    LOOKED(lies[i].nodes, lies[i].graph));

        takes(p, fd, SNAP_RECOVER, lies[i].words, true);
    }
}

static void no_answer_is_not_a_failure(void **state)
{
    int fd;
    struct peer *p;

    (void)state;
    /* Hung up: it may have been done. */
    p = PEER_START(&fd, ASKED);
    takes(p, fd, SNAP_RECOVER, "was not known then: xvdb: not switched yet",
          false);
    p = PEER_START(&fd, ASKED, { PEER_RAW, "{\"return\":\n" });
    takes(p, fd, SNAP_RECOVER, "was not known then", false);
    p = PEER_START(&fd, ASKED, { PEER_RAW, "{\"return\":{},\"id\":\"x\"}\n" });
    takes(p, fd, SNAP_RECOVER, "was not known then", false);
    /* Done, and then no look at it. */
    p = PEER_START(&fd, ASKED, { PEER_RETURN },
                   { PEER_EXPECT, "query-named-block-nodes" });
    takes(p, fd, SNAP_RECOVER, "was not known then", false);
}

static int refuse_transaction(const char *layer, const char *what)
{
    return !strcmp(layer, "qmp") && !strcmp(what, "transaction") ? 5 : 0;
}

static int break_transaction(const char *layer, const char *what)
{
    return !strcmp(layer, "qmp") && !strcmp(what, "transaction") ? 110 : 0;
}

/* What the crash tier does to it. */
static void faults(void **state)
{
    int fd;
    struct peer *p;

    (void)state;
    snap_fault_hook = refuse_transaction;
    p = PEER_START(&fd, HELLO);
    takes(p, fd, SNAP_FAIL, "transaction", false);
    snap_fault_hook = break_transaction;
    p = PEER_START(&fd, HELLO);
    takes(p, fd, SNAP_RECOVER, "was not known then", false);
    snap_fault_hook = NULL;
}

/* ---- merging back ---- */

#define VIEW_OVER                                                            \
    LOOKED("[" NODE_B("xlsn-op-xvdb", "/vm/o.qcow2",                         \
                      "false") "," NODE_B("other", "/vm/b.img", "true") "]", \
           GRAPH(USED ",{\"name\":\"backing\",\"parent\":3,\"child\":4}"))
#define COMMIT                                                      \
    {                                                               \
        PEER_EXPECT, "block-commit",                                \
            "{\"device\":\"xlsn-op-xvdb\",\"base-node\":\"other\"," \
            "\"job-id\":\"xlsnap-back-op\",\"auto-dismiss\":false}" \
    }
#define JOB(status, more)                                                     \
    { PEER_EXPECT, "query-jobs" },                                            \
    {                                                                         \
        PEER_RETURN, "[{\"id\":\"else\",\"status\":\"ready\"},{\"id\":"       \
                     "\"xlsnap-back-op\",\"status\":\"" status "\"" more "}]" \
    }
#define NO_JOB                     \
    { PEER_EXPECT, "query-jobs" }, \
    {                              \
        PEER_RETURN, "[]"          \
    }
#define ID "{\"id\":\"xlsnap-back-op\"}"

static void merges(struct peer *peer, int fd, int rc, const char *words)
{
    struct snap_disk_ctx c = { .domid = 1, .op_id = "op" };
    struct snap_err e = SNAP_ERR_INIT;
    const char *bad;
    int got;

    assert_int_equal(snap_qmp_start(fd, "QEMU", MS, NULL, &c.qmp, NULL), 0);
    got = snap_qemu_merge_back(&c, "/vm/o.qcow2", &e);
    snap_qmp_close(c.qmp);
    bad = peer_finish(peer);
    if (bad)
        fail_msg("%s", bad);
    if (got != rc || (words && !strstr(e.msg, words)))
        fail_msg("got %d \"%s\", want %d", got, e.msg, rc);
}

static void merged_back(void **state)
{
    int fd;
    struct peer *p;

    (void)state;
    p = PEER_START(&fd, HELLO, VIEW_OVER, NO_JOB, COMMIT, { PEER_RETURN },
                   JOB("running", ""), JOB("ready", ""),
                   { PEER_EXPECT, "job-complete", ID }, { PEER_RETURN },
                   JOB("ready", ""), JOB("concluded", ""),
                   { PEER_EXPECT, "job-dismiss", ID }, { PEER_RETURN });
    merges(p, fd, 0, NULL);
    p = PEER_START(&fd, HELLO, VIEW_OVER, NO_JOB, COMMIT, { PEER_RETURN },
                   JOB("concluded", ",\"error\":\"No space left\""),
                   { PEER_EXPECT, "job-dismiss", ID }, { PEER_RETURN });
    merges(p, fd, SNAP_FAIL, "merging /vm/o.qcow2: QEMU: No space left");
    p = PEER_START(&fd, HELLO, VIEW_OVER, NO_JOB, COMMIT, { PEER_RETURN },
                   { PEER_EXPECT, "query-jobs" }, { PEER_RETURN, "[]" });
    merges(p, fd, SNAP_PROTO, "lost job");
    p = PEER_START(&fd, HELLO, VIEW_OVER, NO_JOB, COMMIT,
                   { PEER_ERROR, "node is in use" });
    merges(p, fd, SNAP_FAIL, "block-commit: node is in use");
    /* QEMU does not have it: nothing to do. */
    p = PEER_START(&fd, HELLO, LOOKED("[" NODE_A("") "]", GRAPH(USED)));
    merges(p, fd, 0, NULL);
    /* Another overlay stands on it by now. */
    p = PEER_START(
        &fd, HELLO,
        LOOKED("[" NODE_B("xlsn-op-xvdb", "/vm/o2", "false") "," NODE_B(
                   "other", "/vm/o.qcow2", "true") "]",
               GRAPH(USED ",{\"name\":\"backing\",\"parent\":3,"
                          "\"child\":4}")));
    merges(p, fd, SNAP_RECOVER, "no longer the top");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_and_believed_after_a_look),
        cmocka_unit_test(refused_by_qemu),
        cmocka_unit_test(success_that_is_none),
        cmocka_unit_test(no_answer_is_not_a_failure),
        cmocka_unit_test(faults),
        cmocka_unit_test(merged_back),
    };

    return cmocka_run_group_tests_name("taking disks", tests, NULL, NULL);
}
