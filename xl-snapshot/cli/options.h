/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The options of a command, by its row of the table.
 */
#ifndef SNAP_CLI_OPTIONS_H
#define SNAP_CLI_OPTIONS_H

#include "cli/cli.h"

/* Calls fn for each option of the command's own, handles the
 * common ones; afterwards argv[*first_r] and on are the operands.  With
 * --help, cli->help_shown is set and fn may not have seen every option. */
typedef int snap_opt_fn(void *ctx, const struct snap_opt *opt, const char *arg,
                        struct snap_err *err);
int snap_options_parse(struct snap_cli *cli, int argc, char **argv,
                       snap_opt_fn *fn, void *ctx, int *first_r,
                       struct snap_err *err);

#endif /* SNAP_CLI_OPTIONS_H */
