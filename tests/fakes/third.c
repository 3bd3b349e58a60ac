/* SPDX-License-Identifier: LGPL-2.1-only */
/* See third.h. */
#include "fakes/third.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakes/sweep.h"
#include "fakes/third_int.h"
#include "lib/fault.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"
#include "store/store.h"

#define FIRST_LOOK  2 /* calls of a command: open, find */
#define BUILD_CALLS 8
#define GOING_CALLS 16
/* Calls of the rounds that let the guest run; it stands for as many more. */
#define MIGRATE_CALLS 40

static const char *const names[THIRD_ACTS] = {
    [THIRD_NOBODY] = "nobody acts",
    [THIRD_REBOOT] = "the guest reboots",
    [THIRD_REBOOT_SLOWLY] = "the guest reboots slowly",
    [THIRD_POWEROFF] = "the guest powers off",
    [THIRD_CRASH] = "the guest crashes",
    [THIRD_PAUSE] = "xl pause",
    [THIRD_UNPAUSE] = "xl unpause",
    [THIRD_DESTROY] = "xl destroy",
    [THIRD_START] = "xl create",
    [THIRD_RENAME] = "xl rename",
    [THIRD_SAVE] = "xl save begins",
    [THIRD_SAVE_RESUMED] = "xl save -c",
    [THIRD_SAVED] = "xl save",
    [THIRD_MIGRATE] = "xl migrate",
    [THIRD_ATTACH] = "xl block-attach",
    [THIRD_DETACH] = "xl block-detach",
    [THIRD_CREATE] = "a second snapshot-create",
    [THIRD_RECOVER] = "a second snapshot-recover",
    [THIRD_DELETE] = "snapshot-delete",
    [THIRD_CLONE] = "a second snapshot-clone",
    [THIRD_NAMESAKE] = "xl create of a namesake",
    [THIRD_NEW_STARTED] = "xl create of the clone",
    [THIRD_NEW_REBOOT] = "the clone reboots",
    [THIRD_NEW_REBOOT_SLOWLY] = "the clone reboots slowly",
    [THIRD_NEW_POWEROFF] = "the clone powers off",
    [THIRD_NEW_CRASH] = "the clone crashes",
    [THIRD_NEW_PAUSE] = "xl pause of the clone",
    [THIRD_NEW_UNPAUSE] = "xl unpause of the clone",
    [THIRD_NEW_DESTROY] = "xl destroy of the clone",
    [THIRD_NEW_RENAME] = "xl rename of the clone",
    [THIRD_NEW_SAVE] = "xl save of the clone begins",
    [THIRD_NEW_SAVED] = "xl save of the clone",
    [THIRD_NEW_RAN] = "the clone runs and ends",
};

static const enum third_act upon_new[THIRD_ACTS] = {
    [THIRD_NEW_STARTED] = THIRD_START,
    [THIRD_NEW_REBOOT] = THIRD_REBOOT,
    [THIRD_NEW_REBOOT_SLOWLY] = THIRD_REBOOT_SLOWLY,
    [THIRD_NEW_POWEROFF] = THIRD_POWEROFF,
    [THIRD_NEW_CRASH] = THIRD_CRASH,
    [THIRD_NEW_PAUSE] = THIRD_PAUSE,
    [THIRD_NEW_UNPAUSE] = THIRD_UNPAUSE,
    [THIRD_NEW_DESTROY] = THIRD_DESTROY,
    [THIRD_NEW_RENAME] = THIRD_RENAME,
    [THIRD_NEW_SAVE] = THIRD_SAVE,
    [THIRD_NEW_SAVED] = THIRD_SAVED,
    [THIRD_NEW_RAN] = THIRD_POWEROFF,
};

enum third_act third_kind(enum third_act a)
{
    return upon_new[a] ? upon_new[a] : a;
}

const char *third_name(enum third_act a)
{
    return names[a];
}

void third_wrong(struct third *t, const char *fmt, ...)
{
    va_list ap;

    if (t->wrong[0])
        return;
    va_start(ap, fmt);
    vsnprintf(t->wrong, sizeof(t->wrong), fmt, ap);
    va_end(ap);
}

static struct fake_domain *vm(const struct fake_host *h)
{
    return fake_domain_find(h->world, FAKE_UUID);
}

/* Whom the act is for. */
static struct fake_domain *target(const struct fake_host *h)
{
    return upon_new[h->third->act] ? third_new(h) : vm(h);
}

const char *third_seen(const struct fake_host *h)
{
    return h->third->wrong[0] ? h->third->wrong : NULL;
}

/* ---- the busy guest ---- */

const struct third_moment *third_find(const struct third *t, uint64_t a,
                                      uint64_t b)
{
    unsigned i;

    for (i = t->n; i-- > 0;)
        if ((!a || !t->moment[i].a || t->moment[i].a == a) &&
            (!b || !t->moment[i].b || t->moment[i].b == b))
            return &t->moment[i];
    return NULL;
}

/* What it reads is what it, or the guest it was made of, had last. */
static void look(struct third *t, const struct fake_domain *d, uint64_t a,
                 uint64_t b)
{
    const struct third_moment *m = third_find(t, a, b);
    bool back = m && t->revert && m == &t->moment[t->base];

    if (!m)
        third_wrong(t, "the guest's disks do not belong together (%llu, %llu)",
                    (unsigned long long)a, (unsigned long long)b);
    else if (m != &t->moment[t->n - 1] && !back)
        third_wrong(t, "the guest lost what it wrote (reads %llu, had %llu)",
                    (unsigned long long)a,
                    (unsigned long long)t->moment[t->n - 1].a);
    else if (d->tick != 1 && d->tick != m->tick)
        third_wrong(t,
                    "its memory (%llu) is not of the moment of its disks "
                    "(%llu)",
                    (unsigned long long)d->tick, (unsigned long long)m->tick);
}

static unsigned count_disks(const struct fake_domain *d)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    size_t n = 0, found;

    snap_domain_json_disks(d->config, &v, &n, &err);
    found = n;
    snap_vbds_free(&v, &n);
    return found;
}

/* A disk that was kept from it when it was started can have anything. */
static uint64_t write_disk(struct fake_host *h, const struct fake_domain *d,
                           const char *vdev, uint64_t last)
{
    uint64_t now = fake_store_write(h->disks, d->domid, vdev);
    char *path = fake_domain_path(d, vdev);
    bool kept = !now && path;

    free(path);
    return kept || now ? now : last;
}

void third_write(struct fake_host *h)
{
    struct third *t = h->third;
    struct fake_domain *d = vm(h);
    struct third_moment *m;
    uint64_t a, b;

    if (t->clones)
        third_new_write(h);
    if (!fake_domain_runs(d) &&
        !(d && d->exists && d->monitor_held && !d->suspended && !d->paused))
        return;
    /* A processor that nobody has given a state yet does not run, paused or
     * not. */
    if (d->qemu_gone || d->half_built)
        return;
    if (d->other_save && !d->precopy)
        third_wrong(t, "the guest was let go on while xl saved it");
    a = fake_store_read(h->disks, d->domid, "xvda");
    b = fake_store_read(h->disks, d->domid, "xvdb");
    if (t->n && !t->may_lose)
        look(t, d, a, b);
    if (t->n == THIRD_MOMENTS)
        abort();
    m = &t->moment[t->n];
    m->a = write_disk(h, d, "xvda", t->n ? t->moment[t->n - 1].a : 0);
    m->b = write_disk(h, d, "xvdb", t->n ? t->moment[t->n - 1].b : 0);
    d->ran_ns++;
    if (!m->a && !m->b)
        return;
    m->tick = d->tick = 1000 + t->n;
    m->disks = count_disks(d);
    t->n++;
}

void third_begin(struct fake_host *h)
{
    h->third = mmap(NULL, sizeof(*h->third), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (h->third == MAP_FAILED)
        abort();
    fake_store_add(h->disks, "/img/c.img", "raw", 1 << 30);
    h->third->vm = *vm(h);
    third_write(h);
}

void third_end(struct fake_host *h)
{
    if (h->third)
        munmap(h->third, sizeof(*h->third));
    h->third = NULL;
}

void third_base(struct fake_host *h, uint64_t a)
{
    const struct third_moment *m = third_find(h->third, a, 0);

    if (!a || !m)
        abort();
    h->third->base = m - h->third->moment;
}

void third_runs(struct fake_host *h, enum third_who who, bool reverts)
{
    h->third->who = who;
    h->third->revert |= reverts;
    h->third->calls = 0;
    if (vm(h) && !vm(h)->half_built)
        h->third->vm = *vm(h); /* what its xl.cfg says */
    else if (who == THIRD_COMMAND)
        h->third->off = true;
}

/* ---- the acts ---- */

static void end_save(struct fake_host *h);

static void open_disks(struct fake_host *h, const struct fake_domain *d)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    size_t n = 0, i;

    snap_domain_json_disks(d->config, &v, &n, &err);
    for (i = 0; i < n; i++)
        if (!fake_store_held(h->disks, v[i].path))
            fake_store_open(h->disks, d->domid, v[i].vdev, v[i].path,
                            v[i].format);
    snap_vbds_free(&v, &n);
}

static void boot(struct fake_host *h, struct fake_domain *d)
{
    d->exists = d->has_run = true;
    d->paused_more = 0;
    d->domid = h->world->next_domid++;
    d->paused = d->suspended = d->shutdown = d->dying = false;
    d->monitor_held = d->qemu_gone = d->other_save = d->precopy = false;
    d->no_devices = d->wiped = d->half_built = false;
    d->mark[0] = '\0';
    d->tick = 1;
    open_disks(h, d);
    h->third->domid = d->domid;
}

static void stop(struct fake_host *h, struct fake_domain *d)
{
    fake_store_close(h->disks, d->domid);
    d->exists = false;
}

/* A QEMU can open them; or those that nobody holds, and libxl does not hear
 * that it could not open the others: a PV guest comes up without them. */
static char kept[200]; /* why it cannot */
static bool can_start(struct fake_host *h, const struct fake_domain *d,
                      bool pv)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    size_t n = 0, i;
    const char *not = NULL;

    snap_domain_json_disks(d->config, &v, &n, &err);
    for (i = 0; i < n && !not ; i++) {
        struct fake_image *im = fake_store_find(h->disks, v[i].path);

        if (!im)
            not = "is gone";
        else if (im->immutable)
            not = "is protected";
        else if (!pv && fake_store_held(h->disks, v[i].path))
            not = "is held";
        else if (strcmp(im->format, v[i].format) != 0)
            not = "has another format";
        if (not )
            snprintf(kept, sizeof(kept), "%s %s", v[i].path, not );
    }
    snap_vbds_free(&v, &n);
    return !not ;
}

static bool is_changing(const struct fake_host *h, const char *path)
{
    const struct fake_image *im = path ? fake_store_find(h->disks, path)
                                       : NULL;

    return im && im->changing != 0;
}

/* What its xl.cfg names is not of one moment, or half switched. */
static bool is_torn(const struct fake_host *h)
{
    char *a = fake_domain_path(&h->third->vm, "xvda");
    char *b = fake_domain_path(&h->third->vm, "xvdb");
    bool torn = a && b &&
                (is_changing(h, a) || is_changing(h, b) ||
                 !third_find(h->third, fake_store_content(h->disks, a),
                             fake_store_content(h->disks, b)));

    free(a);
    free(b);
    return torn;
}

void third_left(struct fake_host *h)
{
    h->disks->left = h->third->revert && is_torn(h);
}

/* Its daemon builds it anew.  If it cannot, the guest is gone. */
static void come(struct fake_host *h)
{
    struct fake_domain *d = h->world->dom;

    h->third->comes = false;
    if (fake_domain_find(h->world, h->third->coming.uuid))
        return;
    if (!can_start(h, &h->third->coming, false)) {
        third_wrong(h->third,
                    "the guest rebooted, and its images were kept from it: %s",
                    kept);
        return;
    }
    while (d->exists)
        d++;
    *d = h->third->coming;
    boot(h, d);
}

/* It went down, and what it is to have next was read then; the daemon destroys
 * it a moment later. */
static void go_down(struct fake_host *h, struct fake_domain *d)
{
    h->third->coming = *d;
    h->third->looks = 0;
    if (h->third->calls % 2) {
        d->shutdown = true;
        h->third->going = GOING_CALLS;
    } else {
        stop(h, d);
        h->third->comes = true;
    }
}

static void go_away(struct fake_host *h)
{
    struct fake_domain *d = fake_domain_find(h->world, h->third->coming.uuid);

    h->third->going = 0;
    if (!d || d->domid != h->third->coming.domid)
        return;
    stop(h, d);
    h->third->comes = true;
}

pid_t third_monitor(struct fake_host *h, const char *name)
{
    struct third *t = h->third;

    if (!t || !(t->comes || t->going) || strcmp(t->coming.name, name) != 0)
        return 0;
    if (t->going)
        return t->coming.monitor_pid;
    if (++t->looks < 3)
        return t->coming.monitor_pid;
    come(h);
    return 0;
}

/* Before it is looked for the first time, it is one that runs. */
static bool is_early(const struct fake_host *h)
{
    return h->third->at && h->third->calls <= FIRST_LOOK;
}

/* There is a domain, and it has no configuration yet; whether its QEMU can open
 * the images is seen later. */
static void begin_build(struct fake_host *h, struct fake_domain *d)
{
    *d = h->third->vm;
    d->exists = d->paused = d->half_built = true;
    d->has_run = d->suspended = d->shutdown = d->dying = false;
    d->mark[0] = '\0';
    d->qemu_gone = true;
    d->domid = h->world->next_domid++;
    h->third->build_left = BUILD_CALLS;
    h->third->build_early = is_early(h);
}

static void end_build(struct fake_host *h)
{
    struct fake_domain *d = vm(h);

    h->third->build_left = 0;
    if (!d || !d->half_built || d->mark[0])
        return;
    d->exists = false;
    if (!can_start(h, &h->third->vm, false) || (h->disks->left && is_torn(h)))
        return;
    *d = h->third->vm;
    boot(h, d);
    if (!h->third->build_early)
        h->third->started = h->third->domid;
}

static bool start(struct fake_host *h)
{
    size_t i;
    bool slowly = h->third->revert && h->third->at && h->third->calls % 3 == 2;

    if (vm(h))
        return false;
    if (!slowly && !can_start(h, &h->third->vm, h->third->calls % 2))
        return false;
    /* Nothing keeps him from them once a revert is dead.  What he boots is
     * torn; the recovery says both ways out. */
    if (h->disks->left && is_torn(h))
        return false;
    for (i = 0; h->world->dom[i].exists; i++)
        ;
    if (slowly) {
        begin_build(h, &h->world->dom[i]);
        return true;
    }
    h->world->dom[i] = h->third->vm;
    boot(h, &h->world->dom[i]);
    if (!is_early(h))
        h->third->started = h->third->domid;
    return true;
}

/* Another configuration: without xvdb, or with xvdc. */
static void plug(struct fake_domain *d, bool in)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = NULL, *all = snap_json_array(), *c;
    const struct snap_json *disks;
    char *text;
    size_t i;

    if (snap_json_parse(d->config, strlen(d->config), &j, &err))
        abort();
    disks = snap_json_get(j, "disks");
    for (i = 0; i < snap_json_len(disks); i++)
        if (in ||
            !snap_streq(snap_json_get_str(snap_json_at(disks, i), "vdev"),
                        "xvdb"))
            snap_json_push(all, snap_json_copy(snap_json_at(disks, i)));
    if (in) {
        c = snap_json_object();
        snap_json_set_str(c, "pdev_path", "/img/c.img");
        snap_json_set_str(c, "vdev", "xvdc");
        snap_json_set_str(c, "backend", "qdisk");
        snap_json_set_str(c, "format", "raw");
        snap_json_set_int(c, "readwrite", 1);
        snap_json_push(all, c);
    }
    snap_json_set(j, "disks", all);
    text = snap_json_text(j, false);
    snprintf(d->config, sizeof(d->config), "%s", text);
    free(text);
    snap_json_free(j);
}

static bool attach(struct fake_host *h, struct fake_domain *d, bool in)
{
    struct fake_open *o;
    int i;

    plug(d, in);
    if (in) {
        fake_store_open(h->disks, d->domid, "xvdc", "/img/c.img", "raw");
        return true;
    }
    for (i = 0; i < FAKE_OPEN; i++) {
        o = &h->disks->open[i];
        if (o->used && o->domid == d->domid && !strcmp(o->vdev, "xvdb"))
            o->used = false;
    }
    return true;
}

/* A whole command of somebody else's, in a process of its own. */
static bool command(struct fake_host *h, fake_op *op, void *arg)
{
    enum third_who who = h->third->who;
    int status;
    pid_t pid = fork();

    if (!pid) {
        struct snap_err err = SNAP_ERR_INIT;

        snap_fault_hook = NULL;
        h->third->who = THIRD_RESCUER;
        h->env.hyp = NULL;
        if (!fake_host_attach(h, &err))
            op(h, arg, &err);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        third_wrong(h->third, "the second command crashed (%#x)", status);
    h->third->who = who;
    return true;
}

static bool second_create(struct fake_host *h)
{
    struct snap_create_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)"other";
    req.live = -1;
    req.memory = SNAP_MEM_NO;
    req.no_wait = true;
    return command(h, fake_host_create, &req);
}

static bool second_delete(struct fake_host *h)
{
    struct snap_delete_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.no_wait = true;
    return command(h, fake_host_delete, &req);
}

static bool second_clone(struct fake_host *h)
{
    struct snap_clone_req req = { 0 };

    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.new_name = (char *)"vm2";
    req.disk_only = !h->third->memory;
    req.no_wait = true;
    return command(h, fake_host_clone, &req);
}

/* What needs a guest that runs, or one at all. */
static bool act_on(struct fake_host *h, struct fake_domain *d)
{
    bool runs = fake_domain_runs(d);
    bool locked = h->world->window_pid == getpid();

    switch (third_kind(h->third->act)) {
    case THIRD_REBOOT:
        if (runs) {
            fake_store_close(h->disks, d->domid);
            boot(h, d);
        }
        return runs;
    case THIRD_REBOOT_SLOWLY:
        if (runs)
            go_down(h, d);
        return runs;
    case THIRD_POWEROFF:
        if (runs)
            stop(h, d);
        return runs;
    case THIRD_CRASH:
        d->shutdown |= runs;
        if (runs)
            d->monitor_pid = 0; /* it is kept, and nobody waits for it */
        return runs;
    case THIRD_PAUSE:
        /* What we have not unpaused yet stays paused then. */
        if (d != vm(h) && d->paused && !d->half_built) {
            d->paused_more++;
            return true;
        }
        d->paused |= runs;
        return runs;
    case THIRD_UNPAUSE:
        runs = d->paused && !d->suspended;
        if (runs)
            fake_domain_unpause(d);
        return runs;
    case THIRD_DESTROY:
        stop(h, d);
        return true;
    case THIRD_RENAME:
        /* What we were building is his then, as it is. */
        snprintf(d->name, sizeof(d->name), "%s-renamed",
                 d == vm(h) ? "vm1" : "vm2");
        h->third->rested = !runs;
        return true;
    case THIRD_SAVE:
    case THIRD_SAVE_RESUMED:
    case THIRD_SAVED:
        d->suspended |= runs;
        d->other_save |= runs;
        return runs;
    case THIRD_MIGRATE:
        d->other_save |= runs;
        d->precopy |= runs;
        return runs;
    case THIRD_ATTACH:
    case THIRD_DETACH:
        return runs && !locked && attach(h, d, h->third->act == THIRD_ATTACH);
    default:
        return false;
    }
}

static bool act(struct fake_host *h)
{
    struct fake_domain *d = target(h);

    switch (h->third->act) {
    case THIRD_NOBODY:
        return true;
    case THIRD_START:
        return start(h);
    case THIRD_CREATE:
        return second_create(h);
    case THIRD_RECOVER:
        return command(
            h, h->third->clones ? fake_host_recover_all : fake_host_recover,
            NULL);
    case THIRD_DELETE:
        return second_delete(h);
    case THIRD_CLONE:
        return second_clone(h);
    case THIRD_NAMESAKE:
        return third_namesake(h);
    case THIRD_NEW_STARTED:
        return third_new_started(h);
    case THIRD_NEW_RAN:
        return third_new_ran(h);
    default:
        break;
    }
    if (!d || d->dying || d->qemu_gone)
        return false;
    h->third->domid = d->domid;
    return act_on(h, d);
}

/* An image, and all that it is over. */
static void carry(struct fake_host *h, int image)
{
    struct third *t = h->third;

    for (; image >= 0 && t->n_carried < THIRD_CARRIED;
         image = h->disks->image[image].backing) {
        t->carried_at[t->n_carried] = image;
        t->carried[t->n_carried++] = h->disks->image[image];
    }
}

/* The guest stops for good here, and the QEMU of the other host opens what it
 * has. */
static void open_elsewhere(struct fake_host *h)
{
    struct fake_domain *d = target(h);
    size_t i;

    if (!d || !d->precopy)
        return;
    if (!fake_domain_runs(d)) {
        h->third->save_left++; /* it is asked again */
        return;
    }
    d->suspended = true;
    d->precopy = false;
    for (i = 0; i < FAKE_OPEN; i++)
        if (h->disks->open[i].used && h->disks->open[i].domid == d->domid)
            carry(h, h->disks->open[i].image);
}

/* Two QEMUs that write to one image tear it. */
static void look_at_carried(struct fake_host *h)
{
    struct third *t = h->third;
    const struct fake_image *a, *b;
    unsigned i;

    for (i = 0; i < t->n_carried; i++) {
        a = &t->carried[i];
        b = &h->disks->image[t->carried_at[i]];
        if (!b->exists || a->backing != b->backing || a->own != b->own ||
            a->content != b->content || a->stamp != b->stamp)
            third_wrong(t,
                        "%s was changed here while another host had it open",
                        a->path);
    }
}

static void end_save(struct fake_host *h)
{
    struct fake_domain *d = target(h);

    look_at_carried(h);
    h->third->save_left = h->third->n_carried = 0;
    if (!d || !d->other_save)
        return;
    d->other_save = false;
    if (d->precopy) { /* given up */
        d->precopy = false;
        return;
    }
    if (!d->suspended)
        third_wrong(h->third, "the guest was let go on while xl saved it");
    if (third_kind(h->third->act) == THIRD_SAVE_RESUMED)
        d->suspended = false;
    else
        stop(h, d);
}

static bool is_short_save(enum third_act a)
{
    return third_kind(a) == THIRD_SAVE_RESUMED || third_kind(a) == THIRD_SAVED;
}

void third_arm(struct fake_host *h, enum third_act a, unsigned n)
{
    h->third->act = a;
    h->third->at = n;
    h->third->acted = false;
    h->third->calls = 0;
    if (n)
        return;
    h->third->acted = act(h);
    if (h->third->acted && is_short_save(a))
        end_save(h);
    if (h->third->acted && a == THIRD_MIGRATE)
        h->third->save_left = 2 * MIGRATE_CALLS;
    third_write(h);
}

void third_rebooted(struct fake_host *h)
{
    if (h->third->going)
        go_away(h);
    if (h->third->comes)
        come(h);
}

/* A save that has begun ends, and so does a reboot. */
void third_disarm(struct fake_host *h)
{
    h->third->at = 0;
    if (h->third->build_left)
        end_build(h);
    third_rebooted(h);
    if (h->third->save_left)
        end_save(h);
}

bool third_acted(const struct fake_host *h)
{
    return h->third->acted;
}

enum third_act third_act(const struct fake_host *h)
{
    return h->third->act;
}

void third_may_run(struct fake_host *h)
{
    h->third->may_run = true;
}

void third_may_lose(struct fake_host *h)
{
    if (h->third)
        h->third->may_lose = true;
}

unsigned third_calls(const struct fake_host *h)
{
    return h->third->calls;
}

void third_at_call(struct fake_host *h)
{
    struct third *t = h->third;

    third_write(h);
    t->calls++;
    if (t->build_left && !--t->build_left)
        end_build(h);
    if (t->going && !--t->going)
        go_away(h);
    look_at_carried(h);
    if (t->save_left && !--t->save_left)
        end_save(h);
    if (t->save_left == MIGRATE_CALLS)
        open_elsewhere(h);
    if (!t->at || t->calls != t->at)
        return;
    t->acted = act(h);
    if (t->acted && is_short_save(t->act))
        t->save_left = 5;
    if (t->acted && t->act == THIRD_MIGRATE)
        t->save_left = 2 * MIGRATE_CALLS;
    third_write(h);
}

/* We destroyed it. */
void third_stopped(struct fake_host *h, const struct fake_domain *d)
{
    struct third *t = h->third;
    bool ours = d->mark[0] && !d->has_run;
    bool asked = t->who == THIRD_COMMAND && t->revert &&
                 d->domid != t->started;

    if (t->clones && strcmp(d->uuid, FAKE_UUID) != 0)
        third_new_stopped(h, d);
    else if (strcmp(d->uuid, FAKE_UUID) || ours || asked ||
             d->domid == t->ended)
        t->ended = d->domid;
    else
        third_wrong(t, "a guest that is its user's was destroyed");
}

void third_stop(struct fake_host *h)
{
    struct fake_domain *d = vm(h);

    third_disarm(h);
    if (d && d->other_save)
        end_save(h);
    d = vm(h);
    if (d)
        stop(h, d);
}
