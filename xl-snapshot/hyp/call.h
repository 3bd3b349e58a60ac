/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_CALL_H
#define SNAP_HYP_CALL_H

#include "hyp/hyp.h"

/* At the start of each op: asks snap_fault("hyp", op), forgets old lines. */
int hyp_enter(struct snap_hyp *h, const char *op, struct snap_err *err);
/* Fail with "MESSAGE: what libxl said"; xl_rc is libxl's code, or 0. */
int hyp_fail(struct snap_hyp *h, struct snap_err *err, int xl_rc,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A context for another thread, with the same manners; NULL on failure. */
libxl_ctx *hyp_ctx_new(struct hyp_logger *logger);
void hyp_logger_init(struct hyp_logger *l, const struct snap_log *log);

#endif /* SNAP_HYP_CALL_H */
