/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Configuration files in xl.cfg grammar: core/cfg.h's parser over libxlutil.
 */
#ifndef SNAP_HYP_CFG_XLU_H
#define SNAP_HYP_CFG_XLU_H

#include "core/cfg.h"

snap_cfg_parse_fn hyp_cfg_parse;
/* libxlutil's report on a text that it refused, as SNAP_INVAL. */
int hyp_cfg_error(const char *file, const char *report, struct snap_err *err);

#endif /* SNAP_HYP_CFG_XLU_H */
