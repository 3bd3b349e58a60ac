/* SPDX-License-Identifier: LGPL-2.1-only */
/* Where notes come from, and where they go. */
#ifndef SNAP_CLI_SHOW_NOTES_H
#define SNAP_CLI_SHOW_NOTES_H

#include "cli/cli.h"
#include "cli/notes.h"
#include "op/session.h"

/* Those said on stderr so far. */
void snap_cli_notes_said(struct snap_cli *cli, struct snap_cli_notes *n);
/* Those of a session. */
void snap_session_notes(struct snap_cli_notes *n,
                        const struct snap_session *ses);
/* Those not said yet, to errf. */
void snap_cli_show_notes(struct snap_cli *cli,
                         const struct snap_cli_notes *notes);

#endif /* SNAP_CLI_SHOW_NOTES_H */
