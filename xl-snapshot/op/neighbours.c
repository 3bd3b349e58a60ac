/* SPDX-License-Identifier: LGPL-2.1-only */
/* See neighbours.h.  Nobody else's folder is changed, but that of a clone that
 * has ended, with its lock held. */
#include "op/neighbours.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "lib/mount.h"
#include "model/name.h"
#include "op/parts.h"
#include "store/lock.h"
#include "store/state.h"

static void images_free(struct snap_clone *c)
{
    size_t i;

    for (i = 0; i < c->n_images; i++) {
        free(c->images[i].kind);
        free(c->images[i].id);
        free(c->images[i].format);
    }
    free(c->images);
    c->images = NULL;
    c->n_images = 0;
}

void snap_clones_free(struct snap_clone **cs, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++) {
        snap_free(&(*cs)[i].name);
        snap_origin_dispose(&(*cs)[i].origin);
        images_free(&(*cs)[i]);
        snap_free(&(*cs)[i].unseen);
    }
    free(*cs);
    *cs = NULL;
    *n = 0;
}

static struct snap_object image_object(const struct snap_clone_image *image)
{
    return (struct snap_object){ image->kind, image->id, image->format };
}

static void add_image(struct snap_clone *c, struct snap_object o)
{
    struct snap_clone_image *image;
    size_t i;

    if (!o.id)
        return;
    for (i = 0; i < c->n_images; i++)
        if (!strcmp(c->images[i].id, o.id) &&
            snap_streq(c->images[i].kind, o.kind) &&
            snap_streq(c->images[i].format, o.format))
            return;
    c->images = snap_realloc(c->images, c->n_images + 1, sizeof(*c->images));
    image = &c->images[c->n_images++];
    image->kind = snap_strdup(o.kind);
    image->id = snap_strdup(o.id);
    image->format = snap_strdup(o.format);
}

/* No driver knows of it.  What cannot be told is not gone. */
static bool gone(struct snap_env *env, struct snap_object o)
{
    const struct snap_disk_driver *const *d;
    const struct snap_part any = { .vdev = NULL };
    enum snap_stand how = SNAP_STAND_ALONE;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_disk_ctx ctx;

    o.format = NULL; /* whatever is in it */
    snap_ctx_init(&ctx, env, UINT32_MAX, NULL, "look");
    for (d = env->drivers; *d; d++)
        if ((*d)->stands_on(&ctx, &any, o, &how, &ignored) ||
            how != SNAP_STAND_GONE)
            return false;
    return true;
}

static void read_state(struct snap_env *env, struct snap_clone *c,
                       const struct snap_store *s, struct snap_state *st,
                       size_t n_records)
{
    char *journal = snap_store_journal_path(s);
    size_t i;

    c->name = snap_strdup(st->domain_name ? st->domain_name : c->uuid);
    c->origin = st->origin;
    memset(&st->origin, 0, sizeof(st->origin));
    c->unfinished = snap_file_exists(journal);
    c->alive = n_records || c->unfinished;
    for (i = 0; i < st->n; i++) {
        const struct snap_leaf *l = &st->leaves[i];

        add_image(c, snap_leaf_object(l));
        if (!c->unseen && snap_mount_missing(l->path, l->mount))
            c->unseen = snap_printf("%s is not there, and what was mounted on %s when it was is not mounted",
                                    l->path, l->mount);
        c->alive = c->alive || c->unseen || !gone(env, snap_leaf_object(l));
    }
    free(journal);
}

/* A clone's snapshots are its images as well. */
static int neighbours_look_at(struct snap_env *env, const char *uuid,
                              bool strict, struct snap_clone *c,
                              struct snap_err *err)
{
    int rc;
    size_t i, k, n = 0;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    struct snap_record *rs = NULL;
    const struct snap_log *log = strict ? NULL : env->log;

    memcpy(c->uuid, uuid, sizeof(c->uuid));
    rc = snap_store_open(&s, env->store_root, uuid, false, err);
    if (!rc)
        rc = snap_state_load(&s, &st, err);
    if (rc)
        goto out;
    if (strict && st.origin.uuid)
        rc = snap_store_all_whole(&s, env->drivers, &rs, &n, err);
    else if (strict || st.origin.uuid)
        rc = snap_store_brief(&s, env->drivers, log, &rs, &n, err);
    if (rc)
        goto out;
    read_state(env, c, &s, &st, n);
    for (i = 0; i < n; i++)
        for (k = 0; k < rs[i].n_parts; k++) {
            const struct snap_part *p = &rs[i].parts[k];

            add_image(c, snap_part_frozen(p));
            add_image(c, snap_part_active(p));
        }

out:
    snap_records_free(&rs, &n);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return rc;
}

static int neighbours_by_name(const void *pa, const void *pb)
{
    const struct snap_clone *a = pa, *b = pb;
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->uuid, b->uuid);
}

struct loading {
    struct snap_env *env;
    bool strict;
    struct snap_clone *cs;
    size_t n;
};

static int load_one(void *opaque, const char *uuid, struct snap_err *err)
{
    struct loading *l = opaque;
    struct snap_err e = SNAP_ERR_INIT;

    l->cs = snap_realloc(l->cs, l->n + 1, sizeof(*l->cs));
    memset(&l->cs[l->n], 0, sizeof(*l->cs));
    if (!neighbours_look_at(l->env, uuid, l->strict, &l->cs[l->n], &e)) {
        l->n++;
        return 0;
    }
    if (l->strict)
        return snap_fail(err, SNAP_REFUSED,
                         "nobody knows what domain %s needs: %s", uuid, e.msg);
    snap_say(l->env->log, SNAP_LOG_WARN,
             "whether domain %s is a clone is not known: %s", uuid, e.msg);
    return 0;
}

static int neighbours_load(struct snap_env *env, const char *except,
                           bool strict, struct snap_clone **cs_r, size_t *n_r,
                           struct snap_err *err)
{
    struct loading l = { .env = env, .strict = strict };
    int rc;

    rc = snap_store_each(env->store_root, except, load_one, &l, err);
    if (rc)
        snap_clones_free(&l.cs, &l.n);
    if (l.n)
        qsort(l.cs, l.n, sizeof(*l.cs), neighbours_by_name);
    *cs_r = l.cs;
    *n_r = l.n;
    return rc;
}

int snap_clones_look(struct snap_env *env, const char *except,
                     struct snap_clone **cs_r, size_t *n_r,
                     struct snap_err *err)
{
    return neighbours_load(env, except, false, cs_r, n_r, err);
}

int snap_clones_load(struct snap_env *env, const char *except,
                     struct snap_clone **cs_r, size_t *n_r,
                     struct snap_err *err)
{
    return neighbours_load(env, except, true, cs_r, n_r, err);
}

bool snap_clone_is_of(const struct snap_clone *c,
                      const struct snap_record *rec)
{
    return c->alive && snap_streq(c->origin.uuid, rec->domain_uuid) &&
           snap_streq(c->origin.id, rec->id);
}

/* Does what this snapshot holds read through what the part froze? */
static bool record_stands_on(struct snap_disk_ctx *ctx,
                             const struct snap_record *rec,
                             const struct snap_part *part)
{
    const struct snap_env *env = ctx->opaque2;
    size_t i;
    enum snap_stand how;

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];

        how = SNAP_STAND_GONE;
        if (snap_object_same(env->drivers, snap_part_frozen(p),
                             snap_part_frozen(part)))
            return true;
        if (part->drv->stands_on(ctx, part, snap_part_frozen(p), &how, NULL) ||
            how != SNAP_STAND_ALONE)
            return true;
    }
    return false;
}

/* The clone's images cannot be seen.  They read what the snapshot holds that
 * it was made of, and nothing else of anybody's; if that cannot be told
 * either, they may read all. */
static bool could_stand_on(struct snap_disk_ctx *ctx,
                           const struct snap_clone *c,
                           const struct snap_part *part)
{
    struct snap_env *env = ctx->opaque2;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record *rs = NULL;
    size_t i, n = 0;
    bool could = true;

    if (snap_store_open(&s, env->store_root, c->origin.uuid, false, NULL) ||
        snap_store_brief(&s, env->drivers, NULL, &rs, &n, NULL))
        goto out;
    for (i = 0; i < n; i++)
        if (snap_streq(rs[i].id, c->origin.id))
            could = record_stands_on(ctx, &rs[i], part);

out:
    snap_records_free(&rs, &n);
    snap_store_close(&s);
    return could;
}

static int nobody_knows(const struct snap_clone *c, const char *why,
                        struct snap_err *err)
{
    return snap_fail(err, SNAP_REFUSED,
                     "%s is a clone, and %s, so nobody knows what it needs; mount it, or, if %s is no more, remove its folder %s from the store",
                     c->name, why, c->name, c->uuid);
}

/* The image of this domain that reads through the part's, or NULL. */
static int stands_on(struct snap_disk_ctx *ctx, const struct snap_clone *c,
                     const struct snap_part *part, const char **image_r,
                     struct snap_err *err)
{
    int rc;
    size_t i;
    enum snap_stand how = SNAP_STAND_ALONE;
    struct snap_err why = SNAP_ERR_INIT;

    *image_r = NULL;
    if (c->origin.uuid && c->unseen && could_stand_on(ctx, c, part))
        return nobody_knows(c, c->unseen, err);
    for (i = 0; i < c->n_images && !*image_r; i++) {
        snap_err_clear(&why);
        rc = part->drv->stands_on(ctx, part, image_object(&c->images[i]), &how,
                                  &why);
        if (rc == SNAP_REFUSED && !c->origin.uuid)
            continue; /* no clone, and what cannot be seen is its own */
        if (rc == SNAP_REFUSED && !could_stand_on(ctx, c, part))
            continue;
        if (rc == SNAP_REFUSED)
            return nobody_knows(c, why.msg, err);
        if (rc)
            return snap_fail(err, rc, "%s: %s", c->name, why.msg);
        if (how == SNAP_STAND_ON)
            *image_r = c->images[i].id;
    }
    return 0;
}

int snap_clones_stand_on(struct snap_disk_ctx *ctx,
                         const struct snap_clone *cs, size_t n,
                         const struct snap_part *part, struct snap_err *err)
{
    int rc;
    size_t i, found = 0;
    const char *image;
    struct snap_buf who = { 0 };

    for (i = 0; i < n; i++) {
        rc = stands_on(ctx, &cs[i], part, &image, err);
        if (rc)
            goto out;
        if (!image)
            continue;
        snap_buf_addf(&who, "%s%s%s (%s)", found++ ? ", " : "",
                      cs[i].origin.uuid ? "clone " : "domain ", cs[i].name,
                      image);
    }
    rc = found
             ? snap_fail(err, SNAP_REFUSED,
                         "%s is what others stand on: %s.  End them and remove their images, or let them stand alone: shut them down, delete their snapshots, and qemu-img rebase -f qcow2 -b '' IMAGE",
                         part->frozen_path, who.data)
             : 0;

out:
    snap_buf_dispose(&who);
    return rc;
}

/* --- names -------------------------------------------------------------- */

/* With its lock, and looked at once more. */
static void neighbours_forget(struct snap_env *env, const char *uuid)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_clone *p = snap_zalloc(sizeof(*p));
    size_t n = 1;

    if (!snap_store_open(&s, env->store_root, uuid, false, &ignored) &&
        !snap_store_lock(&s, false, "snapshot-clone", NULL, &ignored) &&
        !neighbours_look_at(env, uuid, true, p, &ignored) && p->origin.uuid &&
        !p->alive && !snap_state_remove(&s, &ignored)) {
        snap_say(env->log, SNAP_LOG_DEBUG,
                 "clone %s (%s) has ended and is forgotten", p->name, uuid);
        snap_store_remove_empty(&s);
    }
    snap_clones_free(&p, &n);
    snap_store_close(&s);
}

/* A domain that is there. */
static int check_there(struct snap_env *env, const char *name, const char *but,
                       struct snap_err *err)
{
    struct snap_domain dom = { 0 };
    int rc = env->ops->find(env->hyp, name, &dom, err);

    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    } else if (!rc && !snap_streq(dom.uuid, but)) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "a domain is called %s already (UUID %s); choose another name",
                       name, dom.uuid);
    }
    snap_domain_dispose(&dom);
    return rc;
}

static bool is_at_work(const struct snap_env *env, const char *uuid)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;
    char *who = NULL;

    if (!snap_store_open(&s, env->store_root, uuid, false, &ignored))
        who = snap_store_worker(&s);
    snap_store_close(&s);
    free(who);
    return who != NULL;
}

int snap_clones_name_free(struct snap_env *env, const char *name,
                          const char *but, bool dry_run, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_clone *cs = NULL;
    struct snap_domain dom = { 0 };

    rc = check_there(env, name, but, err);
    if (!rc)
        rc = snap_clones_look(env, NULL, &cs, &n, err);
    for (i = 0; !rc && i < n; i++) {
        if (!snap_streq(cs[i].name, name) || snap_streq(cs[i].uuid, but))
            continue;
        rc = env->ops->find_uuid(env->hyp, cs[i].uuid, &dom, err);
        snap_domain_dispose(&dom);
        if (!rc) /* it is there, and has the name that find() knows */
            continue;
        if (rc != SNAP_NOTFOUND)
            break;
        snap_err_clear(err);
        rc = 0;
        if (cs[i].unfinished && is_at_work(env, cs[i].uuid))
            rc = snap_fail(err, SNAP_EXISTS,
                           "another command is making or changing a domain %s (UUID %s) this moment; choose another name",
                           name, cs[i].uuid);
        else if (cs[i].unfinished)
            rc = snap_fail(err, SNAP_EXISTS,
                           "making or changing a domain %s (UUID %s) was not finished; run xl snapshot-recover %s, or choose another name",
                           name, cs[i].uuid, cs[i].uuid);
        else if (!cs[i].origin.uuid || cs[i].alive)
            rc = snap_fail(err, SNAP_EXISTS,
                           "a domain that does not run is called %s (UUID %s); choose another name",
                           name, cs[i].uuid);
        else if (!dry_run)
            neighbours_forget(env, cs[i].uuid);
    }
    snap_clones_free(&cs, &n);
    return rc;
}
