/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See delete_finish.h.  Each function may run a second time, after a death
 * anywhere in the first.
 *
 * The exchange of a merge, with the domain running:
 *
 *   merge          the job copies, and has caught up
 *   guardian, journal "pause", pause, journal "paused"
 *   set_active     the frozen image, which holds all of it by now
 *   merge_switch   QEMU writes to it
 *   journal "switched"; or, if QEMU was not changed over, "back"
 *   unpause
 *
 * Journal "merging" is before all that: from then on the frozen image may be
 * written to by us.
 *
 * Whoever starts the domain after a death gets an image that has everything,
 * since both are alike while the guest stands; from "switched" on, only the
 * one does.
 */
#include "op/delete_finish.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/delete_intent.h"
#include "op/guardian.h"
#include "op/limited.h"
#include "op/needed.h"
#include "op/parts.h"
#include "op/paused.h"
#include "op/recovery.h"
#include "op/saver.h"
#include "op/stale.h"
#include "op/stamp.h"
#include "store/memfile.h"

/* ---- the domain as it is now ---- */

/* How often an absent domain is looked for. */
#define LOOK_MS 250

struct now {
    struct snap_disk_ctx ctx; /* first: it is what a tick is given */
    struct snap_domain dom;
    bool there;
    bool qemu; /* and its QEMU answers */
    struct snap_qmp *qmp;
    struct snap_saver saver;
};

/* Progress, and no way for its user to stop: what calls it has to be done,
 * when whoever saves or migrates the domain has ended. */
static int on_tick(void *opaque, uint64_t done, uint64_t total)
{
    struct now *now = opaque;
    const struct snap_env *env = now->ctx.opaque2;

    if (env->progress && total)
        env->progress->fn(env->progress->opaque, "merging", done, total);
    return snap_saver_tick(&now->saver);
}

/* As it was called last. */
static const char *domain_name(const struct snap_deletion *x)
{
    return x->state->domain_name ? x->state->domain_name : x->rec->domain_name;
}

/* Whoever builds it anew may be nobody whom we know: it ran when we began, so
 * it may come again in a second or two. */
static int find_domain(const struct snap_deletion *x, struct snap_domain *dom,
                       struct snap_err *err)
{
    int rc;
    double until = snap_now_ms() + x->env->absent_ms;

    for (;;) {
        rc = snap_absent_find(x->env, x->s->uuid, domain_name(x), false, dom,
                              err);
        if (rc != SNAP_NOTFOUND)
            return rc;
        snap_err_clear(err);
        if (!x->ran || snap_now_ms() >= until)
            return rc;
        usleep(LOOK_MS * 1000);
    }
}

static int now_open(const struct snap_deletion *x, struct now *now,
                    struct snap_err *err)
{
    int rc;

    memset(now, 0, sizeof(*now));
    rc = find_domain(x, &now->dom, err);
    if (rc == SNAP_NOTFOUND) {
        rc = 0;
    } else if (!rc) {
        now->there = true;
        rc = snap_domain_qmp(x->env, &now->dom, &now->qmp, &now->qemu, err);
    }
    snap_ctx_init(&now->ctx, x->env, now->there ? now->dom.domid : UINT32_MAX,
                  now->qmp, x->op_id);
    now->ctx.tick = on_tick;
    now->saver.env = x->env;
    now->saver.dom = now->there ? &now->dom : NULL;
    return rc;
}

/* NULL: it is not there. */
static const struct snap_domain *dom_of(const struct now *now)
{
    return now->there ? &now->dom : NULL;
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

/* Nobody but us stops it, so nobody but us has to let it go on; but whoever
 * did meanwhile is no trouble: both images were alike, or QEMU writes to the
 * one by now. */
static int let_go_on(struct snap_deletion *x, const struct snap_domain *dom,
                     const char *vdev, struct snap_guardian *guardian,
                     struct snap_err *err)
{
    int rc;
    char *name;
    struct snap_err e = SNAP_ERR_INIT;
    const struct snap_hyp_ops *ops = x->env->ops;
    const struct snap_held held = {
        .uuid = dom->uuid,
        .domid = dom->domid,
        .monitor_pid = dom->monitor_pid,
        .pause = true,
    };

    if (ops->unpause(x->env->hyp, dom, &e) &&
        ops->rescue(x->env->hyp, &held, &e)) {
        snap_guardian_leave(guardian);
        x->stands = true;
        rc = snap_fail(err, SNAP_RECOVER, "%s could not be unpaused: %s",
                       dom->name, e.msg);
        snap_err_append(err,
                        "it stands still; our guardian goes on trying; xl snapshot-recover %s tells when it has ended",
                        dom->name);
        return rc;
    }
    name = snap_printf("resumed-%s", vdev);
    snap_journal_note(x->journal, name);
    free(name);
    snap_guardian_end(guardian);
    return 0;
}

/* QEMU writes to the leaf still, and Xen says so: what a pause or "over"
 * before this may have meant, it did not come to. */
static void note_back(const struct snap_deletion *x, const char *vdev)
{
    struct snap_err ignored = SNAP_ERR_INIT;

    mark(x, "back", vdev, NULL, &ignored);
}

/* An exchange came to nothing, before QEMU was told or because it would not.
 * One before this, of a process that died, may have come through: then only
 * QEMU can say that it writes to the leaf. */
static bool on_leaf(const struct snap_deletion *x, struct now *now,
                    const struct snap_part *p, const struct snap_delete *d)
{
    bool base;
    struct snap_err ignored = SNAP_ERR_INIT;

    return !x->over ||
           (!p->drv->merge_switched(&now->ctx, p, d, &base, &ignored) &&
            !base);
}

/* QEMU has left the overlay for good, which bears its stamp by now. */
static int note_switched(const struct snap_deletion *x,
                         const struct snap_part *p, struct snap_delete *d,
                         struct snap_err *err)
{
    x->env->image_stamp(d->gone, &d->left);
    return mark(x, "switched", p->vdev, snap_stamp_json(&d->left), err);
}

/* The guest stands, if nobody let it go on. */
static int change_over(struct snap_deletion *x, struct now *now,
                       struct snap_part *p, struct snap_delete *d,
                       struct snap_guardian *guardian, struct snap_err *err)
{
    int rc;
    bool before = x->over;
    struct snap_err e = SNAP_ERR_INIT;

    rc = x->env->ops->stands(x->env->hyp, &now->dom, false, err);
    if (rc) {
        if (on_leaf(x, now, p, d))
            note_back(x, p->vdev);
        return rc;
    }
    x->over = true;
    rc = tell(x, &now->dom, p->vdev, d->active_path, d->active_format, err);
    snap_guardian_beat(guardian);
    if (!rc)
        rc = p->drv->merge_switch(&now->ctx, p, d, err);
    if (rc && rc != SNAP_RECOVER && (!before || on_leaf(x, now, p, d))) {
        if (tell(x, &now->dom, p->vdev, d->leaf, "qcow2", &e))
            snap_err_append(err, "and Xen may name another image: %s", e.msg);
        else
            note_back(x, p->vdev);
    }
    snap_guardian_beat(guardian);
    return rc ? rc : note_switched(x, p, d, err);
}

static struct snap_json *when(const struct now *now)
{
    struct snap_json *at = snap_json_object();
    char *boot = snap_boot_id();

    snap_json_set_str(at, "boot_id", boot);
    free(boot);
    snap_json_set_int(at, "at", snap_epoch_seconds());
    snap_json_set_int(at, "domid", now->dom.domid);
    snap_json_set_int(at, "monitor_pid", now->dom.monitor_pid);
    return at;
}

/* It is known from here on that the guest stands, or may. */
static int announce(const struct snap_deletion *x, const struct now *now,
                    const struct snap_part *p, struct snap_guardian *guardian,
                    struct snap_err *err)
{
    int rc = mark(x, "pause", p->vdev, when(now), err);

    if (!rc)
        snap_guardian_window(guardian);
    return rc;
}

static void note_pause(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev)
{
    char *step = snap_printf("paused-%s", vdev);

    snap_paused_note(x->env, x->journal, dom, step);
    free(step);
}

static int exchange(struct snap_deletion *x, struct now *now,
                    struct snap_part *p, struct snap_delete *d,
                    struct snap_err *err)
{
    int rc, r2;
    struct snap_guardian guardian = SNAP_GUARDIAN_INIT;
    struct snap_guarded what = { .dom = &now->dom };
    const struct snap_active to = { p->vdev, d->active_path,
                                    d->active_format };
    struct snap_err e = SNAP_ERR_INIT;

    /* A long copy: somebody may have paused it meanwhile. */
    snap_domain_dispose(&now->dom);
    memset(&now->dom, 0, sizeof(now->dom));
    rc = x->env->ops->find_uuid(x->env->hyp, x->s->uuid, &now->dom, err);
    if (!rc && !now->dom.paused)
        rc = snap_guardian_start(x->env, x->s, &what, &guardian, err);
    if (!rc)
        rc = x->env->ops->window_open(x->env->hyp, &now->dom, &to, 1, err);
    if (rc)
        goto out;
    if (now->dom.paused) {
        rc = mark(x, "over", p->vdev, when(now), err);
        if (!rc)
            rc = change_over(x, now, p, d, &guardian, err);
        goto out;
    }
    rc = announce(x, now, p, &guardian, err);
    if (rc)
        goto out;
    rc = x->env->ops->pause(x->env->hyp, &now->dom, err);
    if (!rc)
        note_pause(x, &now->dom, p->vdev);
    else if (on_leaf(x, now, p, d))
        note_back(x, p->vdev);
    if (!rc)
        rc = change_over(x, now, p, d, &guardian, err);
    r2 = let_go_on(x, &now->dom, p->vdev, &guardian, &e);
    if (r2 && rc)
        snap_err_append(err, "and %s", e.msg);
    if (r2)
        rc = rc ? (err->rc = r2) : snap_fail(err, r2, "%s", e.msg);

out:
    x->env->ops->window_close(x->env->hyp);
    snap_guardian_end(&guardian);
    return rc;
}

enum has {
    HAS_NOT, /* it was plugged out since, and perhaps another one in */
    HAS_LEAF,
    HAS_BASE,
};

/* By Xen.  dom NULL: it is not there. */
static int has_disk(const struct snap_deletion *x,
                    const struct snap_domain *dom, const char *vdev,
                    const struct snap_delete *d, enum has *has_r,
                    struct snap_err *err)
{
    int rc;
    size_t n = 0;
    struct snap_vbd *all = NULL;
    const struct snap_vbd *v;

    *has_r = HAS_NOT;
    if (!dom)
        return 0;
    rc = x->env->ops->disks(x->env->hyp, dom, &all, &n, err);
    v = rc ? NULL : snap_vbd_find(all, n, vdev);
    if (v && snap_same_file(v->path, d->leaf))
        *has_r = HAS_LEAF;
    else if (v && snap_same_file(v->path, d->active_path))
        *has_r = HAS_BASE;
    snap_vbds_free(&all, &n);
    return rc;
}

static int tell_which(const struct snap_deletion *x,
                      const struct snap_domain *dom, const char *vdev,
                      const struct snap_delete *d, bool base,
                      struct snap_err *err)
{
    return base ? tell(x, dom, vdev, d->active_path, d->active_format, err)
                : tell(x, dom, vdev, d->leaf, "qcow2", err);
}

/*
 * Xen is told first, all of it, then QEMU.  So where Xen names the leaf QEMU
 * has been told nothing.  Where it names the image below QEMU may have been,
 * and come to it at any moment: then it is waited for.  Xen may also have been
 * told in part.  *base_r: QEMU writes to the image below.
 *
 * A QEMU that did not come to it in time may do so at any moment: if it is
 * not there yet, Xen keeps the image below.
 */
static int make_known(const struct snap_deletion *x, struct snap_disk_ctx *c,
                      const struct snap_domain *dom, struct snap_part *p,
                      const struct snap_delete *d, bool *base_r,
                      struct snap_err *err)
{
    int rc, late = 0;
    enum has has;
    struct snap_err e = SNAP_ERR_INIT;

    *base_r = false;
    rc = has_disk(x, dom, p->vdev, d, &has, err);
    if (rc || has == HAS_NOT)
        return rc;
    if (has == HAS_BASE)
        late = p->drv->merge_switch(c, p, d, &e);
    rc = p->drv->merge_switched(c, p, d, base_r, err);
    if (late == SNAP_RECOVER && !*base_r) {
        snap_err_clear(err);
        return snap_fail(err, late, "%s", e.msg);
    }
    return rc ? rc : tell_which(x, dom, p->vdev, d, *base_r, err);
}

int snap_deleted_known(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev,
                       bool hangs, struct snap_err *err)
{
    int rc;
    size_t i;
    bool qemu, base;
    struct snap_qmp *qmp = NULL;
    struct snap_disk_ctx c;

    for (i = 0; i < x->rec->n_parts; i++)
        if (snap_streq(x->rec->parts[i].vdev, vdev))
            break;
    if (i == x->rec->n_parts || x->del[i].how != SNAP_DELETE_MERGE ||
        step(x, "switched", vdev))
        return 0;
    if (hangs)
        return snap_fail(err, SNAP_RECOVER,
                         "%s: whether QEMU writes to %s or %s is not known as long as the command hangs",
                         vdev, x->del[i].leaf, x->del[i].active_path);
    rc = snap_domain_qmp(x->env, dom, &qmp, &qemu, err);
    if (!rc && qemu) {
        snap_ctx_init(&c, x->env, dom->domid, qmp, x->op_id);
        rc = make_known(x, &c, dom, &x->rec->parts[i], &x->del[i], &base, err);
    }
    snap_qmp_close(qmp);
    return rc;
}

/* When the disk was to change over, if that was not given up since. */
static const struct snap_journal_entry *paused(const struct snap_deletion *x,
                                               const char *vdev)
{
    const struct snap_journal_entry *pause = step(x, "pause", vdev);
    const struct snap_journal_entry *over = step(x, "over", vdev);
    const struct snap_journal_entry *back = step(x, "back", vdev);
    /* They are in one array, the later ones behind. */
    const struct snap_journal_entry *last = !pause || (over && over > pause)
                                                ? over
                                                : pause;

    return last && back && back > last ? NULL : last;
}

/* It has been there ever since, so nobody has started it on another image,
 * whatever Xen has been told. */
static bool same_domain(const struct now *now,
                        const struct snap_journal_entry *e)
{
    char *boot = snap_boot_id();
    bool same = now->there &&
                snap_json_get_int(e->data, "domid", -1) == now->dom.domid &&
                snap_streq(snap_json_get_str(e->data, "boot_id"), boot);

    free(boot);
    return same;
}

/* May QEMU write to the image below, and nobody has written that down? */
static bool may_be_over(const struct snap_deletion *x, const struct now *now,
                        const struct snap_part *p, struct snap_delete *d)
{
    const struct snap_journal_entry *e = paused(x, p->vdev);

    d->paused_at = e ? snap_json_get_int(e->data, "at", 0) : 0;
    if (e && !same_domain(now, e) && p->drv->merge_went_on(p, d))
        d->paused_at = 0;
    return d->paused_at != 0;
}

/* The domain is there that was to change over, and whether it did is not
 * written down. */
static bool is_open(const struct snap_deletion *x, const struct now *now,
                    size_t i)
{
    const char *vdev = x->rec->parts[i].vdev;
    const struct snap_journal_entry *e = paused(x, vdev);

    return x->del[i].how == SNAP_DELETE_MERGE && e &&
           !step(x, "switched", vdev) && same_domain(now, e);
}

int snap_deleted_note_over(struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i;
    bool base;
    struct now now;

    rc = now_open(x, &now, err);
    for (i = 0; !rc && now.qemu && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (!is_open(x, &now, i))
            continue;
        rc = make_known(x, &now.ctx, &now.dom, p, &x->del[i], &base, err);
        if (!rc && base)
            rc = note_switched(x, p, &x->del[i], err);
    }
    now_close(&now);
    return rc;
}

static struct snap_json *this_boot(bool live)
{
    char *boot = snap_boot_id();
    struct snap_json *data = snap_json_object();

    snap_json_set_str(data, "boot_id", boot);
    snap_json_set_bool(data, "live", live);
    free(boot);
    return data;
}

/* It is known from here on that we may write to the image below; before
 * anything does, so that a later writer can be told. */
static int note_merging(const struct snap_deletion *x, const struct now *now,
                        const struct snap_part *p, struct snap_err *err)
{
    const struct snap_journal_entry *e = step(x, "merging", p->vdev);
    struct snap_json *data = this_boot(now->ctx.qmp != NULL);
    char *then = e ? snap_json_text(e->data, false) : NULL;
    char *text = snap_json_text(data, false);
    int rc = 0;

    if (snap_streq(then, text))
        snap_json_free(data);
    else
        rc = mark(x, "merging", p->vdev, data, err);
    free(then);
    free(text);
    return rc;
}

/* What may have been written to the image below by us, and when. */
static void look_back(const struct snap_deletion *x, const struct snap_part *p,
                      struct snap_delete *d)
{
    char *now = snap_boot_id(), *name = snap_printf("merging-%s", p->vdev);
    const char *last = x->boot_id;
    size_t i;

    d->begun = SNAP_MERGE_NEW;
    for (i = 0; i < x->n_e; i++) {
        const struct snap_journal_entry *e = &x->e[i];

        if (!snap_streq(e->step, name))
            continue;
        last = snap_json_get_str(e->data, "boot_id");
        if (snap_json_get_bool(e->data, "live", true) ||
            !snap_streq(last, now))
            d->begun = SNAP_MERGE_BY_QEMU;
        else if (d->begun == SNAP_MERGE_NEW)
            d->begun = SNAP_MERGE_BY_TOOLS;
    }
    d->host_started = last && strcmp(last, now) ? snap_host_started() : 0;
    free(name);
    free(now);
}

/* Before we changed anything over, the domain was started on the image below:
 * the overlay has what the guest wrote before, the image what it wrote or
 * writes after.  Nobody but their user knows which is right. */
static bool is_astray(const struct snap_deletion *x, const struct now *as,
                      const struct snap_part *p, struct snap_delete *d,
                      enum has has)
{
    if (has == HAS_BASE || step(x, "astray", p->vdev))
        return true;
    look_back(x, p, d);
    return p->drv->merge_astray(p, d, as->ctx.qmp != NULL);
}

static int astray(const struct snap_deletion *x, const struct snap_part *p,
                  const struct snap_delete *d, enum has has,
                  struct snap_err *err)
{
    const struct snap_journal_entry *e = step(x, "astray", p->vdev);
    bool seen = has == HAS_BASE ||
                (e && snap_json_get_bool(e->data, "started", true));
    struct snap_json *data = snap_json_object();
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_json_set_bool(data, "started", seen);
    if (e && seen == snap_json_get_bool(e->data, "started", true))
        snap_json_free(data);
    else
        mark(x, "astray", p->vdev, data, &ignored);
    return snap_fail(
        err, SNAP_RECOVER,
        "%s %s %s while %s was being merged into it.  The latter has what the guest wrote before, the former what was written since; nothing more is done to either.  Copy what you need of both to a safe place; then xl snapshot-recover --keep %s gives the deletion up and leaves them as they are",
        seen ? domain_name(x) : "somebody",
        seen ? "was started on"
             : "(probably the domain, started from an old xl.cfg) wrote to",
        d->active_path, d->gone, domain_name(x));
}

/* QEMU had left the overlay for good, and somebody has started the domain on
 * it since, or did: it hides what the guest wrote below before. */
static bool ran_above(const struct snap_deletion *x, const struct snap_part *p,
                      struct snap_delete *d, enum has has)
{
    const struct snap_journal_entry *e = step(x, "switched", p->vdev);

    if (!e)
        return false;
    snap_stamp_from_json(e->data, &d->left);
    return has == HAS_LEAF || snap_stamp_changed(x->env, d->gone, &d->left);
}

static int refuse_above(const struct snap_deletion *x,
                        const struct snap_delete *d, enum has has,
                        struct snap_err *err)
{
    return snap_fail(err, SNAP_RECOVER,
                     "%s %s %s after that had been merged into %s.  The latter has what the guest wrote before, and the former hides it, and has what was written since; nothing more is done to either.  Copy what you need of both to a safe place; then xl snapshot-recover --keep %s gives the deletion up and leaves them as they are",
                     has == HAS_LEAF ? domain_name(x) : "somebody",
                     has == HAS_LEAF
                         ? "was started on"
                         : "(probably the domain, started from its xl.cfg) wrote to",
                     d->gone, d->active_path, domain_name(x));
}

/* It went down meanwhile, and is built again, or not: wait, and look again. */
static int refresh(const struct snap_deletion *x, struct now *now,
                   struct snap_err *err)
{
    struct snap_domain dom = { 0 };
    struct snap_saver saver = now->saver;
    bool same;
    int rc;

    if (!now->there)
        return 0;
    rc = x->env->ops->find_uuid(x->env->hyp, x->s->uuid, &dom, err);
    same = !rc && dom.domid == now->dom.domid && !dom.shutdown && !dom.dying;
    snap_domain_dispose(&dom);
    if (same || (rc && rc != SNAP_NOTFOUND))
        return rc;
    snap_err_clear(err);
    now_close(now);
    rc = now_open(x, now, err);
    now->saver.why = saver.why;
    return rc;
}

/* The merge has not come to its end.  Xen may have been told the image below,
 * and the domain be about to be built with it, so that is not protected before
 * it is known what it has.  Fails if it may write there. */
static int stop_merge(const struct snap_deletion *x, struct now *now,
                      struct snap_part *p, const struct snap_delete *d)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    enum has has;
    int rc = refresh(x, now, &ignored);

    if (!rc)
        rc = has_disk(x, dom_of(now), p->vdev, d, &has, &ignored);
    if (!rc && has == HAS_BASE)
        rc = SNAP_BUSY;
    return rc ? rc : p->drv->delete_stop(&now->ctx, p, d, &ignored);
}

/* Until what the domain has is known everywhere. */
static int move_over(struct snap_deletion *x, struct now *now,
                     struct snap_part *p, struct snap_delete *d,
                     struct snap_err *err)
{
    int rc;

    if (!step(x, "switched", p->vdev)) {
        rc = note_merging(x, now, p, err);
        if (!rc)
            rc = p->drv->merge(&now->ctx, p, d, err);
        if (!rc && now->there && !now->qemu)
            rc = tell(x, &now->dom, p->vdev, d->active_path, d->active_format,
                      err);
        if (!rc)
            rc = now->qemu ? exchange(x, now, p, d, err)
                           : mark(x, "switched", p->vdev, NULL, err);
        if (rc) {
            x->over |= stop_merge(x, now, p, d) != 0;
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
    return snap_state_save(x->s, x->state, err);
}

/* What failed in a recovery is never tried again after it, so once more now. */
static bool again(const struct snap_deletion *x, int r, struct snap_err *e)
{
    if (!r || !x->last_try)
        return false;
    snap_err_clear(e);
    return true;
}

static int merge_any(struct snap_deletion *x, struct now *now,
                     struct snap_part *p, struct snap_delete *d, bool *moved_r,
                     struct snap_err *err)
{
    int rc = move_over(x, now, p, d, err);

    *moved_r = !rc;
    if (!rc) {
        x->over = false; /* what is left is an overlay that nobody needs */
        rc = p->drv->merge_finish(&now->ctx, p, d, err);
        if (again(x, rc, err))
            rc = p->drv->merge_finish(&now->ctx, p, d, err);
    }
    return rc;
}

/* The overlay, under its name.  In doubt it is. */
static bool has_leaf(struct now *now, const struct snap_part *p,
                     const struct snap_delete *d)
{
    enum snap_stand how = SNAP_STAND_ALONE;
    struct snap_err ignored = SNAP_ERR_INIT;

    return p->drv->stands_on(&now->ctx, p, d->gone, &how, &ignored) ||
           how != SNAP_STAND_GONE;
}

static bool may_pass(int rc)
{
    return rc == SNAP_BUSY || rc == SNAP_NOTFOUND || rc == SNAP_IO ||
           rc == SNAP_TIMEOUT || rc == SNAP_PROTO;
}

/* Once the disk may have changed over, nothing but the journal tells that the
 * old overlay is no longer what the guest wrote last: it stays until all is
 * known, whatever fails. */
static int merge(struct snap_deletion *x, struct now *now, struct snap_part *p,
                 struct snap_delete *d, struct snap_err *err)
{
    int rc;
    enum has has;
    bool moved = false;
    struct now off = { .there = false };
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_ctx_init(&off.ctx, x->env, UINT32_MAX, NULL, x->op_id);
    off.ctx.tick = on_tick;
    x->over = may_be_over(x, now, p, d) || step(x, "switched", p->vdev);
    rc = has_disk(x, dom_of(now), p->vdev, d, &has, err);
    if (!rc && !x->over && has_leaf(now, p, d) &&
        is_astray(x, has == HAS_NOT ? &off : now, p, d, has)) {
        rc = astray(x, p, d, has, err);
    } else if (!rc && ran_above(x, p, d, has) && has_leaf(now, p, d)) {
        rc = refuse_above(x, d, has, err);
    } else if (!rc && has != HAS_NOT) {
        rc = merge_any(x, now, p, d, &moved, err);
    } else if (!rc) {
        /* Nobody has it, so it is merged as that of a domain that is off.  A
         * job of ours may hold it still. */
        if (now->qemu)
            p->drv->delete_stop(&now->ctx, p, d, &ignored);
        rc = merge_any(x, &off, p, d, &moved, err);
    }
    rc = snap_saver_verdict(&now->saver, rc, err);
    /* At another time it may be done: the domain or its QEMU went this moment,
     * or somebody is at work on it.  Without the overlay under its name the
     * state must say so before the journal goes. */
    if (rc && (x->over || (x->last_try && may_pass(rc)) ||
               (!moved && !has_leaf(now, p, d))))
        rc = err->rc = SNAP_RECOVER;
    return rc;
}

/* ---- after it: what goes ---- */

void snap_deleted_know_path(struct snap_delete *d, const char *path,
                            const char *format, bool frozen)
{
    struct snap_known *k;

    if (!path || path[0] != '/')
        return;
    d->known = snap_realloc(d->known, d->n_known + 1, sizeof(*d->known));
    k = &d->known[d->n_known++];
    k->path = snap_strdup(path);
    k->qcow2 = snap_streq(format, "qcow2");
    k->frozen = frozen;
}

void snap_deleted_know(struct snap_delete *d, const struct snap_record *rs,
                       size_t n)
{
    size_t i, k;

    for (i = 0; i < n; i++)
        for (k = 0; k < rs[i].n_parts; k++) {
            const struct snap_part *p = &rs[i].parts[k];

            snap_deleted_know_path(d, p->frozen_path, p->frozen_format,
                                   p->type == SNAP_DISK_EXTERNAL);
            snap_deleted_know_path(d, p->active_path, p->active_format, false);
        }
}

void snap_deleted_know_state(struct snap_delete *d,
                             const struct snap_state *state)
{
    size_t i;

    for (i = 0; i < state->n; i++)
        snap_deleted_know_path(d, state->leaves[i].path,
                               state->leaves[i].format, false);
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

/* Its user may have moved it away, and its name be another image's by now.  In
 * the store it cannot be. */
static int keep_memory(const struct snap_deletion *x, bool *keep_r,
                       struct snap_err *err)
{
    int rc = 0;
    const char *path = x->rec->mem_path;
    char *own = snap_store_memory_path(x->s, x->rec->name);
    struct snap_err why = SNAP_ERR_INIT;
    bool need = false;

    *keep_r = false;
    if (snap_streq(own, path))
        goto out;
    *keep_r = snap_memfile_is_of(x->env, x->rec, &why) != 0;
    if (!*keep_r) {
        rc = snap_others_need(x->env, x->s->uuid, path, &need, err);
        if (need)
            snap_fail(&why, SNAP_REFUSED,
                      "a snapshot of another domain needs it, or may need it");
        *keep_r = need;
    }
    if (*keep_r)
        snap_say(x->env->log, SNAP_LOG_WARN,
                 "%s, the memory image of %s, is kept: %s; remove it if nobody needs it",
                 path, x->rec->name, why.msg);

out:
    free(own);
    return rc;
}

static int remove_memory(const struct snap_deletion *x,
                         const struct snap_record *all, size_t n,
                         struct snap_err *err)
{
    int rc;
    bool keep;
    struct stat st;
    const char *path = x->rec->mem_path;

    if (!x->rec->has_memory || !path || lstat(path, &st) ||
        !S_ISREG(st.st_mode) || snap_records_need(all, n, path))
        return 0;
    rc = keep_memory(x, &keep, err);
    return rc || keep ? rc : snap_file_remove(path, err);
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

/* The tail of it: the snapshot is in nobody's history any more. */
static int forget(const struct snap_deletion *x, struct snap_record *all,
                  size_t n, struct snap_err *err)
{
    int rc = adopt(x, all, n, err);

    if (rc)
        return rc;
    if (snap_streq(x->state->current, x->rec->name))
        snap_set(&x->state->current, x->rec->parent);
    return snap_state_save(x->s, x->state, err);
}

/* We may have died between telling Xen and telling QEMU; what the guest writes
 * to is what it has.  If QEMU has neither, Xen's word is all there is. */
static int ask_qemu(const struct snap_deletion *x, struct now *now,
                    const struct snap_part *p, const struct snap_delete *d,
                    bool *base, struct snap_err *err)
{
    bool yes;
    int rc = p->drv->merge_switched(&now->ctx, p, d, &yes, err);

    if (rc == SNAP_NOTFOUND || rc == SNAP_REFUSED) {
        snap_err_clear(err);
        return 0;
    }
    if (rc)
        return rc;
    *base = yes;
    return tell_which(x, &now->dom, p->vdev, d, yes, err);
}

/* Nobody has the disk, and "switched" was never written down.  QEMU may have
 * changed over all the same, and the guest have gone on below; or tools had
 * merged all, and the overlay has lost its name. */
static bool ended_below(const struct snap_deletion *x, struct now *now,
                        const struct snap_part *p, struct snap_delete *d)
{
    if (may_be_over(x, now, p, d) && p->drv->merge_went_below(p, d))
        return true;
    return step(x, "merging", p->vdev) && !has_leaf(now, p, d);
}

/* Before QEMU is asked: is the image below what the domain has, or had last? */
static bool keeps_base(const struct snap_deletion *x, struct now *now,
                       const struct snap_part *p, struct snap_delete *d,
                       enum has has)
{
    if (has == HAS_BASE)
        return true;
    if (step(x, "switched", p->vdev))
        return !ran_above(x, p, d, has) || !has_leaf(now, p, d);
    return has == HAS_NOT && ended_below(x, now, p, d);
}

/* The disk is what the domain has, or had last. */
static int keep_merge(struct snap_deletion *x, struct now *now,
                      struct snap_part *p, struct snap_delete *d,
                      struct snap_err *err)
{
    int rc;
    enum has has = HAS_NOT;
    bool base;

    rc = has_disk(x, dom_of(now), p->vdev, d, &has, err);
    if (rc)
        return rc;
    base = keeps_base(x, now, p, d, has);
    /* Nothing works on, and what is below the overlay is protected. */
    if (has == HAS_BASE || !base)
        rc = p->drv->delete_stop(&now->ctx, p, d, err);
    if (!rc && has != HAS_NOT && now->qemu)
        rc = ask_qemu(x, now, p, d, &base, err);
    if (rc)
        return rc;
    if (base)
        snap_state_set_leaf(x->state, p->vdev, d->active_path,
                            d->active_format, p->stem, p->frozen_made);
    else
        snap_state_set_leaf(x->state, p->vdev, d->leaf, "qcow2", p->stem,
                            true);
    return 0;
}

int snap_deleted_keep(struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct now now = { .there = false };
    struct snap_record *all = NULL;

    rc = now_open(x, &now, err);
    if (!rc)
        rc = snap_store_all_whole(x->s, x->env->drivers, &all, &n, err);
    for (i = 0; !rc && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (x->del[i].how != SNAP_DELETE_MERGE)
            continue;
        rc = keep_merge(x, &now, p, &x->del[i], err);
        if (rc)
            snap_err_prefix(err, "%s", p->vdev);
    }
    if (!rc)
        rc = forget(x, all, n, err);
    snap_records_free(&all, &n);
    now_close(&now);
    return rc;
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

        r = snap_saver_look(&now.saver, &e);
        if (!r && d->how == SNAP_DELETE_MERGE)
            r = merge(x, &now, p, d, &e);
        /* A guest that stands, and a switch that may have been made, are not
         * for a warning; nor is what may be done when somebody has ended. */
        if (r == SNAP_RECOVER || now.saver.why.rc) {
            rc = snap_fail(err, r, "%s: %s", p->vdev, e.msg);
            goto out;
        }
        disown_leaf(x, p, d);
        if (!r && d->how != SNAP_DELETE_STAY) {
            r = remove_image(x, &now, p, d, all, n, &e);
            if (again(x, r, &e))
                r = remove_image(x, &now, p, d, all, n, &e);
        }
        keep_first(x, r, &e, p->vdev, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = snap_deleted_refreeze(x, true, &e);
        if (again(x, r, &e))
            r = snap_deleted_refreeze(x, true, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = remove_memory(x, all, n, &e);
        if (again(x, r, &e))
            r = remove_memory(x, all, n, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (!rc)
        rc = forget(x, all, n, err);

out:
    snap_records_free(&all, &n);
    now_close(&now);
    return rc;
}

/* ---- recovery ---- */

/* The pause that nobody has ended, as far as the journal says, or NULL; and
 * its note, if there is one. */
static const struct snap_journal_entry *
open_pause(const struct snap_rescue *r,
           const struct snap_journal_entry **note_r)
{
    size_t i;
    const struct snap_journal_entry *at = NULL;

    *note_r = NULL;
    for (i = 0; i < r->n; i++) {
        const struct snap_journal_entry *e = &r->e[i];

        if (snap_has_prefix(e->step, "paused-"))
            *note_r = e;
        else if (snap_has_prefix(e->step, "pause-"))
            at = e;
        else if (snap_has_prefix(e->step, "resumed-"))
            at = *note_r = NULL;
    }
    return at;
}

static struct snap_deletion deletion(struct snap_rescue *r,
                                     struct snap_delete *del,
                                     struct snap_journal *journal)
{
    return (struct snap_deletion){
        .env = r->ses.env,
        .s = &r->ses.store,
        .rec = r->in.rec,
        .del = del,
        .state = &r->ses.state,
        .op_id = r->in.op_id,
        .journal = journal,
        .e = r->e,
        .n_e = r->n,
        .boot_id = r->in.boot_id,
        .last_try = true,
    };
}

/* The guest, which is r->dom, stands in the exchange of a disk, since this
 * "pause-VDEV". */
static int exchange_known(struct snap_rescue *r, const char *pause, bool hangs,
                          struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_deletion x;

    rc = snap_deleted_read(&r->in, &del, err);
    if (!rc) {
        x = deletion(r, del, NULL);
        rc = snap_deleted_known(&x, &r->ses.dom, pause + strlen("pause-"),
                                hangs, err);
    }
    snap_deleted_free(&del, r->in.rec->n_parts);
    return rc;
}

struct exchange {
    struct snap_rescue *r;
    const char *pause; /* its "pause-VDEV" */
};

/* In a process of its own, which ends with this.  The lock is its parent's,
 * though this one may hang. */
static int exchange_child(void *opaque)
{
    const struct exchange *x = opaque;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_rescue *r = x->r;
    int rc;

    close(r->ses.store.lock_fd);
    r->ses.store.lock_fd = -1;
    r->ses.env->hyp = NULL;
    rc = r->ses.env->ops->open(r->ses.env->log, &r->ses.env->hyp, &ignored);
    return rc ? rc : exchange_known(r, x->pause, false, &ignored);
}

/* It goes on soon, whatever hangs. */
static int tell_in_time(struct snap_rescue *r, const char *pause)
{
    struct exchange x = { .r = r, .pause = pause };

    return snap_limited(snap_guard_tell_ms, exchange_child, &x);
}

static void say_untold(const struct snap_rescue *r, int rc)
{
    if (rc)
        snap_say(r->ses.env->log, SNAP_LOG_WARN,
                 "%s goes on before Xen knows its images%s; until this recovery, or another one, has told Xen, a reboot may find such as it does not write to any more",
                 snap_rescue_name(r), snap_limited_why(rc));
}

/* A guest that we paused for the exchange of images goes on. */
static int resume_paused(struct snap_rescue *r, struct snap_err *err)
{
    int rc, untold = 0;
    char *step;
    struct snap_by_pause by = { .step = NULL };
    const struct snap_journal_entry *at = open_pause(r, &by.e);
    struct snap_held held = { .pause = true };

    if (!at)
        return 0;
    /* As it was then: it may have been rebooted since the plan. */
    held.domid = snap_json_get_int(at->data, "domid", 0);
    held.monitor_pid = snap_json_get_int(at->data, "monitor_pid", 0);
    step = snap_printf("paused-%s", at->step + strlen("pause-"));
    by.step = step;
    rc = snap_rescue_stood(r, &held, &by, err);
    if (!rc && !snap_rescue_runs(r) && r->stood)
        untold = tell_in_time(r, at->step);
    if (!rc)
        rc = snap_rescue_go_on(r, &held, err);
    free(step);
    if (rc)
        return rc;
    say_untold(r, untold);
    step = snap_printf("resumed-%s", at->step + strlen("pause-"));
    snap_rescue_note(r, NULL, step);
    free(step);
    return 0;
}

/* Has the frozen image gone?  --keep removes none; one that could not be
 * removed, or that is somebody's by now, has had its warning.  What cannot be
 * seen, with all mounted, is gone. */
static bool is_gone(const struct snap_rescue *r, const struct snap_part *p)
{
    enum snap_stand how = SNAP_STAND_GONE;
    struct snap_disk_ctx off;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_rescue_keep(r))
        return false;
    snap_ctx_init(&off, r->ses.env, UINT32_MAX, NULL, r->in.op_id);
    return p->drv->stands_on(&off, p, p->frozen_path, &how, &ignored) ||
           how == SNAP_STAND_GONE;
}

/* The snapshot is gone: what was merged, and what no xl.cfg may name any
 * more. */
static void note_deleted(struct snap_rescue *r, const struct snap_delete *del)
{
    size_t i;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];
        const struct snap_delete *d = &del[i];

        if (d->how == SNAP_DELETE_MERGE &&
            snap_rescue_is_leaf(r, p, d->active_path))
            snap_rescue_stale(r,
                              snap_stale_merged(p->vdev, snap_rescue_name(r),
                                                d->active_path,
                                                d->active_format));
        else if (d->how == SNAP_DELETE_MERGE)
            snap_rescue_stale(r, snap_stale_now(snap_rescue_leaf(r, p),
                                                snap_rescue_name(r)));
        else if (p->type == SNAP_DISK_EXTERNAL && !p->frozen_made &&
                 !d->keep_image && d->how != SNAP_DELETE_STAY && d->leaf &&
                 is_gone(r, p))
            snap_rescue_stale(r, snap_stale_gone(p->vdev, p->frozen_path,
                                                 d->leaf));
    }
}

static int recover_delete(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_journal journal = SNAP_JOURNAL_INIT;
    struct snap_deletion x;
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = resume_paused(r, err);
    if (!rc)
        rc = snap_deleted_read(&r->in, &del, err);
    if (!rc)
        rc = snap_journal_resume(&journal, r->path, r->in.op->name, err);
    if (rc)
        goto out;
    x = deletion(r, del, &journal);
    /* What gives it up asks QEMU itself, and works on with nothing. */
    if (!snap_rescue_keep(r))
        snap_deleted_note_over(&x, &ignored);
    rc = snap_rescue_mounts(r, err);
    if (rc)
        goto out;
    if (snap_store_has(&r->ses.store, r->in.rec->name)) {
        r->what =
            snap_printf("unfinished deletion of %s was undone; the snapshot is kept",
                        r->in.rec->name);
        rc = snap_deleted_undo(&x, err);
    } else if (snap_rescue_keep(r)) {
        r->what =
            snap_printf("deletion of %s was given up; the images that it worked on are kept as they are",
                        r->in.rec->name);
        rc = snap_deleted_keep(&x, err);
    } else {
        r->what = snap_printf("deletion of %s was finished", r->in.rec->name);
        rc = snap_deleted_finish(&x, err);
    }
    if (!rc && !snap_store_has(&r->ses.store, r->in.rec->name))
        note_deleted(r, del);

out:
    snap_journal_dispose(&journal);
    snap_deleted_free(&del, r->in.rec->n_parts);
    return rc;
}

static bool stands(const struct snap_rescue *r)
{
    const struct snap_journal_entry *note_of;

    return open_pause(r, &note_of) != NULL;
}

static int known(struct snap_rescue *r, bool hangs, struct snap_err *err)
{
    const struct snap_journal_entry *note_of, *pause = open_pause(r, &note_of);

    return r->ses.dom.paused ? exchange_known(r, pause->step, hangs, err) : 0;
}

const struct snap_op snap_op_delete = {
    .name = "delete",
    .disks = "disks",
    .check = snap_deleted_check,
    .recover = recover_delete,
    .stands = stands,
    .known = known,
};
