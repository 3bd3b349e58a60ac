/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What tools/completion asks; hidden from people.
 */
#ifndef SNAP_CLI_COMPLETE_H
#define SNAP_CLI_COMPLETE_H

#include "cli/cli.h"

/* `--complete WHAT [OF]`: quiet; exit status 0 or 1. */
int snap_complete_main(struct snap_cli *cli, int argc, char **argv);

#endif /* SNAP_CLI_COMPLETE_H */
