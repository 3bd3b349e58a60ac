/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See paused.h.  An idle guest may get no processor time for some seconds; who
 * pauses it within those after somebody let it go on is taken for us.
 */
#include "op/paused.h"

#include "lib/json.h"

void snap_paused_note(struct snap_env *env, struct snap_journal *j,
                      const struct snap_domain *dom, const char *step)
{
    uint64_t ns;
    struct snap_json *data;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (env->ops->ran(env->hyp, dom, &ns, &ignored))
        return;
    data = snap_json_object();
    snap_json_set_int(data, "ran_ns", (int64_t)ns);
    snap_journal_note_data(j, step, data);
    snap_json_free(data);
}

int snap_paused_since(struct snap_env *env, const struct snap_domain *dom,
                      const struct snap_journal_entry *e, bool *since_r,
                      struct snap_err *err)
{
    int rc;
    uint64_t ns = 0;
    int64_t then = snap_json_get_int(e->data, "ran_ns", -1);

    rc = env->ops->ran(env->hyp, dom, &ns, err);
    *since_r = then < 0 || (uint64_t)then == ns;
    return rc;
}
