/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SET_ACTIVE_H
#define SNAP_HYP_SET_ACTIVE_H

#include "hyp/hyp.h"

int hyp_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                   const struct snap_active *a, size_t n,
                   struct snap_err *err);

#endif /* SNAP_HYP_SET_ACTIVE_H */
