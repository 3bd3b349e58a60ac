/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See deleted.h.  Every function here may run a second time, after a death
 * anywhere in the first.
 *
 * The exchange of a merge, with the domain running:
 *
 *   merge          the job copies, and has caught up
 *   guardian, journal "pause", pause
 *   set_active     the frozen image, which holds all of it by now
 *   merge_switch   QEMU writes to it
 *   journal "switched"
 *   unpause
 *
 * Whoever starts the domain after a death gets an image that has everything,
 * since both are alike while the guest stands; from "switched" on, only the
 * one does.
 */
#include "core/deleted.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/boot.h"
#include "core/guardian.h"
#include "core/parts.h"
#include "lib/file.h"
#include "lib/mem.h"

/* ---- the journal's plan ---- */

static const char *const hows[] = {
    [SNAP_DELETE_DROP] = "drop",
    [SNAP_DELETE_PULL] = "pull",
    [SNAP_DELETE_MERGE] = "merge",
    [SNAP_DELETE_STAY] = "stay",
};

struct snap_json *snap_deleted_plan_json(const struct snap_delete_plan *p)
{
    size_t i, k;
    struct snap_json *j = snap_json_object(), *disks = snap_json_array();
    char *boot = snap_boot_id();

    snap_json_set(j, "record", snap_record_to_json(&p->rec));
    snap_json_set_str(j, "op_id", p->op_id);
    snap_json_set_str(j, "uuid", p->uuid);
    snap_json_set_str(j, "boot_id", boot);
    free(boot);
    snap_json_set_int(j, "monitor_pid", p->running ? p->dom.monitor_pid : 0);
    for (i = 0; i < p->rec.n_parts; i++) {
        const struct snap_delete *d = &p->del[i];
        struct snap_json *l = snap_json_object(), *kids = snap_json_array();

        snap_json_set_str(l, "vdev", p->rec.parts[i].vdev);
        snap_json_set_str(l, "how", hows[d->how]);
        snap_json_set_bool(l, "keep_image", d->keep_image);
        snap_json_set_str(l, "leaf", d->leaf);
        snap_json_set_str(l, "parent", d->parent);
        snap_json_set_str(l, "parent_format", d->parent_format);
        snap_json_set_str(l, "active_path", d->active_path);
        snap_json_set_str(l, "active_format", d->active_format);
        snap_json_set_str(l, "gone", d->gone);
        for (k = 0; k < d->n_child; k++) {
            struct snap_json *kid = snap_json_object();

            snap_json_set_str(kid, "path", d->child[k].path);
            snap_json_set_bool(kid, "protect", d->child[k].protect);
            snap_json_push(kids, kid);
        }
        snap_json_set(l, "children", kids);
        snap_json_push(disks, l);
    }
    snap_json_set(j, "disks", disks);
    return j;
}

/* A path out of a journal: ours, but checked like anything read from disk. */
static int get_path(const struct snap_json *l, const char *key, bool needed,
                    char **out, struct snap_err *err)
{
    const char *s = snap_json_get_str(l, key);

    if (s ? !snap_path_ok(s) : needed)
        return snap_fail(err, SNAP_CORRUPT, "journal: bad %s \"%s\"", key,
                         s ? s : "");
    snap_set(out, s);
    return 0;
}

static int get_part(const struct snap_json *l, struct snap_delete *d,
                    struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_json *kids = snap_json_get(l, "children");
    bool merge;

    for (i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
        if (snap_streq(hows[i], snap_json_get_str(l, "how")))
            break;
    if (i == sizeof(hows) / sizeof(hows[0]))
        return snap_fail(err, SNAP_CORRUPT, "journal: bad how");
    d->how = (enum snap_delete_how)i;
    merge = d->how == SNAP_DELETE_MERGE;
    d->keep_image = snap_json_get_bool(l, "keep_image", true);
    snap_set(&d->parent_format, snap_json_get_str(l, "parent_format"));
    snap_set(&d->active_format, snap_json_get_str(l, "active_format"));
    if (merge && !snap_format_known(d->active_format))
        return snap_fail(err, SNAP_CORRUPT, "journal: bad active_format");
    rc = get_path(l, "leaf", merge, &d->leaf, err);
    if (!rc)
        rc = get_path(l, "parent", false, &d->parent, err);
    if (!rc)
        rc = get_path(l, "active_path", merge, &d->active_path, err);
    if (!rc)
        rc = get_path(l, "gone", merge, &d->gone, err);
    d->child = snap_zalloc((snap_json_len(kids) + 1) * sizeof(*d->child));
    for (i = 0; !rc && i < snap_json_len(kids); i++) {
        d->child[d->n_child].protect = snap_json_get_bool(
            snap_json_at(kids, i), "protect", false);
        rc = get_path(snap_json_at(kids, i), "path", true,
                      &d->child[d->n_child++].path, err);
    }
    return rc;
}

int snap_deleted_plan_parts(const struct snap_json *plan,
                            const struct snap_record *rec,
                            struct snap_delete **del_r, struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_json *disks = snap_json_get(plan, "disks");
    struct snap_delete *del;

    if (snap_json_len(disks) != rec->n_parts)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal: disks do not match the record");
    del = snap_zalloc((rec->n_parts + 1) * sizeof(*del));
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_json *l = snap_json_at(disks, i);

        if (!snap_streq(snap_json_get_str(l, "vdev"), rec->parts[i].vdev))
            rc = snap_fail(err, SNAP_CORRUPT,
                           "journal: disks do not match the record");
        else
            rc = get_part(l, &del[i], err);
        if (rc) {
            snap_deleted_free(&del, rec->n_parts);
            return rc;
        }
        snap_set(&rec->parts[i].tag, rec->name);
    }
    *del_r = del;
    return 0;
}

void snap_deleted_free(struct snap_delete **del, size_t n)
{
    size_t i;

    for (i = 0; *del && i < n; i++)
        snap_delete_dispose(&(*del)[i]);
    free(*del);
    *del = NULL;
}

/* ---- the domain as it is now ---- */

struct now {
    struct snap_domain dom;
    bool there;
    bool qemu; /* and its QEMU answers */
    struct snap_qmp *qmp;
    struct snap_disk_ctx ctx;
};

/* Progress, and no way to stop: what calls it has to be done. */
static int on_tick(void *opaque, uint64_t done, uint64_t total)
{
    const struct snap_disk_ctx *c = opaque;
    const struct snap_env *env = c->opaque2;

    if (env->progress && total)
        env->progress->fn(env->progress->opaque, "merging", done, total);
    return 0;
}

static int now_open(const struct snap_deletion *x, struct now *now,
                    struct snap_err *err)
{
    int rc;

    memset(now, 0, sizeof(*now));
    rc = x->env->ops->find_uuid(x->env->hyp, x->s->uuid, &now->dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    } else if (!rc) {
        now->there = true;
        rc = snap_domain_qmp(x->env, &now->dom, &now->qmp, &now->qemu, err);
    }
    snap_ctx_init(&now->ctx, x->env, now->there ? now->dom.domid : UINT32_MAX,
                  now->qmp, x->op_id);
    now->ctx.tick = on_tick;
    return rc;
}

static void now_close(struct now *now)
{
    snap_qmp_close(now->qmp);
    snap_domain_dispose(&now->dom);
    memset(now, 0, sizeof(*now));
}

/* ---- other records ---- */

/* Was this image changed by us? */
static bool was_changed(const struct snap_deletion *x, bool inside,
                        const char *path)
{
    size_t i, k;

    for (i = 0; i < x->rec->n_parts; i++) {
        const struct snap_part *p = &x->rec->parts[i];
        const struct snap_delete *d = &x->del[i];

        if (inside) {
            if (p->type == SNAP_DISK_INTERNAL &&
                snap_same_file(p->frozen_path, path))
                return true;
            continue;
        }
        for (k = 0; d->how == SNAP_DELETE_PULL && k < d->n_child; k++)
            if (snap_same_file(d->child[k].path, path))
                return true;
    }
    return false;
}

static int refreeze_one(const struct snap_deletion *x, struct snap_record *r,
                        bool inside, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    bool changed = false;
    char *before, *after;
    struct snap_disk_ctx ctx;

    snap_ctx_init(&ctx, x->env, UINT32_MAX, NULL, x->op_id);
    for (i = 0; !rc && i < r->n_parts; i++) {
        struct snap_part *p = &r->parts[i];

        if (p->type != SNAP_DISK_EXTERNAL ||
            !was_changed(x, inside, p->frozen_path))
            continue;
        before = snap_json_text(p->data, false);
        rc = p->drv->refreeze(&ctx, p, err);
        after = snap_json_text(p->data, false);
        changed = changed || strcmp(before, after) != 0;
        free(before);
        free(after);
    }
    if (!rc && changed)
        rc = snap_store_update(x->s, r, x->env->drivers, err);
    if (rc)
        snap_err_prefix(err, "bringing the record of %s up to date", r->name);
    return rc;
}

int snap_deleted_refreeze(const struct snap_deletion *x, bool inside,
                          struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_record *all = NULL;

    rc = snap_store_all_whole(x->s, x->env->drivers, &all, &n, err);
    for (i = 0; !rc && i < n; i++)
        rc = refreeze_one(x, &all[i], inside, err);
    snap_records_free(&all, &n);
    return rc;
}

/* Those that came after it come after its parent now. */
static int adopt(const struct snap_deletion *x, struct snap_record *all,
                 size_t n, struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < n; i++) {
        if (!snap_streq(all[i].parent, x->rec->name))
            continue;
        snap_set(&all[i].parent, x->rec->parent);
        rc = snap_store_update(x->s, &all[i], x->env->drivers, err);
        if (rc) {
            snap_err_prefix(err, "the parent of %s", all[i].name);
            return rc;
        }
    }
    return 0;
}

/* ---- before the commit point ---- */

int snap_deleted_undo(const struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i;
    struct now now;

    rc = now_open(x, &now, err);
    for (i = 0; !rc && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (x->del[i].how != SNAP_DELETE_PULL)
            continue;
        rc = p->drv->delete_stop(&now.ctx, p, &x->del[i], err);
        if (rc)
            snap_err_prefix(err, "%s", p->vdev);
    }
    now_close(&now);
    if (!rc)
        rc = snap_deleted_refreeze(x, false, err);
    return rc;
}

/* ---- after it: the merge ---- */

static const struct snap_journal_entry *step(const struct snap_deletion *x,
                                             const char *what,
                                             const char *vdev)
{
    char *name = snap_printf("%s-%s", what, vdev);
    const struct snap_journal_entry *e = snap_journal_find(x->e, x->n_e, name);

    free(name);
    return e;
}

static int mark(const struct snap_deletion *x, const char *what,
                const char *vdev, struct snap_json *data, struct snap_err *err)
{
    char *name = snap_printf("%s-%s", what, vdev);
    int rc = snap_journal_mark(x->journal, name, data, err);

    snap_json_free(data);
    free(name);
    return rc;
}

static int tell(const struct snap_deletion *x, const struct snap_domain *dom,
                const char *vdev, const char *path, const char *format,
                struct snap_err *err)
{
    const struct snap_active a = { .vdev = vdev,
                                   .path = path,
                                   .format = format };

    return x->env->ops->set_active(x->env->hyp, dom, &a, 1, err);
}

static int let_go_on(const struct snap_deletion *x,
                     const struct snap_domain *dom, const char *vdev,
                     struct snap_err *err)
{
    int rc;
    char *name;
    struct snap_err e = SNAP_ERR_INIT;
    const struct snap_hyp_ops *ops = x->env->ops;

    if (ops->unpause(x->env->hyp, dom, &e) &&
        ops->rescue(x->env->hyp, dom->uuid, dom->monitor_pid, false, &e)) {
        rc = snap_fail(err, SNAP_RECOVER, "%s could not be unpaused: %s",
                       dom->name, e.msg);
        snap_err_append(err, "try xl unpause %s", dom->name);
        return rc;
    }
    name = snap_printf("resumed-%s", vdev);
    snap_journal_note(x->journal, name);
    free(name);
    return 0;
}

/* The guest stands. */
static int change_over(const struct snap_deletion *x, struct now *now,
                       struct snap_part *p, const struct snap_delete *d,
                       struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;

    rc = tell(x, &now->dom, p->vdev, d->active_path, d->active_format, err);
    if (!rc)
        rc = p->drv->merge_switch(&now->ctx, p, d, err);
    if (rc && rc != SNAP_RECOVER &&
        tell(x, &now->dom, p->vdev, d->leaf, "qcow2", &e))
        snap_err_append(err, "and Xen may name another image: %s", e.msg);
    if (rc)
        return rc;
    return mark(x, "switched", p->vdev, NULL, err);
}

static int exchange(const struct snap_deletion *x, struct now *now,
                    struct snap_part *p, const struct snap_delete *d,
                    struct snap_err *err)
{
    int rc, r2;
    bool paused = false;
    struct snap_json *at;
    struct snap_guardian guardian = SNAP_GUARDIAN_INIT;
    struct snap_err e = SNAP_ERR_INIT;

    /* A long copy: somebody may have paused it meanwhile. */
    snap_domain_dispose(&now->dom);
    memset(&now->dom, 0, sizeof(now->dom));
    rc = x->env->ops->find_uuid(x->env->hyp, x->s->uuid, &now->dom, err);
    if (rc)
        goto out;
    if (!now->dom.paused) {
        rc = snap_guardian_start(x->env, &now->dom, &guardian, err);
        if (rc)
            goto out;
        at = snap_json_object();
        snap_json_set_int(at, "at", snap_epoch_seconds());
        rc = mark(x, "pause", p->vdev, at, err);
        if (rc)
            goto out;
        paused = true;
        rc = x->env->ops->pause(x->env->hyp, &now->dom, err);
    }
    if (!rc)
        rc = change_over(x, now, p, d, err);
    if (paused) {
        r2 = let_go_on(x, &now->dom, p->vdev, &e);
        if (r2 && !rc)
            rc = snap_fail(err, r2, "%s", e.msg);
    }

out:
    snap_guardian_end(&guardian);
    return rc;
}

static int merge(const struct snap_deletion *x, struct now *now,
                 struct snap_part *p, struct snap_delete *d,
                 struct snap_err *err)
{
    int rc;
    const struct snap_journal_entry *e = step(x, "pause", p->vdev);
    struct snap_err e2 = SNAP_ERR_INIT;

    d->paused_at = e ? snap_json_get_int(e->data, "at", 0) : 0;
    if (!step(x, "switched", p->vdev)) {
        rc = p->drv->merge(&now->ctx, p, d, err);
        if (!rc && now->there && !now->qemu)
            rc = tell(x, &now->dom, p->vdev, d->active_path, d->active_format,
                      err);
        if (!rc)
            rc = now->qemu ? exchange(x, now, p, d, err)
                           : mark(x, "switched", p->vdev, NULL, err);
        if (rc) {
            p->drv->delete_stop(&now->ctx, p, d, &e2);
            return rc;
        }
    } else if (now->there) {
        rc = tell(x, &now->dom, p->vdev, d->active_path, d->active_format,
                  err);
        if (rc)
            return rc;
    }
    snap_state_set_leaf(x->state, p->vdev, d->active_path, d->active_format,
                        p->stem, p->frozen_made);
    rc = snap_state_save(x->s, x->state, err);
    if (rc)
        return rc;
    return p->drv->merge_finish(&now->ctx, p, d, err);
}

/* ---- after it: what goes ---- */

void snap_deleted_know_path(struct snap_delete *d, const char *path)
{
    if (!path || path[0] != '/')
        return;
    d->known = snap_realloc(d->known, d->n_known + 1, sizeof(*d->known));
    d->known[d->n_known++] = snap_strdup(path);
}

void snap_deleted_know(struct snap_delete *d, const struct snap_record *rs,
                       size_t n)
{
    size_t i, k;

    for (i = 0; i < n; i++)
        for (k = 0; k < rs[i].n_parts; k++) {
            snap_deleted_know_path(d, rs[i].parts[k].frozen_path);
            snap_deleted_know_path(d, rs[i].parts[k].active_path);
        }
}

void snap_deleted_know_state(struct snap_delete *d,
                             const struct snap_state *state)
{
    size_t i;

    for (i = 0; i < state->n; i++)
        snap_deleted_know_path(d, state->leaves[i].path);
}

/* The leaf took over all that was below it and has a name of the user's: it
 * looks like any image of the user's now, and is treated so. */
static void disown_leaf(const struct snap_deletion *x,
                        const struct snap_part *p, const struct snap_delete *d)
{
    struct snap_leaf *leaf = NULL;
    const char *name;
    size_t i, len = p->stem ? strlen(p->stem) : 0;

    for (i = 0; i < x->state->n; i++)
        if (snap_streq(x->state->leaves[i].vdev, p->vdev))
            leaf = &x->state->leaves[i];
    if (!leaf || d->how != SNAP_DELETE_PULL || d->parent)
        return;
    name = snap_basename(leaf->path);
    for (i = 0; i < d->n_child; i++)
        if (snap_same_file(d->child[i].path, leaf->path) &&
            (!len || strncmp(name, p->stem, len) || name[len] != '.'))
            leaf->made = false;
}

/* The image itself: looked at once more, whatever the plan said. */
static int remove_image(const struct snap_deletion *x, struct now *now,
                        struct snap_part *p, const struct snap_delete *d,
                        const struct snap_record *all, size_t n,
                        struct snap_err *err)
{
    int rc;
    struct snap_delete again = { 0 };
    const struct snap_leaf *leaf = snap_state_leaf(x->state, p->vdev);
    struct snap_disk_ctx off = now->ctx;

    /* Nobody is excepted now, the domain itself least of all. */
    off.domid = UINT32_MAX;
    off.opaque = &off;
    p->keep_image = d->keep_image;
    if (p->type == SNAP_DISK_EXTERNAL && !d->keep_image) {
        if (snap_records_need(all, n, p->frozen_path)) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is kept: another snapshot needs it",
                           p->frozen_path);
            goto out;
        }
        snap_deleted_know(&again, all, n);
        snap_deleted_know(&again, x->rec, 1);
        snap_deleted_know_state(&again, x->state);
        snap_set(&again.leaf, leaf ? leaf->path : NULL);
        rc = p->drv->delete_plan(&off, p, &again, err);
        if (!rc && (again.n_child || again.keep_image))
            rc = snap_fail(err, SNAP_REFUSED, "%s is kept: %s", p->frozen_path,
                           again.n_child ? again.child[0].path
                                         : "it is a domain's disk");
        if (rc)
            goto out;
    }
    rc = p->drv->remove(&off, p, err);

out:
    snap_delete_dispose(&again);
    return rc;
}

static int remove_memory(const struct snap_deletion *x,
                         const struct snap_record *all, size_t n,
                         struct snap_err *err)
{
    struct stat st;
    const char *path = x->rec->mem_path;

    if (!x->rec->has_memory || !path || lstat(path, &st) ||
        !S_ISREG(st.st_mode) || snap_records_need(all, n, path))
        return 0;
    return snap_file_remove(path, err);
}

/* What failed is an error that makes recover try again, or its warning. */
static void keep_first(const struct snap_deletion *x, int r,
                       const struct snap_err *e, const char *vdev, int *rc,
                       struct snap_err *err)
{
    if (!r)
        return;
    if (x->last_try)
        snap_say(x->env->log, SNAP_LOG_WARN, "%s%s%s", vdev ? vdev : "",
                 vdev ? ": " : "", e->msg);
    else if (!*rc)
        *rc = snap_fail(err, r, "%s%s%s", vdev ? vdev : "", vdev ? ": " : "",
                        e->msg);
}

int snap_deleted_finish(struct snap_deletion *x, struct snap_err *err)
{
    int rc, r;
    size_t i, n = 0;
    struct now now = { .there = false };
    struct snap_record *all = NULL;

    rc = now_open(x, &now, err);
    if (!rc)
        rc = snap_store_all_whole(x->s, x->env->drivers, &all, &n, err);
    if (rc)
        goto out;
    for (i = 0; i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];
        struct snap_delete *d = &x->del[i];
        struct snap_err e = SNAP_ERR_INIT;

        r = d->how == SNAP_DELETE_MERGE ? merge(x, &now, p, d, &e) : 0;
        /* A guest that stands, and a switch that may have been made, are not
         * for a warning. */
        if (r == SNAP_RECOVER) {
            rc = snap_fail(err, r, "%s: %s", p->vdev, e.msg);
            goto out;
        }
        disown_leaf(x, p, d);
        if (!r && d->how != SNAP_DELETE_STAY)
            r = remove_image(x, &now, p, d, all, n, &e);
        keep_first(x, r, &e, p->vdev, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = snap_deleted_refreeze(x, true, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = remove_memory(x, all, n, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (rc)
        goto out;
    rc = adopt(x, all, n, err);
    if (rc)
        goto out;
    if (snap_streq(x->state->current, x->rec->name))
        snap_set(&x->state->current, x->rec->parent);
    rc = snap_state_save(x->s, x->state, err);

out:
    snap_records_free(&all, &n);
    now_close(&now);
    return rc;
}
