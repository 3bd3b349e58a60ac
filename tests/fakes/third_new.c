/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Third parties and what a clone makes: its guest is as busy as that of vm1
 * (third.c), and begins at the snapshot's moment.  A domain that is there and
 * is not vm1 is one of these, but for a namesake.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/third_int.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/journal.h"
#include "store/state.h"
#include "store/store.h"

#define NAMESAKE "99999999-2222-3333-4444-555555555555"

static const char *const vdevs[2] = { "xvda", "xvdb" };

static char why[600];

#define WRONG(...)                               \
    do {                                         \
        snprintf(why, sizeof(why), __VA_ARGS__); \
        return why;                              \
    } while (0)

void third_clones(struct fake_host *h, bool memory)
{
    h->third->clones = true;
    h->third->memory = memory;
}

static bool is_new(const struct fake_domain *d)
{
    return d->exists && strcmp(d->uuid, FAKE_UUID) != 0 &&
           strcmp(d->uuid, NAMESAKE) != 0;
}

struct fake_domain *third_new(const struct fake_host *h)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++)
        if (is_new(&h->world->dom[i]))
            return &h->world->dom[i];
    return NULL;
}

void third_new_stop(struct fake_host *h)
{
    size_t i;

    third_disarm(h);
    for (i = 0; i < FAKE_DOMAINS; i++) {
        struct fake_domain *d = &h->world->dom[i];

        if (!d->exists || !strcmp(d->uuid, FAKE_UUID))
            continue;
        fake_store_close(h->disks, d->domid);
        d->exists = false;
    }
}

/* ---- the busy guest ---- */

static struct third_line *line_of(struct third *t, const char *uuid)
{
    size_t i;

    for (i = 0; i < THIRD_LINES; i++) {
        if (!t->line[i].uuid[0])
            memcpy(t->line[i].uuid, uuid, sizeof(t->line[i].uuid));
        if (!strcmp(t->line[i].uuid, uuid))
            return &t->line[i];
    }
    abort();
}

/* What it reads is what it had last, or else what the snapshot holds. */
static void look(struct third *t, const struct third_line *l,
                 const struct fake_domain *d, uint64_t a, uint64_t b)
{
    const struct third_moment *m = &t->moment[t->base];

    if (a != (l->wrote ? l->a : m->a) || b != (l->wrote ? l->b : m->b))
        third_wrong(t, "the clone's guest %s (reads %llu and %llu)",
                    l->wrote ? "lost what it wrote"
                             : "does not have the snapshot's disks",
                    (unsigned long long)a, (unsigned long long)b);
    else if (d->tick != 1 && (l->wrote ? d->tick != l->tick
                                       : !t->memory || d->tick != m->tick))
        third_wrong(t, "the clone's memory (%llu) is not of its disks' moment",
                    (unsigned long long)d->tick);
    else if (d->tick == 1 && t->memory && !l->wrote && d->mark[0])
        third_wrong(t, "the clone did not wake up from its memory");
}

static void write_one(struct fake_host *h, struct fake_domain *d)
{
    struct third *t = h->third;
    struct third_line *l = line_of(t, d->uuid);
    uint64_t now[2];
    size_t i;

    if (d->other_save)
        third_wrong(t, "the clone was let go on while xl saved it");
    look(t, l, d, fake_store_read(h->disks, d->domid, "xvda"),
         fake_store_read(h->disks, d->domid, "xvdb"));
    for (i = 0; i < 2; i++) {
        now[i] = fake_store_write(h->disks, d->domid, vdevs[i]);
        if (now[i])
            snprintf(l->path[i], sizeof(l->path[i]), "%s",
                     fake_store_active(h->disks, d->domid, vdevs[i]));
    }
    l->a = now[0];
    l->b = now[1];
    l->tick = d->tick = 100000 + now[0];
    l->wrote = true;
    d->ran_ns++;
}

void third_new_write(struct fake_host *h)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++) {
        struct fake_domain *d = &h->world->dom[i];

        if (is_new(d) && fake_domain_runs(d) && !d->qemu_gone &&
            !d->half_built)
            write_one(h, d);
    }
}

void third_new_stopped(struct fake_host *h, const struct fake_domain *d)
{
    struct third *t = h->third;
    /* In our last look it may have had the old one. */
    bool his = t->acted && !t->at && t->domid == d->domid &&
               third_kind(t->act) == THIRD_RENAME;

    if (d->domid != t->ended && (!d->mark[0] || d->has_run || his))
        third_wrong(t, "a clone that is somebody's was destroyed");
    t->ended = d->domid;
}

/* ---- the acts that vm1 does not have ---- */

/* The journal of a clone that is not over; false: there is none. */
static bool find_journal(struct fake_host *h, struct snap_journal_entry **e_r,
                         size_t *n_r)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    char **uuids = NULL, *path;
    bool found = false;
    size_t i, n = 0;

    snap_store_domains(h->root, &uuids, &n, &ignored);
    for (i = 0; i < n; i++) {
        path = snap_printf("%s/%s/journal", h->root, uuids[i]);
        if (!found && strcmp(uuids[i], FAKE_UUID) != 0)
            found = !snap_journal_read(path, e_r, n_r, &ignored) && *n_r;
        free(path);
        free(uuids[i]);
    }
    free(uuids);
    return found;
}

/* As it is told to whoever clones: name, UUID and images, all of them made. */
static bool boot_it(struct fake_host *h, const struct snap_json *plan)
{
    const struct snap_json *leaves = snap_json_get(plan, "leaves");
    const char *uuid = snap_json_get_str(plan, "uuid");
    char *disks[3] = { NULL };
    bool can = !fake_domain_find(h->world, uuid) &&
               !fake_domain_find(h->world, "vm2");
    struct fake_domain *d;
    size_t i;

    for (i = 0; i < 2; i++) {
        const struct snap_json *l = snap_json_at(leaves, i);
        const char *path = snap_json_get_str(l, "leaf_path");

        can = can && fake_store_content(h->disks, path);
        disks[i] = snap_printf("%s:qcow2:%s", snap_json_get_str(l, "vdev"),
                               path);
    }
    if (can) {
        d = fake_domain_add(h->world, "vm2", uuid, (const char *const *)disks);
        h->third->domid = d->domid;
    }
    free(disks[0]);
    free(disks[1]);
    return can;
}

bool third_new_started(struct fake_host *h)
{
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    bool can = find_journal(h, &e, &n) && boot_it(h, e[0].data);

    snap_journal_entries_free(e, n);
    return can;
}

/* By hand only when nobody is about to build it. */
bool third_new_ran(struct fake_host *h)
{
    struct fake_domain *d = third_new(h);

    if (!d && (h->third->at || !third_new_started(h)))
        return false;
    d = third_new(h);
    if (d->half_built || d->qemu_gone || d->suspended || d->paused_more)
        return false;
    if (d->paused)
        fake_domain_unpause(d);
    h->third->domid = d->domid;
    third_new_write(h);
    fake_store_close(h->disks, d->domid);
    d->exists = false;
    return true;
}

bool third_namesake(struct fake_host *h)
{
    static const char *const disks[] = { "xvda:raw:/img/c.img", NULL };
    struct fake_domain *d;

    if (fake_domain_find(h->world, "vm2"))
        return false;
    d = fake_domain_add(h->world, "vm2", NAMESAKE, disks);
    h->third->domid = d->domid;
    return true;
}

/* ---- what must hold ---- */

static const char *check_one(const struct third *t,
                             const struct fake_domain *d)
{
    if (t->acted && d->domid == t->domid)
        return third_check_acted(t, d);
    if (!fake_domain_runs(d))
        WRONG("%s does not run (paused %d, suspended %d)", d->name, d->paused,
              d->suspended);
    return NULL;
}

const char *third_check_new(const struct fake_host *h, bool may_be_off)
{
    const struct third *t = h->third;
    const char *w = third_seen(h);
    bool namesake = false, any = t->comes;
    size_t i;

    for (i = 0; !w && i < FAKE_DOMAINS; i++) {
        const struct fake_domain *d = &h->world->dom[i];

        if (!d->exists || !strcmp(d->uuid, FAKE_UUID))
            continue;
        namesake |= !is_new(d);
        any |= is_new(d);
        w = check_one(t, d);
    }
    if (!w && t->act == THIRD_NAMESAKE && t->acted && !namesake)
        w = "somebody's domain of the clone's name is gone";
    if (!w && !may_be_off && !any)
        w = "the clone is not there";
    return w;
}

static const char *check_images(struct fake_host *h,
                                const struct snap_state *st)
{
    size_t i;

    if (!snap_streq(st->origin.uuid, FAKE_UUID) ||
        !snap_streq(st->origin.name, "s1"))
        WRONG("a clone does not know where it comes from");
    for (i = 0; i < st->n; i++)
        if (!fake_store_content(h->disks, st->leaves[i].path))
            WRONG("a clone's image %s is gone, or nothing is below it",
                  st->leaves[i].path);
    return NULL;
}

/* What it wrote is there, and of a clone that the store knows. */
static const char *check_line(struct fake_host *h, const struct third_line *l,
                              const struct snap_state *st)
{
    const struct snap_leaf *leaf;
    size_t i;

    for (i = 0; i < 2; i++) {
        leaf = snap_state_leaf(st, vdevs[i]);
        if (fake_store_content(h->disks, l->path[i]) != (i ? l->b : l->a))
            WRONG("what the clone's guest wrote to %s is lost", l->path[i]);
        if (!leaf || !snap_streq(leaf->path, l->path[i]))
            WRONG("%s, to which the clone's guest wrote, is nobody's",
                  l->path[i]);
    }
    return NULL;
}

static const char *check_folder(struct fake_host *h, const char *uuid,
                                unsigned *n_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    struct third_line *l = line_of(h->third, uuid);
    const char *w = NULL;

    if (snap_store_open(&s, h->root, uuid, false, &err) ||
        snap_state_load(&s, &st, &err)) {
        snprintf(why, sizeof(why), "the store: %s", err.msg);
        w = why;
    }
    *n_r += st.n != 0;
    if (!w && st.n)
        w = check_images(h, &st);
    if (!w && !st.n && fake_domain_find(h->world, uuid))
        w = "a clone is there, and the store does not know it";
    if (!w && l->wrote)
        w = check_line(h, l, &st);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return w;
}

const char *third_check_clones(struct fake_host *h, unsigned *n_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    char **uuids = NULL;
    const char *w = NULL;
    size_t i, n = 0;

    *n_r = 0;
    if (snap_store_domains(h->root, &uuids, &n, &err))
        w = "the store cannot be listed";
    for (i = 0; i < n; i++) {
        if (!w && strcmp(uuids[i], FAKE_UUID) != 0)
            w = check_folder(h, uuids[i], n_r);
        free(uuids[i]);
    }
    free(uuids);
    /* Those whose folder is gone. */
    for (i = 0; !w && i < THIRD_LINES; i++) {
        const struct third_line *l = &h->third->line[i];
        char *dir = snap_printf("%s/%s", h->root, l->uuid);

        if (l->wrote && access(dir, F_OK))
            w = check_line(h, l, &(struct snap_state){ 0 });
        free(dir);
    }
    return w;
}
