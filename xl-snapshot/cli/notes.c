/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A list of sentences in which none is twice: the same fact may come as a
 * log message, in a plan and in a result.  A text of several lines is as many
 * sentences.
 */
#include "cli/notes.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/log_sink.h"
#include "lib/mem.h"
#include "op/session.h"

static void notes_add(struct snap_cli_notes *n, const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < n->n; i++)
        if (!strncmp(n->v[i], text, len) && !n->v[i][len])
            return;
    n->v = snap_realloc(n->v, n->n + 1, sizeof(*n->v));
    n->v[n->n++] = snap_strndup(text, len);
}

void snap_cli_note(struct snap_cli_notes *n, const char *text)
{
    size_t len;

    while (text && *text) {
        len = strcspn(text, "\n");
        if (len)
            notes_add(n, text, len);
        text += len + (text[len] == '\n');
    }
}

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

void snap_cli_notes_dispose(struct snap_cli_notes *n)
{
    size_t i;

    for (i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    n->v = NULL;
    n->n = 0;
}
