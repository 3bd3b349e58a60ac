/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Block jobs of a running QEMU.  A job outlives our connection and our
 * process, not its QEMU: so its id says whose it is, and whoever comes after
 * us goes on with it or cancels it.
 */
#ifndef SNAP_DISK_QEMU_QEMU_JOB_H
#define SNAP_DISK_QEMU_QEMU_JOB_H

#include "model/disk_ops.h"

/* Begin command with args (owned), to which the id is added.  A job of this
 * id that is there already is gone on with; one that has ended is forgotten
 * first. */
int snap_qemu_job_start(struct snap_disk_ctx *c, const char *command,
                        const char *id, struct snap_json *args,
                        struct snap_err *err);
/* Wait until it is ready to be completed, or to be finalized if it was begun
 * with auto-finalize off (ready), or has ended.  The end is
 * success, or the job's own reason.  Calls c->tick; if that says stop, or
 * timeout_ms (0: none) is over, the job is cancelled. */
int snap_qemu_job_wait(struct snap_disk_ctx *c, const char *id, bool ready,
                       int timeout_ms, struct snap_err *err);
/* Ask a ready job to end well; wait() for the end. */
int snap_qemu_job_complete(struct snap_disk_ctx *c, const char *id,
                           struct snap_err *err);
/* Let one that waits for it do its last step; wait() for the end. */
int snap_qemu_job_finalize(struct snap_disk_ctx *c, const char *id,
                           struct snap_err *err);
/* Cancel it and wait until it is gone; none there is success. */
int snap_qemu_job_cancel(struct snap_disk_ctx *c, const char *id,
                         struct snap_err *err);

#endif /* SNAP_DISK_QEMU_QEMU_JOB_H */
