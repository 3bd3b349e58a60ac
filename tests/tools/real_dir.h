/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A temporary folder for one test, and what is in it as text.
 */
#ifndef TESTS_TOOLS_REAL_DIR_H
#define TESTS_TOOLS_REAL_DIR_H

char *real_dir_make(void); /* caller frees the name */
/* With all that is in it, immutable files too. */
void real_dir_remove(const char *dir);
/* Name, kind, size and checksum of each file, sorted; sockets left out. */
char *real_dir_digest(const char *dir);

#endif /* TESTS_TOOLS_REAL_DIR_H */
