/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Out of the control group that we were started in.  A systemd unit that ends
 * takes everything in its group with it (systemd.kill(5)), an OOM killer may
 * take a whole group (memory.oom.group), and so does who writes to its
 * cgroup.kill.  What must live on goes into a group of ours right under the
 * root of each hierarchy.  The group stays when it is empty: it is shared by
 * all that were put there, and costs nothing.
 */
#ifndef SNAP_LIB_CGROUP_H
#define SNAP_LIB_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/rc.h"

#define SNAP_CGROUP_NAME "xl-snapshot"

/*
 * Move a process with all its threads into SNAP_CGROUP_NAME, in version 2 and
 * in each hierarchy of version 1 but cpuset (a new group there takes no
 * process before it is told which processors to use, and it ends nobody).
 * All are tried; the first failure is what is told.  No hierarchy mounted is
 * success: then there is no group to leave.  Needs root.
 */
int snap_cgroup_leave(pid_t pid, struct snap_err *err);

/* What /proc/PID/cgroup says, to compare it or to go back there; NULL if it
 * cannot be read.  Caller frees. */
char *snap_cgroup_of(pid_t pid);
/* Put it back where before (from snap_cgroup_of()) says it was.  A group that
 * is gone by now is left alone: the process stays where it is. */
void snap_cgroup_return(pid_t pid, const char *before);

/* Set by tests: instead of "/proc/self/mounts", and of "/proc". */
extern const char *snap_cgroup_mounts, *snap_cgroup_proc;

#endif /* SNAP_LIB_CGROUP_H */
