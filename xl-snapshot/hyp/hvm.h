/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_HVM_H
#define SNAP_HYP_HVM_H

#include "hyp/hyp.h"

/* Must this HVM guest answer a request to suspend, or is it just stopped? */
int hyp_hvm_must_answer(struct snap_hyp *h, uint32_t domid, bool *answer_r,
                        struct snap_err *err);

#endif /* SNAP_HYP_HVM_H */
