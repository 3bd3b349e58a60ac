/* SPDX-License-Identifier: LGPL-2.1-only */
/* See show_notes.h. */
#include "cli/show_notes.h"

#include "cli/log_sink.h"

void snap_session_notes(struct snap_cli_notes *n,
                        const struct snap_session *ses)
{
    size_t i;

    for (i = 0; i < ses->n_notes; i++)
        snap_cli_note(n, ses->notes[i]);
}

void snap_cli_notes_said(struct snap_cli *cli, struct snap_cli_notes *n)
{
    size_t i;

    for (i = 0; i < snap_sink_notes(cli->sink); i++)
        snap_cli_note(n, snap_sink_note_at(cli->sink, i));
}

void snap_cli_show_notes(struct snap_cli *cli,
                         const struct snap_cli_notes *notes)
{
    size_t i;

    for (i = 0; i < notes->n; i++)
        if (!snap_sink_said(cli->sink, notes->v[i]))
            snap_sink_line(cli->sink, "note: ", notes->v[i]);
}
