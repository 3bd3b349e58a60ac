/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SCOPE_H
#define SNAP_HYP_SCOPE_H

#include "hyp/hyp.h"

/* Between the two, what is started outlives our systemd unit or session.  A
 * failure is only said. */
struct hyp_scope {
    char *before;
};
void hyp_scope_enter(struct snap_hyp *h, struct hyp_scope *s);
void hyp_scope_leave(struct hyp_scope *s);

#endif /* SNAP_HYP_SCOPE_H */
