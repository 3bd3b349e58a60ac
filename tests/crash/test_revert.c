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
#include "fakes/taken.h"
#include "lib/mem.h"

struct kind {
    const char *name;
    struct taken_how how;
};

static const struct kind kinds[] = {
    { .name = "running, memory, mixed", .how.memory = true },
    { .name = "running, disk-only, external", .how.type = SNAP_DISK_EXTERNAL },
    { .name = "gone, memory, mixed", .how = { .memory = true, .off = true } },
    { .name = "running, memory, mixed, frozen since",
      .how.memory = true,
      .how.over = true },
    { .name = "paused by its user, external",
      .how = { .type = SNAP_DISK_EXTERNAL, .paused = true } },
    { .name = "v-running, memory",
      .how = { .memory = true, .disks = FAKE_VOLUMES } },
    { .name = "v-gone", .how = { .off = true, .disks = FAKE_VOLUMES } },
    { .name = "v-frozen since",
      .how = { .over = true, .disks = FAKE_VOLUMES } },
    { .name = "vm-inside, memory",
      .how = { .memory = true, .disks = FAKE_INSIDE_VOLUME } },
    { .name = "vm-over, memory",
      .how = { .memory = true, .disks = FAKE_OVER_VOLUME } },
    { .name = "vm-over, gone",
      .how = { .off = true, .disks = FAKE_OVER_VOLUME } },
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

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;
    struct snap_revert_req req;

    taken_revert_req(&req);
    return fake_host_run(&s->t.h, fake_host_revert, &req, doom, n, errnum,
                         out);
}

static void check_gone(struct scene *s, enum sweep_end end)
{
    struct fake_host *h = &s->t.h;

    if (!s->k->how.off || end == SWEEP_DONE)
        sweep_fail("vm1 is gone");
    if (h->world->bad || h->disks->violation[0])
        sweep_fail("%s%s", h->world->why_bad, h->disks->violation);
    if (fake_store_content(h->disks, s->t.path_a) != s->t.last.a ||
        fake_store_content(h->disks, s->t.path_b) != s->t.last.b)
        sweep_fail("not reverted, and the disks are not what they were");
}

static void check_there(struct scene *s, struct fake_domain *d,
                        enum sweep_end end)
{
    bool reverted = fake_store_read(s->t.h.disks, d->domid, "xvda") ==
                    s->t.at.a;
    unsigned long long tick = d->tick;
    const char *w;

    /* As he left it, also if it had to be booted again; and it goes on. */
    if (s->k->how.paused && !reverted && !d->paused)
        sweep_fail("its user paused it, and it runs");
    while (s->k->how.paused && !reverted && d->paused)
        fake_domain_unpause(d);
    w = check_guest(&s->t.h, reverted ? &s->t.at : &s->t.last);

    if (w)
        sweep_fail("%s: %s", reverted ? "reverted" : "not reverted", w);
    if (end == SWEEP_DONE && !reverted)
        sweep_fail("said it had, and had not");
    if (reverted && tick != (s->k->how.memory ? 100 : 1))
        sweep_fail("disks of the snapshot, memory of tick %llu", tick);
    if (!reverted && tick != 200 && tick != 1)
        sweep_fail("disks of before, memory of tick %llu", tick);
}

static void check_end(void *scene, enum sweep_end end)
{
    struct scene *s = scene;
    struct fake_domain *d = fake_domain_find(s->t.h.world, "vm1");
    struct snap_revert_req req;
    bool there;
    const char *w;

    if (d)
        check_there(s, d, end);
    else
        check_gone(s, end);
    sweep_recovered(&s->t.h, fake_host_recover);

    /* The snapshot is still good, and can be reverted to. */
    taken_revert_req(&req);
    sweep_must(&s->t.h, fake_host_revert, &req, "reverting again");
    w = check_guest(&s->t.h, &s->t.at);
    if (!w)
        w = check_record(&s->t.h, "s1", s->k->how.memory, &s->t.at, &there);
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
