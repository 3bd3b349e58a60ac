/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_CONFIG_FILE_H
#define SNAP_HYP_CONFIG_FILE_H

#include "hyp/hyp.h"

int hyp_config_file(struct snap_hyp *h, const char *path, char **json_r,
                    bool *has_uuid_r, struct snap_err *err);
/* The path of xl itself, past any front of ours, or NULL; caller frees. */
char *hyp_xl_program(const struct snap_hyp *h);
/* Says that there is none. */
int hyp_no_xl(const struct snap_hyp *h, struct snap_err *err);

#endif /* SNAP_HYP_CONFIG_FILE_H */
