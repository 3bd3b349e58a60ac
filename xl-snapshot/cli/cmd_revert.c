/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-revert: the request, the plan, the deed, the report.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/show_notes.h"
#include "cli/show_record.h"
#include "lib/mem.h"
#include "op/revert.h"

struct job {
    struct snap_revert_req req;
    struct snap_revert_plan plan;
    struct snap_revert_result res;
};

static int revert_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct snap_revert_req *req = ctx;

    snap_set(&req->domain, w->operand[0]);
    snap_set(&req->name, w->operand[1]);
    snap_set(&req->config_file, snap_words_arg(w, OPT_CONFIG));
    req->disk_only = snap_words_has(w, OPT_DISK_ONLY);
    req->eject_missing = snap_words_has(w, OPT_EJECT_MISSING);
    req->paused = snap_words_has(w, OPT_PAUSED);
    req->no_wait = snap_words_has(w, OPT_NO_WAIT);
    if (req->config_file && !*req->config_file)
        return snap_fail(err, SNAP_INVAL,
                         "the name of the configuration file is empty");
    return 0;
}

static const struct snap_column disk_cols[] = {
    { "vdev", "DISK" },          { "type", "TYPE" },
    { "frozen", "SNAPSHOT IN" }, { "active", "GUEST WRITES TO" },
    { "dropped", "DROPPED" },    { "format", NULL },
};

static void revert_add_disk(struct snap_report *r, const struct snap_part *p)
{
    snap_report_row(r, (const char *const[]){ p->vdev,
                                              snap_disk_type_name(p->type),
                                              p->frozen_path, p->leaf_path,
                                              p->drop_path, p->leaf_format });
}

static void revert_add_memory(struct snap_report *r,
                              const struct snap_revert_plan *p)
{
    const struct snap_record *rec = &p->rec;

    if (!p->memory) {
        snap_report_add(r, "memory", NULL, snap_json_null(), NULL);
        return;
    }
    snap_report_str(r, "memory.path", "memory from", rec->mem_path);
    snap_report_size(r, "memory.size", "its size", rec->mem_size);
    snap_report_str(r, "memory.checksum", NULL, rec->mem_hash);
}

/* The name the user gave, for a snapshot that a file describes. */
static const char *name_of(const struct snap_revert_req *req,
                           const struct snap_record *rec)
{
    return rec->name ? rec->name : req->config_file;
}

static void add_domain(struct snap_report *r, const struct snap_session *ses,
                       const char *name)
{
    char *now = snap_session_text(ses, name);
    char *text = snap_printf("%s%s", now,
                             ses->there ? ", will be destroyed" : "");

    snap_report_add(r, "domain", "domain",
                    snap_json_str(ses->there ? ses->dom.name : name), text);
    snap_report_str(r, "state", NULL, snap_session_state(ses));
    snap_report_domid(r, ses->there, &ses->dom);
    free(text);
    free(now);
}

/* res->dom is from when it was built, and it is built paused. */
static const char *revert_state_of(const struct snap_revert_req *req)
{
    return req->paused ? "paused" : "running";
}

static void revert_tell_plan(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_record *rec = &j->plan.rec;
    char *text;

    snap_report_str(t->r, "name", "snapshot", name_of(&j->req, rec));
    if (rec->created) {
        text = snap_time_iso(rec->created);
        snap_report_str(t->r, "created", "taken", text);
        free(text);
    }
    add_domain(t->r, &j->plan.ses, j->req.domain);
    snap_report_record(t->r, rec);
    revert_add_memory(t->r, &j->plan);
    snap_report_str(t->r, "afterwards", "afterwards",
                    revert_state_of(&j->req));
    snap_report_strv(t->r, "left_out", "not in it", rec->left_out,
                     rec->n_left_out);
    snap_report_disks(t->r, disk_cols, SNAP_COLUMNS(disk_cols),
                      revert_add_disk, rec);
    snap_tell_notes(t, &j->plan.ses);
}

static void revert_tell_done(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_record *rec = &j->plan.rec;
    const struct snap_revert_result *res = &j->res;
    char *what = snap_what(j->plan.memory, rec->n_parts);
    char *total = snap_ms_human(res->total_ms);

    snap_report_str(t->r, "name", NULL, name_of(&j->req, rec));
    snap_report_str(t->r, "domain", NULL, res->dom.name);
    snap_report_domid(t->r, true, &res->dom);
    snap_report_str(t->r, "state", NULL, revert_state_of(&j->req));
    snap_report_record(t->r, rec);
    revert_add_memory(t->r, &j->plan);
    snap_report_disks(t->r, disk_cols, SNAP_COLUMNS(disk_cols),
                      revert_add_disk, rec);
    snap_report_strv(t->r, "left_out", NULL, rec->left_out, rec->n_left_out);
    snap_report_bool(t->r, "running_before", NULL, res->running_before);
    snap_report_ms(t->r, "down_ms", NULL, res->down_ms);
    snap_report_ms(t->r, "total_ms", NULL, res->total_ms);
    snap_tell_notes(t, &j->plan.ses);
    snap_tell_line(t,
                   snap_printf("%s: reverted to %s (%s), %s as domain %u, %s",
                               res->dom.name, name_of(&j->req, rec), what,
                               revert_state_of(&j->req), res->dom.domid,
                               total));
    free(total);
    free(what);
}

static void revert_note_left(struct snap_tell *t, const void *job)
{
    const struct job *j = job;

    if (j->res.reverted)
        snap_session_notes(&t->notes, &j->plan.ses);
}

static int revert_plan(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_revert_plan_make(&t->cli->env, &j->req, t->cli->dry_run,
                                 &j->plan, err);
}

static int revert_run(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_revert_run(&t->cli->env, &j->req, &j->plan, &j->res, err);
}

int snap_cmd_revert(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { revert_plan, revert_tell_plan,
                                               revert_run, revert_tell_done,
                                               revert_note_left };
    struct job j = { .plan = { .ses = SNAP_SESSION_INIT, .mem_fd = -1 } };
    int status;

    if (snap_cli_begin(cli, argc, argv, NULL, revert_take, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_revert_result_dispose(&j.res);
    snap_revert_plan_dispose(&j.plan);
    snap_revert_req_dispose(&j.req);
    return status;
}
