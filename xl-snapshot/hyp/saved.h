/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_SAVED_H
#define SNAP_HYP_SAVED_H

#include "hyp/hyp.h"

char *hyp_saved(struct snap_hyp *h, const char *uuid);
/* The folder that the first of these files (NULL-terminated) names, or the
 * usual one.  Caller frees. */
char *hyp_saved_folder_of(const char *const *files);
/* The image of this domain in a folder, or NULL.  Caller frees. */
char *hyp_saved_in(const char *dir, const char *uuid);

#endif /* SNAP_HYP_SAVED_H */
