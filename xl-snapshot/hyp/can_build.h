/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_CAN_BUILD_H
#define SNAP_HYP_CAN_BUILD_H

#include "hyp/hyp.h"

int hyp_can_build(struct snap_hyp *h, const char *config_json,
                  bool from_memory, const char *versions_then,
                  uint64_t freed_kb, struct snap_err *err);
/* Why it could not be built, in all; n of them.  What is only doubtful goes to
 * log. */
struct hyp_lacks {
    struct snap_buf why;
    size_t n;
    const struct snap_log *log;
    /* Is this domain, by name or number, there and not at its end?  In doubt it
     * is.  NULL: nobody is asked for. */
    bool (*serves)(struct snap_hyp *h, const char *who);
};
/* The part of it that needs no Xen: files, programs, devices, and for a
 * memory image the versions (of hyp_version(), then and now). */
int hyp_build_lacks(struct snap_hyp *h, const char *config_json,
                    bool from_memory, const char *then, const char *now,
                    struct hyp_lacks *l, struct snap_err *err);
/* Set by tests. */
extern const char *hyp_pci_sysfs, *hyp_net_sysfs, *hyp_script_dir;
extern const char *const *hyp_ovmf_places, *const *hyp_seabios_places;

#endif /* SNAP_HYP_CAN_BUILD_H */
