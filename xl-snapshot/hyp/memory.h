/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_MEMORY_H
#define SNAP_HYP_MEMORY_H

#include "hyp/hyp.h"

int hyp_free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err);
/* True if memory for guests is taken from dom0 (xl.conf: autoballoon). */
bool hyp_autoballoon(struct snap_hyp *h);

#endif /* SNAP_HYP_MEMORY_H */
