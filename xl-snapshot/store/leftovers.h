/* SPDX-License-Identifier: LGPL-2.1-only */
/* Unfinished writes of commands that were killed. */
#ifndef SNAP_STORE_LEFTOVERS_H
#define SNAP_STORE_LEFTOVERS_H

#include "store/store.h"

/* Store locked, so that nobody else writes into it: removes the temporary
 * files that lib/file.c leaves if it is killed (NAME.tmp-PID).  Nobody reads
 * them; a failure to remove one is not worth an error. */
void snap_store_sweep(const struct snap_store *s);

#endif /* SNAP_STORE_LEFTOVERS_H */
