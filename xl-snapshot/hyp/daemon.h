/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_DAEMON_H
#define SNAP_HYP_DAEMON_H

#include "hyp/hyp.h"

/* The daemon that watches this domain, or 0. */
pid_t hyp_monitor_find(uint32_t domid, const char *name);
/* One that runs, has the log of this name, and whose domain is not there; 0:
 * none. */
pid_t hyp_monitor_named(struct snap_hyp *h, const char *name);
/* True if pid is xl (or our monitor) with its output in one of xl's logs. */
bool hyp_is_monitor(pid_t pid);

#endif /* SNAP_HYP_DAEMON_H */
