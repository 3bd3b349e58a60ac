/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Snapshots as a forest: each under the one it came after.  Records come and
 * go one by one, so a parent may be missing, and a damaged store may hold a
 * circle: every record is there exactly once all the same.
 */
#ifndef SNAP_STORE_TREE_H
#define SNAP_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/record.h"

enum snap_tree_why {
    SNAP_TREE_CHILD,
    SNAP_TREE_ROOT, /* has no parent */
    SNAP_TREE_ORPHAN, /* its parent is not among the records */
    SNAP_TREE_CIRCLE, /* it is its own ancestor; the circle is cut here */
};

struct snap_tree_node {
    size_t record; /* index into the records */
    size_t depth; /* 0: nothing is above it */
    bool last; /* of those under the same parent, or of the roots */
    enum snap_tree_why why;
};

/* One node for each of the n records, which are in order of time: a parent
 * before its children, siblings in that order.  NULL if n is 0; caller
 * frees. */
struct snap_tree_node *snap_tree_make(const struct snap_record *rs, size_t n);

#endif /* SNAP_STORE_TREE_H */
