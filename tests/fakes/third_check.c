/* SPDX-License-Identifier: LGPL-2.1-only */
/* What must hold after somebody acted; see third.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/third_int.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/state.h"
#include "store/store.h"

static char why[600];

#define WRONG(...)                               \
    do {                                         \
        snprintf(why, sizeof(why), __VA_ARGS__); \
        return why;                              \
    } while (0)

static const char *check_off(const struct third *t,
                             const struct fake_domain *d)
{
    if (d && d->domid == t->domid)
        WRONG("the domain is there");
    return NULL;
}

const char *third_check_acted(const struct third *t,
                              const struct fake_domain *d)
{
    switch (third_kind(t->act)) {
    case THIRD_POWEROFF:
    case THIRD_DESTROY:
    case THIRD_SAVED:
        return check_off(t, d);
    case THIRD_CRASH:
        if (!d->shutdown)
            WRONG("a crashed guest is not kept");
        return NULL;
    case THIRD_PAUSE:
        if (d->suspended || (!d->paused && !t->may_run))
            WRONG("its user paused it, and it is not paused");
        return NULL;
    case THIRD_SAVE:
        if (!d->suspended || !d->other_save)
            WRONG("it does not stand as xl save left it");
        return NULL;
    default:
        if (t->act == THIRD_MIGRATE && d->other_save)
            return NULL;
        if (!fake_domain_runs(d) && !t->rested)
            WRONG("%s does not run (paused %d, suspended %d, held %d)",
                  d->name, d->paused, d->suspended, d->monitor_held);
        return NULL;
    }
}

const char *third_check_state(const struct fake_host *h)
{
    const struct third *t = h->third;
    struct fake_domain *d = fake_domain_find(h->world, FAKE_UUID);
    bool may_be_off = t->act == THIRD_POWEROFF || t->act == THIRD_DESTROY ||
                      t->act == THIRD_SAVED || t->act == THIRD_MIGRATE ||
                      t->off;

    if (third_seen(h))
        return third_seen(h);
    if (h->world->bad)
        WRONG("the hypervisor was misused: %s", h->world->why_bad);
    if (h->disks->violation[0])
        WRONG("%s", h->disks->violation);
    if (!strcmp(t->coming.uuid, FAKE_UUID) && (t->going || (!d && t->comes)))
        return NULL;
    if (!d)
        return may_be_off && (t->acted || t->off) ? NULL : "vm1 is gone";
    if (t->acted && d->domid == t->domid)
        return third_check_acted(t, d);
    if (!fake_domain_runs(d))
        WRONG("vm1 does not run (paused %d, suspended %d, held %d)", d->paused,
              d->suspended, d->monitor_held);
    return NULL;
}

/* ---- the snapshots ---- */

struct kept {
    const char *images[64], *tags[32];
    char *owned[96];
    size_t n_images, n_tags, n_owned;
};

static void keep_image(struct kept *k, const char *path)
{
    if (path)
        k->images[k->n_images++] = k->owned[k->n_owned++] = snap_strdup(path);
}

static uint64_t content(struct fake_host *h, const struct snap_part *p)
{
    return !p->drv->inside ? fake_store_content(h->disks, p->frozen_path)
                           : fake_store_snap(h->disks, p->frozen_path, p->tag);
}

/* The number in a fake memory image. */
static uint64_t tick_of(const char *path)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *data = NULL, *nl;
    uint64_t tick = 0;
    size_t len;

    if (!snap_file_read(path, 1 << 20, &data, &len, &err)) {
        nl = strchr(data, '\n');
        if (nl && fake_image_whole(data, len))
            tick = strtoull(nl + 1, NULL, 10);
    }
    free(data);
    return tick;
}

static const char *check_snapshot(struct fake_host *h, struct kept *k,
                                  const struct snap_record *r)
{
    const struct third_moment *m;
    uint64_t c[2] = { 0, 0 };
    size_t i;

    for (i = 0; i < r->n_parts; i++) {
        const struct snap_part *p = &r->parts[i];

        keep_image(k, p->frozen_path);
        if (p->drv->inside)
            k->tags[k->n_tags++] = k->owned[k->n_owned++] = snap_printf(
                "%s@%s", p->frozen_path, p->tag);
        if (!content(h, p))
            WRONG("%s: nothing is left of %s", r->name, p->vdev);
        if (!strcmp(p->vdev, "xvda"))
            c[0] = content(h, p);
        else if (!strcmp(p->vdev, "xvdb"))
            c[1] = content(h, p);
    }
    m = third_find(h->third, c[0], c[1]);
    if (!m)
        WRONG("%s: its disks are of different moments", r->name);
    if (r->n_parts != m->disks)
        WRONG("%s: has %zu disks of %u", r->name, r->n_parts, m->disks);
    if (r->has_memory && tick_of(r->mem_path) != m->tick)
        WRONG("%s: its memory is of another moment than its disks", r->name);
    return NULL;
}

/* What another domain of the store has. */
static const char *keep_clone(struct fake_host *h, struct kept *k,
                              const char *uuid)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    const char *w = NULL;
    size_t i;

    if (snap_store_open(&s, h->root, uuid, false, &err) ||
        snap_state_load(&s, &st, &err)) {
        snprintf(why, sizeof(why), "the store: %s", err.msg);
        w = why;
    }
    for (i = 0; i < st.n; i++)
        keep_image(k, st.leaves[i].path);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return w;
}

static const char *keep_clones(struct fake_host *h, struct kept *k)
{
    struct snap_err err = SNAP_ERR_INIT;
    char **uuids = NULL;
    const char *w = NULL;
    size_t i, n = 0;

    if (snap_store_domains(h->root, &uuids, &n, &err))
        w = "the store cannot be listed";
    for (i = 0; i < n; i++) {
        if (!w && strcmp(uuids[i], FAKE_UUID) != 0)
            w = keep_clone(h, k, uuids[i]);
        free(uuids[i]);
    }
    free(uuids);
    return w;
}

static const char *check_all(struct fake_host *h, struct kept *k)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    struct snap_record *all = NULL;
    struct fake_domain *d = fake_domain_find(h->world, FAKE_UUID);
    const char *w = NULL;
    size_t i, n = 0;

    if (snap_store_open(&s, h->root, FAKE_UUID, true, &err) ||
        snap_store_all_whole(&s, h->env.drivers, &all, &n, &err) ||
        snap_state_load(&s, &st, &err)) {
        snprintf(why, sizeof(why), "the store: %s", err.msg);
        w = why;
    }
    for (i = 0; !w && i < n; i++)
        w = check_snapshot(h, k, &all[i]);
    for (i = 0; i < st.n; i++)
        keep_image(k, st.leaves[i].path);
    if (!w)
        w = keep_clones(h, k);
    for (i = 0; d && i < FAKE_OPEN; i++)
        if (h->disks->open[i].used)
            keep_image(k, h->disks->image[h->disks->open[i].image].path);
    snap_records_free(&all, &n);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return w;
}

const char *third_check_store(struct fake_host *h)
{
    struct kept k = { .n_images = 0 };
    char *files = fake_host_files(h);
    const char *w = check_all(h, &k);
    size_t i;

    if (!w && (strstr(files, ".tmp-") || strstr(files, ".part") ||
               strstr(files, "journal"))) {
        snprintf(why, sizeof(why), "left over: %s", files);
        w = why;
    }
    if (!w)
        w = fake_store_check(h->disks, k.images, k.tags);
    for (i = 0; i < k.n_owned; i++)
        free(k.owned[i]);
    free(files);
    return w;
}
