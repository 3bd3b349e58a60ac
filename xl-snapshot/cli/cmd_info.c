/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-info: one snapshot, with everything that is known of it; with
 * --check also whether every part of it is still whole.  Only looks.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/failure.h"
#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/show_record.h"
#include "lib/mem.h"
#include "op/neighbours.h"
#include "op/resolve.h"
#include "op/verify.h"
#include "store/state.h"
#include "store/store.h"

struct info {
    bool check;
    const char *who, *name;
    struct snap_store store;
    struct snap_record rec;
    struct snap_domain dom;
    bool there;
    char *current;
    struct snap_check *checks;
    size_t n_checks, n_bad;
    struct snap_clone *clones;
    size_t n_clones;
};

static int info_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct info *in = ctx;

    (void)err;
    in->who = w->operand[0];
    in->name = w->operand[1];
    in->check = snap_words_has(w, OPT_CHECK);
    return 0;
}

static int look_for_domain(struct snap_cli *cli, const char *uuid,
                           struct info *in, struct snap_err *err)
{
    int rc;

    if (!cli->env.hyp)
        return 0;
    rc = cli->env.ops->find_uuid(cli->env.hyp, uuid, &in->dom, err);
    in->there = !rc;
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    }
    return rc;
}

static void look_at_state(struct snap_cli *cli, struct info *in)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_state st = { 0 };

    if (snap_state_load(&in->store, &st, &e))
        snap_say(cli->env.log, SNAP_LOG_WARN,
                 "it is not known which snapshot is current: %s", e.msg);
    snap_set(&in->current, st.current);
    snap_state_dispose(&st);
}

static int info_look(struct snap_cli *cli, struct info *in,
                     struct snap_err *err)
{
    char uuid[37];
    int rc;
    size_t i;

    rc = snap_resolve(&cli->env, in->who, uuid, err);
    if (rc)
        return rc;
    rc = snap_store_open(&in->store, cli->env.store_root, uuid, false, err);
    if (rc)
        return rc;
    rc = snap_store_get(&in->store, in->name, cli->env.drivers, &in->rec, err);
    if (rc)
        return snap_hint_namesake(&cli->env, in->who, uuid, in->name, rc, err);
    look_at_state(cli, in);
    rc = snap_clones_look(&cli->env, uuid, &in->clones, &in->n_clones, err);
    if (rc)
        return rc;
    if (!in->check)
        return 0;
    rc = look_for_domain(cli, uuid, in, err);
    if (rc)
        return rc;
    rc = snap_check_record(&cli->env, &in->store, in->there ? &in->dom : NULL,
                           &in->rec, &in->checks, &in->n_checks, err);
    for (i = 0; i < in->n_checks; i++)
        in->n_bad += in->checks[i].problem != NULL;
    return rc;
}

static const struct snap_column check_cols[] = {
    { "part", "PART" },
    { NULL, "RESULT" },
    { "ok:bool", NULL },
    { "problem", NULL },
};

static void add_checks(struct snap_report *r, const struct info *in)
{
    size_t i;

    snap_report_add(r, "whole", NULL, snap_json_bool(!in->n_bad), NULL);
    snap_report_table(r, "check", check_cols, SNAP_COLUMNS(check_cols));
    for (i = 0; i < in->n_checks; i++) {
        const struct snap_check *c = &in->checks[i];

        snap_report_row(r, (const char *const[]){
                               c->part, c->problem ? c->problem : "ok",
                               c->problem ? "no" : "yes", c->problem });
    }
}

static void show(struct snap_cli *cli, const struct info *in)
{
    struct snap_report *r;

    r = snap_report_snapshot(&in->rec, snap_streq(in->current, in->rec.name),
                             in->clones, in->n_clones);
    if (in->check)
        add_checks(r, in);
    snap_sink_flush(cli->sink);
    if (cli->json)
        snap_report_json(r, cli->out);
    else
        snap_report_text(r, cli->out);
    fflush(cli->out);
    snap_report_free(r);
}

/* It cannot be gone back to as it is; what now? */
static void advise(struct snap_cli *cli, const struct info *in)
{
    char *text;

    text = snap_printf("%s of %s is not whole: %zu of %zu parts cannot be used; put back what is named above, from a backup for instance, and check again, or use another snapshot%s",
                       in->rec.name, in->rec.domain_name, in->n_bad,
                       in->n_checks,
                       in->rec.has_memory
                           ? " (if it is only the memory: snapshot-revert --disk-only)"
                           : "");
    snap_sink_line(cli->sink, "", text);
    free(text);
}

int snap_cmd_info(struct snap_cli *cli, int argc, char **argv)
{
    int rc = 0, status;
    struct snap_err err = SNAP_ERR_INIT;
    struct info in = { .store = SNAP_STORE_INIT };

    if (!snap_cli_begin(cli, argc, argv, NULL, info_take, &in, &status))
        goto out;

    /* Only Xen's module can read the header of a memory image. */
    if (in.check)
        rc = snap_cli_open(cli, &err);
    else
        snap_cli_try_open(cli);
    if (!rc)
        rc = info_look(cli, &in, &err);
    if (rc) {
        status = snap_cli_fail(cli, &err);
        goto out;
    }
    show(cli, &in);
    if (in.n_bad)
        advise(cli, &in);
    status = in.n_bad ? SNAP_EXIT_FAILED : SNAP_EXIT_DONE;

out:
    snap_checks_free(&in.checks, &in.n_checks);
    snap_clones_free(&in.clones, &in.n_clones);
    snap_free(&in.current);
    snap_domain_dispose(&in.dom);
    snap_record_dispose(&in.rec);
    snap_store_close(&in.store);
    return status;
}
