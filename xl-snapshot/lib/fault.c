/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The one variable behind lib/fault.h.  It is NULL in the product; only a
 * test may set it, and nothing here may ever do so.
 */
#include <stddef.h>

#include "lib/fault.h"

int (*snap_fault_hook)(const char *layer, const char *what) = NULL;
