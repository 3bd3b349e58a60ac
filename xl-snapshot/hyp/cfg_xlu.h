/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Configuration files in xl.cfg grammar: core/cfg.h's parser over libxlutil.
 */
#ifndef SNAP_HYP_CFG_XLU_H
#define SNAP_HYP_CFG_XLU_H

#include "core/cfg.h"

snap_cfg_parse_fn hyp_cfg_parse;

#endif /* SNAP_HYP_CFG_XLU_H */
