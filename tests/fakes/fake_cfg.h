/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A parser for configuration files where libxlutil is not installed: the
 * subset of xl.cfg's grammar that snapshots need.  Comments, KEY=VALUE ended
 * by a newline or ';', strings in either quotes, numbers, lists of those over
 * several lines.  No "+=", no nested lists.
 *
 * As strict as libxlutil or stricter: the numeric escapes (\x41, \101), which
 * libxlutil reads and loses, are errors here.
 */
#ifndef TESTS_FAKES_FAKE_CFG_H
#define TESTS_FAKES_FAKE_CFG_H

#include "model/cfg.h"

int fake_cfg_parse(const char *file, const char *text, size_t len,
                   struct snap_cfg *cfg_r, struct snap_err *err);

#endif /* TESTS_FAKES_FAKE_CFG_H */
