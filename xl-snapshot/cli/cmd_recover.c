/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-recover: finish or undo what an interrupted command left, for one
 * domain or for all.  Other commands do the same for their domain first.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/recover.h"
#include "core/resolve.h"
#include "core/store.h"
#include "lib/mem.h"

struct request {
    bool no_wait;
};

static int on_option(void *ctx, const struct snap_opt *opt, const char *arg,
                     struct snap_err *err)
{
    struct request *req = ctx;

    (void)arg;
    switch (opt->id) {
    case OPT_NO_WAIT:
        req->no_wait = true;
        return 0;
    default:
        return snap_fail(err, SNAP_INVAL, "--%s is not handled", opt->name);
    }
}

/* One domain; what was done goes into the table, and nothing if there was
 * nothing to do. */
static int recover_one(struct snap_cli *cli, const struct request *req,
                       const char *uuid, struct snap_report *r, bool *did,
                       struct snap_err *err)
{
    int rc;
    char *what = NULL;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state state = { 0 };

    rc = snap_store_open(&s, cli->env.store_root, uuid, false, err);
    if (!rc && !cli->dry_run)
        rc = snap_store_lock(&s, !req->no_wait, "snapshot-recover",
                             cli->env.log, err);
    if (!rc)
        rc = snap_recover(&cli->env, &s, cli->dry_run, &what, err);
    if (!rc && what) {
        const char *cells[] = { uuid, what };

        snap_report_row(r, cells);
        *did = true;
    }
    /* Nothing that a command left, but "nothing to recover" would be wrong. */
    if (!rc)
        rc = snap_state_load(&s, &state, err);
    snap_state_dispose(&state);
    free(what);
    snap_store_close(&s);
    return rc;
}

static int recover_all(struct snap_cli *cli, const struct request *req,
                       struct snap_report *r, bool *did, struct snap_err *err)
{
    int rc, worst = 0;
    size_t i, n = 0;
    char **uuids = NULL;

    rc = snap_store_domains(cli->env.store_root, &uuids, &n, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    for (i = 0; i < n && !rc; i++) {
        struct snap_err e = SNAP_ERR_INIT;
        int r2 = recover_one(cli, req, uuids[i], r, did, &e);

        /* One domain's trouble is not the others'. */
        if (r2 && !worst)
            worst = snap_fail(err, r2, "%s: %s", uuids[i], e.msg);
        else if (r2)
            snap_sink_line(cli->sink, "warning: ", e.msg);
    }
    for (i = 0; i < n; i++)
        free(uuids[i]);
    free(uuids);
    return rc ? rc : worst;
}

int snap_cmd_recover(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_column columns[] = { { "uuid", "domain" },
                                                  { "what", "what" } };
    int rc, status, first = 0;
    char uuid[37] = "";
    bool did = false;
    struct snap_err err = SNAP_ERR_INIT;
    struct request req = { 0 };
    struct snap_report *r = snap_report_new();

    rc = snap_options_parse(cli, argc, argv, on_option, &req, &first, &err);
    if (!rc && cli->help_shown) {
        snap_help_cmd(cli, cli->cmd, cli->out);
        status = SNAP_EXIT_DONE;
        goto out;
    }
    if (!rc && argc - first > 1)
        rc = snap_fail(&err, SNAP_INVAL, "'%s' is one word too many",
                       argv[first + 1]);
    if (rc) {
        status = snap_cli_usage(cli, &err);
        goto out;
    }
    if (cli->store_root)
        cli->env.store_root = cli->store_root;
    rc = snap_cli_open(cli, &err);
    if (rc)
        goto fail;

    snap_report_table(r, "recovered", columns, 2);
    if (argc > first) {
        rc = snap_resolve(&cli->env, argv[first], uuid, &err);
        if (!rc)
            rc = recover_one(cli, &req, uuid, r, &did, &err);
    } else {
        rc = recover_all(cli, &req, r, &did, &err);
    }
    snap_signals_disarm(snap_exit_of(rc));
    snap_sink_flush(cli->sink);
    if (rc)
        goto fail;
    if (cli->json)
        snap_report_json(r, cli->out);
    else if (did)
        snap_report_text(r, cli->out);
    else
        fprintf(cli->out, "nothing to recover\n");
    status = SNAP_EXIT_DONE;
    goto out;

fail:
    status = snap_cli_fail(cli, &err);
out:
    snap_report_free(r);
    return status;
}
