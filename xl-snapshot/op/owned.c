/* SPDX-License-Identifier: LGPL-2.1-only */
/* See owned.h. */
#include "op/owned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/absent.h"
#include "op/parts.h"

/* A mark has 16 characters at most, and an op_id of ours 8. */
#define AGAIN "again"

void snap_owned_again(const char *op_id, char mark_r[17])
{
    snprintf(mark_r, 17, "%.11s" AGAIN, op_id);
}

/* A leaf that was made for this operation: its name has the op_id in it and is
 * told to nobody but a domain that we build, after all was switched. */
static bool made(const struct snap_env *env, const struct snap_part *p)
{
    return p->leaf_path &&
           !snap_object_same(env->drivers, snap_part_leaf(p),
                             snap_part_before(p)) &&
           !snap_object_same(env->drivers, snap_part_leaf(p),
                             snap_part_frozen(p));
}

/* What the domain's configuration says of the leaves. */
struct seen {
    size_t named, other; /* disks that have theirs, or another image */
    size_t made; /* leaves that are ours */
};

static int see_leaves(struct snap_env *env, const struct snap_owned *o,
                      const struct snap_domain *dom, struct seen *s,
                      struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    char *json = NULL;
    struct snap_vbd *vbds = NULL;
    const struct snap_vbd *v;

    rc = env->ops->config(env->hyp, dom, &json, err);
    if (!rc)
        rc = snap_domain_json_disks(json, &vbds, &n, err);
    for (i = 0; !rc && i < o->n_parts; i++) {
        v = snap_vbd_find(vbds, n, o->parts[i].vdev);
        s->made += made(env, &o->parts[i]);
        if (v && snap_object_same(env->drivers, snap_vbd_object(v),
                                  snap_part_leaf(&o->parts[i])))
            s->named++;
        else if (v)
            s->other++;
    }
    snap_vbds_free(&vbds, &n);
    free(json);
    return rc;
}

static int owned_tell(struct snap_env *env, const struct snap_owned *o,
                      const struct snap_domain *dom, enum snap_owner *who_r,
                      struct snap_err *err)
{
    int rc;
    char again[17];
    struct seen seen = { 0 };
    bool marked, fresh = dom->paused && !dom->has_run;

    *who_r = dom->dying ? SNAP_OWNER_OURS : SNAP_OWNER_OTHER;
    if (dom->dying)
        return 0;
    snap_owned_again(o->op_id, again);
    if (!o->other_boot && snap_streq(dom->mark, again)) {
        *who_r = fresh ? SNAP_OWNER_OURS : SNAP_OWNER_AGAIN;
        return 0;
    }
    marked = !o->other_boot && snap_streq(dom->mark, o->op_id);
    fresh = fresh && marked && (!o->name || snap_streq(dom->name, o->name));
    rc = see_leaves(env, o, dom, &seen, err);
    /* One that was cut short while it was built may lack disks, or have no
     * configuration yet; its mark says enough. */
    if (rc && rc != SNAP_NOTFOUND && fresh) {
        snap_err_clear(err);
        rc = 0;
    }
    if (rc)
        return rc;
    if (fresh && !seen.other)
        *who_r = SNAP_OWNER_OURS;
    else if (seen.named == o->n_parts && (marked || seen.made))
        *who_r = SNAP_OWNER_DONE;
    return 0;
}

/* Somebody may be building it: it has no configuration until its devices are
 * there, and may be gone if those cannot be had. */
static int tell_when_built(struct snap_env *env, const struct snap_owned *o,
                           struct snap_domain *dom, enum snap_owner *who_r,
                           struct snap_err *err)
{
    int rc;

    snap_err_clear(err);
    snap_domain_dispose(dom);
    memset(dom, 0, sizeof(*dom));
    rc = snap_absent_find(env, o->uuid, o->name, false, dom, err);
    return rc ? rc : owned_tell(env, o, dom, who_r, err);
}

/* What a destruction that was cut short leaves last: no name, no mark and no
 * configuration.  It has never run, so it is nobody's guest; whoever makes one
 * gives it a name at once. */
static bool is_remains(const struct snap_domain *d)
{
    return d->nameless && d->paused && !d->has_run;
}

int snap_owned_look(struct snap_env *env, const struct snap_owned *o,
                    struct snap_domain *dom_r, enum snap_owner *who_r,
                    struct snap_err *err)
{
    int rc;
    bool remains;

    *who_r = SNAP_OWNER_NONE;
    rc = snap_absent_wait(env, o->uuid, o->name, false, err);
    if (!rc)
        rc = env->ops->find_uuid(env->hyp, o->uuid, dom_r, err);
    remains = !rc && is_remains(dom_r);
    if (remains) {
        usleep(env->settle_ms * 1000);
        snap_domain_dispose(dom_r);
        memset(dom_r, 0, sizeof(*dom_r));
        rc = env->ops->find_uuid(env->hyp, o->uuid, dom_r, err);
        remains = !rc && is_remains(dom_r);
    }
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    if (rc)
        return rc;
    if (!o->other_boot && dom_r->domid == o->domid) {
        *who_r = SNAP_OWNER_BEFORE;
        return 0;
    }
    if (remains) {
        *who_r = SNAP_OWNER_OURS;
        return 0;
    }
    rc = owned_tell(env, o, dom_r, who_r, err);
    if (rc && rc != SNAP_NOTFOUND)
        rc = tell_when_built(env, o, dom_r, who_r, err);
    /* It may have gone while we looked at it. */
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        snap_domain_dispose(dom_r);
        memset(dom_r, 0, sizeof(*dom_r));
        *who_r = SNAP_OWNER_NONE;
        rc = 0;
    }
    return rc;
}

static int owned_destroy(struct snap_env *env, const struct snap_domain *dom,
                         struct snap_err *err)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc = env->ops->destroy(env->hyp, dom, &why);

    /* xl ends what it had begun when we die, perhaps at this moment. */
    return rc && rc != SNAP_NOTFOUND ? snap_fail(err, rc, "%s", why.msg) : 0;
}

/* Our pause ends; an error that is there stays what it is. */
static void let_go(struct snap_env *env, const struct snap_domain *dom,
                   int *rc, struct snap_err *err)
{
    struct snap_err why = SNAP_ERR_INIT;
    int r = env->ops->unpause(env->hyp, dom, &why);

    if (r && r != SNAP_NOTFOUND)
        r = env->ops->unpause(env->hyp, dom, &why);
    if (r && r != SNAP_NOTFOUND && !*rc)
        *rc = snap_fail(err, SNAP_RECOVER,
                        "%s is paused by us, and could not be let go on: run xl unpause %s",
                        dom->name, dom->name);
}

/* An unpause that came before our pause has let it run, and one that comes
 * after it does not: Xen counts. */
static int hold(struct snap_env *env, const struct snap_owned *o,
                struct snap_domain *dom, enum snap_owner *who_r,
                struct snap_err *err)
{
    int rc;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_domain held = *dom;

    rc = env->ops->pause(env->hyp, dom, &ignored);
    if (rc && rc != SNAP_NOTFOUND)
        return snap_fail(err, rc, "%s", ignored.msg);
    memset(dom, 0, sizeof(*dom));
    rc = snap_owned_look(env, o, dom, who_r, err);
    if (rc || *who_r != SNAP_OWNER_OURS)
        let_go(env, &held, &rc, err);
    snap_domain_dispose(&held);
    return rc;
}

int snap_owned_destroy(struct snap_env *env, const struct snap_owned *o,
                       struct snap_domain *dom, enum snap_owner *who_r,
                       struct snap_err *err)
{
    int rc;
    bool ends = dom->dying || dom->nameless; /* nobody lets it run */

    rc = ends ? 0 : hold(env, o, dom, who_r, err);
    if (rc || *who_r != SNAP_OWNER_OURS)
        return rc;
    rc = owned_destroy(env, dom, err);
    /* It was not touched. */
    if (rc == SNAP_BUSY && !ends)
        let_go(env, dom, &rc, err);
    return rc;
}
