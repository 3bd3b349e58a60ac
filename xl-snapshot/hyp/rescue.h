/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_RESCUE_H
#define SNAP_HYP_RESCUE_H

#include "hyp/hyp.h"

int hyp_rescue(struct snap_hyp *h, const struct snap_held *held,
               struct snap_err *err);

#endif /* SNAP_HYP_RESCUE_H */
