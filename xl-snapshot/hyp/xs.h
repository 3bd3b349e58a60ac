/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_XS_H
#define SNAP_HYP_XS_H

#include "hyp/hyp.h"

/* The value of a node, or NULL; caller frees. */
char *hyp_xs_read(struct snap_hyp *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The value as a decimal number, or dflt. */
long hyp_xs_long(struct snap_hyp *h, long dflt, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* libxl's node "/libxl/D/device/KIND/DEVID" of the disk that the guest knows
 * as vdev, or NULL; caller frees. */
char *hyp_xs_disk(struct snap_hyp *h, uint32_t domid, const char *vdev);
/* All of those nodes, one a line, over any connection; NULL if xenstore cannot
 * be read.  Caller frees. */
char *hyp_xs_disk_list(struct xs_handle *xsh, uint32_t domid);

#endif /* SNAP_HYP_XS_H */
