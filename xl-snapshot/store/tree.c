/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See tree.h.  Nothing here recurses and nothing is quadratic: a chain of ten
 * thousand snapshots is what a timer makes in a year.
 */
#include "store/tree.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

#define NONE SIZE_MAX

struct link {
    size_t parent; /* or NONE */
    size_t child; /* the first, or NONE */
    size_t next; /* sibling, or NONE */
    size_t walk; /* the last walk upwards that came by; 0: none */
    bool placed;
};

struct forest {
    struct link *l;
    struct snap_tree_node *nodes;
    size_t n; /* placed so far */
};

struct name {
    const char *name;
    size_t i;
};

static int tree_by_name(const void *pa, const void *pb)
{
    const struct name *a = pa, *b = pb;

    return strcmp(a->name, b->name);
}

static void find_parents(struct link *l, const struct snap_record *rs,
                         size_t n)
{
    struct name *names = snap_realloc(NULL, n, sizeof(*names));
    struct name key = { NULL, NONE }, *hit;
    size_t i;

    for (i = 0; i < n; i++)
        names[i] = (struct name){ rs[i].name, i };
    qsort(names, n, sizeof(*names), tree_by_name);
    for (i = 0; i < n; i++) {
        l[i] = (struct link){ NONE, NONE, NONE, 0, false };
        if (!rs[i].parent)
            continue;
        key.name = rs[i].parent;
        hit = bsearch(&key, names, n, sizeof(*names), tree_by_name);
        if (hit)
            l[i].parent = hit->i;
    }
    free(names);
}

/* From the newest to the oldest, each put first: the oldest ends in front. */
static void find_children(struct link *l, size_t n)
{
    size_t i = n, p;

    while (i-- > 0) {
        p = l[i].parent;
        if (p == NONE)
            continue;
        l[i].next = l[p].child;
        l[p].child = i;
    }
}

static void leave_parent(struct link *l, size_t i)
{
    size_t *at = &l[l[i].parent].child;

    while (*at != i)
        at = &l[*at].next;
    *at = l[i].next;
    l[i].next = NONE;
    l[i].parent = NONE;
}

/* Place root and all below it. */
static void tree_place(struct forest *f, size_t root, enum snap_tree_why why)
{
    size_t i = root, depth = 0;

    for (;;) {
        f->l[i].placed = true;
        f->nodes[f->n++] = (struct snap_tree_node){
            .record = i,
            .depth = depth,
            .last = f->l[i].next == NONE,
            .why = i == root ? why : SNAP_TREE_CHILD,
        };
        if (f->l[i].child != NONE) {
            i = f->l[i].child;
            depth++;
            continue;
        }
        while (i != root && f->l[i].next == NONE) {
            i = f->l[i].parent;
            depth--;
        }
        if (i == root)
            return;
        i = f->l[i].next;
    }
}

/* The oldest of the circle that is above i, or that i is in. */
static size_t oldest_of_circle(struct link *l, size_t i)
{
    size_t walk = i + 1, oldest, k;

    for (; l[i].walk != walk; i = l[i].parent)
        l[i].walk = walk;
    oldest = i;
    for (k = l[i].parent; k != i; k = l[k].parent)
        if (k < oldest)
            oldest = k;
    return oldest;
}

struct snap_tree_node *snap_tree_make(const struct snap_record *rs, size_t n)
{
    struct forest f = { 0 };
    size_t i, root, last = NONE;

    if (!n)
        return NULL;
    f.l = snap_realloc(NULL, n, sizeof(*f.l));
    f.nodes = snap_realloc(NULL, n, sizeof(*f.nodes));
    find_parents(f.l, rs, n);
    find_children(f.l, n);
    for (i = 0; i < n; i++) {
        if (f.l[i].parent != NONE)
            continue;
        last = f.n;
        tree_place(&f, i, rs[i].parent ? SNAP_TREE_ORPHAN : SNAP_TREE_ROOT);
        f.nodes[last].last = false;
    }
    /* What no root leads to is in a circle, or below one. */
    for (i = 0; i < n; i++) {
        if (f.l[i].placed)
            continue;
        root = oldest_of_circle(f.l, i);
        leave_parent(f.l, root);
        last = f.n;
        tree_place(&f, root, SNAP_TREE_CIRCLE);
        f.nodes[last].last = false;
    }
    f.nodes[last].last = true;
    free(f.l);
    return f.nodes;
}
