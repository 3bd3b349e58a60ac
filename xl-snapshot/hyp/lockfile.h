/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_LOCKFILE_H
#define SNAP_HYP_LOCKFILE_H

#include "hyp/hyp.h"

/* Lock "userdata-l.D.UUID.WHAT" in hyp_lib_dir the way libxl does. */
#define HYP_LOCK_DEVICES "libxl-device-changes-lock"
#define HYP_LOCK_DATA    "domain-userdata-lock"
#define HYP_LOCK_QMP     "qmp-socket-lock"
int hyp_lock_userdata(const struct snap_domain *dom, const char *what,
                      int timeout_ms, int *fd_r, struct snap_err *err);
/* Wait, for lock_ms, until nobody has the two that libxl's functions wait for
 * without a limit; SNAP_BUSY. */
int hyp_lock_wait_free(const struct snap_domain *dom, struct snap_err *err);
/* Nobody has it at this moment. */
bool hyp_lock_is_free(const struct snap_domain *dom, const char *what);
void hyp_unlock(int *fd);

#endif /* SNAP_HYP_LOCKFILE_H */
