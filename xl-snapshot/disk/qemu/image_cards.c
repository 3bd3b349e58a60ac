/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_cards.h: a table by name, doubled when it is half full. */
#include "disk/qemu/image_cards.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"

#define SLOTS_MIN 64

struct slot {
    char *path; /* NULL: free */
    struct snap_card *card;
};

struct snap_cards {
    struct slot *slot;
    size_t n, n_slots;
};

static void drop(void *memo)
{
    struct snap_cards *cs = memo;
    size_t i;

    for (i = 0; i < cs->n_slots; i++) {
        if (!cs->slot[i].path)
            continue;
        snap_qcow2_dispose(&cs->slot[i].card->h);
        free(cs->slot[i].card->why);
        free(cs->slot[i].card);
        free(cs->slot[i].path);
    }
    free(cs->slot);
    free(cs);
}

struct snap_cards *snap_cards_open(struct snap_seen *seen)
{
    struct snap_cards *cs = snap_seen_memo(seen);

    if (cs)
        return cs;
    cs = snap_zalloc(sizeof(*cs));
    if (seen)
        snap_seen_keep(seen, cs, drop);
    return cs;
}

void snap_cards_close(struct snap_cards *cs, const struct snap_seen *seen)
{
    if (!seen)
        drop(cs);
}

/* Where path is, or would be; there is always a free one. */
static struct slot *image_cards_place(const struct snap_cards *cs,
                                      const char *path)
{
    const char *p;
    uint64_t h = 14695981039346656037u;

    for (p = path; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (;; h++) {
        struct slot *slot = &cs->slot[h & (cs->n_slots - 1)];

        if (!slot->path || !strcmp(slot->path, path))
            return slot;
    }
}

static void grow(struct snap_cards *cs)
{
    struct slot *old = cs->slot;
    size_t i, n = cs->n_slots;

    cs->n_slots = n ? 2 * n : SLOTS_MIN;
    cs->slot = snap_zalloc(cs->n_slots * sizeof(*cs->slot));
    for (i = 0; i < n; i++)
        if (old[i].path)
            *image_cards_place(cs, old[i].path) = old[i];
    free(old);
}

static struct snap_card *image_cards_get(struct snap_cards *cs,
                                         const char *path)
{
    struct slot *slot;

    if (2 * cs->n >= cs->n_slots)
        grow(cs);
    slot = image_cards_place(cs, path);
    if (slot->path)
        return slot->card;
    slot->path = snap_strdup(path);
    slot->card = snap_zalloc(sizeof(*slot->card));
    slot->card->e = stat(path, &slot->card->st) ? errno : 0;
    cs->n++;
    return slot->card;
}

const struct snap_card *snap_cards_stat(struct snap_cards *cs,
                                        const char *path)
{
    return image_cards_get(cs, path);
}

const struct snap_card *snap_cards_header(struct snap_cards *cs,
                                          const char *path)
{
    struct snap_card *card = image_cards_get(cs, path);
    struct snap_err why = SNAP_ERR_INIT;

    if (card->read)
        return card;
    card->read = true;
    card->rc = snap_qcow2_read(path, &card->h, &why);
    if (card->rc)
        card->why = snap_strdup(why.msg);
    return card;
}

bool snap_cards_same(struct snap_cards *cs, const char *a, const char *b)
{
    const struct snap_card *ca, *cb;

    if (!a || !b)
        return false;
    if (!strcmp(a, b))
        return true;
    ca = image_cards_get(cs, a);
    cb = image_cards_get(cs, b);
    return !ca->e && !cb->e && snap_same_stat(&ca->st, &cb->st);
}
