/* SPDX-License-Identifier: LGPL-2.1-only */
/* Where the drivers and the hypervisor come from. */
#ifndef SNAP_CLI_TABLES_H
#define SNAP_CLI_TABLES_H

#include "model/env.h"

/*
 * How the tables get into an environment whose ops are NULL.  Called once,
 * when a command is about to need them: help and usage errors work without
 * Xen.  main() points this at env_real.c; tests fill the template instead.
 */
struct snap_cli_tables {
    int (*load)(struct snap_env *env, struct snap_err *err);
    /* The process that watches a domain that we built (hyp/plugin.h).
     * Returns its exit status, or a negative enum snap_rc. */
    int (*monitor)(uint32_t domid, const char *log_path, struct snap_err *err);
};
extern const struct snap_cli_tables *snap_cli_tables;
extern const struct snap_cli_tables snap_cli_real_tables; /* env_real.c */

#endif /* SNAP_CLI_TABLES_H */
