/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-delete, hit everywhere, as tests/crash/test_create.c does it.  The
 * guest never notices; a snapshot that is there can be reverted to, and one
 * that is gone has left nothing; what was frozen is frozen and protected; a
 * second recover does nothing, and deleting again works.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/parts.h"
#include "core/store.h"
#include "fakes/check.h"
#include "lib/file.h"
#include "lib/mem.h"

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
};

static const struct kind kinds[] = {
    { "the only one, running", SNAP_DISK_EXTERNAL, false, false, "c", "s1",
      false, false, 1 },
    { "the only one, off", SNAP_DISK_EXTERNAL, false, true, "c", "s1", false,
      false, 1 },
    { "the only one, heavy leaf, running", SNAP_DISK_EXTERNAL, false, false,
      "c", "s1", false, true, 1 },
    { "mixed, with memory", SNAP_DISK_AUTO, true, false, "cc", "s1", false,
      false, 1 },
    { "in the middle, running", SNAP_DISK_EXTERNAL, false, false, "ccc", "s2",
      false, false, 1 },
    { "in the middle, off", SNAP_DISK_EXTERNAL, false, true, "ccc", "s2",
      false, false, 1 },
    { "two children, one of them active", SNAP_DISK_EXTERNAL, false, false,
      "cc1", "s1", false, false, 1 },
    { "off the active branch", SNAP_DISK_EXTERNAL, false, false, "ccc1", "s3",
      false, false, 1 },
    { "external, back at an internal one below", SNAP_DISK_EXTERNAL, false,
      false, "ie1", "s2", false, false, 1 },
    { "external, back at an internal one below, off", SNAP_DISK_EXTERNAL,
      false, true, "ie1", "s2", false, false, 1 },
    { "external below an internal one", SNAP_DISK_EXTERNAL, false, false, "ei",
      "s1", false, true, 1 },
    { "with all that descend from it", SNAP_DISK_EXTERNAL, false, false, "ccc",
      "s2", true, false, 2 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

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

static void must(struct scene *s,
                 int (*fn)(struct fake_host *h, void *arg,
                           struct snap_err *err),
                 void *arg, const char *what)
{
    struct fake_outcome out;

    fake_host_run(&s->h, fn, arg, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s: %s: %s", s->k->name, what, out.msg);
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
    must(s, fake_host_create, &req, name);
}

static void revert(struct scene *s, const char *name)
{
    struct snap_revert_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)name;
    req.no_wait = true;
    must(s, fake_host_revert, &req, name);
}

static void scene_init(struct scene *s, const struct kind *k)
{
    const char *c;
    char name[16];
    int i;

    memset(s, 0, sizeof(*s));
    s->k = k;
    fake_host_init(&s->h);
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
    if (k->off) {
        vm(s)->exists = false;
        fake_store_close(s->h.disks, vm(s) ? vm(s)->domid : 1);
        for (i = 0; i < FAKE_OPEN; i++)
            s->h.disks->open[i].used = false;
    }
}

static void scene_dispose(struct scene *s)
{
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

    have = p->type == SNAP_DISK_EXTERNAL
               ? fake_store_content(s->h.disks, p->frozen_path)
               : fake_store_snap(s->h.disks, p->frozen_path, p->tag);
    if (have != want)
        WRONG("%s: %s holds %llu, the guest had %llu", r->name, p->vdev,
              (unsigned long long)have, (unsigned long long)want);
    if (p->type == SNAP_DISK_EXTERNAL && !im->immutable)
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
            if (p->type == SNAP_DISK_INTERNAL)
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

enum end { ANY, KEPT, GONE };

static void check_end(struct scene *s, enum end end, const char *when)
{
    struct fake_outcome out;
    struct snap_delete_req req;
    const char *w;
    unsigned n = 0, i;
    char name[16];
    bool there = false;
    int did = 0;

    w = s->k->off ? NULL : check_guest(&s->h, &s->last);
    if (!w)
        w = check_records(s, &n, &there);
    if (!w && end == GONE && (there || n != s->n - s->k->gone))
        w = "said it was deleted, and it was not";
    if (!w && end == KEPT && !there)
        w = "said that nothing was done, and it is gone";
    if (w)
        fail_msg("%s, %s: %s", s->k->name, when, w);
    fake_host_run(&s->h, fake_host_recover, &did, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s, %s: a second recover: %s", s->k->name, when, out.msg);
    if (there) {
        delete_req(s, &req);
        must(s, fake_host_delete, &req, when);
        w = s->k->off ? NULL : check_guest(&s->h, &s->last);
        if (!w)
            w = check_records(s, &n, &there);
        if (!w && (there || n != s->n - s->k->gone))
            w = "not gone";
        if (w)
            fail_msg("%s, %s, deleted again: %s", s->k->name, when, w);
    }
    /* All the others are what they were. */
    for (i = 0; i < s->n; i++) {
        char *path;
        bool has;

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
            fail_msg("%s, %s, reverted to %s: %s", s->k->name, when, name, w);
    }
}

/* ---- the tests ---- */

static void test_success(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < KINDS; i++) {
        struct scene s;
        struct snap_delete_req req;

        scene_init(&s, &kinds[i]);
        delete_req(&s, &req);
        must(&s, fake_host_delete, &req, "delete");
        check_end(&s, GONE, "success");
        scene_dispose(&s);
    }
}

static void test_errno_everywhere(void **state)
{
    size_t i;
    unsigned n, total = 0;

    (void)state;
    for (i = 0; i < KINDS; i++)
        for (n = 1;; n++) {
            struct scene s;
            struct fake_outcome out;
            struct snap_delete_req req;
            char when[256];
            bool hit;

            scene_init(&s, &kinds[i]);
            delete_req(&s, &req);
            hit = fake_host_run(&s.h, fake_host_delete, &req, DOOM_ERRNO, n,
                                EIO, &out);
            snprintf(when, sizeof(when), "EIO at %s", out.doomed);
            if (hit && out.rc && !out.msg[0])
                fail_msg("%s, %s: failed and said nothing", kinds[i].name,
                         when);
            if (out.rc == SNAP_RECOVER)
                must(&s, fake_host_recover, NULL, when);
            check_end(&s,
                      !out.rc                  ? GONE
                      : out.rc != SNAP_RECOVER ? KEPT
                                               : ANY,
                      when);
            scene_dispose(&s);
            total++;
            if (!hit)
                break;
        }
    print_message("%u errors injected\n", total);
}

/* As in test_revert.c: every 41st call of the recovery, beginning at another
 * one for each death.  CRASH_ALL=1 takes all pairs. */
static unsigned stride(unsigned n, unsigned j)
{
    if (getenv("CRASH_ALL"))
        return 1;
    return j ? 41 : 1 + n % 41;
}

static void test_death_everywhere(void **state)
{
    size_t i;
    unsigned n, j, deaths = 0, again = 0;

    (void)state;
    for (i = 0; i < KINDS; i++)
        for (n = 1;; n++) {
            bool hit = true, more = true;

            for (j = 0; more; j += stride(n, j)) {
                struct scene s;
                struct fake_outcome out, rec;
                struct snap_delete_req req;
                char when[400];

                scene_init(&s, &kinds[i]);
                delete_req(&s, &req);
                hit = fake_host_run(&s.h, fake_host_delete, &req, DOOM_DEATH,
                                    n, 0, &out);
                if (!hit) {
                    scene_dispose(&s);
                    break;
                }
                snprintf(when, sizeof(when), "dead at %s", out.doomed);
                if (j) {
                    more = fake_host_run(&s.h, fake_host_recover, NULL,
                                         DOOM_DEATH, j, 0, &rec);
                    if (more) {
                        strcat(when, ", recovery dead at ");
                        strcat(when, rec.doomed);
                        again++;
                    }
                }
                must(&s, fake_host_recover, NULL, when);
                check_end(&s, ANY, when);
                scene_dispose(&s);
                deaths++;
            }
            if (!hit)
                break;
        }
    print_message("%u deaths, %u of them followed by one in recovery\n",
                  deaths, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_errno_everywhere),
        cmocka_unit_test(test_death_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
