/* SPDX-License-Identifier: LGPL-2.1-only */
/* See delete_view.h. */
#include "op/delete_view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "op/absent.h"
#include "op/parts.h"

/* How often an absent domain is looked for. */
#define LOOK_MS 250

/* Progress, and no way for its user to stop: what calls it has to be done,
 * when whoever saves or migrates the domain has ended. */
static int delete_view_on_tick(void *opaque, uint64_t done, uint64_t total)
{
    struct snap_deletion_now *now = opaque;
    const struct snap_env *env = now->ctx.opaque2;

    if (env->progress && total)
        env->progress->fn(env->progress->opaque, "merging", done, total);
    return snap_saver_tick(&now->saver);
}

const char *snap_deletion_domain(const struct snap_deletion *x)
{
    return x->ses->state.domain_name ? x->ses->state.domain_name
                                     : x->rec->domain_name;
}

/* Whoever builds it anew may be nobody whom we know: it ran when we began, so
 * it may come again in a second or two. */
static int find_domain(const struct snap_deletion *x, struct snap_domain *dom,
                       struct snap_err *err)
{
    int rc;
    double until = snap_now_ms() + x->ses->env->absent_ms;

    for (;;) {
        rc = snap_absent_find(x->ses->env, x->ses->store.uuid,
                              snap_deletion_domain(x), false, dom, err);
        if (rc != SNAP_NOTFOUND)
            return rc;
        snap_err_clear(err);
        if (!x->ran || snap_now_ms() >= until)
            return rc;
        usleep(LOOK_MS * 1000);
    }
}

int snap_deletion_look(const struct snap_deletion *x,
                       struct snap_deletion_now *now, struct snap_err *err)
{
    int rc;

    memset(now, 0, sizeof(*now));
    rc = find_domain(x, &now->dom, err);
    if (rc == SNAP_NOTFOUND) {
        rc = 0;
    } else if (!rc) {
        now->there = true;
        rc = snap_domain_qmp(x->ses->env, &now->dom, &now->qmp, &now->qemu,
                             err);
    }
    snap_ctx_init(&now->ctx, x->ses->env,
                  now->there ? now->dom.domid : UINT32_MAX, now->qmp,
                  x->ses->op_id);
    now->ctx.tick = delete_view_on_tick;
    now->saver.env = x->ses->env;
    now->saver.dom = now->there ? &now->dom : NULL;
    return rc;
}

void snap_deletion_off(const struct snap_deletion *x,
                       struct snap_deletion_now *now)
{
    memset(now, 0, sizeof(*now));
    snap_ctx_init(&now->ctx, x->ses->env, UINT32_MAX, NULL, x->ses->op_id);
    now->ctx.tick = delete_view_on_tick;
}

const struct snap_domain *
snap_deletion_dom(const struct snap_deletion_now *now)
{
    return now->there ? &now->dom : NULL;
}

void snap_deletion_close(struct snap_deletion_now *now)
{
    snap_qmp_close(now->qmp);
    snap_domain_dispose(&now->dom);
    memset(now, 0, sizeof(*now));
}

int snap_deletion_refresh(const struct snap_deletion *x,
                          struct snap_deletion_now *now, struct snap_err *err)
{
    struct snap_env *env = x->ses->env;
    struct snap_domain dom = { 0 };
    struct snap_saver saver = now->saver;
    bool same;
    int rc;

    if (!now->there)
        return 0;
    rc = env->ops->find_uuid(env->hyp, x->ses->uuid, &dom, err);
    same = !rc && dom.domid == now->dom.domid && !dom.shutdown && !dom.dying;
    snap_domain_dispose(&dom);
    if (same || (rc && rc != SNAP_NOTFOUND))
        return rc;
    snap_err_clear(err);
    snap_deletion_close(now);
    rc = snap_deletion_look(x, now, err);
    now->saver.why = saver.why;
    return rc;
}

const struct snap_journal_entry *
snap_deletion_step(const struct snap_deletion *x, const char *what,
                   const char *vdev)
{
    char *name = snap_printf("%s-%s", what, vdev);
    const struct snap_journal_entry *e = snap_journal_find(x->e, x->n_e, name);

    free(name);
    return e;
}

int snap_deletion_mark(const struct snap_deletion *x, const char *what,
                       const char *vdev, struct snap_json *data,
                       struct snap_err *err)
{
    char *name = snap_printf("%s-%s", what, vdev);
    int rc = snap_journal_mark(x->journal, name, data, err);

    snap_json_free(data);
    free(name);
    return rc;
}

/* What failed in a recovery is never tried again after it, so once more now. */
bool snap_deletion_again(const struct snap_deletion *x, int r,
                         struct snap_err *e)
{
    if (!r || !x->last_try)
        return false;
    snap_err_clear(e);
    return true;
}
