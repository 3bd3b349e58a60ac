/* SPDX-License-Identifier: LGPL-2.1-only */
/* See create_commit.h. */
#include "op/create_commit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/record_cfg.h"

int snap_commit(struct snap_env *env, const struct snap_store *s,
                struct snap_record *rec, struct snap_memfile *mem,
                const char *output, struct snap_err *err)
{
    int rc;
    char *text = NULL;

    if (rec->has_memory) {
        rc = snap_memfile_commit(mem, env, &rec->mem_size, rec->mem_hash, err);
        if (rc)
            goto out;
    }
    if (!output) {
        rc = snap_store_put(s, rec, err);
        goto out;
    }
    rc = snap_record_to_cfg(rec, &text, err);
    if (rc)
        goto out;
    rc = snap_file_write(output, text, strlen(text), 0600, true, err);

out:
    free(text);
    return rc;
}

void snap_commit_drop_memory(struct snap_record *rec, struct snap_memfile *mem)
{
    snap_memfile_abort(mem);
    rec->has_memory = false;
    rec->live = false;
    snap_set(&rec->consistency, "crash");
    snap_free(&rec->mem_path);
}

int snap_commit_set_old(struct snap_env *env, const struct snap_domain *dom,
                        const struct snap_record *rec, struct snap_err *err)
{
    int rc;
    size_t i, m = 0;
    struct snap_active *a = snap_realloc(NULL, rec->n_parts + 1, sizeof(*a));

    for (i = 0; i < rec->n_parts; i++) {
        if (!snap_part_moves(&rec->parts[i]))
            continue;
        a[m].vdev = rec->parts[i].vdev;
        a[m].path = rec->parts[i].path;
        a[m].format = rec->parts[i].format;
        m++;
    }
    rc = m ? env->ops->set_active(env->hyp, dom, a, m, err) : 0;
    free(a);
    return rc;
}
