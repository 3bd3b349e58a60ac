/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The plan of a deletion: which snapshots, in which order, who else needs
 * what the first of them holds, and how it can be given up.  Changes nothing
 * but the store's own folders and lock.
 *
 * Who needs an image is asked of everybody that might: all records of all
 * domains, the states, the domain's disks, the headers of images (the driver
 * does that), and the hypervisor.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/seen.h"
#include "model/name.h"
#include "op/absent.h"
#include "op/delete.h"
#include "op/delete_finish.h"
#include "op/delete_intent.h"
#include "op/delete_records.h"
#include "op/neighbours.h"
#include "op/parts.h"
#include "op/resolve.h"
#include "op/saver.h"
#include "op/session_open.h"
#include "op/stale.h"
#include "store/state.h"

/* What is known of the snapshot in hand, but not what the command is about. */
static void forget_one(struct snap_delete_plan *p)
{
    snap_deletion_free(&p->del, p->rec.n_parts);
    snap_record_dispose(&p->rec);
    memset(&p->rec, 0, sizeof(p->rec));
}

void snap_delete_plan_dispose(struct snap_delete_plan *p)
{
    forget_one(p);
    snap_notes_free(&p->names, &p->n_names);
    snap_session_dispose(&p->ses);
}

/* ---- which ---- */

static bool listed(const struct snap_delete_plan *p, const char *name)
{
    size_t i;

    for (i = 0; i < p->n_names; i++)
        if (!strcmp(p->names[i], name))
            return true;
    return false;
}

/* Those that descend from name, the youngest first; ends with any records,
 * since no name is listed twice. */
static void add_descendants(struct snap_delete_plan *p, const char *name,
                            unsigned depth)
{
    size_t i;

    for (i = p->ses.n_all; depth <= p->ses.n_all && i-- > 0;) {
        const struct snap_record *r = &p->ses.all[i];

        if (!snap_streq(r->parent, name) || listed(p, r->name))
            continue;
        add_descendants(p, r->name, depth + 1);
        if (!listed(p, r->name))
            snap_note_add(&p->names, &p->n_names, "%s", r->name);
    }
}

/* ---- one of them ---- */

static int delete_plan_look_at_domain(struct snap_env *env,
                                      struct snap_delete_plan *p,
                                      struct snap_err *err)
{
    int rc;
    struct snap_saver saver = { .env = env, .dom = &p->ses.dom };

    rc = snap_session_look(&p->ses, err);
    if (rc || !p->ses.there)
        return rc;
    if (p->ses.dom.dying)
        return snap_refuse_dying(&p->ses.dom, p->ses.name, err);
    if (p->ses.dom.suspended)
        return snap_fail(err, SNAP_BUSY,
                         "%s is suspended: it is being saved or migrated; try again afterwards",
                         p->ses.dom.name);
    if (p->ses.dom.stubdom)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s has its device model in a stub domain; shut it down and delete the snapshot then",
                         p->ses.dom.name);
    return snap_saver_look(&saver, err);
}

/* QEMU is asked only where a driver needs that. */
static int open_qmp(struct snap_env *env, struct snap_delete_plan *p,
                    struct snap_err *err)
{
    size_t i;

    for (i = 0; p->ses.there && i < p->rec.n_parts; i++)
        if (p->rec.parts[i].drv->needs_qmp)
            return env->ops->qmp_open(env->hyp, &p->ses.dom, &p->ses.qmp, err);
    return 0;
}

/* The identities of what each part of p->ses.all froze, in turn, since each of
 * thousands is compared with each disk's. */
static char **identify_all(const struct snap_delete_plan *p)
{
    size_t i, k, n = 0;
    char **all;

    for (i = 0; i < p->ses.n_all; i++)
        n += p->ses.all[i].n_parts;
    all = snap_zalloc((n + 1) * sizeof(*all));
    for (i = 0, n = 0; i < p->ses.n_all; i++)
        for (k = 0; k < p->ses.all[i].n_parts; k++)
            all[n++] = snap_object_identity(p->ses.env->drivers,
                                            snap_part_frozen(&p->ses.all[i]
                                                                  .parts[k]));
    return all;
}

static void identities_free(const struct snap_delete_plan *p, char **all)
{
    size_t i, k, n = 0;

    for (i = 0; i < p->ses.n_all; i++)
        for (k = 0; k < p->ses.all[i].n_parts; k++)
            free(all[n++]);
    free(all);
}

/* What other snapshots of this domain have in the same image, and whether
 * any of them needs the leaf as it is. */
static void ask_others(const struct snap_delete_plan *p, char *const *others,
                       const struct snap_part *part, struct snap_delete *d)
{
    size_t i, k;
    const struct snap_disk_driver *const *drivers = p->ses.env->drivers;
    char *leaf = snap_object_identity(drivers, snap_delete_leaf(d));
    char *own = snap_object_identity(drivers, snap_part_frozen(part));

    for (i = 0; i < p->ses.n_all; i++) {
        char *const *at = others;

        others += p->ses.all[i].n_parts;
        if (snap_streq(p->ses.all[i].name, p->rec.name))
            continue;
        for (k = 0; k < p->ses.all[i].n_parts; k++) {
            const struct snap_part *o = &p->ses.all[i].parts[k];

            if (leaf && snap_streq(at[k], leaf))
                d->may_merge = false;
            if (!snap_streq(at[k], own))
                continue;
            if (o->drv->inside)
                d->others_inside = true;
            else
                d->others_freeze = true;
        }
    }
    free(leaf);
    free(own);
}

/* ask: gather what they know.  Else: does any of them need what is to be
 * changed? */
struct neighbours {
    struct snap_env *env;
    struct snap_delete_plan *p;
    bool ask;
};

/* And what they know. */
struct neighbour {
    struct snap_state st;
    struct snap_record *rs;
    size_t n;
};

static int has_frozen(const struct neighbours *all, const struct neighbour *b,
                      const struct snap_part *part, struct snap_object o,
                      struct snap_err *err)
{
    size_t k, m;

    for (k = 0; k < b->n; k++)
        for (m = 0; m < b->rs[k].n_parts; m++)
            if (snap_object_same(all->env->drivers,
                                 snap_part_frozen(&b->rs[k].parts[m]), o))
                return snap_fail(err, SNAP_REFUSED,
                                 "%s: snapshot %s of domain %s has %s; delete that one first",
                                 part->vdev, b->rs[k].name,
                                 b->rs[k].domain_name, o.id);
    return 0;
}

/* What is frozen beside a disk may be a disk itself, under another name. */
static int has_as_disk(const struct neighbours *all, const struct neighbour *b,
                       const struct snap_part *part, struct snap_err *err)
{
    size_t k;

    for (k = 0; k < b->st.n; k++)
        if (snap_object_same(all->env->drivers,
                             snap_leaf_object(&b->st.leaves[k]),
                             snap_part_frozen(part)))
            return snap_fail(err, SNAP_REFUSED,
                             "%s: domain %s has %s, as %s, for its disk %s; give it another one first, by a snapshot of it or a revert",
                             part->vdev, b->st.domain_name, part->frozen_path,
                             b->st.leaves[k].path, b->st.leaves[k].vdev);
    return 0;
}

static int check_part_of(const struct neighbours *all,
                         const struct neighbour *b, size_t i,
                         struct snap_err *err)
{
    const struct snap_part *part = &all->p->rec.parts[i];
    struct snap_delete *d = &all->p->del[i];
    int rc = 0;
    size_t c;

    if (part->drv->inside)
        return 0;
    if (all->ask) {
        snap_deletion_know(d, b->rs, b->n);
        snap_deletion_know_state(d, &b->st);
        return 0;
    }
    for (c = 0; !rc && c < d->n_child; c++)
        rc = has_frozen(all, b, part, snap_object_file(d->child[c].path), err);
    if (!rc)
        rc = has_frozen(all, b, part, snap_part_frozen(part), err);
    if (!rc && !part->drv->moves_active)
        rc = has_as_disk(all, b, part, err);
    return rc;
}

/* Another domain's snapshots may stand on ours (a clone): their records are
 * theirs to change, so this is where it ends. */
static int check_neighbour(void *opaque, const char *uuid,
                           struct snap_err *err)
{
    int rc;
    size_t i;
    const struct neighbours *all = opaque;
    struct snap_store s = SNAP_STORE_INIT;
    struct neighbour b = { .rs = NULL };

    rc = snap_store_open(&s, all->env->store_root, uuid, false, err);
    if (!rc)
        rc = snap_state_load(&s, &b.st, err);
    if (!rc)
        rc = snap_store_all_whole(&s, all->env->drivers, &b.rs, &b.n, err);
    for (i = 0; !rc && i < all->p->rec.n_parts; i++)
        rc = check_part_of(all, &b, i, err);
    snap_records_free(&b.rs, &b.n);
    snap_state_dispose(&b.st);
    snap_store_close(&s);
    return rc;
}

static int each_neighbour(struct snap_env *env, struct snap_delete_plan *p,
                          bool ask, struct snap_err *err)
{
    struct neighbours all = { env, p, ask };
    size_t i;

    for (i = 0; i < p->rec.n_parts; i++)
        if (!p->rec.parts[i].drv->inside)
            return snap_store_each(env->store_root, p->ses.uuid,
                                   check_neighbour, &all, err);
    return 0;
}

/* A snapshot that stands on the one that goes must be whole before anything
 * is moved into its image: afterwards nobody could tell. */
static int check_child(struct snap_disk_ctx *ctx, struct snap_delete_plan *p,
                       char *const *others, const char *child,
                       struct snap_err *err)
{
    int rc;
    size_t i, k;
    struct snap_err why = SNAP_ERR_INIT;

    for (i = 0; i < p->ses.n_all; i++)
        for (k = 0; k < p->ses.all[i].n_parts; k++) {
            struct snap_part *o = &p->ses.all[i].parts[k];

            if (!snap_streq(*others++, child) || o->drv->inside)
                continue;
            rc = o->drv->verify(ctx, o, &why);
            if (rc)
                return snap_fail(err, rc,
                                 "snapshot %s stands on this one, and cannot be used: %s.  Repair or delete that one first",
                                 p->ses.all[i].name, why.msg);
        }
    return 0;
}

static int check_children(struct snap_disk_ctx *ctx,
                          struct snap_delete_plan *p, char *const *others,
                          const struct snap_delete *d, struct snap_err *err)
{
    int rc = 0;
    size_t c;

    for (c = 0; !rc && c < d->n_child; c++) {
        char *child = snap_object_identity(p->ses.env->drivers,
                                           snap_object_file(d->child[c].path));

        rc = check_child(ctx, p, others, child, err);
        free(child);
    }
    return rc;
}

static int delete_plan_by_name(const void *a, const void *b)
{
    const struct snap_record *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* Of p->ses.all, which came before the snapshot in hand; caller frees. */
static bool *find_ancestors(const struct snap_delete_plan *p)
{
    size_t i;
    bool *before = snap_zalloc(p->ses.n_all + 1);
    const struct snap_record *
        *sorted = snap_realloc(NULL, p->ses.n_all + 1,
                               sizeof(const struct snap_record *));
    struct snap_record key = { .name = p->rec.parent };
    const struct snap_record **found, *k = &key;

    for (i = 0; i < p->ses.n_all; i++)
        sorted[i] = &p->ses.all[i];
    qsort(sorted, p->ses.n_all, sizeof(*sorted), delete_plan_by_name);
    /* Ends with any records: none is marked twice. */
    while (key.name) {
        found = bsearch(&k, sorted, p->ses.n_all, sizeof(*sorted),
                        delete_plan_by_name);
        if (!found || before[*found - p->ses.all])
            break;
        before[*found - p->ses.all] = true;
        key.name = (*found)->parent;
    }
    free(sorted);
    return before;
}

static int see(struct snap_disk_ctx *ctx, const struct snap_part *part,
               struct snap_object o, struct snap_err *why)
{
    enum snap_stand how = SNAP_STAND_GONE;
    int rc = part->drv->stands_on(ctx, part, o, &how, why);

    return rc || how != SNAP_STAND_GONE
               ? rc
               : snap_fail(why, SNAP_REFUSED, "it is not there");
}

/* The frozen image itself.  One on what may not be mounted counts as gone. */
static int is_there(struct snap_disk_ctx *ctx, const struct snap_part *part,
                    bool *there_r, struct snap_err *err)
{
    int rc;
    enum snap_stand how = SNAP_STAND_GONE;
    struct snap_object frozen = snap_part_frozen(part);

    frozen.format = NULL; /* whatever is in it */
    rc = part->drv->stands_on(ctx, part, frozen, &how, err);
    *there_r = !rc && how != SNAP_STAND_GONE;
    if (rc == SNAP_REFUSED) {
        snap_err_clear(err);
        rc = 0;
    }
    return rc;
}

/*
 * What stands on the image is told by headers of images.  One that is missing
 * or damaged, or not mounted, tells nothing: then everything stays.  What was
 * frozen before this snapshot was taken cannot stand on it.
 */
static int check_seen(struct snap_disk_ctx *ctx,
                      const struct snap_delete_plan *p, const bool *before,
                      const struct snap_part *part,
                      const struct snap_delete *d, struct snap_err *err)
{
    int rc;
    size_t i, k;
    bool there;
    struct snap_err why = SNAP_ERR_INIT;

    if (!part->drv->read_through || d->others_freeze)
        return 0;
    rc = is_there(ctx, part, &there, err);
    if (rc || !there)
        return rc;
    for (i = 0; i < p->ses.n_all; i++)
        for (k = 0; k < p->ses.all[i].n_parts; k++) {
            const struct snap_record *o = &p->ses.all[i];
            const struct snap_part *other = &o->parts[k];

            if (!snap_streq(other->vdev, part->vdev) ||
                snap_streq(o->name, p->rec.name) || before[i])
                continue;
            rc = see(ctx, part, snap_part_frozen(other), &why);
            if (rc)
                return snap_fail(err, rc,
                                 "%s, which snapshot %s needs, may stand on %s: %s.  Put back what is missing, or delete %s first",
                                 other->frozen_path, o->name,
                                 part->frozen_path, why.msg, o->name);
        }
    if (!d->leaf)
        return 0;
    rc = see(ctx, part, snap_delete_leaf(d), &why);
    return rc ? snap_fail(err, rc,
                          "%s, the domain's disk, may stand on %s: %s.  Put back what is missing (is it not mounted?), or revert to a snapshot that is whole first",
                          d->leaf, part->frozen_path, why.msg)
              : 0;
}

static void note_stale(struct snap_delete_plan *p, char *text)
{
    snap_note_add(&p->ses.notes, &p->ses.n_notes, "%s", text);
    free(text);
}

static void note_part(struct snap_disk_ctx *ctx, struct snap_delete_plan *p,
                      const struct snap_part *part,
                      const struct snap_delete *d)
{
    bool there = false;
    bool left = d->leaf &&
                !snap_object_same(p->ses.env->drivers, snap_delete_leaf(d),
                                  snap_part_frozen(part));
    struct snap_err ignored = SNAP_ERR_INIT;

    if (!part->drv->read_through) {
        if (part->drv->inside && left && !d->others_inside &&
            !d->others_freeze && !is_there(ctx, part, &there, &ignored) &&
            there)
            snap_note_add(&p->ses.notes, &p->ses.n_notes,
                          "%s: %s stays; no snapshot of %s is inside it any more, and the domain's disk is %s, so no xl.cfg may name it",
                          part->vdev, part->frozen_path, p->ses.name, d->leaf);
        return;
    }
    if (d->how == SNAP_DELETE_MERGE)
        note_stale(p, snap_stale_merged(part->vdev, p->ses.name,
                                        d->active_path, d->active_format));
    else if (d->others_inside && left)
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s: %s stays, since other snapshots are inside; the domain's disk is %s, and no xl.cfg may name the former",
                      part->vdev, part->frozen_path, d->leaf);
    else if (!part->frozen_made && !d->keep_image &&
             d->how != SNAP_DELETE_STAY && d->leaf)
        note_stale(p, snap_stale_gone(part->vdev, part->frozen_path, d->leaf));
}

/* What the domain has.  Xen has its name only; the state knows its kind. */
static void set_leaf(const struct snap_delete_plan *p,
                     const struct snap_leaf *leaf, const struct snap_vbd *v,
                     struct snap_delete *d)
{
    struct snap_object has = { .id = NULL };

    if (v)
        has = snap_vbd_object(v);
    if (!v && !p->ses.there && leaf)
        has = snap_leaf_object(leaf);
    if (v && leaf && leaf->kind &&
        snap_object_same(p->ses.env->drivers, has, snap_leaf_object(leaf))) {
        has.kind = leaf->kind;
        has.id = leaf->path;
    }
    if (has.kind || snap_object_has_path(has))
        snap_deletion_set_leaf(d, has);
}

static int plan_part(struct snap_disk_ctx *ctx, struct snap_delete_plan *p,
                     const bool *before, char *const *others,
                     struct snap_part *part, struct snap_delete *d,
                     const struct snap_vbd *vbds, size_t n_vbds,
                     struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_vbd *v = snap_vbd_find(vbds, n_vbds, part->vdev);
    const struct snap_leaf *leaf = snap_state_leaf(&p->ses.state, part->vdev);

    snap_set(&part->tag, p->rec.name);
    snap_deletion_know(d, p->ses.all, p->ses.n_all);
    snap_deletion_know_state(d, &p->ses.state);
    for (i = 0; i < n_vbds; i++)
        snap_deletion_know_object(d, snap_vbd_object(&vbds[i]), false);
    set_leaf(p, leaf, v, d);
    d->may_merge = d->leaf && leaf && leaf->made &&
                   snap_streq(leaf->path, d->leaf);
    ask_others(p, others, part, d);
    rc = check_seen(ctx, p, before, part, d, err);
    if (!rc)
        rc = part->drv->delete_plan(ctx, part, d, err);
    if (!rc && d->how == SNAP_DELETE_PULL)
        rc = check_children(ctx, p, others, d, err);
    if (rc) {
        snap_err_prefix(err, "%s", part->vdev);
        return rc;
    }
    note_part(ctx, p, part, d);
    return 0;
}

/* A clone reads through what is frozen, in a QEMU of its own: nothing below it
 * may change, at any depth.  What is inside an image it has as a copy. */
static int check_clones(struct snap_disk_ctx *ctx,
                        const struct snap_delete_plan *p,
                        const struct snap_clone *cs, size_t n,
                        struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < p->rec.n_parts; i++) {
        const struct snap_part *part = &p->rec.parts[i];

        if (!part->drv->read_through)
            continue;
        rc = snap_clones_stand_on(ctx, cs, n, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    return 0;
}

int snap_delete_plan_others(struct snap_delete_plan *p, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    struct snap_clone *clones = NULL;
    struct snap_disk_ctx ctx;

    snap_session_ctx(&p->ses, &ctx);
    ctx.seen = snap_seen_new();
    rc = snap_clones_load(p->ses.env, p->ses.uuid, &clones, &n, err);
    if (!rc)
        rc = check_clones(&ctx, p, clones, n, err);
    if (!rc)
        rc = each_neighbour(p->ses.env, p, false, err);
    snap_seen_free(ctx.seen);
    snap_clones_free(&clones, &n);
    return rc;
}

static int plan_parts(struct snap_env *env, struct snap_delete_plan *p,
                      struct snap_err *err)
{
    int rc;
    size_t i, n = 0, n_clones = 0;
    struct snap_vbd *vbds = NULL;
    struct snap_clone *clones = NULL;
    struct snap_disk_ctx ctx;
    bool *before = find_ancestors(p);
    char **others = identify_all(p);

    snap_session_ctx(&p->ses, &ctx);
    ctx.space = &p->ses.space;
    ctx.seen = snap_seen_new();
    if (p->ses.there) {
        rc = env->ops->disks(env->hyp, &p->ses.dom, &vbds, &n, err);
        if (rc)
            goto out;
    }
    p->del = snap_zalloc((p->rec.n_parts + 1) * sizeof(*p->del));
    rc = snap_clones_load(env, p->ses.uuid, &clones, &n_clones, err);
    if (!rc)
        rc = check_clones(&ctx, p, clones, n_clones, err);
    if (!rc)
        rc = each_neighbour(env, p, true, err);
    for (i = 0; !rc && i < p->rec.n_parts; i++)
        rc = plan_part(&ctx, p, before, others, &p->rec.parts[i], &p->del[i],
                       vbds, n, err);
    if (!rc)
        rc = each_neighbour(env, p, false, err);

out:
    snap_seen_free(ctx.seen);
    identities_free(p, others);
    free(before);
    snap_clones_free(&clones, &n_clones);
    snap_vbds_free(&vbds, &n);
    return rc;
}

/* Here and not only before the first step: a dry run says so, too. */
static int can_read(const struct snap_env *env, struct snap_delete_plan *p,
                    struct snap_err *err)
{
    int rc;
    struct snap_intent in;

    snap_deletion_intent(p, &in);
    rc = snap_intent_can_read(env, &p->ses.store, &in, err);
    snap_intent_dispose(&in);
    return rc;
}

/* With all records loaded. */
static int plan_one(struct snap_env *env, struct snap_delete_plan *p, size_t i,
                    struct snap_err *err)
{
    int rc;

    rc = delete_plan_look_at_domain(env, p, err);
    if (!rc)
        rc = snap_state_load(&p->ses.store, &p->ses.state, err);
    if (!rc)
        rc = snap_store_get(&p->ses.store, p->names[i], env->drivers, &p->rec,
                            err);
    if (!rc)
        rc = open_qmp(env, p, err);
    if (!rc)
        rc = plan_parts(env, p, err);
    if (!rc)
        rc = can_read(env, p, err);
    if (rc)
        snap_err_prefix(err, "deleting %s", p->names[i]);
    return rc;
}

int snap_delete_plan_next(struct snap_env *env, struct snap_delete_plan *p,
                          size_t i, struct snap_err *err)
{
    int rc;

    forget_one(p);
    rc = snap_session_again(&p->ses, err);
    if (!rc)
        rc = snap_store_all_whole(&p->ses.store, env->drivers, &p->ses.all,
                                  &p->ses.n_all, err);
    if (rc)
        snap_err_prefix(err, "deleting %s", p->names[i]);
    return rc ? rc : plan_one(env, p, i, err);
}

/* ---- all ---- */

static int delete_plan_choose(struct snap_env *env,
                              const struct snap_delete_req *req,
                              struct snap_delete_plan *p, struct snap_err *err)
{
    int rc;
    struct snap_record named = { 0 };

    rc = snap_store_all_whole(&p->ses.store, env->drivers, &p->ses.all,
                              &p->ses.n_all, err);
    if (rc)
        return rc;
    rc = snap_store_get(&p->ses.store, req->name, env->drivers, &named, err);
    if (rc)
        return rc;
    snap_record_dispose(&named);
    if (req->children || req->children_only)
        add_descendants(p, req->name, 0);
    if (req->children_only && listed(p, req->name))
        return snap_fail(err, SNAP_CORRUPT,
                         "the records say that %s descends from itself",
                         req->name);
    if (!req->children_only && !listed(p, req->name))
        snap_note_add(&p->names, &p->n_names, "%s", req->name);
    return 0;
}

int snap_delete_plan_make(struct snap_env *env,
                          const struct snap_delete_req *req, bool dry_run,
                          struct snap_delete_plan *p, struct snap_err *err)
{
    int rc;
    const struct snap_entry how = {
        .command = "snapshot-delete",
        .wait = !req->no_wait,
        .dry_run = dry_run,
        .snapshot = req->name,
    };

    memset(p, 0, sizeof(*p));
    rc = snap_session_init(&p->ses, env, err);
    if (!rc)
        rc = snap_session_find(&p->ses, req->domain, err);
    if (!rc)
        rc = snap_session_open(&p->ses, &how, err);
    if (!rc)
        rc = delete_plan_choose(env, req, p, err);
    if (!rc && p->n_names)
        rc = plan_one(env, p, 0, err);
    snap_hint_namesake(env, p->ses.name, p->ses.uuid, req->name, rc, err);
    if (rc)
        snap_delete_plan_dispose(p);
    return rc;
}

char *snap_delete_what(const struct snap_part *part,
                       const struct snap_delete *d)
{
    if (part->drv->inside)
        return snap_printf("removed from %s", part->frozen_path);
    switch (d->how) {
    case SNAP_DELETE_PULL:
        return snap_printf("copied into %s, then %s",
                           d->n_child == 1 ? d->child[0].path
                                           : "the images over it",
                           d->keep_image ? "kept" : "removed");
    case SNAP_DELETE_MERGE:
        return snap_printf("takes over %s, which is removed", d->gone);
    case SNAP_DELETE_STAY:
        return snap_strdup("kept, another snapshot has it too");
    case SNAP_DELETE_DROP:
        break;
    }
    return snap_strdup(d->keep_image ? "kept" : "removed");
}
