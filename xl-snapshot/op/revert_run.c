/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a revert.
 *
 *   journal "plan"      durable: the leaves that will be made, how it was
 *   prepare             new leaves beside the current ones, domain running
 *   journal "destroy"
 *   destroy             returns when the domain's QEMU is gone
 *   hold                nobody else may open what is changed in place
 *   switch              internal snapshots applied, each undoable
 *   restore or create   the new domain, paused and watched
 *   journal "restored"  COMMIT
 *   unpause
 *   finish              what served undo goes, old leaves that nobody needs go
 *
 * Before the commit a failure puts the old leaves back and, if the domain
 * ran, boots it from them; its memory is lost then, which is said.
 */
#include "op/revert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/absent.h"
#include "op/begin.h"
#include "op/hold.h"
#include "op/needed.h"
#include "op/parts.h"
#include "op/revert_finish.h"
#include "store/journal.h"

#define BUILD_WAIT_MS (10 * 60 * 1000) /* for another creation to end */
#define BUILD_LOOK_US 200000

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
    bool destroyed; /* the journal says that it may be */
    struct snap_hold hold;
};

static int revert_run_interrupted(const struct run *r, struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR, "interrupted; nothing was changed");
    return 0;
}

/* Does another domain's snapshot need by now what would go, or what would be
 * changed in place? */
static int ask_again_of(const struct snap_revert_plan *p,
                        const struct snap_part *part, struct snap_err *err)
{
    int rc = 0;
    bool drop = false, place = false;
    struct snap_env *env = p->ses.env;
    const char *uuid = p->rec.domain_uuid;

    if (part->drop_path)
        rc = snap_others_need(env, uuid, snap_part_drop(part), &drop, err);
    if (!rc && snap_object_same(env->drivers, snap_part_in_place(part),
                                snap_part_leaf(part)))
        rc = snap_others_freeze(env, uuid, snap_part_leaf(part), &place, err);
    if (!rc && (drop || place))
        rc = snap_fail(err, SNAP_BUSY,
                       "%s: a snapshot of another domain has come to need %s as it is; nothing was changed: run it again",
                       part->vdev, drop ? part->drop_path : part->leaf_path);
    return rc;
}

static int revert_run_ask_again(void *plan, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    const struct snap_revert_plan *p = plan;

    for (i = 0; !rc && i < p->rec.n_parts; i++)
        rc = ask_again_of(p, &p->rec.parts[i], err);
    return rc;
}

static int revert_run_begin(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_intent in;

    snap_revert_intent(r->p, r->req, &in);
    rc = snap_begin(r->env, &r->p->ses.store, &in, revert_run_ask_again, r->p,
                    &r->journal, err);
    snap_intent_dispose(&in);
    return rc;
}

static int revert_run_prepare(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < r->p->rec.n_parts; i++) {
        struct snap_part *part = &r->p->rec.parts[i];

        rc = revert_run_interrupted(r, err);
        if (rc)
            return rc;
        rc = part->drv->revert_prepare(&r->ctx, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    return revert_run_interrupted(r, err);
}

int snap_revert_config(const struct snap_revert_plan *p, char **json_r,
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
    rc = snap_domain_json_set_disks(p->config_json, a, rec->n_parts, json_r,
                                    err);
    free(a);
    return rc;
}

/* Another that builds a domain would keep the guest off until it has done: the
 * guest runs, so it is waited for now. */
int snap_revert_can_build(struct snap_env *env,
                          const struct snap_revert_plan *p, const char *config,
                          bool wait, struct snap_err *err)
{
    int rc;
    bool told = false;
    const struct snap_record *r = &p->rec;
    struct snap_err why = SNAP_ERR_INIT;
    double deadline = snap_now_ms() + BUILD_WAIT_MS;

    for (;;) {
        snap_err_clear(&why);
        rc = env->ops->can_build(env->hyp, config, p->memory,
                                 p->memory ? r->versions : NULL,
                                 p->ses.there ? p->ses.dom.mem_kb : 0, &why);
        if (rc != SNAP_BUSY || !wait || snap_now_ms() >= deadline)
            break;
        if (env->interrupted && env->interrupted())
            return snap_fail(err, SNAP_INTR,
                             "interrupted; nothing was changed");
        if (!told)
            snap_say(env->log, SNAP_LOG_NOTE,
                     "%s; waiting for at most %d minutes, and the domain is left as it is until then",
                     why.msg, BUILD_WAIT_MS / 60000);
        told = true;
        usleep(BUILD_LOOK_US);
    }
    return rc ? snap_fail(err, rc, "%s", why.msg) : 0;
}

int snap_revert_refuse_suspended(const struct snap_domain *dom,
                                 struct snap_err *err)
{
    return snap_fail(err, SNAP_BUSY,
                     "%s is suspended: it is being saved or migrated; nothing was changed: try again afterwards, or xl destroy it first if that was given up",
                     dom->name);
}

/* The plan may be minutes old: is the domain still the one that it is about,
 * and could the new one be built? */
static int look_again(struct run *r, const char *config, struct snap_err *err)
{
    int rc;
    struct snap_domain now = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    const struct snap_revert_plan *p = r->p;

    rc = snap_revert_can_build(r->env, p, config, !r->req->no_wait, err);
    if (rc)
        return rc;
    rc = r->env->ops->find_uuid(r->env->hyp, p->rec.domain_uuid, &now, &why);
    if (rc && rc != SNAP_NOTFOUND)
        rc = snap_fail(err, rc, "%s", why.msg);
    else if (rc ? p->ses.there
                : !p->ses.there || now.domid != p->ses.dom.domid)
        rc = snap_fail(err, SNAP_BUSY,
                       "%s was started, stopped or rebooted while the revert was prepared; nothing was changed: run it again",
                       p->rec.domain_name);
    else
        rc = now.suspended ? snap_revert_refuse_suspended(&now, err) : 0;
    snap_domain_dispose(&now);
    return rc;
}

/*
 * A PV guest comes up without a disk that its QEMU cannot open, and then the
 * new domain cannot be built.  While all are held, everything can be put back
 * beside it.  One that is still being built is waited for: an HVM domain will
 * not be there.
 */
static int check_absent(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_domain d = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    const struct snap_revert_plan *p = r->p;

    rc = snap_absent_find(r->env, p->rec.domain_uuid, NULL, false, &d, &why);
    /* An xl.cfg without a uuid gives it another one. */
    if (rc == SNAP_NOTFOUND)
        rc = r->env->ops->find(r->env->hyp, p->rec.domain_name, &d, &why);
    if (rc)
        rc = rc == SNAP_NOTFOUND ? 0 : snap_fail(err, rc, "%s", why.msg);
    else if (!d.dying && !(p->ses.there && d.domid == p->ses.dom.domid) &&
             (snap_streq(d.uuid, p->rec.domain_uuid) ||
              snap_streq(d.name, p->rec.domain_name))) /* not its number */
        rc = snap_fail(err, SNAP_BUSY,
                       "somebody has started %s while its disks were being reverted, so that it lacks those that it was not to open: run xl destroy %s, then start it or revert again",
                       d.name, d.name);
    snap_domain_dispose(&d);
    return rc;
}

/* If it fails all are still held: what is torn is put back under it. */
static int switch_all(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_record *rec = &r->p->rec;

    rc = snap_hold_begin(&r->hold, r->env, &r->off, r->p, err);
    for (i = 0; !rc && i < rec->n_parts; i++) {
        rc = rec->parts[i].drv->revert_switch(&r->off, &rec->parts[i], err);
        if (rc)
            snap_err_prefix(err, "%s", rec->parts[i].vdev);
    }
    if (!rc && r->hold.changed)
        rc = check_absent(r, err);
    if (!rc)
        snap_hold_switched(&r->hold);
    return rc;
}

/* The irrevocable part, up to the commit. */
static int exchange(struct run *r, const char *config, struct snap_err *err)
{
    int rc;
    struct snap_revert_plan *p = r->p;
    const struct snap_hyp_ops *ops = r->env->ops;
    struct snap_json *left;

    rc = look_again(r, config, err);
    if (!rc)
        rc = snap_journal_mark(&r->journal, "destroy", NULL, err);
    if (rc)
        return rc;
    r->destroyed = true;
    if (p->ses.there) {
        rc = ops->destroy(r->env->hyp, &p->ses.dom, err);
        if (rc) {
            snap_err_prefix(err, "destroying %s", p->ses.dom.name);
            return rc;
        }
    }
    rc = switch_all(r, err);
    if (rc)
        return rc;
    if (p->memory)
        rc = ops->restore(r->env->hyp, p->mem_fd, config, p->ses.op_id,
                          &r->res->dom, err);
    else
        rc = ops->create(r->env->hyp, config, p->ses.op_id, &r->res->dom, err);
    if (rc) {
        snap_err_prefix(err, "building %s from snapshot %s",
                        p->rec.domain_name, p->rec.name);
        return rc;
    }
    snap_hold_end(&r->hold);
    left = snap_revert_left_json(r->env, &p->rec);
    rc = snap_journal_mark(&r->journal, "restored", left, err);
    snap_json_free(left);
    return rc;
}

static int revert_run_undo(struct run *r, const char *name,
                           enum snap_revert_end *end_r, struct snap_err *err)
{
    const struct snap_revert_plan *p = r->p;
    const struct snap_revert_old old = {
        .name = name,
        .config = r->destroyed && p->ses.there ? p->old_config : NULL,
        .domid = p->ses.there ? p->ses.dom.domid : UINT32_MAX,
        .paused = p->ses.there && p->ses.dom.paused,
        .had_qemu = p->ses.there && p->ses.dom.qemu_pid,
        .destroyed = r->destroyed,
        .hold = &r->hold,
    };

    return snap_revert_undo(r->env, &r->p->rec, &old, p->ses.op_id, end_r,
                            err);
}

/* Back to what was there before.  Always returns an error code. */
static int revert_run_go_back(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;
    char *name = NULL;
    enum snap_revert_end end = SNAP_REVERTED_BACK;

    rc = snap_domain_json_identity(r->p->config_json, &name, NULL, NULL, NULL,
                                   &e);
    if (!rc)
        rc = revert_run_undo(r, name, &end, &e);
    snap_hold_end(&r->hold);
    free(name);
    if (!rc && end == SNAP_REVERTED_RUNS) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "somebody has let %s run meanwhile, reverted as it is; xl snapshot-recover %s finishes the revert",
                        r->p->rec.domain_name, r->p->rec.domain_name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    if (!rc)
        rc = snap_journal_end(&r->journal, &e);
    if (rc) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "going back also failed: %s; the next snapshot command for %s tries again",
                        e.msg, r->p->rec.domain_name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    if (end == SNAP_REVERTED_BOOTED)
        snap_err_append(err,
                        "%s was started again from the disks it had; what was in its memory is lost",
                        r->p->ses.dom.name);
    else if (end == SNAP_REVERTED_LEFT)
        snap_err_append(err,
                        "the disks are as they were before; %s, which somebody has started since, was left alone",
                        r->p->rec.domain_name);
    return err->rc;
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
    res->running_before = p->ses.there;
    snap_session_ctx(&p->ses, &r.ctx);
    r.ctx.tick = snap_ctx_tick;
    snap_ctx_init(&r.off, env, UINT32_MAX, NULL, p->ses.op_id);

    rc = revert_run_begin(&r, err);
    if (rc)
        goto out;
    rc = revert_run_prepare(&r, err);
    if (!rc)
        rc = snap_revert_config(p, &config, err);
    down = snap_now_ms();
    if (!rc)
        rc = exchange(&r, config, err);
    if (rc) {
        rc = revert_run_go_back(&r, err);
        goto out;
    }

    res->reverted = true;
    if (!req->paused) {
        rc = env->ops->unpause(env->hyp, &res->dom, err);
        if (rc)
            snap_err_append(err,
                            "the domain is reverted and still paused; try xl unpause %s",
                            p->rec.domain_name);
    }
    res->down_ms = snap_now_ms() - down;
    if (!rc)
        rc = snap_revert_finish(env, &p->ses.store, &p->rec, &p->ses.state,
                                req->config_file != NULL, false, p->ses.op_id,
                                err);
    if (!rc)
        rc = snap_journal_end(&r.journal, err);
    if (rc) {
        snap_err_append(err,
                        "%s is reverted; the next snapshot command for it tidies up",
                        p->rec.domain_name);
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r.journal);
    }
    res->total_ms = snap_now_ms() - started;

out:
    free(config);
    return rc;
}
