/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the user of a command should know beyond its report: sentences, in its
 * JSON or on standard error.
 */
#ifndef SNAP_CLI_NOTES_H
#define SNAP_CLI_NOTES_H

#include <stddef.h>

struct snap_cli;

/* All notes of a command, once each. */
struct snap_cli_notes {
    char **v;
    size_t n;
};
void snap_cli_note(struct snap_cli_notes *n, const char *text); /* or NULL */
/* Those said on stderr so far. */
void snap_cli_notes_said(struct snap_cli *cli, struct snap_cli_notes *n);
/* Those of a session. */
struct snap_session;
void snap_session_notes(struct snap_cli_notes *n,
                        const struct snap_session *ses);
void snap_cli_notes_dispose(struct snap_cli_notes *n);
/* Those not said yet, to errf. */
void snap_cli_show_notes(struct snap_cli *cli,
                         const struct snap_cli_notes *notes);

#endif /* SNAP_CLI_NOTES_H */
