/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-delete, hit everywhere, as fakes/sweep.h says.  The guest never
 * notices; a snapshot that is there can be reverted to, and one that is gone
 * has left nothing; what was frozen is frozen and protected; and deleting
 * again works.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/check.h"
#include "fakes/sweep.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/state.h"
#include "store/store.h"

#define SNAPS 4

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool off; /* the domain is gone before */
    /* 'c': the next snapshot, s1, s2, ..., 'i' an internal one, 'e' an
     * external one; a digit: back to that one */
    const char *script;
    const char *victim;
    bool children;
    bool heavy; /* the leaf holds much: it is not merged */
    unsigned gone; /* how many snapshots go */
    enum fake_disks disks;
};

static const struct kind kinds[] = {
    { "the only one, running", SNAP_DISK_EXTERNAL, false, false, "c", "s1",
      false, false, 1, FAKE_FILES },
    { "the only one, off", SNAP_DISK_EXTERNAL, false, true, "c", "s1", false,
      false, 1, FAKE_FILES },
    { "the only one, heavy leaf, running", SNAP_DISK_EXTERNAL, false, false,
      "c", "s1", false, true, 1, FAKE_FILES },
    { "mixed, with memory", SNAP_DISK_AUTO, true, false, "cc", "s1", false,
      false, 1, FAKE_FILES },
    { "in the middle, running", SNAP_DISK_EXTERNAL, false, false, "ccc", "s2",
      false, false, 1, FAKE_FILES },
    { "in the middle, off", SNAP_DISK_EXTERNAL, false, true, "ccc", "s2",
      false, false, 1, FAKE_FILES },
    { "two children, one of them active", SNAP_DISK_EXTERNAL, false, false,
      "cc1", "s1", false, false, 1, FAKE_FILES },
    { "off the active branch", SNAP_DISK_EXTERNAL, false, false, "ccc1", "s3",
      false, false, 1, FAKE_FILES },
    { "external, back at an internal one below", SNAP_DISK_EXTERNAL, false,
      false, "ie1", "s2", false, false, 1, FAKE_FILES },
    { "external, back at an internal one below, off", SNAP_DISK_EXTERNAL,
      false, true, "ie1", "s2", false, false, 1, FAKE_FILES },
    { "external below an internal one", SNAP_DISK_EXTERNAL, false, false, "ei",
      "s1", false, true, 1, FAKE_FILES },
    { "with all that descend from it", SNAP_DISK_EXTERNAL, false, false, "ccc",
      "s2", true, false, 2, FAKE_FILES },
    { "v-the only one, running", SNAP_DISK_AUTO, false, false, "c", "s1",
      false, false, 1, FAKE_VOLUMES },
    { "v-in the middle, off", SNAP_DISK_AUTO, false, true, "ccc", "s2", false,
      false, 1, FAKE_VOLUMES },
    { "v-external over a volume's", SNAP_DISK_AUTO, false, false, "iei", "s1",
      false, false, 1, FAKE_VOLUMES },
    { "v-volume's below an external", SNAP_DISK_AUTO, false, false, "ie", "s2",
      false, false, 1, FAKE_VOLUMES },
    { "vm-inside, with memory", SNAP_DISK_AUTO, true, false, "cc", "s1", false,
      false, 1, FAKE_INSIDE_VOLUME },
    { "vm-over, with memory", SNAP_DISK_AUTO, true, false, "cc", "s1", false,
      false, 1, FAKE_OVER_VOLUME },
    { "vm-over, in the middle, off", SNAP_DISK_AUTO, false, true, "ccc", "s2",
      false, false, 1, FAKE_OVER_VOLUME },
    { "vm-over, back at the first", SNAP_DISK_AUTO, false, false, "cc1", "s1",
      false, false, 1, FAKE_OVER_VOLUME },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before at[SNAPS]; /* of s1, s2, ... */
    unsigned n;
    struct before last; /* what the guest had last */
};

static struct fake_domain *vm(struct scene *s)
{
    return fake_domain_find(s->h.world, "vm1");
}

static void create(struct scene *s, enum snap_disk_type type)
{
    struct snap_create_req req = { 0 };
    char name[16];

    vm(s)->tick += 100;
    before_take(&s->at[s->n], &s->h);
    snprintf(name, sizeof(name), "s%u", ++s->n);
    req.domain = (char *)"vm1";
    req.name = name;
    req.type = type;
    req.live = -1;
    req.memory = s->k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    sweep_must(&s->h, fake_host_create, &req, name);
}

static void revert(struct scene *s, const char *name)
{
    struct snap_revert_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)name;
    req.no_wait = true;
    sweep_must(&s->h, fake_host_revert, &req, name);
}

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    const struct kind *k = kind;
    const char *c;
    char name[16];
    int i;

    s->k = k;
    fake_host_init_with(&s->h, k->disks);
    for (c = k->script; *c; c++) {
        if (*c == 'c') {
            create(s, k->type);
        } else if (*c == 'i' || *c == 'e') {
            create(s, *c == 'i' ? SNAP_DISK_AUTO : SNAP_DISK_EXTERNAL);
        } else {
            snprintf(name, sizeof(name), "s%c", *c);
            revert(s, name);
        }
    }
    before_take(&s->last, &s->h);
    if (k->heavy)
        for (i = 0; i < FAKE_IMAGES; i++)
            if (s->h.disks->image[i].exists &&
                s->h.disks->image[i].backing >= 0)
                s->h.disks->image[i].bytes = 1 << 20;
    if (k->off)
        fake_host_stop(&s->h);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static void delete_req(const struct scene *s, struct snap_delete_req *req)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)s->k->victim;
    req->children = s->k->children;
    req->no_wait = true;
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_delete_req req;

    delete_req(s, &req);
    return fake_host_run(&s->h, fake_host_delete, &req, doom, n, errnum, out);
}

/* ---- what must hold ---- */

static char why[600];

#define WRONG(...)                               \
    do {                                         \
        snprintf(why, sizeof(why), __VA_ARGS__); \
        return why;                              \
    } while (0)

static const char *check_part(struct scene *s, const struct snap_record *r,
                              struct snap_part *p)
{
    const struct before *b = &s->at[r->name[1] - '1'];
    uint64_t want = snap_streq(p->vdev, "xvda") ? b->a : b->b, have;
    struct snap_disk_ctx ctx;
    struct snap_err err = SNAP_ERR_INIT;
    struct fake_image *im = fake_store_find(s->h.disks, p->frozen_path);

    have = p->drv->inside ? fake_store_snap(s->h.disks, p->frozen_path, p->tag)
                          : fake_store_content(s->h.disks, p->frozen_path);
    if (have != want)
        WRONG("%s: %s holds %llu, the guest had %llu", r->name, p->vdev,
              (unsigned long long)have, (unsigned long long)want);
    if (p->drv->moves_active && !im->immutable)
        WRONG("%s: %s is not protected", r->name, p->frozen_path);
    memset(&ctx, 0, sizeof(ctx));
    ctx.domid = UINT32_MAX;
    ctx.op_id = "x";
    if (p->drv->verify(&ctx, p, &err))
        WRONG("%s: %s", r->name, err.msg);
    return NULL;
}

/* Every record that is there is whole; the number of them in *n_r. */
static const char *check_records(struct scene *s, unsigned *n_r, bool *there_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store st = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    struct snap_record *all = NULL;
    const char *w = NULL, *keep[32] = { 0 }, *tags[32] = { 0 };
    char *made[32] = { 0 }, *files = fake_host_files(&s->h);
    size_t i, k, n = 0, nk = 0, nt = 0;

    if (snap_store_open(&st, s->h.root, FAKE_UUID, true, &err) ||
        snap_store_all_whole(&st, s->h.env.drivers, &all, &n, &err) ||
        snap_state_load(&st, &state, &err)) {
        snprintf(why, sizeof(why), "the store: %s", err.msg);
        w = why;
    }
    *n_r = n;
    *there_r = snap_store_has(&st, s->k->victim);
    if (!w && state.current && !snap_store_has(&st, state.current))
        w = "the domain descends from a snapshot that is gone";
    for (i = 0; i < n && !w; i++) {
        if (all[i].parent && !snap_store_has(&st, all[i].parent))
            w = "a record's parent is gone";
        if (!w && all[i].has_memory && !snap_file_exists(all[i].mem_path))
            w = "a memory image is gone";
        for (k = 0; k < all[i].n_parts && !w; k++) {
            struct snap_part *p = &all[i].parts[k];

            snap_set(&p->tag, all[i].name);
            w = check_part(s, &all[i], p);
            keep[nk++] = p->frozen_path;
            if (p->drv->inside)
                tags[nt] = made[nt] = snap_printf("%s@%s", p->frozen_path,
                                                  p->tag),
                nt++;
        }
    }
    for (i = 0; i < state.n && !w; i++) {
        struct fake_image *im = fake_store_find(s->h.disks,
                                                state.leaves[i].path);
        uint64_t want = strcmp(state.leaves[i].vdev, "xvda") ? s->last.b
                                                             : s->last.a;

        keep[nk++] = state.leaves[i].path;
        if (!im)
            w = "the state names an image that is gone";
        else if (im->immutable)
            w = "the active image is protected";
        else if (fake_store_content(s->h.disks, state.leaves[i].path) != want)
            w = "the state names an image without the guest's last writes";
    }
    if (!w && (strstr(files, ".tmp-") || strstr(files, ".part") ||
               strstr(files, "journal"))) {
        snprintf(why, sizeof(why), "left over: %s", files);
        w = why;
    }
    for (i = 0, k = 0; files[i]; i++)
        k += !strncmp(files + i, "memory/", 7);
    if (!w && k != (s->k->memory ? n : 0))
        w = "memory images and records do not match";
    if (!w)
        w = fake_store_check(s->h.disks, keep, tags);
    for (i = 0; i < nt; i++)
        free(made[i]);
    free(files);
    snap_records_free(&all, &n);
    snap_state_dispose(&state);
    snap_store_close(&st);
    return w;
}

/* All the others are what they were. */
static void check_others(struct scene *s)
{
    unsigned i;
    char name[16], *path;
    bool has;
    const char *w;

    for (i = 0; i < s->n; i++) {
        snprintf(name, sizeof(name), "s%u", i + 1);
        path = snap_printf("%s/%s/records/%s.json", s->h.root, FAKE_UUID,
                           name);
        has = snap_file_exists(path);
        free(path);
        if (!has)
            continue;
        revert(s, name);
        w = check_guest(&s->h, &s->at[i]);
        if (w)
            sweep_fail("reverted to %s: %s", name, w);
    }
}

static void check_end(void *scene, enum sweep_end end)
{
    struct scene *s = scene;
    struct snap_delete_req req;
    const char *w;
    unsigned n = 0;
    bool there = false;

    w = s->k->off ? NULL : check_guest(&s->h, &s->last);
    if (!w)
        w = check_records(s, &n, &there);
    if (!w && end == SWEEP_DONE && (there || n != s->n - s->k->gone))
        w = "said it was deleted, and it was not";
    if (!w && end == SWEEP_UNDONE && !there)
        w = "said that nothing was done, and it is gone";
    if (w)
        sweep_fail("%s", w);
    sweep_recovered(&s->h, fake_host_recover);
    if (there) {
        delete_req(s, &req);
        sweep_must(&s->h, fake_host_delete, &req, "deleting again");
        w = s->k->off ? NULL : check_guest(&s->h, &s->last);
        if (!w)
            w = check_records(s, &n, &there);
        if (!w && (there || n != s->n - s->k->gone))
            w = "not gone";
        if (w)
            sweep_fail("deleted again: %s", w);
    }
    check_others(s);
}

static void still_runs(void *scene)
{
    struct scene *s = scene;

    if (!s->k->off && !fake_domain_runs(vm(s)))
        sweep_fail("the guest does not run");
}

int main(void)
{
    static const struct sweep delete = {
        SWEEP_KINDS(kinds),   .scene_size = sizeof(struct scene),
        .begin = scene_init,  .end = scene_dispose,
        .run = run,           .recover = fake_host_recover,
        .failed = still_runs, .check = check_end,
        .errnos = { EIO },    .whole_too = true,
        .stride = 41,
    };

    return sweep_main(&delete);
}
