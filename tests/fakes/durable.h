/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a disk would have after the power went: of each file under a folder,
 * what it held at its last fsync(); of each folder, the names it had at its
 * own.  Nothing else is promised by POSIX, and each of both may be there all
 * the same.  fsync() and fdatasync() of the whole program are those of
 * durable.c, which notes it beside the folder before they return.
 */
#ifndef TESTS_FAKES_DURABLE_H
#define TESTS_FAKES_DURABLE_H

#include <stdbool.h>

/* From here on; all that is under root now is on the disk.  One at a time;
 * a child process goes on with it. */
void durable_begin(const char *root);
/* The power goes: what is under root now is what the disk has.  names, data:
 * keep the new ones, too, that nobody synced. */
void durable_cut(bool names, bool data);
void durable_end(void);
/* Of what durable_cut() does not keep of a file's data, which pages of 4 KB got
 * to the disk after all?  NULL: none. */
extern bool (*durable_keeps)(unsigned page);

/* Called after each sync of a file or folder, whatever it is, and before; or
 * NULL. */
extern void (*durable_on_sync)(int fd);
extern void (*durable_before_sync)(int fd);

#endif /* TESTS_FAKES_DURABLE_H */
