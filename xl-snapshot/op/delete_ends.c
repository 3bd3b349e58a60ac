/* SPDX-License-Identifier: LGPL-2.1-only */
/* See delete_ends.h.  Each function may run a second time, after a death
 * anywhere in the first. */
#include "op/delete_ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/delete_merge.h"
#include "op/delete_records.h"
#include "op/needed.h"
#include "op/parts.h"
#include "store/memfile.h"
#include "store/state.h"

int snap_deletion_undo(const struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_deletion_now now;

    rc = snap_deletion_look(x, &now, err);
    for (i = 0; !rc && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (x->del[i].how != SNAP_DELETE_PULL)
            continue;
        rc = p->drv->delete_stop(&now.ctx, p, &x->del[i], err);
        if (rc)
            snap_err_prefix(err, "%s", p->vdev);
    }
    snap_deletion_close(&now);
    if (!rc)
        rc = snap_deletion_refreeze(x, false, err);
    return rc;
}

/* The leaf took over all that was below it and has a name of the user's: it
 * looks like any image of the user's now, and is treated so. */
static void disown_leaf(const struct snap_deletion *x,
                        const struct snap_part *p, const struct snap_delete *d)
{
    struct snap_leaf *leaf = NULL;
    const char *name;
    size_t i, len = p->stem ? strlen(p->stem) : 0;

    for (i = 0; i < x->ses->state.n; i++)
        if (snap_streq(x->ses->state.leaves[i].vdev, p->vdev))
            leaf = &x->ses->state.leaves[i];
    if (!leaf || d->how != SNAP_DELETE_PULL || d->parent)
        return;
    name = snap_basename(leaf->path);
    for (i = 0; i < d->n_child; i++)
        if (snap_object_same(x->ses->env->drivers,
                             snap_object_file(d->child[i].path),
                             snap_leaf_object(leaf)) &&
            (!len || strncmp(name, p->stem, len) || name[len] != '.'))
            leaf->made = false;
}

/* The image itself: looked at once more, whatever the plan said. */
static int remove_image(const struct snap_deletion *x,
                        struct snap_deletion_now *now, struct snap_part *p,
                        const struct snap_delete *d,
                        const struct snap_record *all, size_t n,
                        struct snap_err *err)
{
    int rc;
    struct snap_delete again = { 0 };
    const struct snap_leaf *leaf = snap_state_leaf(&x->ses->state, p->vdev);
    struct snap_disk_ctx off = now->ctx;

    /* Nobody is excepted now, the domain itself least of all. */
    off.domid = UINT32_MAX;
    off.opaque = &off;
    p->keep_image = d->keep_image;
    if (!p->drv->inside && !d->keep_image) {
        if (snap_records_need(x->ses->env->drivers, all, n,
                              snap_part_frozen(p))) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is kept: another snapshot needs it",
                           p->frozen_path);
            goto out;
        }
        snap_deletion_know(&again, all, n);
        snap_deletion_know(&again, x->rec, 1);
        snap_deletion_know_state(&again, &x->ses->state);
        if (leaf)
            snap_deletion_set_leaf(&again, snap_leaf_object(leaf));
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
    char *own = snap_store_memory_path(&x->ses->store, x->rec->name);
    struct snap_err why = SNAP_ERR_INIT;
    bool need = false;

    *keep_r = false;
    if (snap_streq(own, path))
        goto out;
    *keep_r = snap_memfile_is_of(x->ses->env, x->rec, &why) != 0;
    if (!*keep_r) {
        rc = snap_others_need(x->ses->env, x->ses->store.uuid,
                              snap_object_file(path), &need, err);
        if (need)
            snap_fail(&why, SNAP_REFUSED,
                      "a snapshot of another domain needs it, or may need it");
        *keep_r = need;
    }
    if (*keep_r)
        snap_say(x->ses->env->log, SNAP_LOG_WARN,
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
        !S_ISREG(st.st_mode) ||
        snap_records_need(x->ses->env->drivers, all, n,
                          snap_object_file(path)))
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
        snap_say(x->ses->env->log, SNAP_LOG_WARN, "%s%s%s", vdev ? vdev : "",
                 vdev ? ": " : "", e->msg);
    else if (!*rc)
        *rc = snap_fail(err, r, "%s%s%s", vdev ? vdev : "", vdev ? ": " : "",
                        e->msg);
}

int snap_deletion_keep(struct snap_deletion *x, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_deletion_now now = { .there = false };
    struct snap_record *all = NULL;

    rc = snap_deletion_look(x, &now, err);
    if (!rc)
        rc = snap_store_all_whole(&x->ses->store, x->ses->env->drivers, &all,
                                  &n, err);
    for (i = 0; !rc && i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];

        if (x->del[i].how != SNAP_DELETE_MERGE)
            continue;
        rc = snap_deletion_keep_merge(x, &now, p, &x->del[i], err);
        if (rc)
            snap_err_prefix(err, "%s", p->vdev);
    }
    if (!rc)
        rc = snap_deletion_forget(x, all, n, err);
    snap_records_free(&all, &n);
    snap_deletion_close(&now);
    return rc;
}

int snap_deletion_finish(struct snap_deletion *x, struct snap_err *err)
{
    int rc, r;
    size_t i, n = 0;
    struct snap_deletion_now now = { .there = false };
    struct snap_record *all = NULL;

    rc = snap_deletion_look(x, &now, err);
    if (!rc)
        rc = snap_store_all_whole(&x->ses->store, x->ses->env->drivers, &all,
                                  &n, err);
    if (rc)
        goto out;
    for (i = 0; i < x->rec->n_parts; i++) {
        struct snap_part *p = &x->rec->parts[i];
        struct snap_delete *d = &x->del[i];
        struct snap_err e = SNAP_ERR_INIT;

        r = snap_saver_look(&now.saver, &e);
        if (!r && d->how == SNAP_DELETE_MERGE)
            r = snap_deletion_merge(x, &now, p, d, &e);
        /* A guest that stands, and a switch that may have been made, are not
         * for a warning; nor is what may be done when somebody has ended. */
        if (r == SNAP_RECOVER || now.saver.why.rc) {
            rc = snap_fail(err, r, "%s: %s", p->vdev, e.msg);
            goto out;
        }
        disown_leaf(x, p, d);
        if (!r && d->how != SNAP_DELETE_STAY) {
            r = remove_image(x, &now, p, d, all, n, &e);
            if (snap_deletion_again(x, r, &e))
                r = remove_image(x, &now, p, d, all, n, &e);
        }
        keep_first(x, r, &e, p->vdev, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = snap_deletion_refreeze(x, true, &e);
        if (snap_deletion_again(x, r, &e))
            r = snap_deletion_refreeze(x, true, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (!rc) {
        struct snap_err e = SNAP_ERR_INIT;

        r = remove_memory(x, all, n, &e);
        if (snap_deletion_again(x, r, &e))
            r = remove_memory(x, all, n, &e);
        keep_first(x, r, &e, NULL, &rc, err);
    }
    if (!rc)
        rc = snap_deletion_forget(x, all, n, err);

out:
    snap_records_free(&all, &n);
    snap_deletion_close(&now);
    return rc;
}
