/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_QEMU_H
#define SNAP_HYP_QEMU_H

#include "hyp/hyp.h"

/* Processes that may have a domain's images open.  Zero-initialise. */
struct hyp_qemus {
    struct hyp_qemu {
        pid_t pid;
        int pidfd;
    } * a;
    size_t n;
};
/* The process that xenstore names, if it is one. */
void hyp_qemus_add(struct hyp_qemus *q, pid_t pid, uint32_t domid);
/* All that were started for a domain of this name and number; UINT32_MAX: for
 * one whose number is free now. */
void hyp_qemus_find(struct snap_hyp *h, struct hyp_qemus *q, const char *name,
                    uint32_t domid);
/* Until all are gone, or the deadline (snap_now_ms()): then one that is not,
 * else 0. */
pid_t hyp_qemus_wait(const struct hyp_qemus *q, double deadline);
void hyp_qemus_dispose(struct hyp_qemus *q);

#endif /* SNAP_HYP_QEMU_H */
