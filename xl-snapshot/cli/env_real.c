/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The hypervisor of the machine we run on, from the module built for it.
 */
#include <stdlib.h>

#include "cli/run.h"
#include "hyp/plugin.h"

/* For running from the build folder and for packagers' tests. */
#define LIBDIR_VARIABLE "XL_SNAPSHOT_LIBDIR"

static const struct snap_hyp_module *module;

static int real_load(struct snap_env *env, struct snap_err *err)
{
    int rc;

    rc = snap_hyp_load(secure_getenv(LIBDIR_VARIABLE), &module, err);
    if (rc)
        return rc;
    env->ops = module->ops;
    env->cfg_parse = module->cfg_parse;
    return 0;
}

const struct snap_cli_tables snap_cli_real_tables = {
    .load = real_load,
};
