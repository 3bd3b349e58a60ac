/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A QEMU that left an image open for writing is told to end that: only where
 * the image is below another one, and no job works on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "disk/qemu/qemu_read_only.h"
#include "lib/mem.h"
#include "lib/peer.h"

/* d.qcow2, the leaf, over c.qcow2 over a.qcow2. */
struct chain {
    bool writable; /* c */
    bool job; /* that works on it */
    bool no_file; /* nothing below it but a.qcow2 */
    bool refuses;
    char *reopened; /* what it was asked to reopen */
};

static struct snap_json *parsed(const char *text)
{
    struct snap_json *j = NULL;

    assert_int_equal(snap_json_parse(text, strlen(text), &j, NULL), 0);
    return j;
}

#define CACHE \
    "\"cache\":{\"direct\":true,\"no-flush\":false,\"writeback\":true}"
#define NODE(name, drv, file, ro)                                      \
    "{\"node-name\":\"" name "\",\"drv\":\"" drv "\",\"file\":\"" file \
    "\",\"ro\":" ro "," CACHE "}"

static struct snap_json *nodes(const struct chain *q)
{
    return parsed(
        q->writable
            ? "[" NODE("d", "qcow2", "/i/d", "false") "," NODE(
                  "#d", "file", "/i/d",
                  "false") "," NODE("c", "qcow2", "/i/c",
                                    "false") "," NODE("#c", "file", "/i/c",
                                                      "false") "," NODE("a",
                                                                        "qcow2",
                                                                        "/i/a",
                                                                        "true") "]"
            : "[" NODE("d", "qcow2", "/i/d", "false") "," NODE(
                  "#d", "file", "/i/d",
                  "false") "," NODE("c", "qcow2", "/i/c",
                                    "true") "," NODE("#c", "file", "/i/c",
                                                     "true") "," NODE("a",
                                                                      "qcow2",
                                                                      "/i/a",
                                                                      "true") "]");
}

static void push_edge(struct snap_json *edges, int parent, int child,
                      const char *name)
{
    struct snap_json *e = snap_json_object();

    snap_json_set_int(e, "parent", parent);
    snap_json_set_int(e, "child", child);
    snap_json_set_str(e, "name", name);
    snap_json_push(edges, e);
}

static struct snap_json *graph(const struct chain *q)
{
    static const char *const names[] = { "d", "#d", "c", "#c", "a" };
    struct snap_json *g = snap_json_object(), *list = snap_json_array();
    struct snap_json *edges = snap_json_array(), *n;
    int i;

    for (i = 0; i < 7; i++) {
        if (i == 6 && !q->job)
            break;
        n = snap_json_object();
        snap_json_set_int(n, "id", i + 1);
        snap_json_set_str(n, "type",
                          i < 5    ? "block-driver"
                          : i == 5 ? "block-backend"
                                   : "block-job");
        snap_json_set_str(n, "name", i < 5 ? names[i] : "");
        snap_json_push(list, n);
    }
    push_edge(edges, 6, 1, "root");
    push_edge(edges, 1, 2, "file");
    push_edge(edges, 1, 3, "backing");
    if (!q->no_file)
        push_edge(edges, 3, 4, "file");
    push_edge(edges, 3, 5, "backing");
    if (q->job)
        push_edge(edges, 7, 3, "main node");
    snap_json_set(g, "nodes", list);
    snap_json_set(g, "edges", edges);
    return g;
}

static struct snap_json *serve(struct peer *p, void *opaque,
                               const char *command,
                               const struct snap_json *args, char **error_r)
{
    struct chain *q = opaque;

    (void)p;
    if (!strcmp(command, "query-named-block-nodes"))
        return nodes(q);
    if (!strcmp(command, "x-debug-query-block-graph"))
        return graph(q);
    if (!strcmp(command, "blockdev-reopen")) {
        snap_free(&q->reopened);
        q->reopened = snap_json_text(args, false);
        if (q->refuses) {
            *error_r = snap_strdup("it is busy");
            return NULL;
        }
    }
    return snap_json_object();
}

/* What QEMU is asked to reopen; caller frees.  NULL: nothing. */
static char *asked(struct chain q, const char *path, int rc, const char *words)
{
    const struct peer_step steps[] = { { PEER_GREET },
                                       { PEER_EXPECT, "qmp_capabilities" },
                                       { PEER_RETURN },
                                       { PEER_SERVE } };
    const struct peer_script script = {
        .steps = steps, .nr_steps = 4, .serve = serve, .opaque = &q
    };
    struct snap_disk_ctx c = { .domid = 1, .op_id = "op" };
    struct snap_err e = SNAP_ERR_INIT;
    struct peer *peer = NULL;
    int fd, got;

    peer = peer_start(&script, &fd);
    assert_int_equal(snap_qmp_start(fd, "QEMU", 5000, NULL, &c.qmp, NULL), 0);
    got = snap_qemu_read_only(&c, path, &e);
    snap_qmp_close(c.qmp);
    assert_null(peer_finish(peer));
    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    snap_err_clear(&e);
    return q.reopened;
}

/* All that it has is named, or QEMU would take it away; so is its cache. */
static void what_is_below_is_reopened(void **state)
{
    char *text = asked((struct chain){ .writable = true }, "/i/c", 0, "");

    (void)state;
    assert_string_equal(
        text,
        "{\"options\":[{\"driver\":\"qcow2\",\"node-name\":\"c\",\"read-only\":true,\"cache\":{\"direct\":true,\"no-flush\":false},\"file\":\"#c\",\"backing\":\"a\"}]}");
    free(text);
}

static void else_nothing_is_done(void **state)
{
    (void)state;
    /* It is so already. */
    assert_null(asked((struct chain){ 0 }, "/i/c", 0, ""));
    /* The guest writes to it. */
    assert_null(asked((struct chain){ .writable = true }, "/i/d", 0, ""));
    /* It is at work. */
    assert_null(
        asked((struct chain){ .writable = true, .job = true }, "/i/c", 0, ""));
    /* QEMU does not have it. */
    assert_null(asked((struct chain){ .writable = true }, "/i/x", 0, ""));
}

static void what_cannot_be_is_said(void **state)
{
    char *text = asked((struct chain){ .writable = true, .refuses = true },
                       "/i/c", SNAP_FAIL, "it is busy");

    (void)state;
    assert_non_null(text);
    free(text);
    assert_null(asked((struct chain){ .writable = true, .no_file = true },
                      "/i/c", SNAP_REFUSED, "does not stand on one file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_below_is_reopened),
        cmocka_unit_test(else_nothing_is_done),
        cmocka_unit_test(what_cannot_be_is_said),
    };

    return cmocka_run_group_tests_name("open for reading only", tests, NULL,
                                       NULL);
}
