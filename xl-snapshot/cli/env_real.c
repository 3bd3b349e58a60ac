/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The hypervisor of the machine we run on, from the module built for it.
 */
#include "cli/run.h"
#include "hyp/plugin.h"

static const struct snap_hyp_module *module;

static int real_load(struct snap_env *env, struct snap_err *err)
{
    int rc;

    rc = snap_hyp_load(NULL, &module, err);
    if (rc)
        return rc;
    env->ops = module->ops;
    env->cfg_parse = module->cfg_parse;
    return 0;
}

static int real_monitor(uint32_t domid, const char *log_path,
                        struct snap_err *err)
{
    int rc;

    rc = snap_hyp_load(NULL, &module, err);
    if (rc)
        return rc;
    if (!module->monitor_main)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "the module for this Xen has no monitor; build and install it anew with make and make install");
    return module->monitor_main(domid, log_path);
}

const struct snap_cli_tables snap_cli_real_tables = {
    .load = real_load,
    .monitor = real_monitor,
};
