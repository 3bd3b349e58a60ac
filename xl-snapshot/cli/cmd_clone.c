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

static int on_option(void *ctx, const struct snap_opt *opt, const char *arg,
                     struct snap_err *err)
{
    struct snap_clone_req *req = ctx;

    switch (opt->id) {
    case OPT_DISK_ONLY:
        req->disk_only = true;
        return 0;
    case OPT_EJECT_MISSING:
        req->eject_missing = true;
        return 0;
    case OPT_PAUSED:
        req->paused = true;
        return 0;
    case OPT_NO_START:
        req->no_start = true;
        return 0;
    case OPT_NO_WAIT:
        req->no_wait = true;
        return 0;
    case OPT_DIR:
        /* Images are named by absolute paths, also from another folder. */
        req->dir = realpath(arg, NULL);
        return req->dir ? 0
                        : snap_fail(err, SNAP_INVAL, "--dir %s: %s", arg,
                                    strerror(errno));
    default:
        return snap_fail(err, SNAP_INVAL, "--%s is not handled", opt->name);
    }
}

static int operands(void *ctx, int argc, char **argv, struct snap_err *err)
{
    struct snap_clone_req *req = ctx;
    int rc;

    if (argc < 1)
        return snap_fail(err, SNAP_INVAL, "which domain?");
    if (!*argv[0])
        return snap_fail(err, SNAP_INVAL, "the name of the domain is empty");
    if (argc < 2)
        return snap_fail(err, SNAP_INVAL, "clone which snapshot of %s?",
                         argv[0]);
    if (argc < 3)
        return snap_fail(err, SNAP_INVAL,
                         "what is the clone of %s to be called?", argv[0]);
    if (argc > 3)
        return snap_fail(err, SNAP_INVAL, "'%s' is one word too many",
                         argv[3]);
    if (req->no_start && req->paused)
        return snap_fail(err, SNAP_INVAL,
                         "--paused is of no use with --no-start: the clone "
                         "is not started at all");
    req->domain = snap_strdup(argv[0]);
    req->name = snap_strdup(argv[1]);
    req->new_name = snap_strdup(argv[2]);
    rc = snap_name_check(req->name, err);
    return rc ? rc : snap_name_check(req->new_name, err);
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

    if (snap_cli_begin(cli, argc, argv, on_option, operands, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_clone_result_dispose(&j.res);
    snap_clone_plan_dispose(&j.plan);
    snap_clone_req_dispose(&j.req);
    return status;
}
