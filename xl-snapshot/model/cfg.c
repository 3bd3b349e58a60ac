/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A parsed configuration file as data: finding a key, guessing which one was
 * meant, letting go of it all.  Whoever parsed it has checked the grammar;
 * nothing here knows what any key means.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "model/cfg.h"

/* No key that we know is longer. */
#define WORD_MAX 32

void snap_cfg_dispose(struct snap_cfg *cfg)
{
    size_t i, k;

    for (i = 0; i < cfg->n; i++) {
        struct snap_cfg_entry *e = &cfg->entries[i];

        for (k = 0; k < e->n; k++)
            free(e->values[k]);
        free(e->values);
        free(e->lines);
        free(e->key);
    }
    free(cfg->entries);
    snap_free(&cfg->file);
    memset(cfg, 0, sizeof(*cfg));
}

const struct snap_cfg_entry *snap_cfg_find(const struct snap_cfg *cfg,
                                           const char *key)
{
    size_t i;

    for (i = 0; i < cfg->n; i++)
        if (snap_streq(cfg->entries[i].key, key))
            return &cfg->entries[i];
    return NULL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein's distance; a word too long to be meant is far away. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), i, k;
    size_t row[WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (k = 0; k <= lb; k++)
        row[k] = k;
    for (i = 1; i <= la; i++) {
        size_t left_above = row[0];

        row[0] = i;
        for (k = 1; k <= lb; k++) {
            size_t above = row[k];

            row[k] = min3(above + 1, row[k - 1] + 1,
                          left_above + (a[i - 1] != b[k - 1]));
            left_above = above;
        }
    }
    return row[lb];
}

const char *snap_cfg_nearest(const char *word, const char *const *known)
{
    const char *best = NULL;
    size_t best_d = SIZE_MAX;

    for (; *known; known++) {
        size_t d = distance(word, *known);

        /* A third of it wrong is a guess, more is noise. */
        if (d < best_d && d <= (strlen(*known) + 2) / 3) {
            best = *known;
            best_d = d;
        }
    }
    return best;
}
