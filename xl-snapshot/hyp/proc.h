/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_PROC_H
#define SNAP_HYP_PROC_H

#include "hyp/hyp.h"

/* True if this process is the QEMU of this domain. */
bool hyp_is_qemu(pid_t pid, uint32_t domid);
/* Is it root's, or ours?  Anybody may call a program xl. */
bool hyp_is_trusted(pid_t pid);
/* Target of /proc/PID/WHAT without " (deleted)", which an upgrade of the
 * package or a rotation of the log leaves there; false if there is none. */
bool hyp_proc_link(pid_t pid, const char *what, char *buf, size_t size);
/* pidfd_open(2) and pidfd_send_signal(2); -1 and errno. */
int hyp_pidfd_open(pid_t pid);
int hyp_pidfd_signal(int pidfd, int sig);
/* Wait until the process is gone; SNAP_TIMEOUT without message. */
int hyp_pidfd_wait(int pidfd, int timeout_ms);
/* Wait until a process that was sent SIGSTOP has stopped; false: it has not. */
bool hyp_wait_stopped(pid_t pid, int timeout_ms);

#endif /* SNAP_HYP_PROC_H */
