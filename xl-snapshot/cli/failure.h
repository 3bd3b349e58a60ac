/* SPDX-License-Identifier: LGPL-2.1-only */
/* How a failure is told. */
#ifndef SNAP_CLI_FAILURE_H
#define SNAP_CLI_FAILURE_H

#include "cli/cli.h"
#include "cli/output.h"
#include "lib/rc.h"

/* The exit status for a rc, or for an enum snap_rc. */
int snap_exit_of(int rc);

/* The error as "error" of a report that is printed anyway: in JSON only. */
void snap_cli_report_error(struct snap_report *r, const struct snap_err *err);
/* Tell a failure, on stderr and with --json on stdout; returns the status. */
int snap_cli_fail(struct snap_cli *cli, const struct snap_err *err);
/* The same for what was typed wrong: with a line on where to read. */
int snap_cli_usage(struct snap_cli *cli, const struct snap_err *err);

#endif /* SNAP_CLI_FAILURE_H */
