/* SPDX-License-Identifier: LGPL-2.1-only */
/* See create_finish.h. */
#include "op/create_finish.h"

#include "lib/mem.h"

void snap_created_intent(struct snap_create_plan *p,
                         const struct snap_create_req *req,
                         struct snap_intent *in)
{
    snap_intent_init(in, &snap_op_create, p->ses.op_id, p->ses.uuid, &p->rec);
    snap_intent_before(in, &p->ses);
    in->after.paused = req->paused;
    in->after.no_metadata = req->no_metadata;
    if (req->no_metadata)
        snap_set(&in->after.output, req->output);
}

const struct snap_op snap_op_create = {
    .name = "create",
    .makes_files = true,
};
