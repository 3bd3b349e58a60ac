/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SETTLE_H
#define SNAP_HYP_SETTLE_H

#include "hyp/domain.h"
#include "hyp/hyp.h"

/* A mark in xenstore that a request of ours to suspend may be under way, or
 * that a suspend is ours.  Set before it is asked, cleared when it is known
 * to be over.  It goes with the domain. */
int hyp_asked_set(struct snap_hyp *h, const struct snap_domain *dom,
                  struct snap_err *err);
bool hyp_asked(struct snap_hyp *h, uint32_t domid);
void hyp_asked_clear(struct snap_hyp *h, uint32_t domid);
/* After a request that is not to be followed any more: withdraw it, and watch
 * until the guest has suspended or is known not to.  *state says which;
 * SNAP_RECOVER if it cannot be known yet. */
int hyp_settle(struct snap_hyp *h, const struct snap_domain *dom,
               enum hyp_state *state, struct snap_err *err);
/* Xen's log of what a live save's guest writes, off; harmless if it is. */
void hyp_dirty_log_off(struct snap_hyp *h, const struct snap_domain *dom);

#endif /* SNAP_HYP_SETTLE_H */
