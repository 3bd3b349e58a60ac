/* SPDX-License-Identifier: LGPL-2.1-only */
/* See resolve.h.  Reads only; takes no lock. */
#include "op/resolve.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/name.h"
#include "op/parts.h"
#include "store/state.h"
#include "store/store.h"

/* The domains that who may mean. */
struct meant {
    const struct snap_env *env;
    const char *who;
    bool by_uuid; /* who may also be a UUID */
    bool not_empty; /* one of that name must have a snapshot */
    char **uuids;
    size_t n;
    char *unseen; /* out: why one could not be asked; the first, or NULL */
};

static bool has_any(const struct snap_store *s)
{
    char *journal = snap_store_journal_path(s);
    bool any = snap_store_any(s) || snap_file_exists(journal);

    free(journal);
    return any;
}

/* The state may be damaged, or moved away. */
static bool was_named(const struct snap_env *env, const struct snap_store *s,
                      const char *who, struct snap_err *why)
{
    struct snap_state st = { 0 };
    struct snap_record *rs = NULL;
    size_t n = 0;
    bool same;

    if (!snap_state_load(s, &st, why) && st.domain_name)
        same = !strcmp(st.domain_name, who);
    else
        same = !snap_store_brief(s, env->drivers, NULL, &rs, &n, why) && n &&
               snap_streq(rs[n - 1].domain_name, who);
    /* By its records, it has a name. */
    if (n)
        snap_err_clear(why);
    snap_records_free(&rs, &n);
    snap_state_dispose(&st);
    return same;
}

static int add_meant(void *opaque, const char *uuid, struct snap_err *err)
{
    struct meant *m = opaque;
    struct snap_err why = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    bool meant = m->by_uuid && !strcasecmp(uuid, m->who);

    (void)err; /* a name that cannot be read is not meant */
    if (!meant && !snap_store_open(&s, m->env->store_root, uuid, false, &why))
        meant = was_named(m->env, &s, m->who, &why) &&
                (!m->not_empty || has_any(&s));
    if (meant)
        snap_note_add(&m->uuids, &m->n, "%s", uuid);
    else if (why.rc && !m->unseen)
        m->unseen = snap_strdup(why.msg);
    snap_store_close(&s);
    return 0;
}

int snap_store_resolve(const struct snap_env *env, const char *who,
                       char uuid_r[37], struct snap_err *err)
{
    const char *root = env->store_root;
    struct meant m = { .env = env, .who = who, .by_uuid = true };
    int rc;

    rc = snap_store_each(root, NULL, add_meant, &m, err);
    if (!rc && m.n > 1) {
        /* One whose snapshots are all deleted is not worth a question. */
        snap_notes_free(&m.uuids, &m.n);
        m.not_empty = true;
        rc = snap_store_each(root, NULL, add_meant, &m, err);
    }
    if (rc)
        goto out;
    if (m.n > 1)
        rc = snap_fail(err, SNAP_INVAL,
                       "two domains were called %s; use the UUID: %s or %s",
                       who, m.uuids[0], m.uuids[1]);
    else if (!m.n)
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "no domain named %s runs, and the store %s has no snapshot of one",
                       who, root);
    else
        snprintf(uuid_r, 37, "%s", m.uuids[0]);
    if (!m.n && m.unseen)
        snap_err_append(err, "one could not be asked for its name: %s",
                        m.unseen);

out:
    free(m.unseen);
    snap_notes_free(&m.uuids, &m.n);
    return rc;
}

void snap_namesakes(const struct snap_env *env, const char *name,
                    const char *except, char ***uuids_r, size_t *n_r)
{
    struct meant m = { .env = env, .who = name, .not_empty = true };
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_store_each(env->store_root, except, add_meant, &m, &ignored);
    free(m.unseen);
    *uuids_r = m.uuids;
    *n_r = m.n;
}

static bool has_snapshot(const char *root, const char *uuid, const char *name)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    char *path = NULL;
    bool has = false;

    if (!snap_name_check(name, NULL) &&
        !snap_store_open(&s, root, uuid, false, &ignored)) {
        path = snap_store_record_path(&s, name);
        has = snap_file_exists(path);
    }
    free(path);
    snap_store_close(&s);
    return has;
}

int snap_hint_namesake(const struct snap_env *env, const char *name,
                       const char *uuid, const char *snapshot, int rc,
                       struct snap_err *err)
{
    char **uuids = NULL;
    size_t i, n = 0;

    if (rc != SNAP_NOTFOUND || !name || !snapshot || !*uuid ||
        has_snapshot(env->store_root, uuid, snapshot))
        return rc;
    snap_namesakes(env, name, uuid, &uuids, &n);
    for (i = 0; i < n; i++)
        if (has_snapshot(env->store_root, uuids[i], snapshot)) {
            snap_err_append(err,
                            "another %s has one, with the UUID %s: give that instead of the name; a uuid in the xl.cfg keeps a domain and its snapshots together",
                            name, uuids[i]);
            break;
        }
    snap_notes_free(&uuids, &n);
    return rc;
}

/* A domain that exists, by its UUID in any case. */
static int find_uuid(struct snap_env *env, const char *who,
                     struct snap_domain *dom, struct snap_err *err)
{
    char uuid[37];
    size_t i;

    if (strlen(who) != 36)
        return SNAP_NOTFOUND;
    for (i = 0; i <= 36; i++)
        uuid[i] = (char)tolower((unsigned char)who[i]);
    if (snap_uuid_check(uuid, NULL))
        return SNAP_NOTFOUND;
    return env->ops->find_uuid(env->hyp, uuid, dom, err);
}

int snap_find_domain(struct snap_env *env, const char *who,
                     struct snap_domain *dom, struct snap_err *err)
{
    int rc = env->ops->find(env->hyp, who, dom, err), r;
    struct snap_err why = SNAP_ERR_INIT;

    if (rc != SNAP_NOTFOUND)
        return rc;
    r = find_uuid(env, who, dom, &why);
    if (r == SNAP_NOTFOUND)
        return rc; /* with what find() said */
    snap_err_clear(err);
    return r ? snap_fail(err, r, "%s", why.msg) : 0;
}

int snap_resolve(struct snap_env *env, const char *who, char uuid_r[37],
                 struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_domain dom = { 0 };
    int rc = SNAP_NOTFOUND;

    if (env->hyp)
        rc = snap_find_domain(env, who, &dom, &e);
    if (!rc)
        memcpy(uuid_r, dom.uuid, sizeof(dom.uuid));
    else if (rc == SNAP_NOTFOUND)
        rc = snap_store_resolve(env, who, uuid_r, err);
    else
        snap_fail(err, rc, "%s", e.msg);
    snap_domain_dispose(&dom);
    return rc;
}
