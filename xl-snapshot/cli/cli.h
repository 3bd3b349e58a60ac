/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A run of the command line: what each file of this folder needs of it.  Only
 * this folder prints.
 */
#ifndef SNAP_CLI_CLI_H
#define SNAP_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/cmdtable.h"
#include "model/env.h"

/* Exit statuses; promises to scripts. */
enum snap_exit {
    SNAP_EXIT_DONE = 0,
    SNAP_EXIT_FAILED = 1, /* and everything undone */
    SNAP_EXIT_USAGE = 2,
    SNAP_EXIT_RECOVER = 3, /* and not everything undone */
};

struct snap_sink;
struct snap_progress_line;

struct snap_cli {
    struct snap_env env;
    FILE *out;
    FILE *errf;
    const char *as; /* "xl" or "xl-snapshot": typed by whom */
    const struct snap_cmd *cmd;
    char *prog; /* "xl snapshot-create", for messages */
    char *store_root;
    int verbose;
    bool dry_run;
    bool json;
    bool progress_always; /* xl -t */
    bool timestamps; /* xl -T */
    bool help_shown; /* --help was given: all is done */
    struct snap_sink *sink;
    struct snap_progress_line *line;
    struct snap_log log;
    struct snap_progress progress;
};

#endif /* SNAP_CLI_CLI_H */
