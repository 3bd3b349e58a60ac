/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_WINDOW_H
#define SNAP_HYP_WINDOW_H

#include "hyp/hyp.h"

int hyp_window_open(struct snap_hyp *h, const struct snap_domain *dom,
                    const struct snap_active *a, size_t n,
                    struct snap_err *err);
int hyp_window_borrow(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, size_t n,
                      struct snap_err *err);
void hyp_window_close(struct snap_hyp *h);
int hyp_stands(struct snap_hyp *h, const struct snap_domain *dom,
               bool suspended, struct snap_err *err);
/* Is it open, for this domain? */
bool hyp_window_is_open(const struct snap_hyp *h,
                        const struct snap_domain *dom);
/* libxl's node of a disk and its backend's, as they were when it was opened;
 * false: it has no such disk. */
bool hyp_window_disk(const struct snap_hyp *h, const char *vdev,
                     const char **node_r, const char **backend_r);
/* None of the locks of libxl is held by others at this moment that a save
 * needs, or that set_active() does. */
bool hyp_window_locks_free(const struct snap_hyp *h,
                           const struct snap_domain *dom);

#endif /* SNAP_HYP_WINDOW_H */
