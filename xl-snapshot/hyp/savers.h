/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SAVERS_H
#define SNAP_HYP_SAVERS_H

#include "hyp/hyp.h"

/* A save helper of libxl that is at work on a domain, and who had it started:
 * user 0 if that one is dead. */
struct hyp_saver {
    pid_t helper, user;
    char program[32]; /* the user's */
};
/* Is there one that is neither ours nor our parent's?  Reads /proc only. */
bool hyp_saver_find(uint32_t domid, struct hyp_saver *s_r);
/* The same, as SNAP_BUSY with a message. */
int hyp_saver_refuse(const struct snap_domain *dom, struct snap_err *err);
int hyp_saver(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err);
/* Wait until nobody saves it any more, and who did has seen to the domain;
 * SNAP_TIMEOUT without message, with the last one in s_r. */
int hyp_saver_wait(uint32_t domid, int timeout_ms, struct hyp_saver *s_r);

#endif /* SNAP_HYP_SAVERS_H */
