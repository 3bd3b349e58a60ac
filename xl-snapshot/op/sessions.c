/* SPDX-License-Identifier: LGPL-2.1-only */
/* See sessions.h. */
#include "op/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

/* Who they are; no lock is held yet. */
static int find_each(struct snap_sessions *ss, struct snap_env *env,
                     const char *const *who, size_t n, struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && i < n; i++) {
        rc = snap_session_init(&ss->v[i], env, err);
        ss->n++;
        if (!rc)
            rc = snap_session_find(&ss->v[i], who[i], err);
    }
    return rc;
}

/* In the order of who. */
static int check_once(const struct snap_sessions *ss, const char *const *who,
                      struct snap_err *err)
{
    size_t i, k;

    for (i = 1; i < ss->n; i++)
        for (k = 0; k < i; k++)
            if (!strcmp(ss->v[i].uuid, ss->v[k].uuid))
                return snap_fail(err, SNAP_INVAL,
                                 "%s and %s are the same domain (UUID %s); name it once",
                                 who[k], who[i], ss->v[i].uuid);
    return 0;
}

static int sessions_by_uuid(const void *a, const void *b)
{
    const struct snap_session *x = a, *y = b;

    return strcmp(x->uuid, y->uuid);
}

static int lock_each(struct snap_sessions *ss, const struct snap_entry *how,
                     struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && i < ss->n; i++) {
        rc = snap_session_open(&ss->v[i], how, err);
        if (rc)
            snap_err_prefix(err, "%s", ss->v[i].name);
    }
    for (i = 0; !rc && i < ss->n; i++)
        rc = snap_session_look(&ss->v[i], err);
    return rc;
}

int snap_sessions_open(struct snap_sessions *ss, struct snap_env *env,
                       const char *const *who, size_t n,
                       const struct snap_entry *how, struct snap_err *err)
{
    int rc;

    memset(ss, 0, sizeof(*ss));
    if (!n)
        return snap_fail(err, SNAP_INVAL, "no domain is named");
    ss->v = snap_zalloc(n * sizeof(*ss->v));
    rc = find_each(ss, env, who, n, err);
    if (!rc)
        rc = check_once(ss, who, err);
    if (!rc) {
        qsort(ss->v, ss->n, sizeof(*ss->v), sessions_by_uuid);
        rc = lock_each(ss, how, err);
    }
    if (rc)
        snap_sessions_close(ss);
    return rc;
}

void snap_sessions_close(struct snap_sessions *ss)
{
    while (ss->n)
        snap_session_dispose(&ss->v[--ss->n]);
    free(ss->v);
    ss->v = NULL;
}

struct snap_session *snap_sessions_find(const struct snap_sessions *ss,
                                        const char *uuid)
{
    size_t i;

    for (i = 0; i < ss->n; i++)
        if (!strcmp(ss->v[i].uuid, uuid))
            return &ss->v[i];
    return NULL;
}
