/* SPDX-License-Identifier: LGPL-2.1-only */
/* See op.h.  The one place where the operations are named. */
#include "op/op.h"

#include <stddef.h>

#include "lib/mem.h"
#include "op/clone_finish.h"
#include "op/create_finish.h"
#include "op/delete_finish.h"
#include "op/revert_finish.h"

const struct snap_op *const snap_ops[] = {
    &snap_op_create, &snap_op_revert, &snap_op_delete, &snap_op_clone, NULL,
};

const struct snap_op *snap_op_find(const char *name)
{
    size_t i;

    for (i = 0; snap_ops[i]; i++)
        if (snap_streq(snap_ops[i]->name, name))
            return snap_ops[i];
    return NULL;
}
