/* SPDX-License-Identifier: LGPL-2.1-only */
/* See seen.h: a table by name, doubled when it is half full. */
#include "lib/seen.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

#define SLOTS_MIN 64

struct slot {
    char *image; /* NULL: free */
    bool on;
};

struct snap_seen {
    char *base;
    struct slot *slot;
    size_t n, n_slots;
    void *memo;
    void (*drop)(void *memo);
};

struct snap_seen *snap_seen_new(void)
{
    return snap_zalloc(sizeof(struct snap_seen));
}

static void seen_forget(struct snap_seen *s)
{
    size_t i;

    for (i = 0; i < s->n_slots; i++)
        free(s->slot[i].image);
    free(s->slot);
    s->slot = NULL;
    s->n = s->n_slots = 0;
    snap_free(&s->base);
}

void snap_seen_free(struct snap_seen *s)
{
    if (!s)
        return;
    seen_forget(s);
    if (s->memo)
        s->drop(s->memo);
    free(s);
}

void *snap_seen_memo(const struct snap_seen *s)
{
    return s ? s->memo : NULL;
}

void snap_seen_keep(struct snap_seen *s, void *memo, void (*drop)(void *memo))
{
    if (s->memo)
        s->drop(s->memo);
    s->memo = memo;
    s->drop = drop;
}

/* The image's slot, or the free one where it would be; never full. */
static struct slot *seen_place(const struct snap_seen *s, const char *image)
{
    const char *p;
    uint64_t h = 14695981039346656037u;

    for (p = image; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (;; h++) {
        struct slot *slot = &s->slot[h & (s->n_slots - 1)];

        if (!slot->image || !strcmp(slot->image, image))
            return slot;
    }
}

static void grow(struct snap_seen *s)
{
    struct slot *old = s->slot;
    size_t i, n = s->n_slots;

    s->n_slots = n ? 2 * n : SLOTS_MIN;
    s->slot = snap_zalloc(s->n_slots * sizeof(*s->slot));
    for (i = 0; i < n; i++)
        if (old[i].image)
            *seen_place(s, old[i].image) = old[i];
    free(old);
}

bool snap_seen_known(struct snap_seen *s, const char *base, const char *image,
                     bool *on_r)
{
    const struct slot *slot;

    if (!s || !s->n_slots || !snap_streq(s->base, base))
        return false;
    slot = seen_place(s, image);
    *on_r = slot->on;
    return slot->image != NULL;
}

void snap_seen_add(struct snap_seen *s, const char *base, const char *image,
                   bool on)
{
    struct slot *slot;

    if (!s || !base)
        return;
    if (!snap_streq(s->base, base)) {
        seen_forget(s);
        s->base = snap_strdup(base);
    }
    if (2 * s->n >= s->n_slots)
        grow(s);
    slot = seen_place(s, image);
    if (slot->image)
        return;
    slot->image = snap_strdup(image);
    slot->on = on;
    s->n++;
}
