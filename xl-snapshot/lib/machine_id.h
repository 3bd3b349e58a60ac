/* SPDX-License-Identifier: LGPL-2.1-only */
/* Which machine this is: a store may be seen by more than one. */
#ifndef SNAP_LIB_MACHINE_ID_H
#define SNAP_LIB_MACHINE_ID_H

/* The machine's ID (32 hex digits), or "" if it has none, or another one at
 * each boot; caller frees.  Source: machine-id(5). */
char *snap_machine_id(void);
/* Its name up to the first dot (uname(2)), or "" if it has none of its own, as
 * before its network has given it one; caller frees. */
char *snap_machine_name(void);
extern const char *snap_machine_id_file; /* for tests */
extern const char *snap_machine_name_is; /* for tests; NULL: the real one */

#endif /* SNAP_LIB_MACHINE_ID_H */
