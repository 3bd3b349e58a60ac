/* SPDX-License-Identifier: LGPL-2.1-only */
/* Every snapshot once, under the one it came after, whatever the records
 * say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/mem.h"
#include "store/tree.h"

/* spec: "a b<a c<b", oldest first; want: a node each, "DEPTHname", with "!"
 * for an orphan, "@" for a cut circle and "." for the last of its siblings. */
static void makes(const char *spec, const char *want)
{
    struct snap_record rs[32] = { { .name = NULL } };
    struct snap_tree_node *nodes;
    struct snap_buf b = { 0 };
    char *text = snap_strdup(spec), *p = text, *word;
    size_t n = 0, i;

    while ((word = strsep(&p, " "))) {
        rs[n].name = strsep(&word, "<");
        rs[n++].parent = word;
    }
    nodes = snap_tree_make(rs, n);
    snap_buf_adds(&b, "");
    for (i = 0; i < n; i++)
        snap_buf_addf(&b, "%s%zu%s%s%s%s", i ? " " : "", nodes[i].depth,
                      rs[nodes[i].record].name,
                      nodes[i].why == SNAP_TREE_ORPHAN ? "!" : "",
                      nodes[i].why == SNAP_TREE_CIRCLE ? "@" : "",
                      nodes[i].last ? "." : "");
    assert_string_equal(b.data, want);
    for (i = 0; i < n; i++)
        assert_int_equal(nodes[i].depth == 0, nodes[i].why != SNAP_TREE_CHILD);
    snap_buf_dispose(&b);
    free(nodes);
    free(text);
}

static void parents_before_children(void **state)
{
    (void)state;
    assert_null(snap_tree_make(NULL, 0));
    makes("a", "0a.");
    makes("a b<a c<b", "0a. 1b. 2c.");
    makes("a b<a c<a d<b", "0a. 1b 2d. 1c.");
    /* Time does not decide who is above: a clock may have gone back. */
    makes("b<a a", "0a. 1b.");
    makes("d<c c<b b<a a", "0a. 1b. 2c. 3d.");
}

static void several_roots(void **state)
{
    (void)state;
    makes("a b c<a d<b", "0a 1c. 0b. 1d.");
}

static void a_missing_parent(void **state)
{
    (void)state;
    makes("a<gone b<a c", "0a! 1b. 0c.");
    makes("a<gone b<gone", "0a! 0b!.");
}

static void circles_are_cut(void **state)
{
    (void)state;
    makes("a<a", "0a@.");
    makes("a<b b<a", "0a@. 1b.");
    makes("a<c b<a c<b", "0a@. 1b. 2c.");
    /* Below the circle, and older than it. */
    makes("a<b b<c c<d d<b", "0b@. 1a 1d. 2c.");
    makes("r a<b b<a x<x", "0r 0a@ 1b. 0x@.");
    /* The one where it is cut is not the first child of its parent. */
    makes("c<a a<c b<c d<c", "0c@. 1a 1b 1d.");
    makes("a<d b<d c<d d<a", "0a@. 1d. 2b 2c.");
}

/* A chain, a star and a circle of many, in little time. */
static void many(void **state)
{
    enum { N = 200000 };
    struct snap_record *rs = snap_zalloc(N * sizeof(*rs));
    struct snap_tree_node *nodes;
    clock_t t = clock();
    size_t i, kind;

    (void)state;
    for (i = 0; i < N; i++)
        rs[i].name = snap_printf("s%zu", i);
    for (kind = 0; kind < 3; kind++) {
        rs[0].parent = kind == 2 ? rs[N - 1].name : NULL;
        for (i = 1; i < N; i++)
            rs[i].parent = kind == 1 ? rs[0].name : rs[i - 1].name;
        nodes = snap_tree_make(rs, N);
        for (i = 0; i < N; i++) {
            assert_int_equal(nodes[i].record, i);
            assert_int_equal(nodes[i].depth, kind == 1 ? i > 0 : i);
        }
        free(nodes);
    }
    assert_true(clock() - t < 20 * CLOCKS_PER_SEC);
    for (i = 0; i < N; i++)
        free(rs[i].name);
    free(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parents_before_children),
        cmocka_unit_test(several_roots),
        cmocka_unit_test(a_missing_parent),
        cmocka_unit_test(circles_are_cut),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
