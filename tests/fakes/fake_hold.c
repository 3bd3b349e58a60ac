/* SPDX-License-Identifier: LGPL-2.1-only */
/* The holds of struct snap_env over images in memory. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fakes/fake_disk_int.h"
#include "lib/mem.h"

struct snap_image_guard {
    struct fake_hold *hold[FAKE_HOLDS]; /* NULL-terminated unless it is full */
};

static struct fake_hold *add(int image)
{
    int k;

    for (k = 0; k < FAKE_HOLDS; k++)
        if (!S->hold[k].pid || kill(S->hold[k].pid, 0))
            break;
    if (k == FAKE_HOLDS)
        abort();
    S->hold[k].image = image;
    S->hold[k].looked = false;
    S->hold[k].pid = getpid();
    return &S->hold[k];
}

int fake_hold(struct snap_disk_ctx *c, const struct snap_held_images *l,
              struct snap_image_guard **g_r, struct snap_err *err)
{
    int rc, image;
    size_t i, n = 0;
    struct snap_image_guard *g;

    rc = fake_fault("hold", l->image[0].path, err);
    if (rc)
        return rc;
    g = snap_zalloc(sizeof(*g));
    for (i = 0; i < l->n; i++) {
        image = fake_lookup(S, l->image[i].path);
        g->hold[n++] = add(image);
    }
    rc = fake_fault("hold look", l->image[0].path, err);
    for (i = 0; !rc && i < l->n; i++)
        if (l->image[i].changes)
            rc = fake_check_unused(c, l->image[i].path, err);
    for (i = 0; !rc && i < n; i++)
        g->hold[i]->looked = l->image[i].changes;
    if (rc)
        fake_hold_end(&g);
    *g_r = g;
    return rc;
}

void fake_hold_end(struct snap_image_guard **gp)
{
    struct snap_image_guard *g = *gp;
    int i;

    for (i = 0; g && i < FAKE_HOLDS && g->hold[i]; i++)
        g->hold[i]->pid = 0;
    free(g);
    *gp = NULL;
}
