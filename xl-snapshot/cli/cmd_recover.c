/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-recover: finish or undo what an interrupted command left, for one
 * domain or for all.  Other commands do the same for their domain first.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/failure.h"
#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/output.h"
#include "cli/show_notes.h"
#include "cli/signals.h"
#include "lib/mem.h"
#include "op/recover.h"
#include "op/resolve.h"
#include "store/lock.h"
#include "store/state.h"
#include "store/store.h"

struct request {
    bool no_wait;
    bool keep, discard, take_over;
    const char *who;
};

static int recover_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct request *req = ctx;

    req->who = w->operand[0];
    req->no_wait = snap_words_has(w, OPT_NO_WAIT);
    req->keep = snap_words_has(w, OPT_KEEP);
    req->discard = snap_words_has(w, OPT_DISCARD);
    req->take_over = snap_words_has(w, OPT_TAKE_OVER);
    if (req->keep && req->discard)
        return snap_fail(err, SNAP_INVAL,
                         "--keep and --discard are opposites; choose one");
    if ((req->keep || req->discard) && !req->who)
        return snap_fail(err, SNAP_INVAL, "%s: the disks of which domain?",
                         req->keep ? "--keep" : "--discard");
    if (req->take_over && !req->who)
        return snap_fail(err, SNAP_INVAL, "--take-over: of which domain?");
    return 0;
}

/* One domain; what was done goes into the table, and nothing if there was
 * nothing to do. */
static int recover_one(struct snap_cli *cli, const struct request *req,
                       const char *uuid, struct snap_report *r, bool *did,
                       struct snap_err *err)
{
    int rc, bad;
    char *what = NULL;
    struct snap_err why = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    struct snap_recovery how = { .keep = req->keep,
                                 .discard = req->discard,
                                 .take_over = req->take_over,
                                 .tell = true };

    rc = snap_store_open(&s, cli->env.store_root, uuid, false, err);
    if (!rc && !cli->dry_run)
        rc = snap_store_lock(&s, !req->no_wait, "snapshot-recover",
                             cli->env.log, err);
    if (!rc)
        rc = snap_recover_how(&cli->env, &s, &how, cli->dry_run, &what, err);
    /* A state that cannot be read is nothing that a command left, but "nothing
     * to recover" would be wrong. */
    bad = rc ? 0 : snap_state_load(&s, &state, &why);
    if (!rc && what) {
        const char *cells[] = { uuid,
                                state.domain_name ? state.domain_name : uuid,
                                what };

        snap_report_row(r, cells);
        *did = true;
    }
    snap_recover_say_stale(&cli->env, &how);
    if (bad)
        rc = snap_fail(err, bad, "%s", why.msg);
    snap_state_dispose(&state);
    free(what);
    snap_store_close(&s);
    return rc;
}

struct all {
    struct snap_cli *cli;
    const struct request *req;
    struct snap_report *r;
    bool *did;
    struct snap_cli_notes *failed; /* what was said of each that failed */
    struct snap_err worst;
};

/* What needs its user is worse than any other failure; else the first one is
 * what the command ends with.  Each is said at once. */
static void add_failure(struct all *all, const struct snap_err *e)
{
    snap_sink_line(all->cli->sink, "", e->msg);
    snap_cli_note(all->failed, e->msg);
    if (!all->worst.rc ||
        (e->rc == SNAP_RECOVER && all->worst.rc != SNAP_RECOVER))
        all->worst = *e;
}

/* One domain's trouble is not the others'. */
static int recover_next(void *opaque, const char *uuid, struct snap_err *err)
{
    struct all *all = opaque;
    struct snap_err e = SNAP_ERR_INIT;

    (void)err;
    if (recover_one(all->cli, all->req, uuid, all->r, all->did, &e)) {
        snap_err_prefix(&e, "%s", uuid);
        add_failure(all, &e);
    }
    return 0;
}

/* failed: a sentence for each failure; they were said by then. */
static int recover_all(struct snap_cli *cli, const struct request *req,
                       struct snap_report *r, bool *did,
                       struct snap_cli_notes *failed, struct snap_err *err)
{
    struct all all = { cli, req, r, did, failed, SNAP_ERR_INIT };
    struct snap_err e = SNAP_ERR_INIT;

    if (snap_store_each(cli->env.store_root, NULL, recover_next, &all, &e))
        add_failure(&all, &e);
    *err = all.worst;
    return err->rc;
}

/* What was done for some domains, though others failed, and what failed: in
 * JSON one object with both. */
static void show(struct snap_cli *cli, struct snap_report *r, bool did,
                 struct snap_cli_notes *notes, const struct snap_err *err)
{
    snap_cli_notes_said(cli, notes);
    snap_report_strv(r, "notes", NULL, notes->v, notes->n);
    if (err->rc)
        snap_cli_report_error(r, err);
    if (cli->json)
        snap_report_json(r, cli->out);
    else if (did)
        snap_report_text(r, cli->out);
    else if (!err->rc)
        fprintf(cli->out, "nothing to recover\n");
}

int snap_cmd_recover(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_column columns[] = { { "uuid", NULL },
                                                  { "domain", "domain" },
                                                  { "what", "what" } };
    int rc, status;
    char uuid[37] = "";
    bool did = false;
    struct snap_err err = SNAP_ERR_INIT;
    struct request req = { 0 };
    struct snap_report *r = snap_report_new();
    struct snap_cli_notes notes = { 0 };

    if (!snap_cli_begin(cli, argc, argv, NULL, recover_take, &req, &status))
        goto out;
    rc = snap_cli_open(cli, &err);
    if (rc)
        goto fail;

    snap_report_table(r, "recovered", columns, 3);
    if (req.who) {
        rc = snap_resolve(&cli->env, req.who, uuid, &err);
        if (!rc)
            rc = recover_one(cli, &req, uuid, r, &did, &err);
    } else {
        rc = recover_all(cli, &req, r, &did, &notes, &err);
    }
    snap_signals_disarm(snap_exit_of(rc));
    snap_sink_flush(cli->sink);
    if (rc && req.who)
        goto fail;
    show(cli, r, did, &notes, &err);
    status = snap_exit_of(rc);
    goto out;

fail:
    status = snap_cli_fail(cli, &err);
out:
    snap_cli_notes_dispose(&notes);
    snap_report_free(r);
    return status;
}
