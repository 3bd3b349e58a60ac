/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The power goes at every call of create, revert and delete: our process, all
 * domains and their QEMUs end at once, and the host boots again, its domains
 * numbered from the start.  Then recover, with the domain off, or (revert)
 * with the domain started by somebody who did not wait for that.  The
 * invariants are those of fakes/check.h; and nothing is started, destroyed or
 * paused that is not ours.  Likewise when QEMU alone ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/boot.h"
#include "core/store.h"
#include "fakes/check.h"
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

static const struct kind kinds[] = {
    { "create, memory, mixed", CREATE, SNAP_DISK_AUTO, true, false },
    { "create, live memory, external", CREATE, SNAP_DISK_EXTERNAL, true,
      true },
    { "create, disk-only, mixed", CREATE, SNAP_DISK_AUTO, false, false },
    { "create, disk-only, external", CREATE, SNAP_DISK_EXTERNAL, false,
      false },
    { "revert, memory, mixed", REVERT, SNAP_DISK_AUTO, true, false },
    { "revert, disk-only, external", REVERT, SNAP_DISK_EXTERNAL, false,
      false },
    { "delete, external", DELETE, SNAP_DISK_EXTERNAL, false, false },
    { "delete, memory, mixed", DELETE, SNAP_DISK_AUTO, true, false },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

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

static bool run(struct scene *s, enum op op, const char *name,
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

static void scene_init(struct scene *s, const struct kind *k)
{
    struct fake_outcome out;
    struct fake_domain *d;

    memset(s, 0, sizeof(*s));
    s->k = k;
    booted_again = false;
    fake_host_init(&s->h);
    d = fake_domain_find(s->h.world, "vm1");
    d->tick = 100;
    d->mem_kb = 1024; /* its image is made hundreds of times */
    before_take(&s->at, &s->h);
    if (k->op != CREATE) {
        run(s, CREATE, "s1", DOOM_NONE, 0, &out);
        if (out.rc)
            fail_msg("%s: %s", k->name, out.msg);
        d->tick = 200;
        before_take(&s->last, &s->h);
    } else {
        s->last = s->at;
    }
    s->path[0] = fake_domain_path(d, "xvda");
    s->path[1] = fake_domain_path(d, "xvdb");
    s->h.disks->mortal = true;
}

static void scene_dispose(struct scene *s)
{
    snap_free(&s->path[0]);
    snap_free(&s->path[1]);
    fake_host_dispose(&s->h);
}

static void switch_off(struct scene *s)
{
    struct fake_domain *d = fake_domain_find(s->h.world, "vm1");

    if (!d)
        return;
    d->exists = false;
    fake_store_close(s->h.disks, d->domid);
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

/* With the disks that the state says are the domain's. */
static void start_from_state(struct scene *s)
{
    struct snap_store st = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    struct snap_err err = SNAP_ERR_INIT;
    const struct snap_leaf *a, *b;

    if (snap_store_open(&st, s->h.root, FAKE_UUID, true, &err) ||
        snap_state_load(&st, &state, &err))
        fail_msg("%s: the state: %s", s->k->name, err.msg);
    a = snap_state_leaf(&state, "xvda");
    b = snap_state_leaf(&state, "xvdb");
    start(s, a ? a->path : s->path[0], b ? b->path : s->path[1]);
    snap_state_dispose(&state);
    snap_store_close(&st);
}

static int recover(struct scene *s, int *did, struct fake_outcome *out)
{
    *did = 0;
    fake_host_run(&s->h, fake_host_recover, did, DOOM_NONE, 0, 0, out);
    return out->rc;
}

/* The domain is off and was not started; from its disks it comes up with what
 * it had, or with what the snapshot held. */
static void check_end(struct scene *s, const char *when)
{
    struct fake_outcome out;
    struct before now;
    const struct before *is;
    bool there;
    const char *w;
    int did;

    if (fake_domain_find(s->h.world, "vm1"))
        fail_msg("%s, %s: recover started the domain", s->k->name, when);
    if (recover(s, &did, &out) || did)
        fail_msg("%s, %s: a second recover: %s", s->k->name, when, out.msg);
    start_from_state(s);
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
        fail_msg("%s, %s: %s", s->k->name, when, w);

    /* And it goes on. */
    before_take(&now, &s->h);
    run(s, CREATE, "s9", DOOM_NONE, 0, &out);
    w = out.rc ? out.msg : check_guest(&s->h, &now);
    if (!w && there) {
        run(s, REVERT, "s1", DOOM_NONE, 0, &out);
        w = out.rc ? out.msg : check_guest(&s->h, &s->at);
    }
    if (w)
        fail_msg("%s, %s, afterwards: %s", s->k->name, when, w);
}

static void test_cut_everywhere(void **state)
{
    size_t i;
    unsigned n, cuts = 0;
    int did;

    (void)state;
    for (i = 0; i < KINDS; i++)
        for (n = 1;; n++) {
            struct scene s;
            struct fake_outcome out;
            char when[200];
            bool hit;

            scene_init(&s, &kinds[i]);
            hit = run(&s, kinds[i].op, "s1", DOOM_DEATH, n, &out);
            power_cut(&s);
            snprintf(when, sizeof(when), "cut at %s", out.doomed);
            if (recover(&s, &did, &out))
                fail_msg("%s, %s: recover: %s", kinds[i].name, when, out.msg);
            check_end(&s, when);
            scene_dispose(&s);
            if (!hit)
                break;
            cuts++;
        }
    print_message("%u cuts\n", cuts);
}

/* Somebody starts the domain, from the disks it had, before recover: it is
 * left alone, and what cannot be put right while it runs is refused. */
static void test_started_meanwhile(void **state)
{
    size_t i;
    unsigned n, refused = 0, cuts = 0;
    int did;

    (void)state;
    for (i = 0; i < KINDS; i++)
        for (n = 1; kinds[i].op == REVERT; n++) {
            struct scene s;
            struct fake_outcome out;
            struct fake_domain *d;
            char when[200];
            bool hit;

            scene_init(&s, &kinds[i]);
            hit = run(&s, kinds[i].op, "s1", DOOM_DEATH, n, &out);
            power_cut(&s);
            snprintf(when, sizeof(when), "cut at %s", out.doomed);
            if (!hit || !fake_store_exists(s.h.disks, s.path[0]) ||
                !fake_store_exists(s.h.disks, s.path[1])) {
                scene_dispose(&s);
                if (!hit)
                    break;
                continue;
            }
            start(&s, s.path[0], s.path[1]);
            d = fake_domain_find(s.h.world, "vm1");
            d->paused = true;
            d->tick = 7;
            recover(&s, &did, &out);
            d = fake_domain_find(s.h.world, "vm1");
            if (!d || d->tick != 7 || !d->paused)
                fail_msg("%s, %s: a domain that is not ours was touched",
                         kinds[i].name, when);
            if (out.rc && !strstr(out.msg, "used by"))
                fail_msg("%s, %s: recover: %s", kinds[i].name, when, out.msg);
            if (s.h.disks->violation[0])
                fail_msg("%s, %s: %s", kinds[i].name, when,
                         s.h.disks->violation);
            refused += out.rc != 0;
            switch_off(&s);
            if (recover(&s, &did, &out))
                fail_msg("%s, %s: recover, when it was off: %s", kinds[i].name,
                         when, out.msg);
            scene_dispose(&s);
            cuts++;
        }
    print_message("%u cuts, %u times recover had to wait for the domain\n",
                  cuts, refused);
}

/* What the guardian does once its parent is dead. */
static int guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    (void)arg;
    return h->env.ops->rescue(h->env.hyp, FAKE_UUID, 4242, false, err);
}

/* Not the power, but QEMU alone ends with us: the domain is there, its disks
 * are not. */
static void test_qemu_gone(void **state)
{
    size_t i;
    unsigned n, deaths = 0;
    int did;

    (void)state;
    for (i = 0; i < KINDS; i++)
        for (n = 1; kinds[i].op != REVERT; n++) {
            struct scene s;
            struct fake_outcome out;
            struct fake_domain *d;
            char when[200];
            bool hit;

            scene_init(&s, &kinds[i]);
            hit = run(&s, kinds[i].op, "s1", DOOM_DEATH, n, &out);
            snprintf(when, sizeof(when), "QEMU gone at %s", out.doomed);
            fake_host_run(&s.h, guardian, NULL, DOOM_NONE, 0, 0, &out);
            d = fake_domain_find(s.h.world, "vm1");
            d->qemu_gone = true;
            fake_store_close(s.h.disks, d->domid);
            if (recover(&s, &did, &out))
                fail_msg("%s, %s: recover: %s", kinds[i].name, when, out.msg);
            d = fake_domain_find(s.h.world, "vm1");
            if (!d || !fake_domain_runs(d))
                fail_msg("%s, %s: the domain was stopped", kinds[i].name,
                         when);
            switch_off(&s);
            check_end(&s, when);
            scene_dispose(&s);
            if (!hit)
                break;
            deaths++;
        }
    print_message("%u deaths\n", deaths);
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
