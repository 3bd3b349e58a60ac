/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A list of sentences in which none is twice: the same fact may come as a
 * log message, in a plan and in a result.  A text of several lines is as many
 * sentences.
 */
#include "cli/notes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

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

void snap_cli_notes_dispose(struct snap_cli_notes *n)
{
    size_t i;

    for (i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    n->v = NULL;
    n->n = 0;
}
