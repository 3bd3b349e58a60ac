/* SPDX-License-Identifier: LGPL-2.1-only */
/* Which boot of this host we are in. */
#ifndef SNAP_CORE_BOOT_H
#define SNAP_CORE_BOOT_H

/* The kernel's boot id (36 characters), or "" if it cannot be read; caller
 * frees.  Source: Documentation/admin-guide/sysctl/kernel.rst. */
char *snap_boot_id(void);

#endif /* SNAP_CORE_BOOT_H */
