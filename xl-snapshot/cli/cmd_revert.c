/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-revert: the request, the plan, the deed, the report.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/show_record.h"
#include "core/revert.h"
#include "lib/mem.h"

struct job {
    struct snap_revert_req req;
    struct snap_revert_plan plan;
    struct snap_revert_result res;
};

static int take(void *ctx, struct snap_words *w, struct snap_err *err)
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

static void add_disks(struct snap_report *r, const struct snap_record *rec)
{
    const struct snap_part *p;
    size_t i;

    snap_report_table(r, "disks", disk_cols,
                      sizeof(disk_cols) / sizeof(disk_cols[0]));
    for (i = 0; i < rec->n_parts; i++) {
        p = &rec->parts[i];
        snap_report_row(
            r, (const char *const[]){ p->vdev, snap_disk_type_name(p->type),
                                      p->frozen_path, p->leaf_path,
                                      p->drop_path, p->leaf_format });
    }
}

static void add_memory(struct snap_report *r, const struct snap_revert_plan *p)
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

static void show_plan(struct snap_cli *cli, void *job)
{
    struct job *j = job;
    const struct snap_revert_req *req = &j->req;
    const struct snap_revert_plan *p = &j->plan;
    struct snap_report *r = snap_report_new();
    struct snap_cli_notes notes = { 0 };
    char *text;

    snap_report_add(r, "dry_run", "dry run", snap_json_bool(true),
                    "nothing is touched");
    snap_report_str(r, "name", "snapshot", name_of(req, &p->rec));
    if (p->rec.created) {
        text = snap_time_iso(p->rec.created);
        snap_report_str(r, "created", "taken", text);
        free(text);
    }
    if (p->ses.there) {
        text = snap_printf("%s (id %u, %s), will be destroyed",
                           p->ses.dom.name, p->ses.dom.domid,
                           snap_domain_state(&p->ses.dom));
        snap_report_add(r, "domain", "domain", snap_json_str(p->ses.dom.name),
                        text);
        free(text);
        snap_report_str(r, "state", NULL, snap_domain_state(&p->ses.dom));
    } else {
        text = snap_printf("%s (does not exist now)", req->domain);
        snap_report_add(r, "domain", "domain", snap_json_str(req->domain),
                        text);
        free(text);
        snap_report_str(r, "state", NULL, "off");
    }
    snap_report_domid(r, p->ses.there, &p->ses.dom);
    snap_report_record(r, &p->rec);
    add_memory(r, p);
    snap_report_str(r, "afterwards", "afterwards",
                    req->paused ? "paused" : "running");
    snap_report_strv(r, "left_out", "not in it", p->rec.left_out,
                     p->rec.n_left_out);
    add_disks(r, &p->rec);
    snap_cli_notes_add(cli, &notes, p->ses.notes, p->ses.n_notes);
    snap_cli_show_plan(cli, r, &notes);
    snap_cli_notes_dispose(&notes);
    snap_report_free(r);
}

static void show_done(struct snap_cli *cli, void *job)
{
    struct job *j = job;
    const struct snap_revert_req *req = &j->req;
    const struct snap_revert_plan *p = &j->plan;
    const struct snap_revert_result *res = &j->res;
    struct snap_report *r = snap_report_new();
    struct snap_cli_notes notes = { 0 };
    /* res->dom is from when it was built, and it is built paused. */
    const char *state = req->paused ? "paused" : "running";
    char *what, *total, *line;

    snap_report_str(r, "name", NULL, name_of(req, &p->rec));
    snap_report_str(r, "domain", NULL, res->dom.name);
    snap_report_domid(r, true, &res->dom);
    snap_report_str(r, "state", NULL, state);
    snap_report_record(r, &p->rec);
    add_memory(r, p);
    add_disks(r, &p->rec);
    snap_report_strv(r, "left_out", NULL, p->rec.left_out, p->rec.n_left_out);
    snap_report_bool(r, "running_before", NULL, res->running_before);
    snap_report_ms(r, "down_ms", NULL, res->down_ms);
    snap_report_ms(r, "total_ms", NULL, res->total_ms);
    snap_cli_notes_add(cli, &notes, p->ses.notes, p->ses.n_notes);
    what = p->memory ? snap_record_what(&p->rec)
                     : snap_printf("%zu disk%s", p->rec.n_parts,
                                   p->rec.n_parts == 1 ? "" : "s");
    total = snap_ms_human(res->total_ms);
    line = snap_printf("%s: reverted to %s (%s), %s as domain %u, %s",
                       res->dom.name, name_of(req, &p->rec), what, state,
                       res->dom.domid, total);
    free(what);
    free(total);
    snap_cli_show_done(cli, r, line, &notes);
    snap_cli_notes_dispose(&notes);
    snap_report_free(r);
}

static void note_left(struct snap_cli_notes *n, const void *job)
{
    const struct job *j = job;
    size_t i;

    for (i = 0; j->res.reverted && i < j->plan.ses.n_notes; i++)
        snap_cli_note(n, j->plan.ses.notes[i]);
}

static int plan(struct snap_cli *cli, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_revert_plan_make(&cli->env, &j->req, cli->dry_run, &j->plan,
                                 err);
}

static int run(struct snap_cli *cli, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_revert_run(&cli->env, &j->req, &j->plan, &j->res, err);
}

int snap_cmd_revert(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { plan, show_plan, run, show_done,
                                               note_left };
    struct job j = { .plan = { .ses = SNAP_SESSION_INIT, .mem_fd = -1 } };
    int status;

    if (snap_cli_begin(cli, argc, argv, NULL, take, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_revert_result_dispose(&j.res);
    snap_revert_plan_dispose(&j.plan);
    snap_revert_req_dispose(&j.req);
    return status;
}
