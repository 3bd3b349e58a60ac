/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_BOOT_H
#define SNAP_HYP_BOOT_H

#include "hyp/hyp.h"

/* Create a paused domain from cfg, with xl's lock and ballooning. */
int hyp_boot(struct snap_hyp *h, libxl_domain_config *cfg, uint32_t *domid_r,
             struct snap_err *err);

#endif /* SNAP_HYP_BOOT_H */
