/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The grammar of xl.cfg, as far as the tests of the command line need it,
 * for machines without libxlutil.  The real parser is tested in
 * tests/unit/test_hyp_cfg.c.
 */
#ifndef TESTS_CLI_CFG_H
#define TESTS_CLI_CFG_H

#include "core/cfg.h"

snap_cfg_parse_fn cli_cfg_parse;

#endif /* TESTS_CLI_CFG_H */
