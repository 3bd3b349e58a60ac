/* SPDX-License-Identifier: LGPL-2.1-only */
/* See cloned.h. */
#include "core/cloned.h"

#include <stdlib.h>
#include <string.h>

#include "core/boot.h"
#include "core/parts.h"
#include "core/reverted.h"
#include "lib/mem.h"

struct snap_json *snap_cloned_plan_json(const struct snap_clone_plan *p,
                                        const struct snap_clone_req *req)
{
    struct snap_json *j = snap_json_object();
    char *boot = snap_boot_id();

    snap_json_set_str(j, "boot_id", boot);
    free(boot);
    snap_json_set(j, "record", snap_record_to_json(&p->rec));
    snap_json_set_str(j, "op_id", p->op_id);
    snap_json_set_str(j, "uuid", p->uuid);
    snap_json_set_str(j, "new_name", req->new_name);
    snap_json_set_bool(j, "paused_after", req->paused);
    snap_json_set(j, "leaves", snap_reverted_leaves_json(&p->rec));
    return j;
}

int snap_cloned_undo(struct snap_env *env, struct snap_store *s,
                     struct snap_record *rec, const char *op_id,
                     struct snap_err *err)
{
    int rc;
    struct snap_disk_ctx ctx;
    struct snap_domain dom = { 0 };

    rc = env->ops->find_uuid(env->hyp, s->uuid, &dom, err);
    if (!rc)
        rc = env->ops->destroy(env->hyp, &dom, err);
    snap_domain_dispose(&dom);
    /* xl ends what it had begun when we die, perhaps at this moment. */
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    }
    if (rc)
        return rc;
    snap_ctx_init(&ctx, env, UINT32_MAX, NULL, op_id);
    rc = snap_parts_revert_undo(&ctx, rec->parts, rec->n_parts, err);
    if (rc)
        return rc;
    return snap_state_remove(s, err);
}
