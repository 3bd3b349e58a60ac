/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SERVED_H
#define SNAP_HYP_SERVED_H

#include "hyp/hyp.h"

/* A domain that cannot be without a QEMU of this host: an HVM guest, one with
 * a disk that such a QEMU serves, or what a destruction has left of one. */
int hyp_needs_qemu(struct snap_hyp *h, const struct snap_domain *dom,
                   bool *needs_r, struct snap_err *err);
/* It is there, and its destruction has begun: it is dying, or has lost its
 * QEMU. */
bool hyp_is_half_gone(struct snap_hyp *h, const struct snap_domain *dom);

#endif /* SNAP_HYP_SERVED_H */
