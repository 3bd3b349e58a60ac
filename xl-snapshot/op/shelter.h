/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * How a process of ours outlives what ends others: a unit of systemd that is
 * stopped or killed as a whole, a container's cgroup, the OOM killer.
 */
#ifndef SNAP_OP_SHELTER_H
#define SNAP_OP_SHELTER_H

#include <stdbool.h>

#include "lib/log.h"

/* The calling process: out of its cgroup (lib/cgroup.h,
 * lib/scope.h), not to be chosen by
 * the OOM killer, its memory kept.  As far as the host lets it; what did not
 * work is said.  False: it ends with the unit of systemd that it was started from,
 * if that is ended. */
bool snap_shelter(const struct snap_log *log);

#endif /* SNAP_OP_SHELTER_H */
