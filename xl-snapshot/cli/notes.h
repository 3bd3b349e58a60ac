/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the user of a command should know beyond its report: sentences, in its
 * JSON or on standard error.
 */
#ifndef SNAP_CLI_NOTES_H
#define SNAP_CLI_NOTES_H

#include <stddef.h>

/* All notes of a command, once each. */
struct snap_cli_notes {
    char **v;
    size_t n;
};
void snap_cli_note(struct snap_cli_notes *n, const char *text); /* or NULL */
void snap_cli_notes_dispose(struct snap_cli_notes *n);

#endif /* SNAP_CLI_NOTES_H */
