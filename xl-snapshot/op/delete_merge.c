/* SPDX-License-Identifier: LGPL-2.1-only */
/* See delete_merge.h. */
#include "op/delete_merge.h"

#include <stdlib.h>
#include <string.h>

#include "lib/boot_id.h"
#include "lib/mem.h"
#include "op/delete_exchange.h"
#include "op/parts.h"
#include "op/stamp.h"
#include "store/state.h"

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
static int note_merging(const struct snap_deletion *x,
                        const struct snap_deletion_now *now,
                        const struct snap_part *p, struct snap_err *err)
{
    const struct snap_journal_entry *e = snap_deletion_step(x, "merging",
                                                            p->vdev);
    struct snap_json *data = this_boot(now->ctx.qmp != NULL);
    char *then = e ? snap_json_text(e->data, false) : NULL;
    char *text = snap_json_text(data, false);
    int rc = 0;

    if (snap_streq(then, text))
        snap_json_free(data);
    else
        rc = snap_deletion_mark(x, "merging", p->vdev, data, err);
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
static bool is_astray(const struct snap_deletion *x,
                      const struct snap_deletion_now *as,
                      const struct snap_part *p, struct snap_delete *d,
                      enum snap_deletion_has has)
{
    if (has == SNAP_HAS_BASE || snap_deletion_step(x, "astray", p->vdev))
        return true;
    look_back(x, p, d);
    return p->drv->merge_astray(p, d, as->ctx.qmp != NULL);
}

static int astray(const struct snap_deletion *x, const struct snap_part *p,
                  const struct snap_delete *d, enum snap_deletion_has has,
                  struct snap_err *err)
{
    const struct snap_journal_entry *e = snap_deletion_step(x, "astray",
                                                            p->vdev);
    bool seen = has == SNAP_HAS_BASE ||
                (e && snap_json_get_bool(e->data, "started", true));
    struct snap_json *data = snap_json_object();
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_json_set_bool(data, "started", seen);
    if (e && seen == snap_json_get_bool(e->data, "started", true))
        snap_json_free(data);
    else
        snap_deletion_mark(x, "astray", p->vdev, data, &ignored);
    return snap_fail(
        err, SNAP_RECOVER,
        "%s %s %s while %s was being merged into it.  The latter has what the guest wrote before, the former what was written since; nothing more is done to either.  Copy what you need of both to a safe place; then xl snapshot-recover --keep %s gives the deletion up and leaves them as they are",
        seen ? snap_deletion_domain(x) : "somebody",
        seen ? "was started on"
             : "(probably the domain, started from an old xl.cfg) wrote to",
        d->active_path, d->gone, snap_deletion_domain(x));
}

/* QEMU had left the overlay for good, and somebody has started the domain on
 * it since, or did: it hides what the guest wrote below before. */
static bool ran_above(const struct snap_deletion *x, const struct snap_part *p,
                      struct snap_delete *d, enum snap_deletion_has has)
{
    const struct snap_journal_entry *e = snap_deletion_step(x, "switched",
                                                            p->vdev);

    if (!e)
        return false;
    snap_stamp_from_json(e->data, &d->left);
    return has == SNAP_HAS_LEAF ||
           snap_stamp_changed(x->ses->env, d->gone, &d->left);
}

static int refuse_above(const struct snap_deletion *x,
                        const struct snap_delete *d,
                        enum snap_deletion_has has, struct snap_err *err)
{
    return snap_fail(err, SNAP_RECOVER,
                     "%s %s %s after that had been merged into %s.  The latter has what the guest wrote before, and the former hides it, and has what was written since; nothing more is done to either.  Copy what you need of both to a safe place; then xl snapshot-recover --keep %s gives the deletion up and leaves them as they are",
                     has == SNAP_HAS_LEAF ? snap_deletion_domain(x)
                                          : "somebody",
                     has == SNAP_HAS_LEAF
                         ? "was started on"
                         : "(probably the domain, started from its xl.cfg) wrote to",
                     d->gone, d->active_path, snap_deletion_domain(x));
}

/* The merge has not come to its end.  Xen may have been told the image below,
 * and the domain be about to be built with it, so that is not protected before
 * it is known what it has.  Fails if it may write there. */
static int stop_merge(const struct snap_deletion *x,
                      struct snap_deletion_now *now, struct snap_part *p,
                      const struct snap_delete *d)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    enum snap_deletion_has has;
    int rc = snap_deletion_refresh(x, now, &ignored);

    if (!rc)
        rc = snap_deletion_has(x, snap_deletion_dom(now), p->vdev, d, &has,
                               &ignored);
    if (!rc && has == SNAP_HAS_BASE)
        rc = SNAP_BUSY;
    return rc ? rc : p->drv->delete_stop(&now->ctx, p, d, &ignored);
}

/* Until what the domain has is known everywhere. */
static int move_over(struct snap_deletion *x, struct snap_deletion_now *now,
                     struct snap_part *p, struct snap_delete *d,
                     struct snap_err *err)
{
    int rc;

    if (!snap_deletion_step(x, "switched", p->vdev)) {
        rc = note_merging(x, now, p, err);
        if (!rc)
            rc = p->drv->merge(&now->ctx, p, d, err);
        if (!rc && now->there && !now->qemu)
            rc = snap_deletion_tell(x, &now->dom, p->vdev,
                                    snap_delete_active(d), err);
        if (!rc)
            rc = now->qemu
                     ? snap_deletion_exchange(x, now, p, d, err)
                     : snap_deletion_mark(x, "switched", p->vdev, NULL, err);
        if (rc) {
            x->over |= stop_merge(x, now, p, d) != 0;
            return rc;
        }
    } else if (now->there) {
        rc = snap_deletion_tell(x, &now->dom, p->vdev, snap_delete_active(d),
                                err);
        if (rc)
            return rc;
    }
    snap_state_set_leaf(&x->ses->state, p->vdev, snap_delete_active(d),
                        p->stem, p->frozen_made);
    return snap_state_save(&x->ses->store, &x->ses->state, err);
}

static int merge_any(struct snap_deletion *x, struct snap_deletion_now *now,
                     struct snap_part *p, struct snap_delete *d, bool *moved_r,
                     struct snap_err *err)
{
    int rc = move_over(x, now, p, d, err);

    *moved_r = !rc;
    if (!rc) {
        x->over = false; /* what is left is an overlay that nobody needs */
        rc = p->drv->merge_finish(&now->ctx, p, d, err);
        if (snap_deletion_again(x, rc, err))
            rc = p->drv->merge_finish(&now->ctx, p, d, err);
    }
    return rc;
}

/* The overlay, under its name.  In doubt it is. */
static bool has_leaf(struct snap_deletion_now *now, const struct snap_part *p,
                     const struct snap_delete *d)
{
    enum snap_stand how = SNAP_STAND_ALONE;
    struct snap_err ignored = SNAP_ERR_INIT;

    return p->drv->stands_on(&now->ctx, p, snap_object_file(d->gone), &how,
                             &ignored) ||
           how != SNAP_STAND_GONE;
}

static bool delete_merge_may_pass(int rc)
{
    return rc == SNAP_BUSY || rc == SNAP_NOTFOUND || rc == SNAP_IO ||
           rc == SNAP_TIMEOUT || rc == SNAP_PROTO;
}

/* Once the disk may have changed over, nothing but the journal tells that the
 * old overlay is no longer what the guest wrote last: it stays until all is
 * known, whatever fails. */
int snap_deletion_merge(struct snap_deletion *x, struct snap_deletion_now *now,
                        struct snap_part *p, struct snap_delete *d,
                        struct snap_err *err)
{
    int rc;
    enum snap_deletion_has has;
    bool moved = false;
    struct snap_deletion_now off;
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_deletion_off(x, &off);
    x->over = snap_deletion_may_be_over(x, now, p, d) ||
              snap_deletion_step(x, "switched", p->vdev);
    rc = snap_deletion_has(x, snap_deletion_dom(now), p->vdev, d, &has, err);
    if (!rc && !x->over && has_leaf(now, p, d) &&
        is_astray(x, has == SNAP_HAS_NOT ? &off : now, p, d, has)) {
        rc = astray(x, p, d, has, err);
    } else if (!rc && ran_above(x, p, d, has) && has_leaf(now, p, d)) {
        rc = refuse_above(x, d, has, err);
    } else if (!rc && has != SNAP_HAS_NOT) {
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
    if (rc && (x->over || (x->last_try && delete_merge_may_pass(rc)) ||
               (!moved && !has_leaf(now, p, d))))
        rc = err->rc = SNAP_RECOVER;
    return rc;
}

/* We may have died between telling Xen and telling QEMU; what the guest writes
 * to is what it has.  If QEMU has neither, Xen's word is all there is. */
static int ask_qemu(const struct snap_deletion *x,
                    struct snap_deletion_now *now, const struct snap_part *p,
                    const struct snap_delete *d, bool *base,
                    struct snap_err *err)
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
    return snap_deletion_tell_which(x, &now->dom, p->vdev, d, yes, err);
}

/* Nobody has the disk, and "switched" was never written down.  QEMU may have
 * changed over all the same, and the guest have gone on below; or tools had
 * merged all, and the overlay has lost its name. */
static bool ended_below(const struct snap_deletion *x,
                        struct snap_deletion_now *now,
                        const struct snap_part *p, struct snap_delete *d)
{
    if (snap_deletion_may_be_over(x, now, p, d) &&
        p->drv->merge_went_below(p, d))
        return true;
    return snap_deletion_step(x, "merging", p->vdev) && !has_leaf(now, p, d);
}

/* Before QEMU is asked: is the image below what the domain has, or had last? */
static bool keeps_base(const struct snap_deletion *x,
                       struct snap_deletion_now *now,
                       const struct snap_part *p, struct snap_delete *d,
                       enum snap_deletion_has has)
{
    if (has == SNAP_HAS_BASE)
        return true;
    if (snap_deletion_step(x, "switched", p->vdev))
        return !ran_above(x, p, d, has) || !has_leaf(now, p, d);
    return has == SNAP_HAS_NOT && ended_below(x, now, p, d);
}

/* The disk is what the domain has, or had last. */
int snap_deletion_keep_merge(struct snap_deletion *x,
                             struct snap_deletion_now *now,
                             struct snap_part *p, struct snap_delete *d,
                             struct snap_err *err)
{
    int rc;
    enum snap_deletion_has has = SNAP_HAS_NOT;
    bool base;

    rc = snap_deletion_has(x, snap_deletion_dom(now), p->vdev, d, &has, err);
    if (rc)
        return rc;
    base = keeps_base(x, now, p, d, has);
    /* Nothing works on, and what is below the overlay is protected. */
    if (has == SNAP_HAS_BASE || !base)
        rc = p->drv->delete_stop(&now->ctx, p, d, err);
    if (!rc && has != SNAP_HAS_NOT && now->qemu)
        rc = ask_qemu(x, now, p, d, &base, err);
    if (rc)
        return rc;
    if (base)
        snap_state_set_leaf(&x->ses->state, p->vdev, snap_delete_active(d),
                            p->stem, p->frozen_made);
    else
        snap_state_set_leaf(&x->ses->state, p->vdev, snap_delete_leaf(d),
                            p->stem, true);
    return 0;
}
