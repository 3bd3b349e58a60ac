/* SPDX-License-Identifier: LGPL-2.1-only */
/* See listing.h. */
#include "op/listing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/intent.h"
#include "op/parts.h"
#include "op/resolve.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/state.h"
#include "store/store.h"

static void listing_dispose(struct snap_listing *l)
{
    snap_free(&l->name);
    snap_domain_dispose(&l->dom);
    snap_free(&l->current);
    snap_free(&l->interrupted);
    snap_records_free(&l->rs, &l->n);
    memset(l, 0, sizeof(*l));
}

void snap_listings_free(struct snap_listing **ls, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        listing_dispose(&(*ls)[i]);
    free(*ls);
    *ls = NULL;
    *n = 0;
}

/* The domain as it is now.  Trouble with Xen is no reason not to show what is
 * in the store. */
static void look_for_domain(struct snap_env *env, struct snap_listing *l)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    if (!env->hyp)
        return;
    rc = env->ops->find_uuid(env->hyp, l->uuid, &l->dom, &e);
    l->there = !rc;
    if (rc && rc != SNAP_NOTFOUND)
        snap_say(env->log, SNAP_LOG_WARN, "%s: %s", l->uuid, e.msg);
}

static void look_at_state(struct snap_env *env, const struct snap_store *s,
                          struct snap_listing *l, struct snap_state *st)
{
    struct snap_err e = SNAP_ERR_INIT;

    if (snap_state_load(s, st, &e))
        snap_say(env->log, SNAP_LOG_WARN,
                 "it is not known which snapshot is current: %s", e.msg);
    else
        snap_set(&l->current, st->current);
}

static void say_it_waits(struct snap_env *env, const struct snap_listing *l,
                         const struct snap_json *plan)
{
    if (snap_intent_plan_elsewhere(plan))
        snap_say(env->log, SNAP_LOG_NOTE,
                 "%s: a snapshot-%s is under way on another machine, or waits to be recovered there",
                 l->name, l->interrupted);
    else
        snap_say(env->log, SNAP_LOG_NOTE,
                 "%s: an interrupted snapshot-%s waits to be recovered; run xl snapshot-recover %s",
                 l->name, l->interrupted, l->name);
}

/* What an interrupted command did; NULL if nothing waits. */
static void look_at_journal(struct snap_env *env, const struct snap_store *s,
                            struct snap_listing *l)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_journal_entry *j = NULL;
    char *path = snap_store_journal_path(s), *worker = NULL;
    size_t n = 0;
    int rc;

    if (!snap_file_exists(path))
        goto out;
    worker = snap_store_worker(s);
    if (worker) {
        snap_say(env->log, SNAP_LOG_NOTE, "%s: %s is at work", l->name,
                 worker);
        goto out;
    }
    rc = snap_journal_read(path, &j, &n, &e);
    if (rc == SNAP_NOTFOUND)
        goto out; /* it was finished this very moment */
    if (rc || !n) {
        l->interrupted = snap_strdup("unknown");
        snap_say(env->log, SNAP_LOG_NOTE,
                 "%s: an interrupted snapshot command waits to be recovered; run xl snapshot-recover %s",
                 l->name, l->name);
        goto out;
    }
    l->interrupted = snap_strdup(j[0].op);
    say_it_waits(env, l, j[0].data);

out:
    snap_journal_entries_free(j, n);
    free(worker);
    free(path);
}

static int listing_load(struct snap_env *env, const char *uuid,
                        struct snap_listing *l, struct snap_err *err)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    int rc;

    memcpy(l->uuid, uuid, sizeof(l->uuid));
    rc = snap_store_open(&s, env->store_root, uuid, false, err);
    if (rc)
        goto out;
    rc = snap_store_brief(&s, env->drivers, env->log, &l->rs, &l->n, err);
    if (rc)
        goto out;
    look_for_domain(env, l);
    look_at_state(env, &s, l, &st);
    if (l->there)
        snap_set(&l->name, l->dom.name);
    else if (st.domain_name)
        snap_set(&l->name, st.domain_name);
    else
        snap_set(&l->name, l->n ? l->rs[l->n - 1].domain_name : uuid);
    look_at_journal(env, &s, l);

out:
    snap_state_dispose(&st);
    snap_store_close(&s);
    return rc;
}

static int listing_by_name(const void *pa, const void *pb)
{
    const struct snap_listing *a = pa, *b = pb;
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->uuid, b->uuid);
}

static int load_all(struct snap_env *env, struct snap_listing **ls_r,
                    size_t *n_r, struct snap_err *err)
{
    struct snap_listing *ls = NULL;
    char **uuids = NULL;
    size_t i, n = 0, m = 0;
    int rc;

    rc = snap_store_domains(env->store_root, &uuids, &n, err);
    if (rc)
        return rc;
    ls = snap_zalloc((n + 1) * sizeof(*ls));
    for (i = 0; i < n; i++) {
        struct snap_err e = SNAP_ERR_INIT;

        if (!listing_load(env, uuids[i], &ls[m], &e)) {
            m++;
        } else {
            snap_say(env->log, SNAP_LOG_WARN, "domain %s is left out: %s",
                     uuids[i], e.msg);
            listing_dispose(&ls[m]);
        }
        free(uuids[i]);
    }
    free(uuids);
    qsort(ls, m, sizeof(*ls), listing_by_name);
    *ls_r = ls;
    *n_r = m;
    return 0;
}

static void note_namesakes(struct snap_env *env, const struct snap_listing *l)
{
    char **uuids = NULL;
    size_t i, n = 0;

    snap_namesakes(env, l->name, l->uuid, &uuids, &n);
    for (i = 0; i < n; i++)
        snap_say(env->log, SNAP_LOG_NOTE,
                 "another %s, with the UUID %s, has snapshots of its own: snapshot-list %s",
                 l->name, uuids[i], uuids[i]);
    snap_notes_free(&uuids, &n);
}

int snap_listings_load(struct snap_env *env, const char *who,
                       struct snap_listing **ls_r, size_t *n_r,
                       struct snap_err *err)
{
    struct snap_listing *l;
    char uuid[37];
    int rc;

    *ls_r = NULL;
    *n_r = 0;
    if (!who)
        return load_all(env, ls_r, n_r, err);
    rc = snap_resolve(env, who, uuid, err);
    if (rc)
        return rc;
    l = snap_zalloc(sizeof(*l));
    rc = listing_load(env, uuid, l, err);
    if (rc) {
        listing_dispose(l);
        free(l);
        return rc;
    }
    note_namesakes(env, l);
    *ls_r = l;
    *n_r = 1;
    return 0;
}
