/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The one door through which tests make the outside fail.  Each low-level
 * call (file, tool, QMP, hypervisor) asks snap_fault() first; the crash tier
 * installs a hook that returns an errno, or ends the process, at the n-th
 * call.  In the product the hook is NULL and the call costs one branch.
 */
#ifndef SNAP_LIB_FAULT_H
#define SNAP_LIB_FAULT_H

/* layer: "file", "tool", "qmp", "hyp", "disk"; what: the call, e.g.
 * "rename /x/y".  Returns 0, or an errno that the call must fail with. */
extern int (*snap_fault_hook)(const char *layer, const char *what);

static inline int snap_fault(const char *layer, const char *what)
{
    return snap_fault_hook ? snap_fault_hook(layer, what) : 0;
}

#endif /* SNAP_LIB_FAULT_H */
