/* SPDX-License-Identifier: LGPL-2.1-only */
/* See session.h. */
#include "op/session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/parts.h"
#include "op/resolve.h"
#include "store/state.h"

int snap_session_init(struct snap_session *s, struct snap_env *env,
                      struct snap_err *err)
{
    memset(s, 0, sizeof(*s));
    s->env = env;
    s->store.lock_fd = -1;
    return snap_op_id_make(s->op_id, err);
}

void snap_session_lend(struct snap_session *s, struct snap_env *env,
                       const struct snap_store *store)
{
    memset(s, 0, sizeof(*s));
    s->env = env;
    s->store = *store;
    s->lent = true;
}

static void forget_domain(struct snap_session *s)
{
    s->there = false;
    snap_domain_dispose(&s->dom);
    memset(&s->dom, 0, sizeof(s->dom));
}

static void session_forget(struct snap_session *s)
{
    snap_qmp_close(s->qmp);
    s->qmp = NULL;
    forget_domain(s);
    snap_state_dispose(&s->state);
    snap_records_free(&s->all, &s->n_all);
    snap_notes_free(&s->notes, &s->n_notes);
    memset(&s->space, 0, sizeof(s->space));
}

int snap_session_again(struct snap_session *s, struct snap_err *err)
{
    session_forget(s);
    return snap_op_id_make(s->op_id, err);
}

void snap_session_dispose(struct snap_session *s)
{
    session_forget(s);
    snap_free(&s->name);
    if (!s->lent)
        snap_store_close(&s->store);
    memset(s, 0, sizeof(*s));
    s->store.lock_fd = -1;
}

int snap_session_find_there(struct snap_session *s, const char *who,
                            struct snap_err *err)
{
    int rc;

    forget_domain(s);
    snap_set(&s->name, who);
    rc = snap_find_domain(s->env, who, &s->dom, err);
    if (rc)
        return rc;
    s->there = true;
    memcpy(s->uuid, s->dom.uuid, sizeof(s->uuid));
    if (s->dom.name)
        snap_set(&s->name, s->dom.name);
    return 0;
}

int snap_session_find(struct snap_session *s, const char *who,
                      struct snap_err *err)
{
    int rc = snap_session_find_there(s, who, err);

    if (rc != SNAP_NOTFOUND)
        return rc;
    snap_err_clear(err);
    return snap_store_resolve(s->env, who, s->uuid, err);
}

int snap_session_look(struct snap_session *s, struct snap_err *err)
{
    int rc;

    forget_domain(s);
    rc = snap_absent_find(s->env, s->uuid, s->name, true, &s->dom, err);
    s->there = !rc;
    if (s->there && s->dom.name)
        snap_set(&s->name, s->dom.name);
    if (rc != SNAP_NOTFOUND)
        return rc;
    snap_err_clear(err);
    return snap_absent_saved(s->env, s->uuid, s->name, NULL, err);
}

void snap_session_ctx(struct snap_session *s, struct snap_disk_ctx *ctx)
{
    snap_ctx_init(ctx, s->env, s->there ? s->dom.domid : UINT32_MAX, s->qmp,
                  s->op_id);
}
