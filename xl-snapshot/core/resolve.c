/* SPDX-License-Identifier: LGPL-2.1-only */
/* See resolve.h.  Reads only; takes no lock. */
#include "core/resolve.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/store.h"
#include "lib/mem.h"

/* Does this domain's folder say that it was called so? */
static bool was_named(const char *root, const char *uuid, const char *who)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    bool same = false;

    if (!snap_store_open(&s, root, uuid, false, &ignored) &&
        !snap_state_load(&s, &st, &ignored))
        same = snap_streq(st.domain_name, who);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return same;
}

int snap_store_resolve(const char *root, const char *who, char uuid_r[37],
                       struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    char **uuids = NULL;
    const char *found = NULL;

    rc = snap_store_domains(root, &uuids, &n, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        n = 0;
    } else if (rc) {
        goto out;
    }
    for (i = 0; i < n; i++) {
        if (strcasecmp(uuids[i], who) && !was_named(root, uuids[i], who))
            continue;
        if (found) {
            rc = snap_fail(err, SNAP_INVAL,
                           "two domains were called %s; use "
                           "the UUID: %s or %s",
                           who, found, uuids[i]);
            goto out;
        }
        found = uuids[i];
    }
    if (!found) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "no domain named %s runs, and the "
                       "store %s has no snapshot of one",
                       who, root);
        goto out;
    }
    snprintf(uuid_r, 37, "%s", found);
    rc = 0;

out:
    for (i = 0; i < n; i++)
        free(uuids[i]);
    free(uuids);
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

int snap_resolve(struct snap_env *env, const char *who, char uuid_r[37],
                 struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_domain dom = { 0 };
    int rc = SNAP_NOTFOUND;

    if (env->hyp) {
        rc = env->ops->find(env->hyp, who, &dom, &e);
        if (rc == SNAP_NOTFOUND) {
            snap_err_clear(&e);
            rc = find_uuid(env, who, &dom, &e);
        }
    }
    if (!rc)
        memcpy(uuid_r, dom.uuid, sizeof(dom.uuid));
    else if (rc == SNAP_NOTFOUND)
        rc = snap_store_resolve(env->store_root, who, uuid_r, err);
    else
        snap_fail(err, rc, "%s", e.msg);
    snap_domain_dispose(&dom);
    return rc;
}
