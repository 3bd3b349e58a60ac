/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What all commands do alike: begin, get at the hypervisor, plan, do, tell.
 */
#ifndef SNAP_CLI_JOB_H
#define SNAP_CLI_JOB_H

#include <stdbool.h>

#include "cli/cli.h"
#include "cli/notes.h"
#include "cli/options.h"
#include "cli/output.h"

/* The exit status for a rc, or for an enum snap_rc. */
int snap_exit_of(int rc);

/* How every command begins: its options, to fn if it wants each at once; then
 * all that was typed to take, which makes its request of it; --help, --store.
 * False: there is nothing more to do, and status_r has the exit status. */
typedef int snap_take_fn(void *ctx, struct snap_words *w,
                         struct snap_err *err);
bool snap_cli_begin(struct snap_cli *cli, int argc, char **argv,
                    snap_opt_fn *fn, snap_take_fn *take, void *ctx,
                    int *status_r);

/* Tables and a connection to the hypervisor into cli->env. */
int snap_cli_load(struct snap_cli *cli, struct snap_err *err);
int snap_cli_open(struct snap_cli *cli, struct snap_err *err);
/* For commands that only look: without Xen the store has to do, and a note
 * says so. */
void snap_cli_try_open(struct snap_cli *cli);
/* Tell a failure, on stderr and with --json on stdout; returns the status. */
int snap_cli_fail(struct snap_cli *cli, const struct snap_err *err);
/* The same for what was typed wrong: with a line on where to read. */
int snap_cli_usage(struct snap_cli *cli, const struct snap_err *err);

/* A command that plans and then does.  Opens the hypervisor, plans;
 * with --dry-run shows that, else runs, the signals in hand, and shows what
 * was done.  job is the command's own.  Returns the exit status. */
struct snap_cli_job {
    int (*plan)(struct snap_cli *cli, void *job, struct snap_err *err);
    void (*show_plan)(struct snap_cli *cli, void *job);
    int (*run)(struct snap_cli *cli, void *job, struct snap_err *err);
    void (*show_done)(struct snap_cli *cli, void *job);
    /* It ended with SNAP_RECOVER: what its user has to know already, since it
     * is so, and no other command tells it. */
    void (*note_left)(struct snap_cli_notes *n, const void *job);
};
int snap_cli_do(struct snap_cli *cli, const struct snap_cli_job *steps,
                void *job);

/* The end of a dry run: report and notes to out, but what was said. */
void snap_cli_show_plan(struct snap_cli *cli, struct snap_report *r,
                        const struct snap_cli_notes *notes);
/* The end of a command: the report if it is to be JSON, else the line (taken
 * over) to out.  The notes not said yet to errf, or into the JSON. */
void snap_cli_show_done(struct snap_cli *cli, struct snap_report *r,
                        char *line, const struct snap_cli_notes *notes);

#endif /* SNAP_CLI_JOB_H */
