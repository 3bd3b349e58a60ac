/* SPDX-License-Identifier: LGPL-2.1-only */
/* See delete_records.h. */
#include "op/delete_records.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "model/name.h"
#include "op/parts.h"
#include "store/state.h"

/* Was this image changed by us? */
static bool was_changed(const struct snap_deletion *x, bool inside,
                        struct snap_object o)
{
    const struct snap_disk_driver *const *drivers = x->ses->env->drivers;
    size_t i, k;

    for (i = 0; i < x->rec->n_parts; i++) {
        const struct snap_part *p = &x->rec->parts[i];
        const struct snap_delete *d = &x->del[i];

        if (inside) {
            if (p->drv->inside &&
                snap_object_same(drivers, snap_part_frozen(p), o))
                return true;
            continue;
        }
        for (k = 0; d->how == SNAP_DELETE_PULL && k < d->n_child; k++)
            if (snap_object_same(drivers, snap_object_file(d->child[k].path),
                                 o))
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

    snap_ctx_init(&ctx, x->ses->env, UINT32_MAX, NULL, x->ses->op_id);
    for (i = 0; !rc && i < r->n_parts; i++) {
        struct snap_part *p = &r->parts[i];

        if (!p->drv->moves_active ||
            !was_changed(x, inside, snap_part_frozen(p)))
            continue;
        before = snap_json_text(p->data, false);
        rc = p->drv->refreeze(&ctx, p, err);
        after = snap_json_text(p->data, false);
        changed = changed || strcmp(before, after) != 0;
        free(before);
        free(after);
    }
    if (!rc && changed)
        rc = snap_store_update(&x->ses->store, r, x->ses->env->drivers, err);
    if (rc)
        snap_err_prefix(err, "bringing the record of %s up to date", r->name);
    return rc;
}

int snap_deletion_refreeze(const struct snap_deletion *x, bool inside,
                           struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_record *all = NULL;

    rc = snap_store_all_whole(&x->ses->store, x->ses->env->drivers, &all, &n,
                              err);
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
        rc = snap_store_update(&x->ses->store, &all[i], x->ses->env->drivers,
                               err);
        if (rc) {
            snap_err_prefix(err, "the parent of %s", all[i].name);
            return rc;
        }
    }
    return 0;
}

/* The tail of it: the snapshot is in nobody's history any more. */
int snap_deletion_forget(const struct snap_deletion *x,
                         struct snap_record *all, size_t n,
                         struct snap_err *err)
{
    int rc = adopt(x, all, n, err);

    if (rc)
        return rc;
    if (snap_streq(x->ses->state.current, x->rec->name))
        snap_set(&x->ses->state.current, x->rec->parent);
    return snap_state_save(&x->ses->store, &x->ses->state, err);
}

void snap_deletion_know_object(struct snap_delete *d, struct snap_object o,
                               bool frozen)
{
    struct snap_known *k;

    /* Only files are looked for by what their headers name. */
    if (!snap_object_has_path(o))
        return;
    d->known = snap_realloc(d->known, d->n_known + 1, sizeof(*d->known));
    k = &d->known[d->n_known++];
    k->path = snap_strdup(o.id);
    k->format = snap_strdup(o.format);
    k->frozen = frozen;
}

void snap_deletion_set_leaf(struct snap_delete *d, struct snap_object o)
{
    snap_set(&d->leaf, o.id);
    snap_set(&d->leaf_kind, o.kind);
    snap_set(&d->leaf_format, o.format);
}

void snap_deletion_know(struct snap_delete *d, const struct snap_record *rs,
                        size_t n)
{
    size_t i, k;

    for (i = 0; i < n; i++)
        for (k = 0; k < rs[i].n_parts; k++) {
            const struct snap_part *p = &rs[i].parts[k];

            snap_deletion_know_object(d, snap_part_frozen(p), !p->drv->inside);
            snap_deletion_know_object(d, snap_part_active(p), false);
        }
}

void snap_deletion_know_state(struct snap_delete *d,
                              const struct snap_state *state)
{
    size_t i;

    for (i = 0; i < state->n; i++)
        snap_deletion_know_object(d, snap_leaf_object(&state->leaves[i]),
                                  false);
}
