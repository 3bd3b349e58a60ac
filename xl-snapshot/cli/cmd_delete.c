/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-delete: the request, the plan, the deed, the report.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/show_notes.h"
#include "cli/show_record.h"
#include "lib/mem.h"
#include "op/delete.h"
#include "op/parts.h"

static int delete_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct snap_delete_req *req = ctx;

    snap_set(&req->domain, w->operand[0]);
    snap_set(&req->name, w->operand[1]);
    req->children = snap_words_has(w, OPT_CHILDREN);
    req->children_only = snap_words_has(w, OPT_CHILDREN_ONLY);
    req->no_wait = snap_words_has(w, OPT_NO_WAIT);
    if (req->children && req->children_only)
        return snap_fail(err, SNAP_INVAL,
                         "either --children or --children-only, not both");
    return 0;
}

static const struct snap_column disk_cols[] = {
    { "snapshot", "SNAPSHOT" },  { "vdev", "DISK" },     { "type", "TYPE" },
    { "frozen", "SNAPSHOT IN" }, { "data", "WHICH IS" },
};

struct job {
    struct snap_delete_req req;
    struct snap_delete_plan plan;
    struct snap_delete_result res;
    struct snap_tell *t; /* what is told of each snapshot that goes */
    char **names;
    size_t n;
    double since;
};

/* Of each disk only the last word counts: where it is in the end. */
static void note_once(struct snap_cli_notes *n, const char *text)
{
    size_t i, len = strcspn(text, ":") + 1;

    for (i = 0; i < n->n; i++)
        if (!strncmp(n->v[i], text, len)) {
            snap_set(&n->v[i], text);
            return;
        }
    snap_cli_note(n, text);
}

/* The table of disks is open in the report. */
static void add_disks(struct snap_tell *t, const struct snap_delete_plan *p)
{
    size_t i;

    for (i = 0; i < p->rec.n_parts; i++) {
        const struct snap_part *part = &p->rec.parts[i];
        char *what = snap_delete_what(part, &p->del[i]);

        snap_report_row(t->r,
                        (const char *const[]){ p->rec.name, part->vdev,
                                               snap_disk_type_name(part->type),
                                               part->frozen_path, what });
        free(what);
    }
    for (i = 0; i < p->ses.n_notes; i++)
        note_once(&t->notes, p->ses.notes[i]);
}

static void on_done(void *opaque, const struct snap_delete_plan *p)
{
    struct job *j = opaque;
    double now = snap_now_ms();
    char *what = snap_record_what(&p->rec);
    char *time = snap_ms_human(now - j->since);

    add_disks(j->t, p);
    j->names = snap_realloc(j->names, j->n + 1, sizeof(*j->names));
    j->names[j->n++] = snap_strdup(p->rec.name);
    if (!j->t->cli->json)
        snap_sink_flush(j->t->cli->sink);
    snap_tell_line(j->t, snap_printf("%s: deleted from %s (%s), %s",
                                     p->rec.name, p->ses.name, what, time));
    free(time);
    free(what);
    j->since = now;
}

static void delete_tell_plan(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_delete_plan *p = &j->plan;
    char *text = snap_session_text(&p->ses, p->ses.name);

    snap_report_add(t->r, "domain", "domain", snap_json_str(p->ses.name),
                    text);
    free(text);
    snap_report_domid(t->r, p->ses.there, &p->ses.dom);
    snap_report_str(t->r, "state", NULL, snap_session_state(&p->ses));
    snap_report_strv(t->r, "deleted", p->n_names > 1 ? "in this order" : NULL,
                     p->names, p->n_names);
    if (p->n_names && p->rec.has_memory)
        snap_report_str(t->r, "memory.path", "memory image", p->rec.mem_path);
    snap_report_table(t->r, "disks", disk_cols, SNAP_COLUMNS(disk_cols));
    if (p->n_names)
        add_disks(t, p);
    if (p->n_names > 1)
        snap_cli_note(&t->notes,
                      "what becomes of the images of the others depends on those before and is planned when it is their turn");
}

static void delete_tell_done(struct snap_tell *t, void *job)
{
    struct job *j = job;
    const struct snap_delete_plan *p = &j->plan;

    snap_report_str(t->r, "domain", NULL, p->ses.name);
    snap_report_domid(t->r, p->ses.there, &p->ses.dom);
    snap_report_str(t->r, "uuid", NULL, p->ses.uuid);
    snap_report_strv(t->r, "deleted", NULL, j->names, j->n);
    snap_report_ms(t->r, "total_ms", NULL, j->res.total_ms);
    /* Each was told when it was done. */
    if (!p->n_names)
        snap_tell_line(t,
                       snap_strdup("nothing descends from it; nothing was deleted"));
}

/* Those of what is gone are in t already. */
static void delete_note_left(struct snap_tell *t, const void *job)
{
    const struct job *j = job;

    if (j->res.left)
        snap_session_notes(&t->notes, &j->plan.ses);
}

static int delete_plan(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    return snap_delete_plan_make(&t->cli->env, &j->req, t->cli->dry_run,
                                 &j->plan, err);
}

static int delete_run(struct snap_tell *t, void *job, struct snap_err *err)
{
    struct job *j = job;

    snap_report_table(t->r, "disks", disk_cols, SNAP_COLUMNS(disk_cols));
    j->t = t;
    j->since = snap_now_ms();
    return snap_delete_run(&t->cli->env, &j->plan, &j->res, err);
}

int snap_cmd_delete(struct snap_cli *cli, int argc, char **argv)
{
    static const struct snap_cli_job steps = { delete_plan, delete_tell_plan,
                                               delete_run, delete_tell_done,
                                               delete_note_left };
    struct job j = { .plan = { .ses = SNAP_SESSION_INIT } };
    int status;

    j.res.done = on_done;
    j.res.opaque = &j;
    if (snap_cli_begin(cli, argc, argv, NULL, delete_take, &j.req, &status))
        status = snap_cli_do(cli, &steps, &j);
    snap_notes_free(&j.names, &j.n);
    snap_delete_plan_dispose(&j.plan);
    snap_delete_req_dispose(&j.req);
    return status;
}
