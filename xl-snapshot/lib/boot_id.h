/* SPDX-License-Identifier: LGPL-2.1-only */
/* Which boot of the host we are in, and since when. */
#ifndef SNAP_LIB_BOOT_ID_H
#define SNAP_LIB_BOOT_ID_H

#include <stdint.h>

/* The kernel's boot id (36 characters), or "" if it cannot be read; caller
 * frees.  Source: Documentation/admin-guide/sysctl/kernel.rst. */
char *snap_boot_id(void);
/* When it was (seconds since 1970), by the clock as it is set now. */
int64_t snap_host_started(void);

#endif /* SNAP_LIB_BOOT_ID_H */
