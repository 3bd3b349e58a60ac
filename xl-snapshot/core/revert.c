/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a revert.
 *
 *   journal "plan"      durable: the leaves that will be made, how it was
 *   prepare             new leaves beside the current ones, domain running
 *   journal "destroy"
 *   destroy             returns when the domain's QEMU is gone
 *   switch              internal snapshots applied, each undoable
 *   restore or create   the new domain, paused and watched
 *   journal "restored"  COMMIT
 *   unpause
 *   finish              what served undo goes, old leaves that nobody needs go
 *
 * Before the commit a failure puts the old leaves back and, if the domain
 * ran, boots it from them; its memory is lost then, which is said.
 */
#include "core/revert.h"

#include <stdlib.h>
#include <string.h>

#include "core/domcfg.h"
#include "core/journal.h"
#include "core/parts.h"
#include "core/recover.h"
#include "core/reverted.h"
#include "lib/mem.h"

void snap_revert_result_dispose(struct snap_revert_result *r)
{
    snap_domain_dispose(&r->dom);
}

struct run {
    struct snap_env *env;
    const struct snap_revert_req *req;
    struct snap_revert_plan *p;
    struct snap_revert_result *res;
    struct snap_disk_ctx ctx; /* of the domain as it runs before */
    struct snap_disk_ctx off; /* of no domain */
    struct snap_journal journal;
    bool destroyed;
    bool restored;
};

static int interrupted(const struct run *r, struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR, "interrupted; nothing was changed");
    return 0;
}

static int begin(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_json *plan = snap_reverted_plan_json(r->p, r->req->paused,
                                                     r->req->config_file);

    rc = snap_recover_plan(r->env, &r->p->store, "revert", plan, &r->journal,
                           err);
    snap_json_free(plan);
    return rc;
}

static int prepare(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < r->p->rec.n_parts; i++) {
        struct snap_part *part = &r->p->rec.parts[i];

        rc = interrupted(r, err);
        if (rc)
            return rc;
        rc = part->drv->revert_prepare(&r->ctx, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    return interrupted(r, err);
}

static int build_config(const struct snap_revert_plan *p, char **json_r,
                        struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_record *rec = &p->rec;
    struct snap_active *a = snap_realloc(NULL, rec->n_parts + 1, sizeof(*a));

    for (i = 0; i < rec->n_parts; i++) {
        a[i].vdev = rec->parts[i].vdev;
        a[i].path = rec->parts[i].leaf_path;
        a[i].format = rec->parts[i].leaf_format;
    }
    rc = snap_domcfg_set_disks(p->config_json, a, rec->n_parts, json_r, err);
    free(a);
    return rc;
}

/* The irrevocable part, up to the commit. */
static int exchange(struct run *r, const char *config, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_revert_plan *p = r->p;
    const struct snap_hyp_ops *ops = r->env->ops;

    rc = snap_journal_mark(&r->journal, "destroy", NULL, err);
    if (rc)
        return rc;
    if (p->running) {
        r->destroyed = true;
        rc = ops->destroy(r->env->hyp, &p->dom, err);
        if (rc) {
            snap_err_prefix(err, "destroying %s", p->dom.name);
            return rc;
        }
    }
    for (i = 0; i < p->rec.n_parts; i++) {
        struct snap_part *part = &p->rec.parts[i];

        rc = part->drv->revert_switch(&r->off, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    if (p->rec.has_memory)
        rc = ops->restore(r->env->hyp, p->mem_fd, config, &r->res->dom, err);
    else
        rc = ops->create(r->env->hyp, config, &r->res->dom, err);
    if (rc) {
        snap_err_prefix(err, "building %s from snapshot %s",
                        p->rec.domain_name, p->rec.name);
        return rc;
    }
    r->restored = true;
    rc = snap_journal_mark(&r->journal, "restored", NULL, err);
    return rc;
}

/* Back to what was there before.  Always returns an error code. */
static int go_back(struct run *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    bool booted = false;
    const struct snap_reverted_old old = {
        .uuid = r->p->running ? r->p->dom.uuid : NULL,
        .config = r->destroyed ? r->p->old_config : NULL,
        .paused = r->p->dom.paused,
    };

    if (r->restored) {
        /* Built, but the commit could not be written: it has not run yet. */
        if (r->env->ops->destroy(r->env->hyp, &r->res->dom, &e))
            goto recover;
        snap_domain_dispose(&r->res->dom);
        memset(&r->res->dom, 0, sizeof(r->res->dom));
    }
    if (snap_reverted_undo(r->env, r->p->rec.parts, r->p->rec.n_parts, &old,
                           r->p->op_id, &booted, &e))
        goto recover;
    if (snap_journal_end(&r->journal, &e))
        goto recover;
    if (booted)
        snap_err_append(err,
                        "%s was started again from the disks it had; "
                        "what was in its memory is lost",
                        r->p->dom.name);
    return err->rc;

recover:
    snap_journal_dispose(&r->journal);
    snap_err_append(err,
                    "going back also failed: %s; the next snapshot "
                    "command for %s tries again",
                    e.msg, r->p->rec.domain_name);
    err->rc = SNAP_RECOVER;
    return SNAP_RECOVER;
}

int snap_revert_run(struct snap_env *env, const struct snap_revert_req *req,
                    struct snap_revert_plan *p, struct snap_revert_result *res,
                    struct snap_err *err)
{
    int rc;
    double started = snap_now_ms(), down;
    char *config = NULL;
    struct run r = {
        .env = env,
        .req = req,
        .p = p,
        .res = res,
        .journal = SNAP_JOURNAL_INIT,
    };

    memset(res, 0, sizeof(*res));
    res->running_before = p->running;
    snap_ctx_init(&r.ctx, env, p->running ? p->dom.domid : UINT32_MAX, NULL,
                  p->op_id);
    snap_ctx_init(&r.off, env, UINT32_MAX, NULL, p->op_id);

    rc = begin(&r, err);
    if (rc)
        goto out;
    rc = prepare(&r, err);
    if (!rc)
        rc = build_config(p, &config, err);
    down = snap_now_ms();
    if (!rc)
        rc = exchange(&r, config, err);
    if (rc) {
        rc = go_back(&r, err);
        goto out;
    }

    if (!req->paused) {
        rc = env->ops->unpause(env->hyp, &res->dom, err);
        if (rc)
            snap_err_append(err,
                            "the domain is reverted and still paused; "
                            "try xl unpause %s",
                            p->rec.domain_name);
    }
    res->down_ms = snap_now_ms() - down;
    if (!rc)
        rc = snap_reverted_finish(env, &p->store, &p->rec, &p->state,
                                  req->config_file != NULL, false, p->op_id,
                                  err);
    if (!rc)
        rc = snap_journal_end(&r.journal, err);
    if (rc) {
        snap_err_append(err,
                        "%s is reverted; the next snapshot command for "
                        "it tidies up",
                        p->rec.domain_name);
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r.journal);
    }
    res->total_ms = snap_now_ms() - started;

out:
    free(config);
    return rc;
}
