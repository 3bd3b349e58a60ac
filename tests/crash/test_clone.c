/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-clone, hit everywhere, as fakes/sweep.h says.  The domain that the
 * snapshot is of never notices; the snapshot stays as it was; the clone is
 * wholly there, with the snapshot's data, or nothing of it is; and as long as
 * one is there the snapshot cannot be deleted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/check.h"
#include "fakes/sweep.h"
#include "fakes/taken.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/neighbours.h"
#include "op/parts.h"
#include "store/state.h"
#include "store/store.h"

struct kind {
    const char *name;
    struct taken_how how;
    bool disk_only; /* asked for */
    bool no_start;
};

static const struct kind kinds[] = {
    { .name = "from memory, mixed", .how.memory = true },
    { .name = "from disks, external", .how.type = SNAP_DISK_EXTERNAL },
    { .name = "from memory, mixed, the domain gone",
      .how.memory = true,
      .how.off = true },
    { .name = "from the disks of a memory snapshot, frozen since",
      .how.memory = true,
      .disk_only = true,
      .how.over = true },
    { .name = "not started, mixed", .no_start = true },
    { .name = "v-from memory",
      .how = { .memory = true, .disks = FAKE_VOLUMES } },
    { .name = "v-from disks, the domain gone",
      .how = { .off = true, .disks = FAKE_VOLUMES } },
    { .name = "vm-inside, from memory",
      .how = { .memory = true, .disks = FAKE_INSIDE_VOLUME } },
    { .name = "vm-over, from disks", .how.disks = FAKE_OVER_VOLUME },
};

struct scene {
    struct taken t;
    const struct kind *k;
};

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;

    s->k = kind;
    taken_init(&s->t, &s->k->how);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    taken_dispose(&s->t);
}

static void clone_req(const struct scene *s, struct snap_clone_req *req,
                      const char *name)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)"s1";
    req->new_name = (char *)name;
    req->disk_only = s->k->disk_only;
    req->no_start = s->k->no_start;
    req->no_wait = true;
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_clone_req req;

    clone_req(s, &req, "vm2");
    return fake_host_run(&s->t.h, fake_host_clone, &req, doom, n, errnum, out);
}

/* ---- what must hold ---- */

static char why[600];

#define WRONG(...)                               \
    do {                                         \
        snprintf(why, sizeof(why), __VA_ARGS__); \
        return why;                              \
    } while (0)

/* Nobody touched it. */
static const char *check_source(struct scene *s)
{
    struct fake_host *h = &s->t.h;

    if (!s->k->how.off)
        return check_guest(h, &s->t.last);
    if (h->world->bad)
        WRONG("the hypervisor was misused: %s", h->world->why_bad);
    if (h->disks->violation[0])
        WRONG("%s", h->disks->violation);
    if (fake_domain_find(h->world, "vm1"))
        WRONG("vm1 is there");
    if (fake_store_content(h->disks, s->t.path_a) != s->t.last.a ||
        fake_store_content(h->disks, s->t.path_b) != s->t.last.b)
        WRONG("the disks of vm1 are not what they were");
    return NULL;
}

/* What the store's domains name, and of which instant the snapshot is. */
struct inventory {
    const char *keep[48], *tags[24];
    char *owned[72];
    size_t n_keep, n_tags, n_owned;
};

static char *own(struct inventory *v, char *s)
{
    v->owned[v->n_owned++] = s;
    return s;
}

static const char *take_part(struct scene *s, struct inventory *v,
                             const struct snap_record *r,
                             const struct snap_part *p)
{
    uint64_t want, have;

    v->keep[v->n_keep++] = own(v, snap_strdup(p->frozen_path));
    if (p->drv->inside)
        v->tags[v->n_tags++] = own(
            v, snap_printf("%s@%s", p->frozen_path, r->name));
    if (strcmp(r->name, "s1") != 0)
        return NULL;
    want = snap_streq(p->vdev, "xvda") ? s->t.at.a : s->t.at.b;
    have = p->drv->inside
               ? fake_store_snap(s->t.h.disks, p->frozen_path, r->name)
               : fake_store_content(s->t.h.disks, p->frozen_path);
    if (have != want)
        WRONG("%s: the snapshot is not what it was", p->vdev);
    return NULL;
}

/* One folder of the store; another domain's makes it a clone's. */
static const char *take_folder(struct scene *s, const char *uuid,
                               struct inventory *v, unsigned *clones_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store st = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    struct snap_record *all = NULL;
    size_t i, k, n = 0;
    const char *w = NULL;
    bool ours = !strcmp(uuid, FAKE_UUID);

    if (snap_store_open(&st, s->t.h.root, uuid, false, &err) ||
        snap_store_all_whole(&st, s->t.h.env.drivers, &all, &n, &err) ||
        snap_state_load(&st, &state, &err)) {
        snprintf(why, sizeof(why), "the store: %s", err.msg);
        w = why;
    }
    for (i = 0; !w && i < n; i++)
        for (k = 0; !w && k < all[i].n_parts; k++)
            w = take_part(s, v, &all[i], &all[i].parts[k]);
    if (!w && ours && n != (s->k->how.over ? 2u : 1u))
        w = "a snapshot is missing";
    for (i = 0; !w && i < state.n; i++) {
        v->keep[v->n_keep++] = own(v, snap_strdup(state.leaves[i].path));
        if (!ours && !fake_store_exists(s->t.h.disks, state.leaves[i].path))
            w = "a clone's image is missing";
    }
    if (!w && !ours && state.n) {
        ++*clones_r;
        if (!snap_streq(state.origin.uuid, FAKE_UUID) ||
            !snap_streq(state.origin.name, "s1"))
            w = "a clone does not know where it comes from";
    }
    if (!w && !ours && !state.n && n)
        w = "a clone without a state";
    snap_records_free(&all, &n);
    snap_state_dispose(&state);
    snap_store_close(&st);
    return w;
}

static const char *check_clone(struct scene *s, const char *name)
{
    struct fake_domain *d = fake_domain_find(s->t.h.world, name);
    bool memory = s->k->how.memory && !s->k->disk_only;

    if (s->k->no_start)
        return d ? "it was started" : NULL;
    if (!d)
        WRONG("%s has a state and is not there", name);
    if (!fake_domain_runs(d))
        WRONG("%s does not run", name);
    if (!strcmp(d->uuid, FAKE_UUID))
        WRONG("%s has the original's UUID", name);
    if (fake_store_read(s->t.h.disks, d->domid, "xvda") != s->t.at.a ||
        fake_store_read(s->t.h.disks, d->domid, "xvdb") != s->t.at.b)
        WRONG("%s does not read what the snapshot holds", name);
    if (d->tick != (memory ? 100 : 1))
        WRONG("%s has the memory of tick %llu", name,
              (unsigned long long)d->tick);
    return NULL;
}

/* All of it, with the number of clones. */
static const char *check_all(struct scene *s, unsigned *clones_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct inventory v = { .n_keep = 0 };
    char **uuids = NULL, *files = fake_host_files(&s->t.h);
    const char *w = check_source(s);
    size_t i, n = 0;

    *clones_r = 0;
    if (!w && snap_store_domains(s->t.h.root, &uuids, &n, &err))
        w = "the store cannot be listed";
    for (i = 0; i < n; i++) {
        if (!w)
            w = take_folder(s, uuids[i], &v, clones_r);
        free(uuids[i]);
    }
    free(uuids);
    v.keep[v.n_keep++] = s->t.path_a;
    v.keep[v.n_keep++] = s->t.path_b;
    if (!w && (strstr(files, ".tmp-") || strstr(files, ".part") ||
               strstr(files, "journal"))) {
        snprintf(why, sizeof(why), "left over: %s", files);
        w = why;
    }
    if (!w)
        w = fake_store_check(s->t.h.disks, v.keep, v.tags);
    for (i = 0; i < v.n_owned; i++)
        free(v.owned[i]);
    free(files);
    return w;
}

/* The domain goes, and somebody removes its images. */
static void end_clone(struct scene *s, const char *name)
{
    struct fake_domain *d = fake_domain_find(s->t.h.world, name);
    char *prefix = snap_printf("/img/%s-", name);
    char *volume = snap_printf("/vol/%s-", name);
    int i;

    if (d) {
        d->exists = false;
        fake_store_close(s->t.h.disks, d->domid);
    }
    for (i = 0; i < FAKE_IMAGES; i++)
        if (s->t.h.disks->image[i].exists &&
            (snap_has_prefix(s->t.h.disks->image[i].path, prefix) ||
             snap_has_prefix(s->t.h.disks->image[i].path, volume)))
            s->t.h.disks->image[i].exists = false;
    free(volume);
    free(prefix);
}

/* Each writes, and nobody else sees it. */
static const char *write_apart(struct scene *s)
{
    static const char *const names[] = { "vm2", "vm3" };
    struct fake_domain *d;
    uint64_t wrote[2];
    size_t i;

    if (s->k->no_start)
        return NULL;
    for (i = 0; i < 2; i++) {
        d = fake_domain_find(s->t.h.world, names[i]);
        wrote[i] = fake_store_write(s->t.h.disks, d->domid, "xvda");
        fake_store_write(s->t.h.disks, d->domid, "xvdb");
    }
    for (i = 0; i < 2; i++) {
        d = fake_domain_find(s->t.h.world, names[i]);
        if (fake_store_read(s->t.h.disks, d->domid, "xvda") != wrote[i])
            WRONG("%s does not read what it wrote", names[i]);
    }
    return NULL;
}

/* Are all its images copies? */
static bool stands_alone(const struct scene *s)
{
    return s->k->how.disks == FAKE_VOLUMES ||
           s->k->how.disks == FAKE_INSIDE_VOLUME;
}

/* The snapshot stays as long as a clone stands on it. */
static void check_delete(struct scene *s)
{
    struct fake_outcome out;
    struct snap_delete_req del = { 0 };
    const char *w;

    del.domain = (char *)"vm1";
    del.name = (char *)"s1";
    del.no_wait = true;
    fake_host_run(&s->t.h, fake_host_delete, &del, DOOM_NONE, 0, 0, &out);
    if (stands_alone(s)) {
        w = out.rc ? out.msg : s->k->how.off ? NULL : check_source(s);
        if (w)
            sweep_fail("deleting what nobody stands on: %s", w);
        return;
    }
    if (out.rc != SNAP_REFUSED ||
        (!s->k->how.over &&
         (!strstr(out.msg, "vm2") || !strstr(out.msg, "vm3"))))
        sweep_fail("deleting what clones stand on: rc %d, %s", out.rc,
                   out.msg);
    end_clone(s, "vm2");
    end_clone(s, "vm3");
    if (s->k->how.over)
        return;
    sweep_must(&s->t.h, fake_host_delete, &del, "deleting it afterwards");
    /* Off, its disks are where the deletion says. */
    w = s->k->how.off ? NULL : check_source(s);
    if (w)
        sweep_fail("deleted: %s", w);
}

static void check_end(void *scene, enum sweep_end end)
{
    struct scene *s = scene;
    struct snap_clone_req req;
    unsigned clones = 0;
    const char *w = check_all(s, &clones);

    if (!w && clones)
        w = check_clone(s, "vm2");
    if (!w && !clones && fake_domain_find(s->t.h.world, "vm2"))
        w = "vm2 is there, and the store does not know it";
    if (!w && clones > 1)
        w = "too many clones";
    if (!w && end == SWEEP_DONE && !clones)
        w = "said it was done, and there is no clone";
    if (!w && end == SWEEP_UNDONE && clones)
        w = "said that nothing was done, and there is a clone";
    if (w)
        sweep_fail("%s", w);

    sweep_recovered(&s->t.h, fake_host_recover_all);
    if (!clones) {
        clone_req(s, &req, "vm2");
        sweep_must(&s->t.h, fake_host_clone, &req, "cloning again");
    }
    clone_req(s, &req, "vm3");
    sweep_must(&s->t.h, fake_host_clone, &req, "a second clone");
    w = check_all(s, &clones);
    if (!w)
        w = check_clone(s, "vm2");
    if (!w)
        w = check_clone(s, "vm3");
    if (!w)
        w = write_apart(s);
    if (!w)
        w = check_source(s);
    if (!w && clones != 2)
        w = "not two clones";
    if (w)
        sweep_fail("two of them: %s", w);
    check_delete(s);
}

int main(void)
{
    static const struct sweep clone = {
        SWEEP_KINDS(kinds),  .scene_size = sizeof(struct scene),
        .begin = scene_init, .end = scene_dispose,
        .run = run,          .recover = fake_host_recover_all,
        .check = check_end,  .errnos = { EIO },
        .whole_too = true,   .stride = 17,
    };

    return sweep_main(&clone);
}
