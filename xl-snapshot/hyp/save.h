/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SAVE_H
#define SNAP_HYP_SAVE_H

#include "hyp/hyp.h"

int hyp_save(struct snap_hyp *h, const struct snap_domain *dom,
             const char *config_json, int fd, bool live,
             const struct snap_at_stop *at_stop,
             struct snap_save_result *res_r, struct snap_err *err);
int hyp_resume(struct snap_hyp *h, const struct snap_domain *dom, bool paused,
               struct snap_err *err);
/* Let the monitor that save() stopped go on; fine if there is none. */
void hyp_monitor_release(struct snap_hyp *h);

#endif /* SNAP_HYP_SAVE_H */
