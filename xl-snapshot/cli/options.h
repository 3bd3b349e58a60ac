/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The options of a command, by its row of the table.
 */
#ifndef SNAP_CLI_OPTIONS_H
#define SNAP_CLI_OPTIONS_H

#include "cli/words.h"

/* What a command does with an option at once, in the order they were typed;
 * for one that wants to know of all. */
typedef int snap_opt_fn(void *ctx, const struct snap_opt *opt, const char *arg,
                        struct snap_err *err);

/*
 * The options that are common to all into cli, the command's own to fn or,
 * where that is NULL, into w.  Afterwards argv[*first_r] and on are the
 * operands.  With --help, cli->help_shown is set, and what stands behind it
 * was not looked at.  SNAP_INVAL in the words that the user typed.
 */
int snap_options_parse(struct snap_cli *cli, int argc, char **argv,
                       snap_opt_fn *fn, void *ctx, struct snap_words *w,
                       int *first_r, struct snap_err *err);

/* --store DIR, before or behind the command. */
int snap_options_store(struct snap_cli *cli, const char *dir,
                       struct snap_err *err);

#endif /* SNAP_CLI_OPTIONS_H */
