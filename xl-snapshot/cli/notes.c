/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A list of sentences in which none is twice: the same fact may come as a
 * log message, in a plan and in a result.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/mem.h"

void snap_notes_add(struct snap_notes *n, const char *text)
{
    size_t i;

    if (!text)
        return;
    for (i = 0; i < n->n; i++)
        if (!strcmp(n->v[i], text))
            return;
    n->v = snap_realloc(n->v, n->n + 1, sizeof(*n->v));
    n->v[n->n++] = snap_strdup(text);
}

void snap_notes_dispose(struct snap_notes *n)
{
    size_t i;

    for (i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    n->v = NULL;
    n->n = 0;
}
