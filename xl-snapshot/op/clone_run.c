/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a clone.  All of it is written in the clone's own
 * folder of the store; of the snapshot and its domain nothing is changed.
 *
 *   journal "plan"   durable: the images that will be made
 *   state            which images the clone has, and whose it is
 *   prepare          the images
 *                    the snapshot's lock goes: from here on whoever deletes
 *                    the snapshot finds the clone by its state
 *   restore, create  the domain, paused and watched; or nothing (--no-start)
 *   journal "built"  COMMIT
 *   unpause
 *
 * Before the commit everything is removed again.
 */
#include "op/clone.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/begin.h"
#include "op/clone_finish.h"
#include "op/neighbours.h"
#include "op/parts.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/state.h"

void snap_clone_result_dispose(struct snap_clone_result *r)
{
    snap_domain_dispose(&r->dom);
}

struct run {
    struct snap_env *env;
    const struct snap_clone_req *req;
    struct snap_clone_plan *p;
    struct snap_clone_result *res;
    struct snap_store store; /* the clone's */
    struct snap_journal journal;
};

static int clone_run_interrupted(const struct run *r, struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR, "interrupted; nothing was changed");
    return 0;
}

static int clone_run_begin(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_intent in;

    snap_clone_intent(r->p, r->req, &in);
    rc = snap_store_open(&r->store, r->env->store_root, r->p->uuid, true, err);
    if (!rc)
        rc = snap_store_lock(&r->store, false, "snapshot-clone", r->env->log,
                             err);
    if (!rc)
        rc = snap_begin(r->env, &r->store, &in, NULL, NULL, &r->journal, err);
    snap_intent_dispose(&in);
    return rc;
}

static int save_state(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_record *rec = &r->p->rec;
    struct snap_state st = { 0 };

    st.domain_name = snap_strdup(r->req->new_name);
    st.origin.uuid = snap_strdup(rec->domain_uuid);
    st.origin.domain = snap_strdup(rec->domain_name);
    st.origin.name = snap_strdup(rec->name);
    st.origin.id = snap_strdup(rec->id);
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];

        snap_state_set_leaf(&st, p->vdev, snap_part_leaf(p), p->stem, true);
    }
    rc = snap_state_save(&r->store, &st, err);
    snap_state_dispose(&st);
    return rc;
}

static int clone_run_prepare(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_disk_ctx ctx;

    snap_ctx_init(&ctx, r->env, UINT32_MAX, NULL, r->p->ses.op_id);
    ctx.tick = snap_ctx_tick;
    for (i = 0; i < r->p->rec.n_parts; i++) {
        struct snap_part *part = &r->p->rec.parts[i];

        rc = clone_run_interrupted(r, err);
        if (!rc)
            rc = part->drv->revert_prepare(&ctx, part, err);
        if (!rc)
            rc = part->drv->revert_switch(&ctx, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    return clone_run_interrupted(r, err);
}

static int build(struct run *r, struct snap_err *err)
{
    int rc = 0;
    struct snap_clone_plan *p = r->p;
    const struct snap_hyp_ops *ops = r->env->ops;

    if (p->memory)
        rc = ops->restore(r->env->hyp, p->mem_fd, p->config_json, p->ses.op_id,
                          &r->res->dom, err);
    else if (!r->req->no_start)
        rc = ops->create(r->env->hyp, p->config_json, p->ses.op_id,
                         &r->res->dom, err);
    if (rc) {
        snap_err_prefix(err, "building %s from snapshot %s", r->req->new_name,
                        p->rec.name);
        return rc;
    }
    return snap_journal_mark(&r->journal, "built", NULL, err);
}

/* The operation has not begun: its folder, if it came to that, is empty. */
static void forget_folder(struct run *r)
{
    struct snap_store s = SNAP_STORE_INIT;

    if (!r->store.dir) {
        s.dir = snap_printf("%s/%s", r->env->store_root, r->p->uuid);
        snap_store_remove_empty(&s);
        snap_store_close(&s);
    } else {
        snap_store_remove_empty(&r->store);
    }
}

/* Nothing of the clone stays.  Always returns an error code. */
static int clone_run_go_back(struct run *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    bool there = false;

    if (snap_clone_undo(r->env, &r->store, &r->p->rec, r->req->new_name,
                        r->p->ses.op_id, false, &there, &e) ||
        (!there && snap_journal_end(&r->journal, &e))) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "removing what there is of %s failed, too: %s; xl snapshot-recover tries again",
                        r->req->new_name, e.msg);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    if (there) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "somebody has let %s run meanwhile, so it stays; xl snapshot-recover finishes it",
                        r->req->new_name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    snap_store_remove_empty(&r->store);
    return err->rc;
}

int snap_clone_run(struct snap_env *env, const struct snap_clone_req *req,
                   struct snap_clone_plan *p, struct snap_clone_result *res,
                   struct snap_err *err)
{
    int rc;
    double started = snap_now_ms();
    struct run r = {
        .env = env,
        .req = req,
        .p = p,
        .res = res,
        .store = SNAP_STORE_INIT,
        .journal = SNAP_JOURNAL_INIT,
    };

    memset(res, 0, sizeof(*res));
    rc = clone_run_interrupted(&r, err);
    if (!rc)
        rc = clone_run_begin(&r, err);
    if (rc) {
        forget_folder(&r);
        goto out;
    }
    rc = save_state(&r, err);
    /* Whoever makes one of the same name at the same time sees ours by now. */
    if (!rc)
        rc = snap_clones_name_free(env, req->new_name, r.store.uuid, true,
                                   err);
    if (!rc)
        rc = clone_run_prepare(&r, err);
    if (!rc) {
        snap_store_unlock(&p->ses.store);
        rc = build(&r, err);
    }
    if (rc) {
        rc = clone_run_go_back(&r, err);
        goto out;
    }
    res->built = true;
    if (!req->no_start && !req->paused)
        rc = env->ops->unpause(env->hyp, &res->dom, err);
    if (!rc)
        rc = snap_journal_end(&r.journal, err);
    if (rc) {
        snap_err_append(err, "%s is there%s; xl snapshot-recover finishes it",
                        req->new_name,
                        req->no_start ? "" : ", perhaps paused");
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r.journal);
    }
    res->total_ms = snap_now_ms() - started;

out:
    snap_store_close(&r.store);
    return rc;
}
