/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_DESTROY_H
#define SNAP_HYP_DESTROY_H

#include "hyp/hyp.h"

int hyp_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);
/* After a build that failed: return when nothing of it is there, also not the
 * QEMU of a domain that whoever built it has removed already.  domid: of ours,
 * or INVALID_DOMID if it is gone.  One that somebody has let run is left alone.
 * What cannot be had is appended to err. */
void hyp_clear_away(struct snap_hyp *h, const char *uuid, const char *name,
                    uint32_t domid, struct snap_err *err);

#endif /* SNAP_HYP_DESTROY_H */
