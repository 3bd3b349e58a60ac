/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See parts.h.  Order is the point of most of these: undo runs backwards,
 * never stops at the first failure, and never hides it.
 */
#include "op/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/mem.h"
#include "store/state.h"

static int ctx_image_user(void *opaque, const char *path, char **who_r,
                          struct snap_err *err)
{
    struct snap_disk_ctx *c = opaque;
    struct snap_env *env = c->opaque2;

    return env->ops->image_user(env->hyp, path, c->domid, who_r, err);
}

void snap_ctx_init(struct snap_disk_ctx *c, struct snap_env *env,
                   uint32_t domid, struct snap_qmp *qmp, const char *op_id)
{
    memset(c, 0, sizeof(*c));
    c->qmp = qmp;
    c->domid = domid;
    c->log = env->log;
    c->op_id = op_id;
    c->image_user = ctx_image_user;
    c->opaque = c;
    c->opaque2 = env;
}

int snap_ctx_tick(void *opaque, uint64_t done, uint64_t total)
{
    const struct snap_disk_ctx *c = opaque;
    const struct snap_env *env = c->opaque2;

    if (env->progress && total)
        env->progress->fn(env->progress->opaque, "copying data", done, total);
    return env->interrupted && env->interrupted();
}

int snap_domain_qmp(struct snap_env *env, const struct snap_domain *dom,
                    struct snap_qmp **q_r, bool *alive_r, struct snap_err *err)
{
    int rc;
    struct snap_err why = SNAP_ERR_INIT;

    rc = env->ops->qmp_open(env->hyp, dom, q_r, &why);
    *alive_r = !rc;
    if (rc && rc != SNAP_NOTFOUND && rc != SNAP_UNSUPPORTED)
        return snap_fail(err, rc, "%s", why.msg);
    if (rc == SNAP_NOTFOUND)
        snap_say(env->log, SNAP_LOG_WARN,
                 "%s; its disks do not answer any more: xl destroy %s, and start it again",
                 why.msg, dom->name);
    return 0;
}

static int random_bytes(void *p, size_t len, struct snap_err *err)
{
    if (getrandom(p, len, 0) != (ssize_t)len)
        return snap_fail_errno(err, SNAP_FAIL, errno, "getrandom");
    return 0;
}

int snap_op_id_make(char id_r[17], struct snap_err *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char b[8];
    size_t i;
    int rc;

    rc = random_bytes(b, sizeof(b), err);
    if (rc)
        return rc;
    for (i = 0; i < sizeof(b); i++)
        id_r[i] = alphabet[b[i] % 32];
    id_r[i] = '\0';
    return 0;
}

int snap_record_id_make(char **id_r, struct snap_err *err)
{
    unsigned char b[16];
    char hex[33];
    size_t i;
    int rc;

    rc = random_bytes(b, sizeof(b), err);
    if (rc)
        return rc;
    for (i = 0; i < sizeof(b); i++)
        snprintf(hex + 2 * i, 3, "%02x", b[i]);
    snap_set(id_r, hex);
    return 0;
}

void snap_note_add(char ***notes, size_t *n, const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        abort();
    va_end(ap);
    *notes = snap_realloc(*notes, *n + 1, sizeof(**notes));
    (*notes)[(*n)++] = s;
}

void snap_notes_free(char ***notes, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        free((*notes)[i]);
    free(*notes);
    *notes = NULL;
    *n = 0;
}

void snap_vbds_free(struct snap_vbd **vbds, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        snap_vbd_dispose(&(*vbds)[i]);
    free(*vbds);
    *vbds = NULL;
    *n = 0;
}

const struct snap_vbd *snap_vbd_find(const struct snap_vbd *vbds, size_t n,
                                     const char *vdev)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (snap_streq(vbds[i].vdev, vdev))
            return &vbds[i];
    return NULL;
}

struct snap_object snap_vbd_object(const struct snap_vbd *v)
{
    return (struct snap_object){ .id = v->path && v->path[0] ? v->path : NULL,
                                 .format = v->format };
}

void snap_records_free(struct snap_record **rs, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        snap_record_dispose(&(*rs)[i]);
    free(*rs);
    *rs = NULL;
    *n = 0;
}

static int each_backwards(struct snap_disk_ctx *c, struct snap_part *parts,
                          size_t n, bool revert, struct snap_err *err)
{
    int rc = 0, r;

    while (n-- > 0) {
        struct snap_err e = SNAP_ERR_INIT;
        struct snap_part *p = &parts[n];

        if (!p->drv)
            continue;
        r = revert ? p->drv->revert_undo(c, p, &e) : p->drv->undo(c, p, &e);
        if (r && !rc)
            rc = snap_fail(err, r, "%s: %s", p->vdev, e.msg);
    }
    return rc;
}

int snap_parts_undo(struct snap_disk_ctx *c, struct snap_part *parts, size_t n,
                    struct snap_err *err)
{
    return each_backwards(c, parts, n, false, err);
}

int snap_parts_revert_undo(struct snap_disk_ctx *c, struct snap_part *parts,
                           size_t n, struct snap_err *err)
{
    return each_backwards(c, parts, n, true, err);
}

/* ---- groups ---- */

static bool same_group(const struct snap_part *a, const struct snap_part *b)
{
    return a->drv->group == b->drv->group &&
           snap_streq(a->drv->group_key(a), b->drv->group_key(b));
}

/* The group whose first part is parts[i]; 0: that is of an earlier one's. */
static size_t group_at(struct snap_part *parts, size_t n, size_t i,
                       struct snap_part **group, bool *moves_r)
{
    size_t k, m = 0;

    *moves_r = false;
    for (k = 0; k < n; k++) {
        if (!same_group(&parts[k], &parts[i]))
            continue;
        if (k < i)
            return 0;
        group[m++] = &parts[k];
        *moves_r |= parts[k].drv->moves_active;
    }
    return m;
}

int snap_parts_take(struct snap_disk_ctx *c, struct snap_part *parts, size_t n,
                    void (*taken)(void *opaque), void *opaque,
                    struct snap_err *err)
{
    int rc = 0, moving;
    size_t i, m;
    bool moves;
    struct snap_part **group = snap_realloc(NULL, n + 1, sizeof(*group));

    for (moving = 0; moving < 2; moving++)
        for (i = 0; !rc && i < n; i++) {
            m = group_at(parts, n, i, group, &moves);
            if (!m || moves != (moving == 1))
                continue;
            rc = parts[i].drv->group->take(c, group, m, err);
            taken(opaque);
        }
    free(group);
    return rc;
}

/* What all have come to, with one more. */
static enum snap_taken together(enum snap_taken all, enum snap_taken one)
{
    if (all == SNAP_TAKEN_HALF || one == SNAP_TAKEN_HALF)
        return SNAP_TAKEN_HALF;
    return all == SNAP_TAKEN_ALL ? one : SNAP_TAKEN_NONE;
}

int snap_parts_taken(struct snap_disk_ctx *c, struct snap_part *parts,
                     size_t n, enum snap_taken *how_r, struct snap_err *err)
{
    int rc = 0;
    size_t i, m;
    bool moves;
    enum snap_taken one;
    struct snap_part **group = snap_realloc(NULL, n + 1, sizeof(*group));

    *how_r = n ? SNAP_TAKEN_ALL : SNAP_TAKEN_NONE;
    for (i = 0; !rc && i < n; i++) {
        m = group_at(parts, n, i, group, &moves);
        if (!m)
            continue;
        one = SNAP_TAKEN_NONE;
        rc = parts[i].drv->group->was_taken(c, group, m, &one, err);
        *how_r = together(*how_r, one);
    }
    free(group);
    return rc;
}

bool snap_part_moves(const struct snap_part *p)
{
    return !snap_streq(p->active_path, p->path) ||
           !snap_streq(p->active_format, p->format);
}

struct snap_object snap_part_in_place(const struct snap_part *p)
{
    if (p->drv->moves_active)
        return (struct snap_object){ .id = NULL };
    return p->drv->inside ? snap_part_frozen(p) : snap_part_active(p);
}

void snap_parts_active(const struct snap_part *parts, size_t n,
                       struct snap_active **a_r, size_t *n_r)
{
    size_t i, m = 0;
    struct snap_active *a = snap_realloc(NULL, n + 1, sizeof(*a));

    for (i = 0; i < n; i++) {
        if (!snap_part_moves(&parts[i]))
            continue;
        a[m].vdev = parts[i].vdev;
        a[m].path = parts[i].active_path;
        a[m].format = parts[i].active_format;
        m++;
    }
    *a_r = a;
    *n_r = m;
}

int snap_parts_set_active(struct snap_env *env, const struct snap_domain *dom,
                          const struct snap_part *parts, size_t n,
                          struct snap_err *err)
{
    int rc;
    size_t m;
    struct snap_active *a;

    snap_parts_active(parts, n, &a, &m);
    rc = m ? env->ops->set_active(env->hyp, dom, a, m, err) : 0;
    free(a);
    return rc;
}

int snap_parts_secure(struct snap_disk_ctx *c, struct snap_part *parts,
                      size_t n, struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && i < n; i++) {
        rc = parts[i].drv->secure(c, &parts[i], err);
        if (rc)
            snap_err_prefix(err, "%s", parts[i].vdev);
    }
    return rc;
}

void snap_parts_finish(struct snap_env *env, struct snap_disk_ctx *c,
                       struct snap_part *parts, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        struct snap_err e = SNAP_ERR_INIT;

        if (parts[i].drv->finish(c, &parts[i], &e))
            snap_say(env->log, SNAP_LOG_NOTE, "%s: %s", parts[i].vdev, e.msg);
    }
}

void snap_state_after_create(struct snap_state *st,
                             const struct snap_record *rec)
{
    size_t i;

    snap_set(&st->current, rec->name);
    snap_set(&st->domain_name, rec->domain_name);
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];
        const struct snap_leaf *old = snap_state_leaf(st, p->vdev);
        bool made;

        /* With --keep-path the path stays, and what it names is ours too. */
        if (p->drv->moves_active)
            made = !p->reuse_target;
        else
            made = old && old->made && snap_streq(old->path, p->path) &&
                   snap_streq(old->kind, p->before_kind);
        snap_state_set_leaf(st, p->vdev, snap_part_active(p), p->stem, made);
    }
}
