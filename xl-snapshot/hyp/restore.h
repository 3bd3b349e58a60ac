/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_RESTORE_H
#define SNAP_HYP_RESTORE_H

#include "hyp/hyp.h"

int hyp_image_check(struct snap_hyp *h, int fd, char **config_r,
                    struct snap_err *err);
/* What of xl's output (a file) explains its failure, in one line; caller frees.
 */
char *hyp_xl_words(int fd);
int hyp_restore(struct snap_hyp *h, int fd, const char *config_json,
                const char *mark, struct snap_domain *dom_r,
                struct snap_err *err);

#endif /* SNAP_HYP_RESTORE_H */
