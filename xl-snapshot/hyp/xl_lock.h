/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_XL_LOCK_H
#define SNAP_HYP_XL_LOCK_H

#include "hyp/hyp.h"

/* Who holds xl's lock of creation: 0 if nobody, -1 if that has no number. */
pid_t hyp_xl_lock_holder(void);
/* Take it; waits for as long as it takes, and says for whom. */
int hyp_xl_lock(struct snap_hyp *h, const char *name, int *fd_r,
                struct snap_err *err);
void hyp_xl_lock_tell(struct snap_hyp *h, const char *name, pid_t holder);
/* "process 12 (xl restore a.save)"; caller frees. */
char *hyp_process_title(pid_t pid);
extern const char *hyp_xl_lock_file; /* set by tests */

#endif /* SNAP_HYP_XL_LOCK_H */
