/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_MONITOR_H
#define SNAP_HYP_MONITOR_H

#include "hyp/hyp.h"

int hyp_monitor_main(uint32_t domid, const char *log_path);

#endif /* SNAP_HYP_MONITOR_H */
