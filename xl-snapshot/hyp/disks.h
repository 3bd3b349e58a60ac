/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_DISKS_H
#define SNAP_HYP_DISKS_H

#include "hyp/hyp.h"

int hyp_disks(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_vbd **vbds_r, size_t *n_r, struct snap_err *err);
int hyp_image_user(struct snap_hyp *h, const char *path, uint32_t except_domid,
                   char **who_r, struct snap_err *err);
/* The word in front of a qdisk's params for a format of libxl's ("raw" is
 * "aio"). */
const char *hyp_params_word(const char *format);

#endif /* SNAP_HYP_DISKS_H */
