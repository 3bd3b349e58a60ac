/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See delete_exchange.h.
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
#include "op/delete_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/guardian.h"
#include "op/parts.h"
#include "op/paused.h"
#include "op/stamp.h"

int snap_deletion_tell(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev,
                       struct snap_object o, struct snap_err *err)
{
    const struct snap_active a = { .vdev = vdev,
                                   .path = o.id,
                                   .format = o.format };

    return x->ses->env->ops->set_active(x->ses->env->hyp, dom, &a, 1, err);
}

/* Nobody but us stops it, so nobody but us has to let it go on; but whoever
 * did meanwhile is no trouble: both images were alike, or QEMU writes to the
 * one by now. */
static int delete_exchange_let_go_on(struct snap_deletion *x,
                                     const struct snap_domain *dom,
                                     const char *vdev,
                                     struct snap_guardian *guardian,
                                     struct snap_err *err)
{
    int rc;
    char *name;
    struct snap_err e = SNAP_ERR_INIT;
    const struct snap_hyp_ops *ops = x->ses->env->ops;
    const struct snap_held held = {
        .uuid = dom->uuid,
        .domid = dom->domid,
        .monitor_pid = dom->monitor_pid,
        .pause = true,
    };

    if (ops->unpause(x->ses->env->hyp, dom, &e) &&
        ops->rescue(x->ses->env->hyp, &held, &e)) {
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

    snap_deletion_mark(x, "back", vdev, NULL, &ignored);
}

/* An exchange came to nothing, before QEMU was told or because it would not.
 * One before this, of a process that died, may have come through: then only
 * QEMU can say that it writes to the leaf. */
static bool on_leaf(const struct snap_deletion *x,
                    struct snap_deletion_now *now, const struct snap_part *p,
                    const struct snap_delete *d)
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
    x->ses->env->image_stamp(d->gone, &d->left);
    return snap_deletion_mark(x, "switched", p->vdev,
                              snap_stamp_json(&d->left), err);
}

/* The guest stands, if nobody let it go on. */
static int change_over(struct snap_deletion *x, struct snap_deletion_now *now,
                       struct snap_part *p, struct snap_delete *d,
                       struct snap_guardian *guardian, struct snap_err *err)
{
    int rc;
    bool before = x->over;
    struct snap_err e = SNAP_ERR_INIT;

    rc = x->ses->env->ops->stands(x->ses->env->hyp, &now->dom, false, err);
    if (rc) {
        if (on_leaf(x, now, p, d))
            note_back(x, p->vdev);
        return rc;
    }
    x->over = true;
    rc = snap_deletion_tell(x, &now->dom, p->vdev, snap_delete_active(d), err);
    snap_guardian_beat(guardian);
    if (!rc)
        rc = p->drv->merge_switch(&now->ctx, p, d, err);
    if (rc && rc != SNAP_RECOVER && (!before || on_leaf(x, now, p, d))) {
        if (snap_deletion_tell(x, &now->dom, p->vdev, snap_delete_leaf(d), &e))
            snap_err_append(err, "and Xen may name another image: %s", e.msg);
        else
            note_back(x, p->vdev);
    }
    snap_guardian_beat(guardian);
    return rc ? rc : note_switched(x, p, d, err);
}

static struct snap_json *when(const struct snap_deletion_now *now)
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
static int announce(const struct snap_deletion *x,
                    const struct snap_deletion_now *now,
                    const struct snap_part *p, struct snap_guardian *guardian,
                    struct snap_err *err)
{
    int rc = snap_deletion_mark(x, "pause", p->vdev, when(now), err);

    if (!rc)
        snap_guardian_window(guardian);
    return rc;
}

static void note_pause(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev)
{
    char *step = snap_printf("paused-%s", vdev);

    snap_paused_note(x->ses->env, x->journal, dom, step);
    free(step);
}

int snap_deletion_exchange(struct snap_deletion *x,
                           struct snap_deletion_now *now, struct snap_part *p,
                           struct snap_delete *d, struct snap_err *err)
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
    rc = x->ses->env->ops->find_uuid(x->ses->env->hyp, x->ses->store.uuid,
                                     &now->dom, err);
    if (!rc && !now->dom.paused)
        rc = snap_guardian_start(x->ses->env, &x->ses->store, &what, &guardian,
                                 err);
    if (!rc)
        rc = x->ses->env->ops->window_open(x->ses->env->hyp, &now->dom, &to, 1,
                                           err);
    if (rc)
        goto out;
    if (now->dom.paused) {
        rc = snap_deletion_mark(x, "over", p->vdev, when(now), err);
        if (!rc)
            rc = change_over(x, now, p, d, &guardian, err);
        goto out;
    }
    rc = announce(x, now, p, &guardian, err);
    if (rc)
        goto out;
    rc = x->ses->env->ops->pause(x->ses->env->hyp, &now->dom, err);
    if (!rc)
        note_pause(x, &now->dom, p->vdev);
    else if (on_leaf(x, now, p, d))
        note_back(x, p->vdev);
    if (!rc)
        rc = change_over(x, now, p, d, &guardian, err);
    r2 = delete_exchange_let_go_on(x, &now->dom, p->vdev, &guardian, &e);
    if (r2 && rc)
        snap_err_append(err, "and %s", e.msg);
    if (r2)
        rc = rc ? (err->rc = r2) : snap_fail(err, r2, "%s", e.msg);

out:
    x->ses->env->ops->window_close(x->ses->env->hyp);
    snap_guardian_end(&guardian);
    return rc;
}

/* By Xen.  dom NULL: it is not there. */
int snap_deletion_has(const struct snap_deletion *x,
                      const struct snap_domain *dom, const char *vdev,
                      const struct snap_delete *d,
                      enum snap_deletion_has *has_r, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    struct snap_vbd *all = NULL;
    const struct snap_vbd *v;
    const struct snap_disk_driver *const *drivers = x->ses->env->drivers;

    *has_r = SNAP_HAS_NOT;
    if (!dom)
        return 0;
    rc = x->ses->env->ops->disks(x->ses->env->hyp, dom, &all, &n, err);
    v = rc ? NULL : snap_vbd_find(all, n, vdev);
    if (v &&
        snap_object_same(drivers, snap_vbd_object(v), snap_delete_leaf(d)))
        *has_r = SNAP_HAS_LEAF;
    else if (v && snap_object_same(drivers, snap_vbd_object(v),
                                   snap_delete_active(d)))
        *has_r = SNAP_HAS_BASE;
    snap_vbds_free(&all, &n);
    return rc;
}

int snap_deletion_tell_which(const struct snap_deletion *x,
                             const struct snap_domain *dom, const char *vdev,
                             const struct snap_delete *d, bool base,
                             struct snap_err *err)
{
    return snap_deletion_tell(x, dom, vdev,
                              base ? snap_delete_active(d)
                                   : snap_delete_leaf(d),
                              err);
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
static int delete_exchange_make_known(const struct snap_deletion *x,
                                      struct snap_disk_ctx *c,
                                      const struct snap_domain *dom,
                                      struct snap_part *p,
                                      const struct snap_delete *d,
                                      bool *base_r, struct snap_err *err)
{
    int rc, late = 0;
    enum snap_deletion_has has;
    struct snap_err e = SNAP_ERR_INIT;

    *base_r = false;
    rc = snap_deletion_has(x, dom, p->vdev, d, &has, err);
    if (rc || has == SNAP_HAS_NOT)
        return rc;
    if (has == SNAP_HAS_BASE)
        late = p->drv->merge_switch(c, p, d, &e);
    rc = p->drv->merge_switched(c, p, d, base_r, err);
    if (late == SNAP_RECOVER && !*base_r) {
        snap_err_clear(err);
        return snap_fail(err, late, "%s", e.msg);
    }
    return rc ? rc
              : snap_deletion_tell_which(x, dom, p->vdev, d, *base_r, err);
}

int snap_deletion_known(const struct snap_deletion *x,
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
        snap_deletion_step(x, "switched", vdev))
        return 0;
    if (hangs)
        return snap_fail(err, SNAP_RECOVER,
                         "%s: whether QEMU writes to %s or %s is not known as long as the command hangs",
                         vdev, x->del[i].leaf, x->del[i].active_path);
    rc = snap_domain_qmp(x->ses->env, dom, &qmp, &qemu, err);
    if (!rc && qemu) {
        snap_ctx_init(&c, x->ses->env, dom->domid, qmp, x->ses->op_id);
        rc = delete_exchange_make_known(x, &c, dom, &x->rec->parts[i],
                                        &x->del[i], &base, err);
    }
    snap_qmp_close(qmp);
    return rc;
}

/* When the disk was to change over, if that was not given up since. */
static const struct snap_journal_entry *paused(const struct snap_deletion *x,
                                               const char *vdev)
{
    const struct snap_journal_entry *pause = snap_deletion_step(x, "pause",
                                                                vdev);
    const struct snap_journal_entry *over = snap_deletion_step(x, "over",
                                                               vdev);
    const struct snap_journal_entry *back = snap_deletion_step(x, "back",
                                                               vdev);
    /* They are in one array, the later ones behind. */
    const struct snap_journal_entry *last = !pause || (over && over > pause)
                                                ? over
                                                : pause;

    return last && back && back > last ? NULL : last;
}

/* It has been there ever since, so nobody has started it on another image,
 * whatever Xen has been told. */
static bool same_domain(const struct snap_deletion_now *now,
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
bool snap_deletion_may_be_over(const struct snap_deletion *x,
                               const struct snap_deletion_now *now,
                               const struct snap_part *p,
                               struct snap_delete *d)
{
    const struct snap_journal_entry *e = paused(x, p->vdev);

    d->paused_at = e ? snap_json_get_int(e->data, "at", 0) : 0;
    if (e && !same_domain(now, e) && p->drv->merge_went_on(p, d))
        d->paused_at = 0;
    return d->paused_at != 0;
}

/* The domain is there that was to change over, and whether it did is not
 * written down. */
static bool is_open(const struct snap_deletion *x,
                    const struct snap_deletion_now *now, size_t i)
{
    const char *vdev = x->rec->parts[i].vdev;
    const struct snap_journal_entry *e = paused(x, vdev);

    return x->del[i].how == SNAP_DELETE_MERGE && e &&
           !snap_deletion_step(x, "switched", vdev) && same_domain(now, e);
}

int snap_deletion_note_over(struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i;
    bool base;
    struct snap_deletion_now now;

    rc = snap_deletion_look(x, &now, err);
    for (i = 0; !rc && now.qemu && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (!is_open(x, &now, i))
            continue;
        rc = delete_exchange_make_known(x, &now.ctx, &now.dom, p, &x->del[i],
                                        &base, err);
        if (!rc && base)
            rc = note_switched(x, p, &x->del[i], err);
    }
    snap_deletion_close(&now);
    return rc;
}
