/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The power goes at every call of create, revert and delete: our process, all
 * domains and their QEMUs end at once, and the host boots again, its domains
 * numbered from the start.  Then recover, with the domain off, or (revert)
 * with the domain started by somebody who did not wait for that.  The
 * invariants are those of fakes/check.h; and nothing is started, destroyed or
 * paused that is not ours.  Likewise when QEMU alone ends.
 */
#include <stdlib.h>
#include <string.h>

#include "core/boot.h"
#include "fakes/check.h"
#include "fakes/sweep.h"
#include "lib/mem.h"

/* In place of core/boot.c's, which a test cannot change. */
static bool booted_again;

char *snap_boot_id(void)
{
    return snap_strdup(booted_again ? "11111111-0000-4000-8000-00000000000b"
                                    : "11111111-0000-4000-8000-00000000000a");
}

enum op { CREATE, REVERT, DELETE };

struct kind {
    const char *name;
    enum op op;
    enum snap_disk_type type;
    bool memory;
    bool live;
};

/* The domain goes on as it was. */
static const struct kind forward[] = {
    { .name = "create, memory, mixed", .op = CREATE, .memory = true },
    { .name = "create, live memory, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL,
      .memory = true,
      .live = true },
    { .name = "create, disk-only, mixed", .op = CREATE },
    { .name = "create, disk-only, external",
      .op = CREATE,
      .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, external", .op = DELETE, .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, memory, mixed", .op = DELETE, .memory = true },
};

/* It is destroyed and comes again. */
static const struct kind back[] = {
    { .name = "revert, memory, mixed", .op = REVERT, .memory = true },
    { .name = "revert, disk-only, external",
      .op = REVERT,
      .type = SNAP_DISK_EXTERNAL },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before at; /* the snapshot's instant */
    struct before last; /* what the guest had last */
    char *path[2]; /* its images then */
};

static void ask_create(struct snap_create_req *req, const struct kind *k,
                       const char *name)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)name;
    req->type = k->type;
    req->live = k->live ? 1 : -1;
    req->memory = k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    req->no_wait = true;
}

static bool run_op(struct scene *s, enum op op, const char *name,
                   enum fake_doom doom, unsigned n, struct fake_outcome *out)
{
    struct snap_create_req c;
    struct snap_revert_req r = { 0 };
    struct snap_delete_req d = { 0 };

    switch (op) {
    case CREATE:
        ask_create(&c, s->k, name);
        if (strcmp(name, "s1") != 0) {
            c.memory = SNAP_MEM_NO; /* the next one: quickly */
            c.live = -1;
        }
        return fake_host_run(&s->h, fake_host_create, &c, doom, n, 0, out);
    case REVERT:
        r.domain = (char *)"vm1";
        r.name = (char *)name;
        r.no_wait = true;
        return fake_host_run(&s->h, fake_host_revert, &r, doom, n, 0, out);
    default:
        d.domain = (char *)"vm1";
        d.name = (char *)name;
        d.no_wait = true;
        return fake_host_run(&s->h, fake_host_delete, &d, doom, n, 0, out);
    }
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;

    (void)errnum;
    return run_op(s, s->k->op, "s1", doom, n, out);
}

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    s->k = kind;
    booted_again = false;
    fake_host_init(&s->h);
    d = fake_domain_find(s->h.world, "vm1");
    d->tick = 100;
    d->mem_kb = 1024; /* its image is made hundreds of times */
    before_take(&s->at, &s->h);
    if (s->k->op != CREATE) {
        run_op(s, CREATE, "s1", DOOM_NONE, 0, &out);
        if (out.rc)
            sweep_fail("create: %s", out.msg);
        d->tick = 200;
        before_take(&s->last, &s->h);
    } else {
        s->last = s->at;
    }
    s->path[0] = fake_domain_path(d, "xvda");
    s->path[1] = fake_domain_path(d, "xvdb");
    s->h.disks->mortal = true;
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    snap_free(&s->path[0]);
    snap_free(&s->path[1]);
    fake_host_dispose(&s->h);
}

static void switch_off(struct scene *s)
{
    if (fake_domain_find(s->h.world, "vm1"))
        fake_host_stop(&s->h);
}

static void power_cut(struct scene *s)
{
    switch_off(s);
    s->h.world->next_domid = 1;
    booted_again = true;
}

static void start(struct scene *s, const char *a, const char *b)
{
    char *disk_a = snap_printf("xvda:%s:%s",
                               fake_store_find(s->h.disks, a)->format, a);
    char *disk_b = snap_printf("xvdb:%s:%s",
                               fake_store_find(s->h.disks, b)->format, b);

    fake_domain_add(s->h.world, "vm1", FAKE_UUID,
                    (const char *const[]){ disk_a, disk_b, NULL });
    free(disk_a);
    free(disk_b);
}

static void recover(struct scene *s, const char *what)
{
    sweep_must(&s->h, fake_host_recover, NULL, what);
}

/* The domain is off and was not started; from its disks it comes up with what
 * it had, or with what the snapshot held. */
static void check_end(struct scene *s)
{
    struct fake_outcome out;
    struct before now;
    const struct before *is;
    bool there;
    const char *w;

    if (fake_domain_find(s->h.world, "vm1"))
        sweep_fail("recover started the domain");
    sweep_recovered(&s->h, fake_host_recover);
    fake_host_start(&s->h);
    is = s->k->op == REVERT &&
                 fake_store_read(s->h.disks, 1, "xvda") == s->at.a
             ? &s->at
             : &s->last;
    w = check_guest(&s->h, is);
    if (!w)
        w = check_record(&s->h, "s1", s->k->memory, &s->at, &there);
    if (!w && s->k->op == REVERT && !there)
        w = "the snapshot is gone";
    if (w)
        sweep_fail("%s", w);

    /* And it goes on. */
    before_take(&now, &s->h);
    run_op(s, CREATE, "s9", DOOM_NONE, 0, &out);
    w = out.rc ? out.msg : check_guest(&s->h, &now);
    if (!w && there) {
        run_op(s, REVERT, "s1", DOOM_NONE, 0, &out);
        w = out.rc ? out.msg : check_guest(&s->h, &s->at);
    }
    if (w)
        sweep_fail("afterwards: %s", w);
}

/* ---- the tests ---- */

#define SWEEP(k)                                                              \
    {                                                                         \
        SWEEP_KINDS(k), .scene_size = sizeof(struct scene),                   \
                        .begin = scene_init, .end = scene_dispose, .run = run \
    }

static const struct sweep going_on = SWEEP(forward);
static const struct sweep reverting = SWEEP(back);

static unsigned count, refused;

static void cut(void *scene, bool hit)
{
    struct scene *s = scene;

    power_cut(s);
    recover(s, "recover");
    check_end(s);
    count += hit;
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&going_on, "cut", cut);
    sweep_each_death(&reverting, "cut", cut);
    print_message("%u cuts\n", count);
}

/* Somebody starts the domain, from the disks it had, before recover: it is
 * left alone, and what cannot be put right while it runs is refused. */
static void cut_and_started(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    power_cut(s);
    if (!hit || !fake_store_exists(s->h.disks, s->path[0]) ||
        !fake_store_exists(s->h.disks, s->path[1]))
        return;
    start(s, s->path[0], s->path[1]);
    d = fake_domain_find(s->h.world, "vm1");
    d->paused = true;
    d->tick = 7;
    fake_host_run(&s->h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    d = fake_domain_find(s->h.world, "vm1");
    if (!d || d->tick != 7 || !d->paused)
        sweep_fail("a domain that is not ours was touched");
    if (out.rc && !strstr(out.msg, "used by"))
        sweep_fail("recover: %s", out.msg);
    if (s->h.disks->violation[0])
        sweep_fail("%s", s->h.disks->violation);
    refused += out.rc != 0;
    switch_off(s);
    recover(s, "recover, when it was off");
    count++;
}

static void test_started_meanwhile(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&reverting, "cut", cut_and_started);
    print_message("%u cuts, %u times recover had to wait for the domain\n",
                  count, refused);
}

/* Not the power, but QEMU alone ends with us: the domain is there, its disks
 * are not. */
static void lose_qemu(void *scene, bool hit)
{
    struct scene *s = scene;
    struct fake_outcome out;
    struct fake_domain *d;

    fake_host_run(&s->h, fake_host_guardian, NULL, DOOM_NONE, 0, 0, &out);
    d = fake_domain_find(s->h.world, "vm1");
    d->qemu_gone = true;
    fake_store_close(s->h.disks, d->domid);
    recover(s, "recover");
    d = fake_domain_find(s->h.world, "vm1");
    if (!d || !fake_domain_runs(d))
        sweep_fail("the domain was stopped");
    switch_off(s);
    check_end(s);
    count += hit;
}

static void test_qemu_gone(void **state)
{
    (void)state;
    count = 0;
    sweep_each_death(&going_on, "QEMU gone", lose_qemu);
    print_message("%u deaths\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_started_meanwhile),
        cmocka_unit_test(test_qemu_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
