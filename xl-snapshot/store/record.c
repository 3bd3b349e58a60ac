/* SPDX-License-Identifier: LGPL-2.1-only */
/* See record.h. */
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

void snap_record_dispose(struct snap_record *r)
{
    size_t i;

    snap_free(&r->id);
    snap_free(&r->name);
    snap_free(&r->description);
    snap_free(&r->parent);
    snap_free(&r->domain_name);
    snap_free(&r->consistency);
    snap_free(&r->config_json);
    snap_free(&r->mem_path);
    snap_free(&r->versions);
    for (i = 0; i < r->n_parts; i++)
        snap_part_dispose(&r->parts[i]);
    free(r->parts);
    for (i = 0; i < r->n_left_out; i++)
        free(r->left_out[i]);
    free(r->left_out);
    memset(r, 0, sizeof(*r));
}
