/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-revert, hit everywhere, as fakes/sweep.h says.  The guest ends up
 * wholly at the snapshot's instant, or wholly with what it had last (its
 * memory lost if it had been destroyed); never in between.  The snapshot
 * survives in every case and can be reverted to.
 */
#include <errno.h>
#include <string.h>

#include "fakes/check.h"
#include "fakes/sweep.h"
#include "lib/mem.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool off; /* the domain is gone before */
    bool over; /* a later snapshot froze the images */
};

static const struct kind kinds[] = {
    { .name = "running, memory, mixed", .memory = true },
    { .name = "running, disk-only, external", .type = SNAP_DISK_EXTERNAL },
    { .name = "gone, memory, mixed", .memory = true, .off = true },
    { .name = "running, memory, mixed, frozen since",
      .memory = true,
      .over = true },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before at; /* the snapshot's instant */
    struct before last; /* what the guest had last */
    char *path_a, *path_b; /* its images then */
};

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct snap_create_req req = { 0 };
    struct fake_domain *d;

    s->k = kind;
    fake_host_init(&s->h);
    d = fake_domain_find(s->h.world, "vm1");
    d->tick = 100;
    before_take(&s->at, &s->h);
    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.type = s->k->type;
    req.live = -1;
    req.memory = s->k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    sweep_must(&s->h, fake_host_create, &req, "create");
    if (s->k->over) {
        req.name = (char *)"s2";
        req.type = SNAP_DISK_EXTERNAL;
        req.memory = SNAP_MEM_NO;
        sweep_must(&s->h, fake_host_create, &req, "second create");
    }
    d->tick = 200;
    before_take(&s->last, &s->h);
    s->path_a = fake_domain_path(d, "xvda");
    s->path_b = fake_domain_path(d, "xvdb");
    if (s->k->off)
        fake_host_stop(&s->h);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    snap_free(&s->path_a);
    snap_free(&s->path_b);
    fake_host_dispose(&s->h);
}

static void revert_req(struct snap_revert_req *req)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)"s1";
    req->no_wait = true;
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_revert_req req;

    revert_req(&req);
    return fake_host_run(&s->h, fake_host_revert, &req, doom, n, errnum, out);
}

static void check_gone(struct scene *s, enum sweep_end end)
{
    struct fake_host *h = &s->h;

    if (!s->k->off || end == SWEEP_DONE)
        sweep_fail("vm1 is gone");
    if (h->world->bad || h->disks->violation[0])
        sweep_fail("%s%s", h->world->why_bad, h->disks->violation);
    if (fake_store_content(h->disks, s->path_a) != s->last.a ||
        fake_store_content(h->disks, s->path_b) != s->last.b)
        sweep_fail("not reverted, and the disks are not what they were");
}

static void check_there(struct scene *s, const struct fake_domain *d,
                        enum sweep_end end)
{
    bool reverted = fake_store_read(s->h.disks, d->domid, "xvda") == s->at.a;
    unsigned long long tick = d->tick;
    const char *w = check_guest(&s->h, reverted ? &s->at : &s->last);

    if (w)
        sweep_fail("%s: %s", reverted ? "reverted" : "not reverted", w);
    if (end == SWEEP_DONE && !reverted)
        sweep_fail("said it had, and had not");
    if (reverted && tick != (s->k->memory ? 100 : 1))
        sweep_fail("disks of the snapshot, memory of tick %llu", tick);
    if (!reverted && tick != 200 && tick != 1)
        sweep_fail("disks of before, memory of tick %llu", tick);
}

static void check_end(void *scene, enum sweep_end end)
{
    struct scene *s = scene;
    struct fake_domain *d = fake_domain_find(s->h.world, "vm1");
    struct snap_revert_req req;
    bool there;
    const char *w;

    if (d)
        check_there(s, d, end);
    else
        check_gone(s, end);
    sweep_recovered(&s->h, fake_host_recover);

    /* The snapshot is still good, and can be reverted to. */
    revert_req(&req);
    sweep_must(&s->h, fake_host_revert, &req, "reverting again");
    w = check_guest(&s->h, &s->at);
    if (!w)
        w = check_record(&s->h, "s1", s->k->memory, &s->at, &there);
    /* A record that could not be read may need the old leaf: it is kept. */
    if (w && strstr(w, "orphan") && sweep_hit_names("/records"))
        w = NULL;
    if (!w && !there)
        w = "the record is gone";
    if (w)
        sweep_fail("after reverting again: %s", w);
}

int main(void)
{
    static const struct sweep revert = {
        SWEEP_KINDS(kinds),  .scene_size = sizeof(struct scene),
        .begin = scene_init, .end = scene_dispose,
        .run = run,          .recover = fake_host_recover,
        .check = check_end,  .errnos = { EIO },
        .whole_too = true,   .stride = 17,
    };

    return sweep_main(&revert);
}
