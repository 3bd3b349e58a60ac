/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-clone: the request, the plan, the deed, the report.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/show_notes.h"
#include "cli/show_record.h"
#include "lib/mem.h"
#include "op/clone.h"

struct job {
    struct snap_clone_req req;
    struct snap_clone_plan plan;
    struct snap_clone_result res;
};

static int clone_take(void *ctx, struct snap_words *w, struct snap_err *err)
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
                         "--paused is of no use with --no-start: the clone is not started at all");
    if (!dir)
        return 0;
    /* Images are named by absolute paths, also from another folder. */
    req->dir = realpath(dir, NULL);
    return req->dir ? 0
                    : snap_fail(err, SNAP_INVAL, "--dir %s: %s", dir,
                                strerror(errno));
}

static const char *clone_state_of(const struct snap_clone_req *req)
{
    if (req->no_start)
        return "not started";
    return req->paused ? "paused" : "running";
}

static const struct snap_column disk_cols[] = {
    { "vdev", "DISK" },    { "type", "SNAPSHOT" },      { "frozen", "IN" },
    { "made", "CLONE'S" }, { "path", "IS WRITTEN TO" }, { "format", NULL },
};

static void clone_add_disk(struct snap_report *r, const struct snap_part *p)
{
    snap_report_row(r,
                    (const char *const[]){
                        p->vdev, snap_disk_type_name(p->type), p->frozen_path,
                        p->drv->read_through ? "overlay" : "copy",
                        p->leaf_path, p->leaf_format });
}

static void add_what(struct snap_report *r, const struct snap_clone_req *req,
                     const struct snap_clone_plan *p)
{
    snap_report_str(r, "from.domain", "of", p->rec.domain_name);
    snap_report_str(r, "from.uuid", NULL, p->rec.domain_uuid);
    snap_report_str(r, "from.name", "snapshot", p->rec.name);
    snap_report_str(r, "from.id", NULL, p->rec.id);
    snap_report_bool(r, "memory", "wakes from memory", p->memory);
    snap_report_str(r, "state", "afterwards", clone_state_of(req));
    snap_report_strv(r, "macs", "MAC addresses", p->macs, p->n_macs);
    snap_report_strv(r, "left_out", "not in it", p->left_out, p->n_left_out);
    snap_report_disks(r, disk_cols, SNAP_COLUMNS(disk_cols), clone_add_disk,
                      &p->rec);
}

static void clone_tell_plan(struct snap_tell *t, void *job)
{
    struct job *j = job;

    snap_report_str(t->r, "name", "clone", j->req.new_name);
    add_what(t->r, &j->req, &j->plan);
    snap_tell_notes(t, &j->plan.ses);
}

static void clone_tell_done(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_clone_req *req = &j->req;
    const struct snap_clone_plan *p = &j->plan;
    const struct snap_clone_result *res = &j->res;
    char *what = snap_what(p->memory, p->rec.n_parts);
    char *total = snap_ms_human(res->total_ms);
    char *as = req->no_start ? snap_strdup("")
                             : snap_printf(" as domain %u", res->dom.domid);

    snap_report_str(t->r, "name", NULL, req->new_name);
    snap_report_str(t->r, "uuid", NULL, p->uuid);
    snap_report_domid(t->r, !req->no_start, &res->dom);
    add_what(t->r, req, p);
    snap_report_ms(t->r, "total_ms", NULL, res->total_ms);
    snap_tell_notes(t, &p->ses);
    snap_tell_line(t,
                   snap_printf("%s: cloned from %s of %s (%s), %s%s, %s",
                               req->new_name, p->rec.name, p->rec.domain_name,
                               what, clone_state_of(req), as, total));
    free(as);
    free(total);
    free(what);
}

static void clone_note_left(struct snap_tell *t, const void *job)
{
    const struct job *j = job;

    if (j->res.built)
        snap_session_notes(&t->notes, &j->plan.ses);
}

static int clone_plan(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_clone_plan_make(&t->cli->env, &j->req, t->cli->dry_run,
                                &j->plan, err);
}

static int clone_run(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_clone_run(&t->cli->env, &j->req, &j->plan, &j->res, err);
}

int snap_cmd_clone(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { clone_plan, clone_tell_plan,
                                               clone_run, clone_tell_done,
                                               clone_note_left };
    struct job j = { .plan = { .ses = SNAP_SESSION_INIT, .mem_fd = -1 } };
    int status;

    if (snap_cli_begin(cli, argc, argv, NULL, clone_take, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_clone_result_dispose(&j.res);
    snap_clone_plan_dispose(&j.plan);
    snap_clone_req_dispose(&j.req);
    return status;
}
