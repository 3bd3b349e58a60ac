/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_QMP_SOCK_H
#define SNAP_HYP_QMP_SOCK_H

#include "hyp/hyp.h"

int hyp_qmp_open(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_qmp **q_r, struct snap_err *err);
/* Commands without arguments over libxl's own socket, under its lock. */
int hyp_qmp_brief(struct snap_hyp *h, const struct snap_domain *dom,
                  const char *const *commands, struct snap_err *err);

#endif /* SNAP_HYP_QMP_SOCK_H */
