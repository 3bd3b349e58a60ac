/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See job.h.
 */
#include "cli/job.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/failure.h"
#include "cli/help.h"
#include "cli/log_sink.h"
#include "cli/output.h"
#include "cli/show_notes.h"
#include "cli/signals.h"
#include "cli/tables.h"
#include "lib/mem.h"

int snap_cli_load(struct snap_cli *cli, struct snap_err *err)
{
    if (cli->env.ops)
        return 0;
    if (!snap_cli_tables)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "this program was built without a hypervisor; run the xl-snapshot that 'make install' puts in place");
    return snap_cli_tables->load(&cli->env, err);
}

int snap_cli_open(struct snap_cli *cli, struct snap_err *err)
{
    int rc;

    rc = snap_cli_load(cli, err);
    if (rc)
        return rc;
    snap_say(cli->env.log, SNAP_LOG_DEBUG, "version %s, %s, store %s",
             SNAP_VERSION, cli->env.ops->name, cli->env.store_root);
    return cli->env.ops->open(cli->env.log, &cli->env.hyp, err);
}

void snap_cli_try_open(struct snap_cli *cli)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_cli_open(cli, &err))
        snap_say(cli->env.log, SNAP_LOG_NOTE,
                 "going by the store alone, since Xen cannot be asked: %s",
                 err.msg);
}

/* A store that was named wrongly must not look like an empty one. */
static int use_store(struct snap_cli *cli, struct snap_err *err)
{
    int e;

    if (!cli->store_root)
        return 0;
    cli->env.store_root = cli->store_root;
    if (!cli->cmd->needs_store || !access(cli->store_root, F_OK))
        return 0;
    e = errno;
    if (e == ENOENT)
        return snap_fail(err, SNAP_NOTFOUND,
                         "--store %s: there is no such folder; name the one that the snapshots are in, or leave --store out",
                         cli->store_root);
    return snap_fail_errno(err, SNAP_NOTFOUND, e, "the store %s",
                           cli->store_root);
}

bool snap_cli_begin(struct snap_cli *cli, int argc, char **argv,
                    snap_opt_fn *fn, snap_take_fn *take, void *ctx,
                    int *status_r)
{
    int rc, first = 0;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_words w = { 0 };

    rc = snap_options_parse(cli, argc, argv, fn, ctx, &w, &first, &err);
    if (!rc && cli->help_shown) {
        snap_help_cmd(cli, cli->cmd, cli->out);
        *status_r = SNAP_EXIT_DONE;
        return false;
    }
    if (!rc)
        rc = snap_words_operands(&w, cli->cmd, argc - first, argv + first,
                                 &err);
    if (!rc)
        rc = take(ctx, &w, &err);
    if (!rc)
        rc = snap_words_check(&w, cli->cmd, &err);
    if (rc) {
        *status_r = snap_cli_usage(cli, &err);
        return false;
    }
    rc = use_store(cli, &err);
    if (rc)
        *status_r = snap_cli_fail(cli, &err);
    return !rc;
}

void snap_tell_notes(struct snap_tell *t, const struct snap_session *ses)
{
    snap_session_notes(&t->notes, ses);
    snap_cli_notes_said(t->cli, &t->notes);
}

void snap_tell_line(struct snap_tell *t, char *line)
{
    if (!t->cli->json) {
        snap_clean(line);
        fprintf(t->cli->out, "%s\n", line);
        fflush(t->cli->out);
    }
    free(line);
}

/* All that is noted goes into the JSON. */
static void end_notes(struct snap_tell *t)
{
    snap_cli_notes_said(t->cli, &t->notes);
    snap_report_strv(t->r, "notes", NULL, t->notes.v, t->notes.n);
}

/* A plan is all that was asked for, so its notes are on standard output, but
 * those that stand on the other one already. */
static void show_plan(struct snap_tell *t, const struct snap_cli_job *steps,
                      void *job)
{
    struct snap_cli *cli = t->cli;
    size_t i;

    snap_report_add(t->r, "dry_run", "dry run", snap_json_bool(true),
                    "nothing is touched");
    steps->tell_plan(t, job);
    end_notes(t);
    if (cli->json) {
        snap_report_json(t->r, cli->out);
        return;
    }
    snap_report_text(t->r, cli->out);
    for (i = 0; i < t->notes.n; i++)
        if (!snap_sink_said(cli->sink, t->notes.v[i]))
            fprintf(cli->out, "note: %s\n", t->notes.v[i]);
}

static void show_done(struct snap_tell *t, const struct snap_cli_job *steps,
                      void *job)
{
    snap_sink_flush(t->cli->sink);
    steps->tell_done(t, job);
    end_notes(t);
    if (t->cli->json)
        snap_report_json(t->r, t->cli->out);
    else
        snap_cli_show_notes(t->cli, &t->notes);
}

/* A command that left something says so, and what holds all the same: which
 * line of an xl.cfg to change, for instance. */
static int show_failed(struct snap_tell *t, const struct snap_cli_job *steps,
                       const void *job, const struct snap_err *err)
{
    int status = snap_cli_fail(t->cli, err);

    if (err->rc == SNAP_RECOVER) {
        steps->note_left(t, job);
        snap_cli_show_notes(t->cli, &t->notes);
    }
    return status;
}

static int plan_and_run(struct snap_tell *t, const struct snap_cli_job *steps,
                        void *job)
{
    int rc;
    struct snap_err err = SNAP_ERR_INIT;

    rc = snap_cli_open(t->cli, &err);
    if (!rc)
        rc = steps->plan(t, job, &err);
    if (!rc && t->cli->dry_run) {
        show_plan(t, steps, job);
        return SNAP_EXIT_DONE;
    }
    if (!rc) {
        snap_signals_arm();
        rc = steps->run(t, job, &err);
        snap_signals_disarm(snap_exit_of(rc));
    }
    if (rc)
        return show_failed(t, steps, job, &err);
    show_done(t, steps, job);
    return SNAP_EXIT_DONE;
}

int snap_cli_do(struct snap_cli *cli, const struct snap_cli_job *steps,
                void *job)
{
    struct snap_tell t = { .cli = cli, .r = snap_report_new() };
    int status = plan_and_run(&t, steps, job);

    snap_cli_notes_dispose(&t.notes);
    snap_report_free(t.r);
    return status;
}
