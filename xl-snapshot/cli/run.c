/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * From argv to an exit status.  The global options are xl's own (-v, -t, -T,
 * -f, -N), so that the dispatcher for `xl` can hand its argv over unchanged
 * but for the full name of the command.
 */
#include "cli/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/failure.h"
#include "cli/help.h"
#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/guardian.h"

const struct snap_cli_tables *snap_cli_tables;

enum { LONG_VERSION = 0x100, LONG_STORE, LONG_JSON };

static const struct option global_opts[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, LONG_VERSION },
    { "verbose", no_argument, NULL, 'v' },
    { "dry-run", no_argument, NULL, 'N' },
    { "json", no_argument, NULL, LONG_JSON },
    { "store", required_argument, NULL, LONG_STORE },
    { NULL, 0, NULL, 0 },
};

/* What the user typed to get here: "xl snapshot-create". */
static char *name_of(const struct snap_cli *cli, const struct snap_cmd *cmd)
{
    return snap_printf("%s %s%s", cli->as,
                       strcmp(cli->as, "xl") ? "" : SNAP_XL_PREFIX, cmd->name);
}

static void cli_init(struct snap_cli *cli, const char *argv0,
                     const struct snap_env *env_template, FILE *out,
                     FILE *errf)
{
    const char *base = argv0 ? snap_basename(argv0) : "";

    memset(cli, 0, sizeof(*cli));
    cli->env = *env_template;
    cli->out = out;
    cli->errf = errf;
    cli->as = strcmp(base, "xl") ? "xl-snapshot" : "xl";
    cli->prog = snap_strdup(cli->as);
    cli->sink = snap_sink_new(cli);
    cli->log = (struct snap_log){ snap_sink_log, cli->sink };
    if (!cli->env.log)
        cli->env.log = &cli->log;
    if (!cli->env.interrupted)
        cli->env.interrupted = snap_signals_interrupted;
    if (!cli->env.before_change)
        cli->env.before_change = snap_signals_arm;
}

static void cli_dispose(struct snap_cli *cli)
{
    if (cli->env.hyp)
        cli->env.ops->close(cli->env.hyp);
    snap_progress_line_free(cli->line);
    snap_sink_free(cli->sink);
    free(cli->store_root);
    free(cli->prog);
}

/* Handles xl's options and ours in front of the command.  *done_r: --help or
 * --version was all. */
static int globals(struct snap_cli *cli, int argc, char **argv, bool *done_r,
                   struct snap_err *err)
{
    int rc, c;

    *done_r = false;
    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, "+:hvftTN", global_opts, NULL)) >= 0) {
        switch (c) {
        case 'v':
            cli->verbose++;
            break;
        case 'N':
            cli->dry_run = true;
            break;
        case 't':
            cli->progress_always = true;
            break;
        case 'T':
            cli->timestamps = true;
            break;
        case 'f':
            /* xl: go on although xend runs.  No command of ours asks. */
            break;
        case 'h':
            snap_help_all(cli, cli->out);
            *done_r = true;
            return 0;
        case LONG_VERSION:
            fprintf(cli->out, "xl-snapshot %s\n", SNAP_VERSION);
            *done_r = true;
            return 0;
        case LONG_JSON:
            cli->json = true;
            break;
        case LONG_STORE:
            rc = snap_options_store(cli, optarg, err);
            if (rc)
                return rc;
            break;
        case ':':
            return snap_fail(err, SNAP_INVAL, "option %s needs an argument",
                             argv[optind - 1]);
        default:
            if (optopt && optopt < LONG_VERSION)
                return snap_fail(err, SNAP_INVAL, "unknown global option -%c",
                                 optopt);
            return snap_fail(err, SNAP_INVAL, "unknown global option %s",
                             argv[optind - 1]);
        }
    }
    return 0;
}

static int run_cmd(struct snap_cli *cli, const struct snap_cmd *cmd, int argc,
                   char **argv)
{
    struct snap_err err = SNAP_ERR_INIT;

    cli->cmd = cmd;
    free(cli->prog);
    cli->prog = name_of(cli, cmd);
    if (cli->dry_run && !cmd->can_dryrun) {
        snap_fail(&err, SNAP_INVAL, "this command has no dry run (-N)");
        return snap_cli_usage(cli, &err);
    }
    if (cmd->modifies)
        snap_signals_start(cli->prog);
    cli->line = snap_progress_line_new(cli->sink, cli->progress_always);
    cli->progress = (struct snap_progress){ snap_progress_fn, cli->line };
    if (!cli->env.progress)
        cli->env.progress = &cli->progress;
    return cmd->impl(cli, argc, argv);
}

/* --monitor DOMID LOG */
static int run_monitor(int argc, char **argv, struct snap_err *err)
{
    unsigned long domid;
    char *end;

    if (!snap_cli_tables || !snap_cli_tables->monitor)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "this program was built without a monitor");
    if (argc != 2)
        return snap_fail(err, SNAP_INVAL, "--monitor takes DOMID LOG");
    errno = 0;
    domid = strtoul(argv[0], &end, 10);
    if (errno || *end || end == argv[0] || domid > UINT16_MAX)
        return snap_fail(err, SNAP_INVAL, "--monitor: '%s' is no domain id",
                         argv[0]);
    return snap_cli_tables->monitor((uint32_t)domid, argv[1], err);
}

/* Our own second processes; not for people, so not in the table. */
static bool hidden(struct snap_cli *cli, int argc, char **argv, int *status_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    if (argc < 2)
        return false;
    if (!strcmp(argv[1], "--guardian")) {
        rc = snap_cli_load(cli, &err);
        *status_r = rc ? snap_cli_fail(cli, &err)
                       : snap_guardian_main(&cli->env, argc - 2, argv + 2);
        return true;
    }
    if (!strcmp(argv[1], "--monitor")) {
        rc = run_monitor(argc - 2, argv + 2, &err);
        *status_r = rc < 0 ? snap_cli_fail(cli, &err) : rc;
        return true;
    }
    if (!strcmp(argv[1], "--complete")) {
        *status_r = snap_complete_main(cli, argc - 2, argv + 2);
        return true;
    }
    return false;
}

/* "xl-snapshot-create" as a name of the program is a command as well. */
static const struct snap_cmd *cmd_of_name(const char *argv0)
{
    const char *base = argv0 ? snap_basename(argv0) : "";
    const struct snap_cmd *cmd;

    if (!snap_has_prefix(base, "xl-snapshot-"))
        return NULL;
    for (cmd = snap_cmds; cmd->name; cmd++)
        if (!strcmp(cmd->name, base + strlen("xl-snapshot-")))
            return cmd;
    return NULL;
}

static int dispatch(struct snap_cli *cli, int argc, char **argv)
{
    struct snap_err err = SNAP_ERR_INIT;
    const struct snap_cmd *cmd;
    int rc, status;
    bool done;

    if (hidden(cli, argc, argv, &status))
        return status;

    cmd = cmd_of_name(argv[0]);
    if (cmd)
        return run_cmd(cli, cmd, argc, argv);

    rc = globals(cli, argc, argv, &done, &err);
    if (rc)
        return snap_cli_usage(cli, &err);
    if (done)
        return SNAP_EXIT_DONE;
    argc -= optind;
    argv += optind;
    if (!argc) {
        snap_help_all(cli, cli->errf);
        return SNAP_EXIT_USAGE;
    }
    if (!strcmp(argv[0], "help"))
        return snap_help_main(cli, argc, argv);
    rc = snap_cmd_find(argv[0], &cmd, &err);
    if (rc)
        return snap_cli_usage(cli, &err);
    return run_cmd(cli, cmd, argc, argv);
}

/* What was to be told and could not be: the work itself is done or undone,
 * so a finished one keeps its status. */
static void check_out(struct snap_cli *cli)
{
    if (!fflush(cli->out) && !ferror(cli->out))
        return;
    snap_sink_line(cli->sink, "warning: ", "cannot write standard output");
}

int snap_cli_main(int argc, char **argv, struct snap_env *env_template,
                  FILE *out, FILE *errf)
{
    struct snap_cli cli;
    int status;

    cli_init(&cli, argv[0], env_template, out, errf);
    status = dispatch(&cli, argc, argv);
    check_out(&cli);
    cli_dispose(&cli);
    return status;
}
