/* SPDX-License-Identifier: LGPL-2.1-only */
/* Unfinished writes of commands that were killed. */
#ifndef SNAP_CORE_SWEEP_H
#define SNAP_CORE_SWEEP_H

#include "core/store.h"

/* Store locked, so that nobody else writes into it: removes the temporary
 * files that lib/file.c leaves if it is killed (NAME.tmp-PID).  Nobody reads
 * them; a failure to remove one is not worth an error. */
void snap_store_sweep(const struct snap_store *s);

#endif /* SNAP_CORE_SWEEP_H */
