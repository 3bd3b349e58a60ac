/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-create: options and file into a request, the plan, the deed, the
 * report.  What the request means is model/request.h's and op/create.h's.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/failure.h"
#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/output.h"
#include "cli/show_record.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "op/create.h"

static int set_type(struct snap_create_req *req, const char *arg,
                    struct snap_err *err)
{
    if (!strcmp(arg, "internal"))
        req->type = SNAP_DISK_INTERNAL;
    else if (!strcmp(arg, "external"))
        req->type = SNAP_DISK_EXTERNAL;
    else
        return snap_fail(err, SNAP_INVAL,
                         "--type %s: it is 'internal' or 'external'", arg);
    snap_set(&req->origin_type, "--type");
    return 0;
}

static int set_memory(struct snap_create_req *req, enum snap_memory_want want,
                      const char *origin, struct snap_err *err)
{
    if (req->origin_memory && req->memory != want)
        return snap_fail(err, SNAP_INVAL,
                         "%s and %s contradict each other; leave one out",
                         req->origin_memory, origin);
    req->memory = want;
    snap_set(&req->origin_memory, origin);
    return 0;
}

static int create_add_disk(struct snap_create_req *req, const char *spec,
                           bool skip, struct snap_err *err)
{
    int rc;
    struct snap_disk_choice c = { 0 };
    char *origin;

    origin = snap_printf("--%s %.*s", skip ? "no-disk" : "disk",
                         (int)strcspn(spec, ","), spec);
    if (skip) {
        rc = snap_vdev_check(spec, err);
        if (rc) {
            snap_err_prefix(err, "--no-disk");
            goto out;
        }
        c.vdev = snap_strdup(spec);
        c.origin = snap_strdup(origin);
        c.skip = true;
    } else {
        rc = snap_disk_choice_parse(spec, false, origin, &c, err);
        if (rc)
            goto out;
    }
    rc = snap_create_req_add_disk(req, &c, err);

out:
    free(origin);
    return rc;
}

struct job {
    struct snap_create_req req;
    const char *config; /* the file with the rest of the request, or NULL */
    struct snap_create_plan plan;
    struct snap_create_result res;
};

/* A recovery looks for it from another folder.  What cannot be resolved is told
 * when it is written. */
static void set_output(struct snap_create_req *req, const char *path)
{
    char *dir = snap_dirname(path);
    char *real = path[0] == '/' ? NULL : realpath(dir, NULL);

    snap_free(&req->output);
    req->output = real ? snap_printf("%s/%s", real, snap_basename(path))
                       : snap_strdup(path);
    free(real);
    free(dir);
}

static int on_option(void *ctx, const struct snap_opt *opt, const char *arg,
                     struct snap_err *err)
{
    struct snap_create_req *req = &((struct job *)ctx)->req;

    switch (opt->id) {
    case OPT_NAME:
        snap_set(&req->name, arg);
        snap_set(&req->origin_name, "--name");
        return 0;
    case OPT_DESCRIPTION:
        snap_set(&req->description, arg);
        snap_set(&req->origin_description, "--description");
        return 0;
    case OPT_DISK_ONLY:
        return set_memory(req, SNAP_MEM_NO, "--disk-only", err);
    case OPT_MEMORY:
        snap_set(&req->memory_file, arg);
        return set_memory(req, SNAP_MEM_YES, "--memory", err);
    case OPT_LIVE:
        req->live = 1;
        snap_set(&req->origin_live, "--live");
        return 0;
    case OPT_PAUSED:
        req->paused = true;
        return 0;
    case OPT_TYPE:
        return set_type(req, arg, err);
    case OPT_DISK:
        return create_add_disk(req, arg, false, err);
    case OPT_NO_DISK:
        return create_add_disk(req, arg, true, err);
    case OPT_REUSE_EXTERNAL:
        req->reuse_external = true;
        return 0;
    case OPT_KEEP_PATH:
        req->keep_path = true;
        return 0;
    case OPT_DOMAIN_CONFIG:
        if (!*arg)
            return snap_fail(err, SNAP_INVAL,
                             "--domain-config: the file's name is empty");
        snap_set(&req->domain_config, arg);
        return 0;
    case OPT_NO_METADATA:
        req->no_metadata = true;
        return 0;
    case OPT_OUTPUT:
        set_output(req, arg);
        return 0;
    case OPT_NO_WAIT:
        req->no_wait = true;
        return 0;
    default:
        return snap_fail(err, SNAP_INVAL, "--%s is not handled", opt->name);
    }
}

static int create_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct job *j = ctx;

    (void)err;
    snap_set(&j->req.domain, w->operand[0]);
    j->config = w->operand[1];
    return 0;
}

static int merge_config(struct snap_cli *cli, struct snap_create_req *req,
                        const char *file, struct snap_err *err)
{
    int rc;
    struct snap_cfg cfg = { 0 };
    char *text = NULL;
    size_t len = 0;

    rc = snap_file_read(file, SNAP_CFG_MAX, &text, &len, err);
    if (rc) {
        if (rc == SNAP_NOTFOUND && !strchr(file, '/') &&
            snap_file_exists(req->domain))
            snap_err_append(err,
                            "a configuration file that comes before the domain needs a slash, as in ./%s",
                            req->domain);
        /* The command was wrong, and nothing was begun: exit 2. */
        err->rc = rc = SNAP_INVAL;
        goto out;
    }
    rc = cli->env.cfg_parse(file, text, len, &cfg, err);
    if (rc)
        goto out;
    rc = snap_create_req_merge(req, &cfg, err);

out:
    snap_cfg_dispose(&cfg);
    free(text);
    return rc;
}

static const struct snap_column disk_cols[] = {
    { "vdev", "DISK" },          { "type", "TYPE" },
    { "path", "IMAGE NOW" },     { "active", "GUEST WRITES TO" },
    { "frozen", "SNAPSHOT IN" }, { "format", NULL },
};

static void add_part(struct snap_report *r, const struct snap_part *p)
{
    snap_report_row(r, (const char *const[]){
                           p->vdev, snap_disk_type_name(p->type), p->path,
                           p->active_path, p->frozen_path, p->active_format });
}

/* Where the memory will be, and how much room it wants. */
static void add_needs(struct snap_report *r, const struct snap_create_plan *p)
{
    uint64_t size = p->ses.dom.mem_kb << 10;

    if (p->rec.has_memory) {
        snap_report_str(r, "memory.path", "memory goes to", p->rec.mem_path);
        snap_report_size(r, "memory.size", "its size now", size);
        snap_report_bool(r, "memory.live", "live", p->rec.live);
    } else {
        snap_report_add(r, "memory", NULL, snap_json_null(), NULL);
    }
    if (p->space_needed)
        snap_report_size(r, "space_needed", "space needed", p->space_needed);
    if (p->space_needed || p->space_free)
        snap_report_size(r, "space_free", "space free there", p->space_free);
}

static void create_tell_plan(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_create_plan *p = &j->plan;
    const struct snap_domain *dom = &p->ses.dom;
    const char *type = snap_guest_type_name(dom->type);
    char *text;

    snap_report_str(t->r, "name", "snapshot", p->rec.name);
    text = p->ses.there
               ? snap_printf("%s (id %u, %s, %s)", dom->name, dom->domid, type,
                             snap_domain_state(dom))
               : snap_printf("%s (%s, does not run)", dom->name, type);
    snap_report_add(t->r, "domain", "domain", snap_json_str(dom->name), text);
    free(text);
    snap_report_domid(t->r, p->ses.there, dom);
    snap_report_str(t->r, "state", NULL, snap_session_state(&p->ses));
    snap_report_record(t->r, &p->rec);
    add_needs(t->r, p);
    snap_report_strv(t->r, "left_out", "left out", p->rec.left_out,
                     p->rec.n_left_out);
    snap_report_disks(t->r, disk_cols, SNAP_COLUMNS(disk_cols), add_part,
                      &p->rec);
    snap_tell_notes(t, &p->ses);
}

/* "s1: vm1, memory and 2 disks (xvda internal, xvdb external), …" */
static char *sentence(const struct snap_create_req *req,
                      const struct snap_create_plan *p,
                      const struct snap_create_result *res)
{
    const struct snap_record *rec = &p->rec;
    struct snap_buf b = { 0 };
    char *text;
    size_t i;

    text = snap_record_what(rec);
    snap_buf_addf(&b, "%s: %s, %s", rec->name, rec->domain_name, text);
    free(text);
    for (i = 0; i < rec->n_parts; i++)
        snap_buf_addf(&b, "%s%s %s", i ? ", " : " (", rec->parts[i].vdev,
                      snap_disk_type_name(rec->parts[i].type));
    if (rec->n_parts)
        snap_buf_adds(&b, ")");
    if (rec->has_memory) {
        text = snap_size_human(rec->mem_size);
        snap_buf_addf(&b, ", %s", text);
        free(text);
    }
    if (res->window_ms > 0) {
        text = snap_ms_human(res->window_ms);
        snap_buf_addf(&b, ", guest stood still %s", text);
        free(text);
    }
    if (req->paused)
        snap_buf_adds(&b, ", left paused");
    return b.data;
}

static void create_add_memory(struct snap_report *r,
                              const struct snap_record *rec)
{
    if (!rec->has_memory) {
        snap_report_add(r, "memory", NULL, snap_json_null(), NULL);
        return;
    }
    snap_report_str(r, "memory.path", NULL, rec->mem_path);
    snap_report_size(r, "memory.size", NULL, rec->mem_size);
    snap_report_str(r, "memory.checksum", NULL, rec->mem_hash);
    snap_report_bool(r, "memory.live", NULL, rec->live);
}

static void create_tell_done(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_create_result *res = &j->res;
    const struct snap_record *rec = &j->plan.rec;

    snap_report_str(t->r, "name", NULL, rec->name);
    snap_report_str(t->r, "domain", NULL, rec->domain_name);
    snap_report_record(t->r, rec);
    create_add_memory(t->r, rec);
    snap_report_disks(t->r, disk_cols, SNAP_COLUMNS(disk_cols), add_part, rec);
    snap_report_strv(t->r, "left_out", NULL, rec->left_out, rec->n_left_out);
    snap_report_ms(t->r, "window_ms", NULL, res->window_ms);
    snap_report_ms(t->r, "disks_ms", NULL, res->disks_ms);
    snap_report_ms(t->r, "total_ms", NULL, res->total_ms);
    snap_report_bool(t->r, "paused", NULL,
                     j->req.paused || j->plan.paused_before);
    if (res->output)
        snap_report_str(t->r, "output", NULL, res->output);
    snap_tell_notes(t, &j->plan.ses);
    snap_cli_note(&t->notes, res->stale_path_hint);
    snap_cli_note(&t->notes, res->monitor_note);

    snap_tell_line(t, sentence(&j->req, &j->plan, res));
    if (res->output)
        snap_tell_line(t,
                       snap_printf("%s describes it; snapshot-revert --config needs that file",
                                   res->output));
}

static void create_note_left(struct snap_tell *t, const void *job)
{
    const struct job *j = job;

    snap_cli_note(&t->notes, j->res.stale_path_hint);
}

static int create_plan(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_create_plan_make(&t->cli->env, &j->req, t->cli->dry_run,
                                 &j->plan, err);
}

static int create_run(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_create_run(&t->cli->env, &j->req, &j->plan, &j->res, err);
}

/* What the file says and what the command says make one request. */
static int complete(struct snap_cli *cli, struct job *j, struct snap_err *err)
{
    int rc = 0;

    if (j->config) {
        rc = snap_cli_load(cli, err);
        if (!rc)
            rc = merge_config(cli, &j->req, j->config, err);
    }
    return rc ? rc : snap_create_req_check(&j->req, err);
}

int snap_cmd_create(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { create_plan, create_tell_plan,
                                               create_run, create_tell_done,
                                               create_note_left };
    struct job j = { .req = { .live = -1 },
                     .plan = { .ses = SNAP_SESSION_INIT } };
    struct snap_err err = SNAP_ERR_INIT;
    int status;

    if (snap_cli_begin(cli, argc, argv, on_option, create_take, &j, &status))
        status = complete(cli, &j, &err) ? snap_cli_fail(cli, &err)
                                         : snap_cli_do(cli, &steps, &j);
    snap_create_result_dispose(&j.res);
    snap_create_plan_dispose(&j.plan);
    snap_create_req_dispose(&j.req);
    return status;
}
