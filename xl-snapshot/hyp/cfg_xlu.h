/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Configuration files in xl.cfg grammar: model/cfg.h's parser over libxlutil.
 */
#ifndef SNAP_HYP_CFG_XLU_H
#define SNAP_HYP_CFG_XLU_H

#include <stdio.h>

#include "model/cfg.h"

snap_cfg_parse_fn hyp_cfg_parse;

/* A text that libxlutil has read.  Disposed of also after a failure. */
struct hyp_cfg_text {
    struct XLU_Config *xlu;
    char *copy; /* what was read */
    size_t len;
    FILE *to; /* where libxlutil reports */
    char *report;
    size_t report_len;
};

/* SNAP_INVAL with libxlutil's words if it refuses the text. */
int hyp_cfg_read(const char *file, const char *text, size_t len,
                 struct hyp_cfg_text *t_r, struct snap_err *err);
void hyp_cfg_text_dispose(struct hyp_cfg_text *t);

#endif /* SNAP_HYP_CFG_XLU_H */
