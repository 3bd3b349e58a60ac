/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The command line as a function, so that tests can run it over fakes.
 */
#ifndef SNAP_CLI_RUN_H
#define SNAP_CLI_RUN_H

#include <stdio.h>

#include "cli/tables.h"
#include "model/env.h"

/* Returns the exit status.  The template is copied, not changed. */
int snap_cli_main(int argc, char **argv, struct snap_env *env_template,
                  FILE *out, FILE *errf);

#endif /* SNAP_CLI_RUN_H */
