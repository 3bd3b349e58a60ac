/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_CREATE_H
#define SNAP_HYP_CREATE_H

#include "hyp/hyp.h"

int hyp_create(struct snap_hyp *h, const char *config_json, const char *mark,
               struct snap_domain *dom_r, struct snap_err *err);
/* Refuse a configuration whose name or uuid a domain has already. */
int hyp_clash(struct snap_hyp *h, const char *config_json, char **name_r,
              char uuid_r[37], struct snap_err *err);

#endif /* SNAP_HYP_CREATE_H */
