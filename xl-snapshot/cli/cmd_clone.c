/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-clone: the request, the plan, the deed, the report.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/show_record.h"
#include "core/clone.h"
#include "lib/mem.h"

struct job {
    struct snap_clone_req req;
    struct snap_clone_plan plan;
    struct snap_clone_result res;
};

static int take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct snap_clone_req *req = ctx;
    const char *dir = snap_words_arg(w, OPT_DIR);

    snap_set(&req->domain, w->operand[0]);
    snap_set(&req->name, w->operand[1]);
    snap_set(&req->new_name, w->operand[2]);
    req->disk_only = snap_words_has(w, OPT_DISK_ONLY);
    req->eject_missing = snap_words_has(w, OPT_EJECT_MISSING);
    req->paused = snap_words_has(w, OPT_PAUSED);
    req->no_start = snap_words_has(w, OPT_NO_START);
    req->no_wait = snap_words_has(w, OPT_NO_WAIT);
    if (req->no_start && req->paused)
        return snap_fail(err, SNAP_INVAL,
                         "--paused is of no use with --no-start: the clone "
                         "is not started at all");
    if (!dir)
        return 0;
    /* Images are named by absolute paths, also from another folder. */
    req->dir = realpath(dir, NULL);
    return req->dir ? 0
                    : snap_fail(err, SNAP_INVAL, "--dir %s: %s", dir,
                                strerror(errno));
}

static const char *state_of(const struct snap_clone_req *req)
{
    if (req->no_start)
        return "not started";
    return req->paused ? "paused" : "running";
}

static const struct snap_column disk_cols[] = {
    { "vdev", "DISK" },    { "type", "SNAPSHOT" },      { "frozen", "IN" },
    { "made", "CLONE'S" }, { "path", "IS WRITTEN TO" }, { "format", NULL },
};

static void add_what(struct snap_report *r, const struct snap_clone_req *req,
                     const struct snap_clone_plan *p)
{
    size_t i;

    snap_report_str(r, "from.domain", "of", p->rec.domain_name);
    snap_report_str(r, "from.uuid", NULL, p->rec.domain_uuid);
    snap_report_str(r, "from.name", "snapshot", p->rec.name);
    snap_report_str(r, "from.id", NULL, p->rec.id);
    snap_report_bool(r, "memory", "wakes from memory", p->memory);
    snap_report_str(r, "state", "afterwards", state_of(req));
    snap_report_strv(r, "macs", "MAC addresses", p->macs, p->n_macs);
    snap_report_strv(r, "left_out", "not in it", p->left_out, p->n_left_out);
    snap_report_table(r, "disks", disk_cols,
                      sizeof(disk_cols) / sizeof(disk_cols[0]));
    for (i = 0; i < p->rec.n_parts; i++) {
        const struct snap_part *d = &p->rec.parts[i];

        snap_report_row(
            r, (const char *const[]){
                   d->vdev, snap_disk_type_name(d->type), d->frozen_path,
                   d->type == SNAP_DISK_INTERNAL ? "copy" : "overlay",
                   d->leaf_path, d->leaf_format });
    }
}

static void show_plan(struct snap_cli *cli, void *job)
{
    struct job *j = job;
    const struct snap_clone_req *req = &j->req;
    const struct snap_clone_plan *p = &j->plan;
    struct snap_report *r = snap_report_new();
    struct snap_cli_notes notes = { 0 };

    snap_report_add(r, "dry_run", "dry run", snap_json_bool(true),
                    "nothing is touched");
    snap_report_str(r, "name", "clone", req->new_name);
    add_what(r, req, p);
    snap_cli_notes_add(cli, &notes, p->ses.notes, p->ses.n_notes);
    snap_cli_show_plan(cli, r, &notes);
    snap_cli_notes_dispose(&notes);
    snap_report_free(r);
}

static void show_done(struct snap_cli *cli, void *job)
{
    struct job *j = job;
    const struct snap_clone_req *req = &j->req;
    const struct snap_clone_plan *p = &j->plan;
    const struct snap_clone_result *res = &j->res;
    struct snap_report *r = snap_report_new();
    struct snap_cli_notes notes = { 0 };
    char *total, *line, *as = NULL;

    snap_report_str(r, "name", NULL, req->new_name);
    snap_report_str(r, "uuid", NULL, p->uuid);
    snap_report_domid(r, !req->no_start, &res->dom);
    add_what(r, req, p);
    snap_report_ms(r, "total_ms", NULL, res->total_ms);
    snap_cli_notes_add(cli, &notes, p->ses.notes, p->ses.n_notes);
    total = snap_ms_human(res->total_ms);
    if (!req->no_start)
        as = snap_printf(" as domain %u", res->dom.domid);
    line = snap_printf("%s: cloned from %s of %s (%s%zu disk%s), %s%s, %s",
                       req->new_name, p->rec.name, p->rec.domain_name,
                       p->memory ? "memory and " : "", p->rec.n_parts,
                       p->rec.n_parts == 1 ? "" : "s", state_of(req),
                       as ? as : "", total);
    free(total);
    free(as);
    snap_cli_show_done(cli, r, line, &notes);
    snap_cli_notes_dispose(&notes);
    snap_report_free(r);
}

static void note_left(struct snap_cli_notes *n, const void *job)
{
    const struct job *j = job;
    size_t i;

    for (i = 0; j->res.built && i < j->plan.ses.n_notes; i++)
        snap_cli_note(n, j->plan.ses.notes[i]);
}

static int plan(struct snap_cli *cli, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_clone_plan_make(&cli->env, &j->req, cli->dry_run, &j->plan,
                                err);
}

static int run(struct snap_cli *cli, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_clone_run(&cli->env, &j->req, &j->plan, &j->res, err);
}

int snap_cmd_clone(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { plan, show_plan, run, show_done,
                                               note_left };
    struct job j = { .plan = { .ses = SNAP_SESSION_INIT, .mem_fd = -1 } };
    int status;

    if (snap_cli_begin(cli, argc, argv, NULL, take, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_clone_result_dispose(&j.res);
    snap_clone_plan_dispose(&j.plan);
    snap_clone_req_dispose(&j.req);
    return status;
}
