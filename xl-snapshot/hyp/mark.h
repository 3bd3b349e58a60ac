/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_MARK_H
#define SNAP_HYP_MARK_H

#include "hyp/hyp.h"

/* The configuration with this mark in it. */
int hyp_mark_put(const char *json, const char *mark, char **json_r,
                 struct snap_err *err);
/* Without any mark; true if there was one. */
bool hyp_mark_strip(struct snap_json *config);
void hyp_mark_drop(libxl_key_value_list *data);
/* The mark of the domain, or NULL; caller frees. */
char *hyp_mark_read(struct snap_hyp *h, uint32_t domid);
/* The domain that has this uuid and this mark, or SNAP_NOTFOUND; no message.
 */
int hyp_mark_find(struct snap_hyp *h, const char *uuid, const char *mark,
                  uint32_t *domid_r);
/* Take it out of libxl's stored configuration: a domain that the guest's reboot
 * makes of that must not have it. */
void hyp_mark_forget(struct snap_hyp *h, const struct snap_domain *dom);
int hyp_mark_strip_stored(const char *path, struct snap_err *err);

#endif /* SNAP_HYP_MARK_H */
