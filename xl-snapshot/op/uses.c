/* SPDX-License-Identifier: LGPL-2.1-only */
/* See uses.h. */
#include "op/uses.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "op/parts.h"

void snap_uses_add(struct snap_uses *u, struct snap_object o,
                   enum snap_use_how how)
{
    if (!o.id)
        return;
    u->v = snap_realloc(u->v, u->n + 1, sizeof(*u->v));
    u->v[u->n++] = (struct snap_use){
        .kind = snap_strdup(o.kind),
        .id = snap_strdup(o.id),
        .format = snap_strdup(o.format),
        .how = how,
    };
}

void snap_uses_dispose(struct snap_uses *u)
{
    size_t i;

    for (i = 0; i < u->n; i++) {
        free(u->v[i].kind);
        free(u->v[i].id);
        free(u->v[i].format);
    }
    free(u->v);
    memset(u, 0, sizeof(*u));
}

static struct snap_object object_of(const struct snap_use *u)
{
    return (struct snap_object){ u->kind, u->id, u->format };
}

/* At whatever depth. */
static bool reads_through(struct snap_env *env, const struct snap_use *over,
                          const struct snap_use *under)
{
    const struct snap_disk_driver *const *d;
    const struct snap_part part = {
        .frozen_kind = under->kind,
        .frozen_path = under->id,
        .frozen_format = under->format,
    };
    enum snap_stand how;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_disk_ctx ctx;

    snap_ctx_init(&ctx, env, UINT32_MAX, NULL, "look");
    for (d = env->drivers; *d; d++) {
        how = SNAP_STAND_ALONE;
        if ((*d)->read_through &&
            !(*d)->stands_on(&ctx, &part, object_of(over), &how, &ignored) &&
            how == SNAP_STAND_ON)
            return true;
    }
    return false;
}

static bool use_clash(struct snap_env *env, const struct snap_use *a,
                      const struct snap_use *b)
{
    if (a->how == SNAP_USE_READ && b->how == SNAP_USE_READ)
        return false;
    return snap_object_same(env->drivers, object_of(a), object_of(b)) ||
           (a->how == SNAP_USE_READ && reads_through(env, a, b)) ||
           (b->how == SNAP_USE_READ && reads_through(env, b, a));
}

const char *snap_uses_clash(struct snap_env *env, const struct snap_uses *a,
                            const struct snap_uses *b)
{
    size_t i, k;

    for (i = 0; i < a->n; i++)
        for (k = 0; k < b->n; k++)
            if (use_clash(env, &a->v[i], &b->v[k]))
                return a->v[i].id;
    return NULL;
}
