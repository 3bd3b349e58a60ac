/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Help in xl's own form, from the table.
 */
#ifndef SNAP_CLI_HELP_H
#define SNAP_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* All commands; one command with its options. */
void snap_help_all(struct snap_cli *cli, FILE *f);
void snap_help_cmd(struct snap_cli *cli, const struct snap_cmd *cmd, FILE *f);
/* `help [COMMAND]`; returns the exit status. */
int snap_help_main(struct snap_cli *cli, int argc, char **argv);

#endif /* SNAP_CLI_HELP_H */
