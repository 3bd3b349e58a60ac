/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The tokens of xl.cfg grammar with their lines.  libxlutil parses it but
 * tells neither which keys there are nor on which line a value stands; this
 * scanner does, for text that libxlutil has accepted, and finds beforehand
 * what would make libxlutil misbehave.  Needs no Xen.
 *
 * Source of the tokens: tools/libs/util/libxlu_cfg_l.l, Xen 4.17.
 */
#ifndef SNAP_HYP_CFG_SCAN_H
#define SNAP_HYP_CFG_SCAN_H

#include <stddef.h>

#include "lib/rc.h"
#include "model/cfg.h"

/* Before libxlutil sees it: NUL bytes, escapes that it mishandles, lists in
 * lists.  SNAP_INVAL with "FILE:LINE: ...". */
int cfg_scan_check(const char *file, const char *text, size_t len,
                   struct snap_err *err);
/* After it accepted the text: keys, lines, whether a list and how many
 * values; the values themselves are left NULL.  A key given twice is
 * SNAP_INVAL. */
int cfg_scan_keys(const char *file, const char *text, size_t len,
                  struct snap_cfg *cfg_r, struct snap_err *err);

#endif /* SNAP_HYP_CFG_SCAN_H */
