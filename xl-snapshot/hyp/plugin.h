/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the module built for one Xen version exports.  libxenlight has no
 * stable soname, so all of hyp/ but load.c goes into PKGLIBDIR/hyp-xen-X.Y.so, and
 * load.c (in the program, without Xen) opens the one for the running Xen.
 */
#ifndef SNAP_HYP_PLUGIN_H
#define SNAP_HYP_PLUGIN_H

#include "core/cfg.h"
#include "core/hyp_ops.h"

#define SNAP_HYP_ABI 1
#define SNAP_HYP_SYMBOL "snap_hyp_module"

struct snap_hyp_module {
    int abi;                        /* SNAP_HYP_ABI */
    const char *xen_version;        /* "4.17" */
    const struct snap_hyp_ops *ops;
    snap_cfg_parse_fn *cfg_parse;
};

/* Find and open the module: for the running Xen (/sys/hypervisor/version), or
 * without Xen (dry parsing of config files) any that is there.  dir NULL:
 * PKGLIBDIR.  SNAP_UNSUPPORTED says what is missing and how to build it. */
int snap_hyp_load(const char *dir, const struct snap_hyp_module **mod_r,
                  struct snap_err *err);

#endif /* SNAP_HYP_PLUGIN_H */
