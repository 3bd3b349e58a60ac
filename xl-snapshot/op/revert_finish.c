/* SPDX-License-Identifier: LGPL-2.1-only */
/* See revert_finish.h.  Every function here may run a second time. */
#include "op/revert_finish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/leaves.h"
#include "op/owned.h"
#include "op/parts.h"
#include "op/recovery.h"
#include "op/stale.h"
#include "op/stamp.h"
#include "store/state.h"

/* How often it is looked whether an image is closed. */
#define LOOK_MS 250

void snap_revert_intent(struct snap_revert_plan *p,
                        const struct snap_revert_req *req,
                        struct snap_intent *in)
{
    snap_intent_init(in, &snap_op_revert, p->ses.op_id, p->rec.domain_uuid,
                     &p->rec);
    snap_intent_before(in, &p->ses);
    snap_set(&in->before.config, p->old_config);
    in->after.paused = req->paused;
    in->after.no_metadata = req->config_file != NULL;
    in->disks = snap_leaves_json(&p->rec);
}

struct snap_json *snap_revert_left_json(const struct snap_env *env,
                                        struct snap_record *rec)
{
    size_t i;
    struct snap_json *left = snap_json_object();

    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *p = &rec->parts[i];

        if (!snap_object_has_path(snap_part_drop(p)))
            continue;
        env->image_stamp(p->drop_path, &p->dropped);
        snap_json_set(left, p->vdev, snap_stamp_json(&p->dropped));
    }
    return left;
}

/* And back. */
static void revert_left(const struct snap_json *left, struct snap_record *rec)
{
    size_t i;

    for (i = 0; i < rec->n_parts; i++)
        snap_stamp_from_json(snap_json_get(left, rec->parts[i].vdev),
                             &rec->parts[i].dropped);
}

/* A new image, or the copy that came instead of one in place; or it was before.
 */
static bool made_leaf(const struct snap_env *env, const struct snap_state *st,
                      const struct snap_part *p)
{
    const struct snap_leaf *old = snap_state_leaf(st, p->vdev);

    return !snap_object_same(env->drivers, snap_part_leaf(p),
                             snap_part_in_place(p)) ||
           (old && old->made && snap_streq(old->path, p->leaf_path) &&
            snap_streq(old->kind, p->leaf_kind));
}

/* The QEMU of the domain that is there, if any: what is in an image that it
 * has open, only it may change.  Without it (the domain may be gone again, or
 * half, or have no disks) the drivers say what they leave. */
static int its_qemu(struct snap_env *env, const char *uuid,
                    struct snap_qmp **q_r, struct snap_err *err)
{
    int rc;
    struct snap_domain dom = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    rc = env->ops->find_uuid(env->hyp, uuid, &dom, &why);
    if (!rc)
        rc = env->ops->qmp_open(env->hyp, &dom, q_r, &why);
    snap_domain_dispose(&dom);
    if (rc == SNAP_NOTFOUND || rc == SNAP_UNSUPPORTED)
        return 0;
    return rc ? snap_fail(err, rc, "%s", why.msg) : 0;
}

/* What the domain had before the revert, and what became of that since. */
struct before {
    bool has; /* it runs on that */
    bool runs; /* or on what the revert made */
    bool changed; /* somebody has written to it */
    int64_t old_ns, new_ns; /* when it was, and what the revert made */
    char *list; /* of the images */
};

/* What is no file has none. */
static void stamp_of(const struct snap_env *env, struct snap_object o,
                     struct snap_stamp *now_r)
{
    if (snap_object_has_path(o))
        env->image_stamp(o.id, now_r);
    else
        *now_r = (struct snap_stamp){ .known = false };
}

static void look_at_images(const struct snap_env *env,
                           const struct snap_record *rec, struct before *b)
{
    size_t i;
    char *s;
    struct snap_stamp now;

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];

        stamp_of(env, snap_part_leaf(p), &now);
        if (now.known && now.mtime_ns > b->new_ns)
            b->new_ns = now.mtime_ns;
        if (!p->drop_path)
            continue;
        s = snap_printf("%s%s%s", b->list ? b->list : "", b->list ? ", " : "",
                        p->drop_path);
        free(b->list);
        b->list = s;
        stamp_of(env, snap_part_drop(p), &now);
        if (!snap_stamp_differs(&p->dropped, &now))
            continue;
        b->changed = true;
        if (now.mtime_ns > b->old_ns)
            b->old_ns = now.mtime_ns;
    }
}

static int revert_finish_look_at_domain(const struct snap_env *env,
                                        const struct snap_record *rec,
                                        struct before *b, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_domain dom = { 0 };
    struct snap_vbd *all = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    rc = env->ops->find_uuid(env->hyp, rec->domain_uuid, &dom, &why);
    b->runs = !rc && !dom.dying;
    if (b->runs)
        rc = env->ops->disks(env->hyp, &dom, &all, &n, &why);
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_vbd *v = snap_vbd_find(all, n, rec->parts[i].vdev);

        if (v && snap_object_same(env->drivers, snap_vbd_object(v),
                                  snap_part_drop(&rec->parts[i])))
            b->has = true;
    }
    snap_vbds_free(&all, &n);
    snap_domain_dispose(&dom);
    return rc && rc != SNAP_NOTFOUND ? snap_fail(err, rc, "%s", why.msg) : 0;
}

/*
 * Before a recovery somebody may have given the new domain up and started it
 * on what it had before.  One disk that was written to tells it of all.
 * *stays_r: that is what the domain has now, or had last.
 */
static int keep_before(const struct snap_env *env, struct snap_record *rec,
                       bool *stays_r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct before b = { 0 };

    look_at_images(env, rec, &b);
    rc = revert_finish_look_at_domain(env, rec, &b, err);
    *stays_r = b.has || (b.changed && !b.runs && b.old_ns > b.new_ns);
    if (!rc && (b.has || b.changed)) {
        snap_say(env->log, SNAP_LOG_WARN,
                 "%s, after it was reverted to %s, %s on what it had before: %s.  All of that is kept%s; remove by hand what you do not need",
                 rec->domain_name, rec->name ? rec->name : "a snapshot",
                 b.has ? "was started" : "has run, it seems,", b.list,
                 *stays_r
                     ? ", and taken for the disks that it has; what the revert had made is kept as well"
                     : "");
        for (i = 0; i < rec->n_parts; i++)
            snap_free(&rec->parts[i].drop_path);
    }
    free(b.list);
    return rc;
}

int snap_revert_finish(struct snap_env *env, const struct snap_store *s,
                       struct snap_record *rec, struct snap_state *state,
                       bool no_metadata, bool last_try, const char *op_id,
                       struct snap_err *err)
{
    int rc, r;
    size_t i;
    bool stays = false;
    struct snap_disk_ctx ctx;
    struct snap_qmp *qmp = NULL;

    rc = last_try ? keep_before(env, rec, &stays, err) : 0;
    if (!rc)
        rc = its_qemu(env, rec->domain_uuid, &qmp, err);
    if (rc)
        return rc;
    /* Not the new domain's id: its own use of a leaf must count, too, when
     * it is asked who has a file that is about to go. */
    snap_ctx_init(&ctx, env, UINT32_MAX, qmp, op_id);
    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];
        struct snap_err e = SNAP_ERR_INIT;

        r = part->drv->revert_finish(&ctx, part, &e);
        if (r && last_try) { /* it is never tried again */
            snap_err_clear(&e);
            r = part->drv->revert_finish(&ctx, part, &e);
        }
        if (r && last_try)
            snap_say(env->log, SNAP_LOG_WARN, "%s: %s", part->vdev, e.msg);
        else if (r && !rc)
            rc = snap_fail(err, r, "%s: %s", part->vdev, e.msg);
        if (!stays)
            snap_state_set_leaf(state, part->vdev, snap_part_leaf(part),
                                part->stem, made_leaf(env, state, part));
    }
    if (!stays)
        snap_set(&state->current, no_metadata ? NULL : rec->name);
    snap_set(&state->domain_name, rec->domain_name);
    r = snap_state_save(s, state, err);
    snap_qmp_close(qmp);
    return rc ? rc : r;
}

/* ---- back to before ---- */

struct undo {
    struct snap_env *env;
    struct snap_record *rec;
    const struct snap_revert_old *old;
    const char *op_id;
    struct snap_domain dom; /* that is there */
    enum snap_owner who; /* it is */
};

static struct snap_owned owned(const struct undo *u)
{
    return (struct snap_owned){
        .uuid = u->rec->domain_uuid,
        .name = u->old->name,
        .op_id = u->op_id,
        .parts = u->rec->parts,
        .n_parts = u->rec->n_parts,
        .domid = u->old->domid,
        .other_boot = u->old->other_boot,
    };
}

static int revert_finish_look(struct undo *u, struct snap_err *err)
{
    const struct snap_owned o = owned(u);

    snap_domain_dispose(&u->dom);
    memset(&u->dom, 0, sizeof(u->dom));
    return snap_owned_look(u->env, &o, &u->dom, &u->who, err);
}

/* What we built goes, unless somebody lets it run this moment. */
static int end_ours(struct undo *u, bool *ended_r, struct snap_err *err)
{
    const struct snap_owned o = owned(u);
    int rc = snap_owned_destroy(u->env, &o, &u->dom, &u->who, err);

    if (rc) {
        snap_err_prefix(err, "destroying %s", u->rec->domain_name);
        return rc;
    }
    *ended_r = u->who == SNAP_OWNER_OURS;
    if (*ended_r)
        u->who = SNAP_OWNER_NONE;
    return 0;
}

/* What is there goes; it may be gone by now. */
static int revert_finish_destroy(struct undo *u, struct snap_err *err)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc = u->env->ops->destroy(u->env->hyp, &u->dom, &why);

    if (rc && rc != SNAP_NOTFOUND)
        return snap_fail(err, rc, "destroying %s: %s", u->dom.name, why.msg);
    u->who = SNAP_OWNER_NONE;
    return 0;
}

/* Has the domain of before what it had?  Whether that was a QEMU the plan
 * knows; what is left of the domain need not tell. */
static int is_whole(struct undo *u, bool *whole_r, struct snap_err *err)
{
    int rc;
    struct snap_qmp *qmp = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    *whole_r = false;
    if (u->dom.dying)
        return 0;
    rc = u->env->ops->qmp_open(u->env->hyp, &u->dom, &qmp, &why);
    snap_qmp_close(qmp);
    *whole_r = !rc || (rc == SNAP_UNSUPPORTED && !u->old->had_qemu);
    /* Anything else does not say that it is gone. */
    if (!rc || rc == SNAP_UNSUPPORTED || rc == SNAP_NOTFOUND)
        return 0;
    return snap_fail(err, rc, "%s", why.msg);
}

/*
 * libxl pauses a domain that it destroys, ends its QEMU, takes away its
 * devices and what it knows of it, then the domain (libxl_domain.c:
 * libxl__destroy_domid()).  While the QEMU is there, nothing is lost but the
 * pause.
 */
static int heal(struct undo *u, struct snap_err *err)
{
    int rc;
    bool whole;
    struct snap_env *env = u->env;

    if (u->dom.dying || u->dom.paused) {
        /* It may have been told to go this moment. */
        usleep(env->settle_ms * 1000);
        rc = revert_finish_look(u, err);
        if (rc || u->who != SNAP_OWNER_BEFORE)
            return rc;
    }
    rc = is_whole(u, &whole, err);
    if (rc)
        return rc;
    if (whole)
        return u->dom.paused && !u->old->paused
                   ? env->ops->unpause(env->hyp, &u->dom, err)
                   : 0;
    /* libxl pauses it first: this one runs, and lost its QEMU otherwise. */
    if (!u->dom.dying && !u->dom.paused)
        return snap_fail(err, SNAP_RECOVER,
                         "%s runs, but its QEMU is gone, and with it its disks; it was left alone: run xl destroy %s, and then xl snapshot-recover %s",
                         u->dom.name, u->dom.name, u->dom.name);
    snap_say(env->log, SNAP_LOG_WARN, "%s is half destroyed%s",
             u->rec->domain_name, u->dom.dying ? ": it is dying" : "");
    return revert_finish_destroy(u, err);
}

/* Nobody may write to path any more; waits for a while. */
static int wait_unused(struct snap_env *env, struct snap_disk_ctx *ctx,
                       const char *path, struct snap_err *err)
{
    int rc;
    double until = snap_now_ms() + env->gone_ms;
    struct snap_err why = SNAP_ERR_INIT;

    for (;;) {
        snap_err_clear(&why);
        rc = env->check_unused(ctx, path, &why);
        if (rc != SNAP_BUSY || snap_now_ms() >= until)
            break;
        usleep(LOOK_MS * 1000);
    }
    return rc ? snap_fail(err, rc, "%s", why.msg) : 0;
}

/* The QEMU of a domain that was destroyed may live on for a while, with
 * writes under way.  No other may have its images then, nor may a tool. */
static int wait_closed(struct undo *u, struct snap_err *err)
{
    int rc = 0;
    size_t i, n = 0;
    struct snap_vbd *v = NULL;
    struct snap_disk_ctx ctx;

    snap_ctx_init(&ctx, u->env, UINT32_MAX, NULL, u->op_id);
    if (u->old->config)
        rc = snap_domain_json_disks(u->old->config, &v, &n, err);
    for (i = 0; !rc && i < n; i++)
        if (!v[i].readonly && !v[i].cdrom &&
            snap_object_has_path(snap_vbd_object(&v[i])))
            rc = wait_unused(u->env, &ctx, v[i].path, err);
    for (i = 0; !rc && i < u->rec->n_parts; i++)
        if (snap_object_has_path(snap_part_leaf(&u->rec->parts[i])))
            rc = wait_unused(u->env, &ctx, u->rec->parts[i].leaf_path, err);
    snap_vbds_free(&v, &n);
    if (rc)
        snap_err_append(err, "%s stays off until nobody else writes to that",
                        u->rec->domain_name);
    return rc;
}

static int undo_parts(struct undo *u, struct snap_err *err)
{
    int rc = 0;
    struct snap_disk_ctx ctx;
    struct snap_hold hold = { 0 };
    const char *name = u->dom.name;
    /* It has the images that it had, and nothing in them is switched. */
    bool same = u->who == SNAP_OWNER_BEFORE || u->who == SNAP_OWNER_AGAIN;

    snap_ctx_init(&ctx, u->env, same ? u->dom.domid : UINT32_MAX, NULL,
                  u->op_id);
    ctx.discard = u->old->discard;
    if (!same)
        rc = snap_hold_begin_undo(&hold, u->env, &ctx, u->rec, err);
    if (u->old->hold)
        snap_hold_end(u->old->hold);
    if (!rc)
        rc = snap_parts_revert_undo(&ctx, u->rec->parts, u->rec->n_parts, err);
    snap_hold_end(&hold);
    if (rc == SNAP_BUSY && u->who == SNAP_OWNER_OTHER)
        snap_err_append(err,
                        "somebody has started %s since; it was left alone.  To keep the disks as they are now, run xl snapshot-recover --keep %s.  To have all of them as they were before the revert, shut it down and run xl snapshot-recover --discard %s: what it has written to that image is lost then",
                        name, name, name);
    if (rc == SNAP_RECOVER && !u->old->discard)
        snap_err_append(err,
                        "to keep the disks as they are now, run xl snapshot-recover --keep %s; to have them as they were before the revert, and lose what was written since, xl snapshot-recover --discard %s",
                        u->rec->domain_name, u->rec->domain_name);
    return rc;
}

static int boot(struct undo *u, enum snap_revert_end *end_r,
                struct snap_err *err)
{
    int rc;
    bool refused;
    char again[17];
    struct snap_env *env = u->env;
    struct snap_err why = SNAP_ERR_INIT;

    /* What will not be there at the next try either must not stop every
     * command from now on. */
    refused = env->ops->can_build(env->hyp, u->old->config, false, NULL, 0,
                                  &why) == SNAP_REFUSED;
    if (refused && u->old->last_try) {
        snap_say(env->log, SNAP_LOG_WARN,
                 "%s cannot be started again and stays off, its disks as they were: %s; start it with xl create when that is mended, or revert to a snapshot with memory",
                 u->rec->domain_name, why.msg);
        *end_r = SNAP_REVERTED_OFF;
        return 0;
    }
    snap_owned_again(u->op_id, again);
    snap_domain_dispose(&u->dom);
    memset(&u->dom, 0, sizeof(u->dom));
    if (refused)
        rc = snap_fail(err, SNAP_REFUSED, "%s", why.msg);
    else
        rc = env->ops->create(env->hyp, u->old->config, again, &u->dom, err);
    if (!rc && !u->old->paused)
        rc = env->ops->unpause(env->hyp, &u->dom, err);
    if (rc)
        snap_err_append(err,
                        "%s could not be started again, and its disks are as they were; mend that, or start it with xl create, and run xl snapshot-recover",
                        u->rec->domain_name);
    *end_r = SNAP_REVERTED_BOOTED;
    return rc;
}

int snap_revert_undo(struct snap_env *env, struct snap_record *rec,
                     const struct snap_revert_old *old, const char *op_id,
                     enum snap_revert_end *end_r, struct snap_err *err)
{
    int rc;
    bool ended = false;
    struct undo u = { .env = env, .rec = rec, .old = old, .op_id = op_id };

    *end_r = SNAP_REVERTED_BACK;
    rc = revert_finish_look(&u, err);
    if (!rc && u.who == SNAP_OWNER_OURS)
        rc = end_ours(&u, &ended, err);
    if (!rc && u.who == SNAP_OWNER_DONE) {
        *end_r = SNAP_REVERTED_RUNS;
        goto out;
    }
    if (!rc && old->keep && !ended &&
        (u.who == SNAP_OWNER_OTHER || u.who == SNAP_OWNER_NONE)) {
        *end_r = SNAP_REVERTED_KEEP;
        goto out;
    }
    if (!rc && u.who == SNAP_OWNER_BEFORE && old->destroyed)
        rc = heal(&u, err);
    if (!rc && u.who == SNAP_OWNER_NONE && old->destroyed)
        rc = wait_closed(&u, err);
    if (!rc)
        rc = undo_parts(&u, err);
    if (rc)
        goto out;
    if (u.who == SNAP_OWNER_OTHER)
        *end_r = SNAP_REVERTED_LEFT;
    else if (u.who == SNAP_OWNER_NONE && old->config)
        rc = boot(&u, end_r, err);
    else if (u.who == SNAP_OWNER_AGAIN)
        *end_r = SNAP_REVERTED_BOOTED;

out:
    snap_domain_dispose(&u.dom);
    return rc;
}

/* The disks stay as they are, whoever runs on them: what served the revert
 * goes, and nothing is put back, destroyed or started.  Idempotent. */
static int revert_keep(struct snap_env *env, const struct snap_store *s,
                       struct snap_record *rec, struct snap_state *state,
                       const char *op_id, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_disk_ctx ctx;
    struct snap_qmp *qmp = NULL;

    rc = its_qemu(env, rec->domain_uuid, &qmp, err);
    snap_ctx_init(&ctx, env, UINT32_MAX, qmp, op_id);
    for (i = 0; !rc && i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];

        /* A leaf beside what the disk had goes, unless it is in use. */
        if (!snap_object_same(env->drivers, snap_part_leaf(part),
                              snap_part_frozen(part)) &&
            !snap_object_same(env->drivers, snap_part_leaf(part),
                              snap_part_before(part))) {
            rc = part->drv->revert_undo(&ctx, part, err);
        } else {
            snap_free(&part->drop_path);
            rc = part->drv->revert_finish(&ctx, part, err);
        }
        if (rc)
            snap_err_prefix(err, "%s", part->vdev);
    }
    if (!rc)
        rc = snap_state_save(s, state, err);
    snap_qmp_close(qmp);
    return rc;
}

/* ---- recovery ---- */

static int revert_forward(struct snap_rescue *r, struct snap_err *err)
{
    r->what = snap_printf("revert to %s was finished", r->in.rec->name);
    return snap_revert_finish(r->ses.env, &r->ses.store, r->in.rec,
                              &r->ses.state, r->in.after.no_metadata, true,
                              r->in.op_id, err);
}

static int revert_back(struct snap_rescue *r, const char *name,
                       struct snap_err *err)
{
    static const char *const ends[] = {
        [SNAP_REVERTED_BACK] = "",
        [SNAP_REVERTED_BOOTED] = "; the domain was started again from its disks",
        [SNAP_REVERTED_OFF] = "; the domain is off, its disks as they were",
        [SNAP_REVERTED_LEFT] =
            "; the domain, which somebody has started since, was left alone",
    };
    int rc;
    enum snap_revert_end end;
    bool running = r->in.before.there;
    bool boot = running && snap_rescue_has(r, "destroy") &&
                !snap_rescue_other_boot(r);
    const struct snap_revert_old old = {
        .name = name,
        .config = boot ? r->in.before.config : NULL,
        .domid = r->in.before.domid,
        .paused = r->in.before.paused,
        .had_qemu = r->in.before.had_qemu,
        .destroyed = snap_rescue_has(r, "destroy"),
        .other_boot = snap_rescue_other_boot(r),
        .keep = snap_rescue_keep(r),
        .discard = r->how && r->how->discard,
        .last_try = true,
    };

    rc = snap_revert_undo(r->ses.env, r->in.rec, &old, r->in.op_id, &end, err);
    if (rc)
        return rc;
    if (end == SNAP_REVERTED_RUNS)
        return revert_forward(r, err);
    if (end == SNAP_REVERTED_KEEP) {
        r->what = snap_printf("unfinished revert to %s was given up; the disks are kept as they are",
                              r->in.rec->name);
        return revert_keep(r->ses.env, &r->ses.store, r->in.rec, &r->ses.state,
                           r->in.op_id, err);
    }
    r->what = snap_printf("unfinished revert to %s was undone%s",
                          r->in.rec->name, ends[end]);
    return 0;
}

/* Its disks are those of the snapshot by now, or those of before. */
static void note_reverted(struct snap_rescue *r)
{
    size_t i;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];

        snap_rescue_stale(r,
                          snap_rescue_is_leaf(r, p, snap_part_leaf(p))
                              ? snap_stale_reverted(p, r->in.rec->domain_name)
                              : snap_stale_now(snap_rescue_leaf(r, p),
                                               snap_rescue_name(r)));
    }
}

static int go_on_with_revert(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    char *name = NULL;
    const struct snap_journal_entry *restored;

    rc = snap_leaves_read(&r->in, err);
    if (rc)
        return rc;
    restored = snap_journal_find(r->e, r->n, "restored");
    if (restored) {
        revert_left(restored->data, r->in.rec);
        rc = snap_rescue_let_run(r, err);
        if (!rc)
            rc = snap_rescue_mounts(r, err);
        return rc ? rc : revert_forward(r, err);
    }
    rc = snap_rescue_mounts(r, err);
    if (!rc)
        rc = snap_domain_json_identity(r->in.rec->config_json, &name, NULL,
                                       NULL, NULL, err);
    if (!rc)
        rc = revert_back(r, name, err);
    free(name);
    return rc;
}

static int recover_revert(struct snap_rescue *r, struct snap_err *err)
{
    int rc = go_on_with_revert(r, err);

    if (!rc)
        note_reverted(r);
    return rc;
}

const struct snap_op snap_op_revert = {
    .name = "revert",
    .disks = SNAP_LEAVES,
    .keep_means = ", which gives the revert up and leaves the disks as they are now, perhaps of two moments",
    .check = snap_leaves_check,
    .uses = snap_leaves_uses,
    .recover = recover_revert,
};
