/* SPDX-License-Identifier: LGPL-2.1-only */
/* See needed.h.  Reads only; takes no lock. */
#include "op/needed.h"

#include "op/parts.h"
#include "store/store.h"

/* An object, and whether anybody needs it. */
struct need {
    struct snap_env *env;
    /* snap_records_need(), or snap_records_freeze() */
    bool (*asks)(const struct snap_disk_driver *const *drivers,
                 const struct snap_record *rs, size_t n, struct snap_object o);
    struct snap_object object;
    bool needed;
};

static int ask_one(void *opaque, const char *uuid, struct snap_err *err)
{
    int rc;
    size_t n = 0, damaged = 0;
    struct need *need = opaque;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record *rs = NULL;

    if (need->needed)
        return 0;
    rc = snap_store_open(&s, need->env->store_root, uuid, false, err);
    if (!rc)
        rc = snap_store_damaged(&s, need->env->drivers, &damaged, err);
    if (!rc)
        rc = snap_store_brief(&s, need->env->drivers, NULL, &rs, &n, err);
    /* What cannot be read may need it. */
    need->needed = rc == SNAP_REFUSED || damaged ||
                   (!rc &&
                    need->asks(need->env->drivers, rs, n, need->object));
    if (rc == SNAP_REFUSED) {
        snap_err_clear(err);
        rc = 0;
    }
    snap_records_free(&rs, &n);
    snap_store_close(&s);
    return rc;
}

static int ask_others(struct need *need, const char *uuid, bool *yes_r,
                      struct snap_err *err)
{
    int rc = snap_store_each(need->env->store_root, uuid, ask_one, need, err);

    *yes_r = need->needed;
    return rc;
}

int snap_others_need(struct snap_env *env, const char *uuid,
                     struct snap_object o, bool *need_r, struct snap_err *err)
{
    struct need need = { env, snap_records_need, o, false };

    return ask_others(&need, uuid, need_r, err);
}

int snap_others_freeze(struct snap_env *env, const char *uuid,
                       struct snap_object o, bool *freeze_r,
                       struct snap_err *err)
{
    struct need need = { env, snap_records_freeze, o, false };

    return ask_others(&need, uuid, freeze_r, err);
}
