/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_CTX_H
#define SNAP_HYP_CTX_H

#include "hyp/hyp.h"

int hyp_open(const struct snap_log *log, struct snap_hyp **h_r,
             struct snap_err *err);
void hyp_close(struct snap_hyp *h);
/* What can be seen of us being Xen's control domain.  ASK: Xen is here, and
 * nothing says whose domain this is; Xen itself must be asked.  Set by tests:
 * the files that are looked at. */
enum hyp_control { HYP_CONTROL_NO, HYP_CONTROL_YES, HYP_CONTROL_ASK };
enum hyp_control hyp_control(void);
extern const char *hyp_capabilities, *hyp_privcmd;
int hyp_version(struct snap_hyp *h, char **text_r, struct snap_err *err);

#endif /* SNAP_HYP_CTX_H */
