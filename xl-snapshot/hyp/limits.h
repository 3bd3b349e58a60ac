/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_LIMITS_H
#define SNAP_HYP_LIMITS_H

#include "hyp/hyp.h"

/* How long something is waited for, in ms. */
struct hyp_limits {
    int lock_ms; /* for a lock of libxl's that another holds */
    int gone_ms; /* for the end of a destroyed domain and its QEMU */
    int save_stall_ms; /* the guest stands, and no memory is written: QEMU may
                        * have to flush much before it answers */
    int restore_stall_ms; /* xl restore moves no byte and does not exit */
    int restore_look_ms; /* between two looks at it, and at its lock */
    int restore_end_ms; /* for its own end, when its pipe has ended */
    int again_ms; /* between two tries of a reboot */
    int again_limit_ms; /* of all those tries */
    int balloon_ms; /* for dom0, which gives up no more memory */
};
/* The one in force, and where Xen's tools keep their files; set by tests. */
extern struct hyp_limits hyp_limits;
extern const char *hyp_lib_dir, *hyp_log_dir;

#endif /* SNAP_HYP_LIMITS_H */
