/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * fake-external gives a snapshot up: what is over the frozen image takes what
 * it reads there, or goes down into it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fakes/fake_disk_int.h"
#include "lib/mem.h"

static bool in_chain(const struct fake_open *o, int image)
{
    int i = o ? o->image : -1, depth;

    for (depth = 0; i >= 0 && depth < FAKE_IMAGES; depth++) {
        if (i == image)
            return true;
        i = S->image[i].backing;
    }
    return false;
}

static bool has_snaps(int image)
{
    int i;

    for (i = 0; i < FAKE_SNAPS; i++)
        if (S->snap[i].used && S->snap[i].image == image)
            return true;
    return false;
}

static void find_children(struct snap_disk_ctx *c, const struct snap_part *p,
                          struct snap_delete *d, int base)
{
    int i;

    d->child = snap_zalloc(FAKE_IMAGES * sizeof(*d->child));
    for (i = 0; i < FAKE_IMAGES; i++) {
        if (!S->image[i].exists || S->image[i].alias >= 0 ||
            S->image[i].backing != base)
            continue;
        d->child[d->n_child].path = snap_strdup(S->image[i].path);
        d->child[d->n_child].live = in_chain(fake_live(c, p), i);
        d->child[d->n_child++].protect = S->image[i].immutable;
    }
}

static bool can_merge(const struct snap_delete *d, int base)
{
    int leaf = fake_entry(S, d->leaf);

    return d->n_child == 1 && d->may_merge && leaf >= 0 &&
           S->image[leaf].alias < 0 && S->image[leaf].backing == base &&
           (d->others_inside || S->image[base].bytes >= S->image[leaf].bytes);
}

int fake_overlay_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_delete *d, struct snap_err *err)
{
    int rc, base = fake_lookup(S, p->frozen_path), i;
    size_t k;

    rc = fake_fault("delete_plan", p->vdev, err);
    d->how = SNAP_DELETE_DROP;
    d->keep_image = d->others_inside;
    if (rc || base < 0)
        return rc;
    if (d->others_freeze) {
        d->how = SNAP_DELETE_STAY;
        return 0;
    }
    if (d->leaf && fake_lookup(S, d->leaf) == base) {
        d->keep_image = true;
        return 0;
    }
    rc = fake_check_unused(c, p->frozen_path, err);
    if (rc)
        return rc;
    find_children(c, p, d, base);
    for (k = 0; k < d->n_child; k++) {
        i = fake_entry(S, d->child[k].path);
        if (has_snaps(i))
            return snap_fail(err, SNAP_REFUSED,
                             "%s is over %s and has snapshots inside; delete "
                             "those first",
                             d->child[k].path, p->frozen_path);
        if (!d->child[k].live && fake_top_over(i) >= 0)
            return snap_fail(err, SNAP_BUSY, "%s is over %s, and is open",
                             d->child[k].path, p->frozen_path);
    }
    if (S->image[base].backing >= 0) {
        snap_set(&d->parent, S->image[S->image[base].backing].path);
        snap_set(&d->parent_format, S->image[S->image[base].backing].format);
    }
    d->how = d->n_child ? SNAP_DELETE_PULL : SNAP_DELETE_DROP;
    if (can_merge(d, base)) {
        d->how = SNAP_DELETE_MERGE;
        d->keep_image = true;
        snap_set(&d->leaf_format, "qcow2");
        snap_set(&d->gone, d->child[0].path);
        snap_set(&d->active_path,
                 fake_lookup(S, p->path) == base ? p->path : p->frozen_path);
        snap_set(&d->active_format, p->frozen_format);
    }
    return 0;
}

int fake_overlay_pull(struct snap_disk_ctx *c, struct snap_part *p,
                      const struct snap_delete *d, size_t k,
                      struct snap_err *err)
{
    int rc, base = fake_lookup(S, p->frozen_path),
            i = fake_entry(S, d->child[k].path);

    rc = fake_fault("pull", p->vdev, err);
    if (rc || i < 0 || S->image[i].backing != base)
        return rc;
    if (fake_top_over(i) >= 0 && !in_chain(fake_live(c, p), i))
        return snap_fail(err, SNAP_BUSY, "%s is open", S->image[i].path);
    if (c->tick && c->tick(c->opaque, 1, 2))
        return snap_fail(err, SNAP_INTR, "interrupted");
    S->image[i].immutable = false;
    if (!S->image[i].own) {
        S->image[i].content = fake_content_of(S, base);
        S->image[i].own = true;
    }
    S->image[i].stamp = ++S->stamps;
    rc = fake_fault("pull half", p->vdev, err);
    if (!rc)
        S->image[i].backing = S->image[base].backing;
    S->image[i].immutable = d->child[k].protect;
    return rc ? rc : fake_fault("pull done", p->vdev, err);
}

/* The other image is the active one from here on. */
static void change_over(struct fake_open *o, int leaf, int base)
{
    if (S->image[leaf].own)
        fake_write_to(S, base, S->image[leaf].content);
    o->image = base;
    o->pends = false;
}

void fake_store_comes_to_it(struct fake_store *s)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].used && s->open[i].pends)
            change_over(&s->open[i], s->open[i].image,
                        s->image[s->open[i].image].backing);
}

int fake_overlay_delete_stop(struct snap_disk_ctx *c, struct snap_part *p,
                             const struct snap_delete *d, struct snap_err *err)
{
    int rc, i;
    size_t k;

    rc = fake_fault("delete_stop", p->vdev, err);
    for (k = 0; !rc && k < d->n_child; k++) {
        i = fake_entry(S, d->child[k].path);
        if (i >= 0 && d->child[k].protect)
            S->image[i].immutable = true;
    }
    /* A job that was told to complete does not end otherwise any more. */
    if (!rc && fake_live(c, p) && fake_live(c, p)->pends)
        fake_store_comes_to_it(S);
    i = fake_lookup(S, p->frozen_path);
    if (!rc && d->how == SNAP_DELETE_MERGE && i >= 0 && !fake_is_open(S, i))
        S->image[i].frozen = S->image[i].immutable = true;
    return rc;
}

int fake_overlay_refreeze(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);

    (void)c;
    rc = fake_fault("refreeze", p->vdev, err);
    if (!rc && i >= 0 && snap_json_get(p->data, "base_stamp"))
        snap_json_set_int(p->data, "base_stamp", (int64_t)S->image[i].stamp);
    return rc;
}

bool fake_overlay_merge_astray(const struct snap_part *p,
                               const struct snap_delete *d, bool live)
{
    int base = fake_lookup(S, p->frozen_path), leaf = fake_entry(S, d->gone);

    if (base < 0 || leaf < 0)
        return false;
    if (d->host_started && S->image[base].written >= d->host_started)
        return true;
    return !live && d->begun != SNAP_MERGE_NEW &&
           S->image[base].written > S->image[leaf].written;
}

/* The pause was right after merge(). */
bool fake_overlay_merge_went_on(const struct snap_part *p,
                                const struct snap_delete *d)
{
    int leaf = fake_entry(S, d->gone);

    (void)p;
    return leaf >= 0 && S->image[leaf].written > S->image[leaf].merged;
}

/* QEMU had changed over, nobody wrote that down, and the guest went on: what
 * it wrote last is in the base. */
bool fake_overlay_merge_went_below(const struct snap_part *p,
                                   const struct snap_delete *d)
{
    int base = fake_lookup(S, p->frozen_path), leaf = fake_entry(S, d->gone);

    return base >= 0 && leaf >= 0 && d->paused_at && S->image[leaf].own &&
           S->image[base].content > S->image[leaf].content;
}

/* All that is in the leaf goes down; the guest writes to the leaf still. */
int fake_overlay_merge(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err)
{
    int rc, base = fake_lookup(S, p->frozen_path),
            leaf = fake_entry(S, d->gone);
    struct fake_open *o = fake_live(c, p);

    rc = fake_fault("merge", p->vdev, err);
    if (rc || (o && o->image == base))
        return rc;
    if (leaf < 0 || S->image[leaf].backing != base)
        return snap_fail(err, SNAP_REFUSED, "%s is no overlay of %s", d->gone,
                         p->frozen_path);
    if (fake_top_over(leaf) >= 0 && !(o && o->image == leaf))
        return snap_fail(err, SNAP_BUSY, "%s is open", d->gone);
    if (c->domid == UINT32_MAX && fake_overlay_merge_went_below(p, d))
        return 0;
    S->image[base].frozen = S->image[base].immutable = false;
    S->image[leaf].written = S->image[base].written = S->now;
    S->image[leaf].merged = S->now;
    rc = fake_fault("merge half", p->vdev, err);
    if (rc)
        return rc;
    if (c->tick && c->tick(c->opaque, 1, 2))
        return snap_fail(err, SNAP_INTR, "interrupted");
    if (S->image[leaf].own)
        fake_write_to(S, base, S->image[leaf].content);
    return fake_fault("merge done", p->vdev, err);
}

int fake_overlay_merge_switched(struct snap_disk_ctx *c,
                                const struct snap_part *p,
                                const struct snap_delete *d, bool *yes_r,
                                struct snap_err *err)
{
    int rc, base = fake_lookup(S, p->frozen_path);
    struct fake_open *o;

    *yes_r = false;
    rc = fake_fault("merge_switched", p->vdev, err);
    if (rc)
        return rc;
    o = fake_live(c, p);
    if (!o)
        return snap_fail(err, SNAP_NOTFOUND, "%s: its QEMU is gone", p->vdev);
    if (o->image != base && o->image != fake_entry(S, d->gone))
        return snap_fail(err, SNAP_REFUSED, "%s is another image", p->vdev);
    *yes_r = o->image == base;
    return 0;
}

int fake_overlay_merge_switch(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    int rc, base = fake_lookup(S, p->frozen_path),
            leaf = fake_entry(S, d->gone);
    struct fake_open *o;

    rc = fake_fault("merge_switch", p->vdev, err);
    if (rc)
        return rc;
    /* Whoever acted may have taken the QEMU away: then nothing is switched,
     * and what the leaf has is not in the base. */
    o = fake_live(c, p);
    if (!o && c->domid == UINT32_MAX)
        return 0; /* off: merge() has done it all */
    if (!o)
        return snap_fail(err, SNAP_NOTFOUND, "%s: its QEMU is gone", p->vdev);
    if (o->image == base)
        return 0;
    if (o->image != leaf)
        return snap_fail(err, SNAP_REFUSED, "the domain does not write to %s",
                         d->gone);
    /* It is told to, and flushes first: it may come to that after we died.
     * Whoever asks until then hears of the leaf. */
    o->pends = true;
    if (fake_fault("merge_switch sent", p->vdev, NULL))
        return snap_fail(err, SNAP_RECOVER, "QEMU does not answer");
    change_over(o, leaf, base);
    return fake_fault("merge_switch done", p->vdev, err);
}

/* The old leaf loses its name, unless somebody came to it. */
static int retire(struct snap_disk_ctx *c, const struct snap_delete *d,
                  const char *retired, struct snap_err *err)
{
    int rc, i = fake_entry(S, d->gone);
    struct snap_stamp now;

    if (i < 0)
        return 0;
    fake_image_stamp(d->gone, &now);
    rc = fake_check_unused(c, d->gone, err);
    if (!rc && snap_stamp_differs(&d->left, &now))
        rc = snap_fail(err, SNAP_RECOVER, "%s was written to", d->gone);
    if (!rc)
        snprintf(S->image[i].path, FAKE_PATH, "%s", retired);
    return rc;
}

int fake_overlay_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    int rc, i;
    char *retired = snap_printf("%s.gone", d->gone);

    rc = fake_fault("merge_finish", p->vdev, err);
    if (!rc)
        rc = retire(c, d, retired, err);
    if (!rc)
        rc = fake_fault("merge_finish named", p->vdev, err);
    i = fake_entry(S, retired);
    if (!rc && i >= 0)
        rc = fake_check_unused(c, retired, err);
    if (!rc && i >= 0 && !fake_is_somebodys(c, i, &d->left))
        fake_drop_entry(S, i);
    if (!rc)
        rc = fake_fault("merge_finish done", p->vdev, err);
    free(retired);
    return rc;
}

/* The frozen image as its record has it. */
static struct snap_stamp frozen_stamp(const struct snap_part *p)
{
    struct snap_stamp then = {
        .mtime_ns = snap_json_get_int(p->data, "base_stamp", -1),
    };

    then.known = then.mtime_ns >= 0;
    return then;
}

int fake_overlay_remove(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err)
{
    const struct snap_stamp then = frozen_stamp(p);
    int rc, i = fake_entry(S, p->frozen_path);

    rc = fake_fault("remove", p->vdev, err);
    if (rc || i < 0)
        return rc;
    if (p->keep_image) {
        S->image[i].frozen = S->image[i].immutable = false;
        return 0;
    }
    rc = fake_check_unused(c, p->frozen_path, err);
    if (rc)
        return rc;
    if (fake_has_child(i))
        return snap_fail(err, SNAP_REFUSED, "%s is needed", p->frozen_path);
    S->image[i].frozen = S->image[i].immutable = false;
    if (!fake_is_somebodys(c, i, &then))
        fake_drop_entry(S, i);
    return fake_fault("remove done", p->vdev, err);
}
