/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * How long hyp/ waits for what, and where Xen's tools keep their files: in one
 * place, and variables, so that a test need not wait for minutes, or be on a
 * Xen.  Nothing else sets them.
 */
#include "hyp/limits.h"

struct hyp_limits hyp_limits = {
    .lock_ms = 10 * 1000,
    .gone_ms = 60 * 1000,
    .save_stall_ms = 60 * 1000,
    .restore_stall_ms = 10 * 60 * 1000,
    .restore_look_ms = 1000,
    .restore_end_ms = 10 * 1000,
    .again_ms = 5 * 1000,
    .again_limit_ms = 15 * 60 * 1000,
    .balloon_ms = 30 * 1000,
};

/* config/Paths.mk.in of Xen: --localstatedir=/var, as all distributions. */
const char *hyp_lib_dir = "/var/lib/xen";
const char *hyp_log_dir = "/var/log/xen";
