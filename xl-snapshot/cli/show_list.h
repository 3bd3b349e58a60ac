/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The forms of snapshot-list.
 */
#ifndef SNAP_CLI_SHOW_LIST_H
#define SNAP_CLI_SHOW_LIST_H

#include "cli/cli.h"

/* To cli->out, as text or as JSON.  one: a domain was named, so that it
 * need not be told apart. */
struct snap_listing;
void snap_list_table(struct snap_cli *cli, const struct snap_listing *ls,
                     size_t n, bool one);
void snap_list_long(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n);
void snap_list_tree(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n);

#endif /* SNAP_CLI_SHOW_LIST_H */
