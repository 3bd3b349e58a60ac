/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the module built for one Xen version exports.  libxenlight has no
 * stable soname, so all of hyp/ but load.c goes into
 * PKGLIBDIR/hyp-xen-X.Y.so, and load.c (in the program, without Xen) opens
 * the one for the running Xen.
 */
#ifndef SNAP_HYP_PLUGIN_H
#define SNAP_HYP_PLUGIN_H

#include "model/cfg.h"
#include "model/hyp_ops.h"

#define SNAP_HYP_ABI    8
#define SNAP_HYP_SYMBOL "snap_hyp_module"

struct snap_hyp_module {
    int abi; /* SNAP_HYP_ABI */
    const char *xen_version; /* "4.17"; "" if built without saying */
    const struct snap_hyp_ops *ops;
    snap_cfg_parse_fn *cfg_parse;
    /*
     * The monitor of a domain that ops->create() made, in place of xl's
     * daemon.  create() starts it as "/proc/self/exe --monitor DOMID LOG":
     * the program must do nothing before but load this module, call it with
     * the two arguments, and exit with what it returns.  In the first
     * process it returns once the daemon that it forked is watching (0) or
     * cannot (1); in the daemon when the domain is gone for good.
     */
    int (*monitor_main)(uint32_t domid, const char *log_path);
};

/* Find and open the module: for the running Xen (/sys/hypervisor/version), or
 * without Xen (dry parsing of config files) any that is there.  dir NULL:
 * beside the program's file (a build tree), then PKGLIBDIR.
 * SNAP_UNSUPPORTED says what is missing and how to build it. */
int snap_hyp_load(const char *dir, const struct snap_hyp_module **mod_r,
                  struct snap_err *err);

#endif /* SNAP_HYP_PLUGIN_H */
