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
#include "op/session.h"

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
/* What a command has to tell, while it gathers it. */
struct snap_tell {
    struct snap_cli *cli;
    struct snap_report *r;
    struct snap_cli_notes notes;
};
/* A session's notes, then those said on stderr so far. */
void snap_tell_notes(struct snap_tell *t, const struct snap_session *ses);
/* A line for people on standard output, at once; none with --json.  The line
 * is taken over. */
void snap_tell_line(struct snap_tell *t, char *line);

/* A command that plans and then does; job is its own.  The report has
 * "dry_run" before tell_plan(); what was said on stderr, and the notes, are in
 * it afterwards. */
struct snap_cli_job {
    int (*plan)(struct snap_tell *t, void *job, struct snap_err *err);
    void (*tell_plan)(struct snap_tell *t, void *job);
    int (*run)(struct snap_tell *t, void *job, struct snap_err *err);
    void (*tell_done)(struct snap_tell *t, void *job);
    /* It ended with SNAP_RECOVER: what its user has to know already, since it
     * is so, and no other command tells it. */
    void (*note_left)(struct snap_tell *t, const void *job);
};

/* Opens the hypervisor, plans; with --dry-run tells that, else runs, the
 * signals in hand, and tells what was done.  Returns the exit status. */
int snap_cli_do(struct snap_cli *cli, const struct snap_cli_job *steps,
                void *job);

#endif /* SNAP_CLI_JOB_H */
