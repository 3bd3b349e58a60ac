/* SPDX-License-Identifier: LGPL-2.1-only */
/* Which machine this is: a store may be seen by more than one. */
#ifndef SNAP_LIB_MACHINE_ID_H
#define SNAP_LIB_MACHINE_ID_H

/* The machine's ID (32 hex digits), or "" if it has none, or another one at
 * each boot; caller frees.  Source: machine-id(5). */
char *snap_machine_id(void);
/* The UUID of its hardware, in small letters, or "" if its firmware was given
 * none; caller frees.  Source: DMI, "System Information" (SMBIOS 3, 7.2). */
char *snap_hardware_id(void);
extern const char *snap_machine_id_file; /* for tests */
extern const char *snap_hardware_id_file; /* for tests */

#endif /* SNAP_LIB_MACHINE_ID_H */
