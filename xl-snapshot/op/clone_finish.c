/* SPDX-License-Identifier: LGPL-2.1-only */
/* See clone_finish.h. */
#include "op/clone_finish.h"

#include "lib/mem.h"
#include "op/leaves.h"
#include "op/owned.h"
#include "op/parts.h"
#include "op/recovery.h"
#include "store/state.h"

void snap_clone_intent(struct snap_clone_plan *p,
                       const struct snap_clone_req *req,
                       struct snap_intent *in)
{
    snap_intent_init(in, &snap_op_clone, p->ses.op_id, p->uuid, &p->rec);
    snap_set(&in->after.name, req->new_name);
    in->after.paused = req->paused;
    in->disks = snap_leaves_json(&p->rec);
}

/* Whose is the domain?  What has never run goes. */
static int end_ours(struct snap_env *env, const struct snap_owned *o,
                    struct snap_domain *dom, enum snap_owner *who_r,
                    struct snap_err *err)
{
    int rc;

    rc = snap_owned_look(env, o, dom, who_r, err);
    if (!rc && *who_r == SNAP_OWNER_OURS)
        rc = snap_owned_destroy(env, o, dom, who_r, err);
    if (!rc && (*who_r == SNAP_OWNER_BEFORE || *who_r == SNAP_OWNER_AGAIN ||
                *who_r == SNAP_OWNER_OTHER))
        rc = snap_fail(err, SNAP_REFUSED,
                       "somebody has made a domain (%s, id %u) with the UUID of the unfinished clone, which does not run on its images; it was left alone: destroy it or give it another UUID, then run xl snapshot-recover",
                       dom->name, dom->domid);
    return rc;
}

/* Nothing runs on the images now.  Has somebody let it run, and it is off
 * again? */
static int look_if_it_ran(struct snap_disk_ctx *ctx, struct snap_record *rec,
                          bool *ran_r, struct snap_err *err)
{
    int rc;
    struct snap_err why = SNAP_ERR_INIT;

    ctx->only_look = true;
    rc = snap_parts_revert_undo(ctx, rec->parts, rec->n_parts, &why);
    ctx->only_look = false;
    *ran_r = rc == SNAP_RECOVER;
    return rc && !*ran_r ? snap_fail(err, rc, "%s", why.msg) : 0;
}

int snap_clone_undo(struct snap_env *env, struct snap_store *s,
                    struct snap_record *rec, const char *name,
                    const char *op_id, bool other_boot, bool *there_r,
                    struct snap_err *err)
{
    int rc;
    struct snap_disk_ctx ctx;
    struct snap_domain dom = { 0 };
    enum snap_owner who;
    const struct snap_owned o = {
        .uuid = s->uuid,
        .name = name,
        .op_id = op_id,
        .parts = rec->parts,
        .n_parts = rec->n_parts,
        .domid = UINT32_MAX,
        .other_boot = other_boot,
    };

    *there_r = false;
    rc = end_ours(env, &o, &dom, &who, err);
    if (rc)
        goto out;
    snap_ctx_init(&ctx, env, UINT32_MAX, NULL, op_id);
    *there_r = who == SNAP_OWNER_DONE;
    if (!*there_r)
        rc = look_if_it_ran(&ctx, rec, there_r, err);
    if (rc || *there_r)
        goto out;
    rc = snap_parts_revert_undo(&ctx, rec->parts, rec->n_parts, err);
    if (!rc)
        rc = snap_state_remove(s, err);

out:
    snap_domain_dispose(&dom);
    return rc;
}

/* The journal is the clone's: its record is another domain's. */
static int recover_clone(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    bool there = false;
    const char *name = r->in.after.name;

    rc = snap_leaves_read(&r->in, err);
    if (rc)
        return rc;
    if (snap_rescue_has(r, "built")) {
        r->what = snap_printf("clone %s was finished",
                              name ? name : r->in.uuid);
        return snap_rescue_let_run(r, err);
    }
    rc = snap_rescue_mounts(r, err);
    if (rc)
        return rc;
    rc = snap_clone_undo(r->ses.env, &r->ses.store, r->in.rec, name,
                         r->in.op_id, snap_rescue_other_boot(r), &there, err);
    r->gone = !there;
    if (there)
        r->what = snap_printf("clone %s was finished: somebody has let it run; its UUID is %s, and %s/state.json names its images",
                              name ? name : r->in.uuid, r->in.uuid,
                              r->ses.store.dir);
    else
        r->what = snap_printf("unfinished clone %s was undone",
                              name ? name : r->in.uuid);
    return rc;
}

const struct snap_op snap_op_clone = {
    .name = "clone",
    .disks = SNAP_LEAVES,
    .check = snap_leaves_check,
    .uses = snap_leaves_uses,
    .recover = recover_clone,
};
