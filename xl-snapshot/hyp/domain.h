/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_DOMAIN_H
#define SNAP_HYP_DOMAIN_H

#include "hyp/hyp.h"

int hyp_find(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
             struct snap_err *err);
int hyp_find_uuid(struct snap_hyp *h, const char *uuid,
                  struct snap_domain *dom_r, struct snap_err *err);
/* The monitor that is to build a domain that was not there a moment ago, or 0. */
pid_t hyp_monitor_alone(struct snap_hyp *h, const char *uuid,
                        const char *name);
int hyp_config(struct snap_hyp *h, const struct snap_domain *dom,
               char **json_r, struct snap_err *err);
int hyp_pause(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err);
int hyp_unpause(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);
int hyp_ran(struct snap_hyp *h, const struct snap_domain *dom, uint64_t *ns_r,
            struct snap_err *err);
/* What state the domain is in now.  SNAP_NOTFOUND if the number is free or
 * belongs to a domain of another uuid.  reason_r (may be NULL) is valid in
 * HYP_SHUTDOWN. */
enum hyp_state {
    HYP_RUNNING,
    HYP_PAUSED,
    HYP_SUSPENDED,
    HYP_SHUTDOWN,
    HYP_DYING
};
int hyp_state(struct snap_hyp *h, const struct snap_domain *dom,
              enum hyp_state *state_r, struct snap_err *err);
/* The same by number, over any context; libxl's code. */
int hyp_state_of_domid(libxl_ctx *ctx, uint32_t domid, enum hyp_state *state_r,
                       char uuid_r[37]);
/* Number of the domain with this uuid; without a message: SNAP_NOTFOUND only if
 * it is certain that there is none, SNAP_BUSY if two live, SNAP_FAIL. */
int hyp_domid_of_uuid(struct snap_hyp *h, const char *uuid, uint32_t *domid_r);
/* dom_r of a number that was just created or found. */
int hyp_describe(struct snap_hyp *h, uint32_t domid, struct snap_domain *dom_r,
                 struct snap_err *err);

#endif /* SNAP_HYP_DOMAIN_H */
