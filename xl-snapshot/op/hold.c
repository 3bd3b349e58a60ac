/* SPDX-License-Identifier: LGPL-2.1-only */
/* See hold.h. */
#include "op/hold.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"
#include "store/state.h"

static int hold(struct snap_env *env, struct snap_disk_ctx *c,
                struct snap_held_images *l, struct snap_image_guard **g_r,
                struct snap_err *err)
{
    int rc = l->n ? env->hold(c, l, g_r, err) : 0;

    snap_held_images_dispose(l);
    return rc;
}

static bool any_changes(const struct snap_held_images *l)
{
    size_t i;

    for (i = 0; i < l->n; i++)
        if (l->image[i].changes)
            return true;
    return false;
}

/* What the domain has for a disk as it is now, if it writes to it.  Not what a
 * snapshot froze, which an old xl.cfg may name: nobody can write to that, and
 * the new domain may read through it. */
static const char *had(const struct snap_env *env,
                       const struct snap_revert_plan *p,
                       const struct snap_vbd *v, size_t n, const char *vdev)
{
    const struct snap_vbd *d = snap_vbd_find(v, n, vdev);
    const struct snap_leaf *leaf = snap_state_leaf(&p->ses.state, vdev);
    struct snap_object o = { .id = NULL };

    if (d && !d->readonly && !d->cdrom)
        o = snap_vbd_object(d);
    else if (!d && leaf && !p->ses.there)
        o = snap_leaf_object(leaf);
    return snap_object_has_path(o) &&
                   !snap_records_freeze(env->drivers, p->ses.all, p->ses.n_all,
                                        o)
               ? o.id
               : NULL;
}

/* The new domain opens it. */
static bool is_of_new(const struct snap_env *env,
                      const struct snap_record *rec, const char *path)
{
    struct snap_object o = snap_object_file(path);
    size_t i;

    for (i = 0; i < rec->n_parts; i++)
        if (snap_object_same(env->drivers, o,
                             snap_part_leaf(&rec->parts[i])) ||
            snap_object_same(env->drivers, o,
                             snap_part_frozen(&rec->parts[i])))
            return true;
    return false;
}

static int hold_left(struct snap_hold *h, struct snap_disk_ctx *c,
                     const struct snap_revert_plan *p, const bool *in_place,
                     struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_vbd *v = NULL;
    struct snap_held_images l = { 0 };

    rc = p->old_config ? snap_domain_json_disks(p->old_config, &v, &n, err)
                       : 0;
    for (i = 0; !rc && i < p->rec.n_parts; i++) {
        const char *path = had(h->env, p, v, n, p->rec.parts[i].vdev);

        if (!in_place[i] && path && !is_of_new(h->env, &p->rec, path))
            snap_held_images_add(&l, path, false);
    }
    snap_vbds_free(&v, &n);
    if (!rc)
        return hold(h->env, c, &l, &h->left, err);
    snap_held_images_dispose(&l);
    return rc;
}

/* in_place_r, of which there are as many as parts, may be NULL. */
static int list(struct snap_disk_ctx *c, const struct snap_record *rec,
                bool back, struct snap_held_images *l, bool *in_place_r,
                struct snap_err *err)
{
    int rc;
    size_t i, n;

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *part = &rec->parts[i];

        if (!part->drv)
            continue;
        n = l->n;
        rc = part->drv->in_place(c, part, back, l, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            snap_held_images_dispose(l);
            return rc;
        }
        if (in_place_r)
            in_place_r[i] = l->n > n;
    }
    if (!any_changes(l))
        snap_held_images_dispose(l);
    return 0;
}

int snap_hold_begin(struct snap_hold *h, struct snap_env *env,
                    struct snap_disk_ctx *c, const struct snap_revert_plan *p,
                    struct snap_err *err)
{
    int rc;
    struct snap_held_images l = { 0 };
    bool *in_place = snap_realloc(NULL, p->rec.n_parts + 1, sizeof(bool)), any;

    h->env = env;
    rc = list(c, &p->rec, false, &l, in_place, err);
    any = l.n;
    if (!rc)
        rc = hold(env, c, &l, &h->changed, err);
    if (!rc && any)
        rc = hold_left(h, c, p, in_place, err);
    if (rc)
        snap_hold_end(h);
    free(in_place);
    return rc;
}

int snap_hold_begin_undo(struct snap_hold *h, struct snap_env *env,
                         struct snap_disk_ctx *c,
                         const struct snap_record *rec, struct snap_err *err)
{
    int rc;
    struct snap_held_images l = { 0 };

    h->env = env;
    rc = list(c, rec, true, &l, NULL, err);
    return rc ? rc : hold(env, c, &l, &h->changed, err);
}

void snap_hold_switched(struct snap_hold *h)
{
    if (h->changed)
        h->env->hold_end(&h->changed);
}

void snap_hold_end(struct snap_hold *h)
{
    snap_hold_switched(h);
    if (h->left)
        h->env->hold_end(&h->left);
}
