/* SPDX-License-Identifier: LGPL-2.1-only */
/* See fake_host.h. */
#include "fakes/fake_host.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakes/third.h"
#include "lib/fault.h"
#include "lib/mem.h"
#include "op/clone.h"
#include "op/create.h"
#include "op/delete.h"
#include "op/recover.h"
#include "op/revert.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/memfile.h"
#include "store/state.h"
#include "store/store.h"

#define DEATH_STATUS 77

static void on_log(void *opaque, enum snap_level level, const char *msg)
{
    struct fake_host *h = opaque;
    size_t len = strlen(h->said);

    if (level != SNAP_LOG_DEBUG)
        snprintf(h->said + len, sizeof(h->said) - len, "%s\n", msg);
}

static void on_started(void *opaque, const struct fake_domain *d,
                       const char *vdev, const char *path, const char *format)
{
    struct fake_host *h = opaque;

    fake_store_open(h->disks, d->domid, vdev, path, format);
}

static void on_stopped(void *opaque, const struct fake_domain *d)
{
    struct fake_host *h = opaque;

    if (h->third)
        third_stopped(h, d);
    fake_store_close(h->disks, d->domid);
}

static pid_t on_monitor(void *opaque, const char *name)
{
    return third_monitor(opaque, name);
}

static bool on_answer(void *opaque)
{
    struct fake_host *h = opaque;

    return fake_store_answers(h->disks);
}

static void on_going_on(void *opaque)
{
    struct fake_host *h = opaque;

    fake_store_comes_to_it(h->disks);
}

static const char *const disks_of[][3] = {
    [FAKE_FILES] = { "xvda:qcow2:/img/a.qcow2", "xvdb:raw:/img/b.img" },
    [FAKE_VOLUMES] = { "xvda:raw:/vol/a", "xvdb:raw:/vol/b" },
    [FAKE_INSIDE_VOLUME] = { "xvda:qcow2:/img/a.qcow2", "xvdb:raw:/vol/b" },
    [FAKE_OVER_VOLUME] = { "xvda:raw:/img/a.img", "xvdb:raw:/vol/b" },
    [FAKE_VOLUME_OVER] = { "xvda:raw:/vol/a", "xvdb:raw:/img/b.img" },
};

static void add_image(struct fake_host *h, const char *disk)
{
    const char *format = strchr(disk, ':') + 1;
    char *word = snap_strndup(format, strcspn(format, ":"));

    fake_store_add(h->disks, strchr(format, ':') + 1, word, 1 << 30);
    free(word);
}

void fake_host_init(struct fake_host *h)
{
    fake_host_init_with(h, FAKE_FILES);
}

void fake_host_init_with(struct fake_host *h, enum fake_disks disks)
{
    memset(h, 0, sizeof(*h));
    h->disk = disks_of[disks];
    h->world = fake_world_new();
    h->disks = fake_store_new();
    h->disks->free_bytes = (uint64_t)10 << 30;
    fake_world_current = h->world;
    /* Little: a save sets as much aside, and is made thousands of times. */
    fake_mem_kb = 1024;
    snap_memfile_overhead = 64 * 1024;
    fake_store_current = h->disks;
    h->world->started = on_started;
    h->world->stopped = on_stopped;
    h->world->answers = on_answer;
    h->world->goes_on = on_going_on;
    h->world->monitor = on_monitor;
    h->world->opaque = h;
    snprintf(h->root, sizeof(h->root), "%s/snap-host-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(h->root))
        abort();

    h->log.fn = on_log;
    h->log.opaque = h;
    h->env.ops = &fake_hyp_ops;
    h->env.drivers = fake_disk_drivers;
    h->env.check_unused = fake_check_unused;
    h->env.check_others = fake_check_others;
    h->env.image_stamp = fake_image_stamp;
    h->env.hold = fake_hold;
    h->env.hold_end = fake_hold_end;
    h->env.log = &h->log;
    h->env.store_root = h->root;
    h->env.build_ms = 240; /* a millisecond between two looks */
    h->env.begin_ms = 10; /* a test that comes then is waited for itself */
    h->env.late_ms = 100; /* nobody answers late unless a test makes it so */

    add_image(h, h->disk[0]);
    add_image(h, h->disk[1]);
    fake_domain_add(h->world, "vm1", FAKE_UUID, h->disk);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fake_host_dispose(struct fake_host *h)
{
    third_end(h);
    nftw(h->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    fake_world_free(h->world);
    fake_store_free(h->disks);
}

int fake_host_attach(struct fake_host *h, struct snap_err *err)
{
    return h->env.ops->open(h->env.log, &h->env.hyp, err);
}

void fake_host_detach(struct fake_host *h)
{
    if (h->env.hyp)
        h->env.ops->close(h->env.hyp);
    h->env.hyp = NULL;
}

/* ---- one doomed run ---- */

static struct fake_outcome *shared;
static struct fake_host *the_host;
static enum fake_doom the_doom;
static unsigned the_call;
static int the_errno;

static int hook(const char *layer, const char *what)
{
    if (the_host->third)
        third_at_call(the_host);
    if (++shared->calls != the_call)
        return 0;
    snprintf(shared->doomed, sizeof(shared->doomed), "%s: %s", layer, what);
    if (the_doom == DOOM_DEATH)
        _exit(DEATH_STATUS);
    return the_doom == DOOM_ERRNO ? the_errno : 0;
}

bool fake_host_run(struct fake_host *h, fake_op *fn, void *arg,
                   enum fake_doom doom, unsigned n, int errnum,
                   struct fake_outcome *out)
{
    int status = 0;
    pid_t pid;

    if (!shared)
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 0, sizeof(*shared));
    the_host = h;
    the_doom = doom;
    the_call = n;
    the_errno = errnum;
    fflush(NULL);
    pid = fork();
    if (!pid) {
        struct snap_err err = SNAP_ERR_INIT;

        snap_fault_hook = hook;
        shared->rc = fake_host_attach(h, &err);
        if (!shared->rc)
            shared->rc = fn(h, arg, &err);
        fake_host_detach(h);
        snprintf(shared->msg, sizeof(shared->msg), "%s", err.msg);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (h->third)
        third_left(h);
    *out = *shared;
    out->died = WIFEXITED(status) && WEXITSTATUS(status) == DEATH_STATUS;
    if (!out->died && (!WIFEXITED(status) || WEXITSTATUS(status))) {
        fprintf(stderr, "the operation crashed (status %#x) at %s\n", status,
                out->doomed);
        abort();
    }
    return out->doomed[0] != '\0';
}

int fake_host_create(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc;
    struct snap_create_plan p;
    struct snap_create_result r;

    rc = snap_create_plan_make(&h->env, arg, false, &p, err);
    if (rc)
        return rc;
    rc = snap_create_run(&h->env, arg, &p, &r, err);
    snap_create_result_dispose(&r);
    snap_create_plan_dispose(&p);
    return rc;
}

int fake_host_revert(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc;
    struct snap_revert_plan p;
    struct snap_revert_result r;

    rc = snap_revert_plan_make(&h->env, arg, false, &p, err);
    if (rc)
        return rc;
    rc = snap_revert_run(&h->env, arg, &p, &r, err);
    snap_revert_result_dispose(&r);
    snap_revert_plan_dispose(&p);
    return rc;
}

int fake_host_delete(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc;
    struct snap_delete_plan p;
    struct snap_delete_result r = { 0 };

    rc = snap_delete_plan_make(&h->env, arg, false, &p, err);
    if (rc)
        return rc;
    rc = snap_delete_run(&h->env, &p, &r, err);
    snap_delete_plan_dispose(&p);
    return rc;
}

int fake_host_clone(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc;
    struct snap_clone_plan p;
    struct snap_clone_result r;

    rc = snap_clone_plan_make(&h->env, arg, false, &p, err);
    if (rc)
        return rc;
    rc = snap_clone_run(&h->env, arg, &p, &r, err);
    snap_clone_result_dispose(&r);
    snap_clone_plan_dispose(&p);
    return rc;
}

static int recover_one(struct fake_host *h, const char *uuid,
                       struct snap_recovery how, struct snap_err *err)
{
    int rc;
    char *what = NULL;
    struct snap_store s = SNAP_STORE_INIT;

    rc = snap_store_open(&s, h->root, uuid, true, err);
    if (!rc)
        rc = snap_store_lock(&s, false, "recover", NULL, err);
    if (!rc)
        rc = snap_recover_how(&h->env, &s, &how, false, &what, err);
    if (what)
        shared->did = true;
    free(what);
    snap_store_close(&s);
    return rc;
}

int fake_host_recover(struct fake_host *h, void *arg, struct snap_err *err)
{
    (void)arg;
    return recover_one(h, FAKE_UUID, (struct snap_recovery){ 0 }, err);
}

int fake_host_recover_keep(struct fake_host *h, void *arg,
                           struct snap_err *err)
{
    (void)arg;
    return recover_one(h, FAKE_UUID, (struct snap_recovery){ .keep = true },
                       err);
}

int fake_host_recover_discard(struct fake_host *h, void *arg,
                              struct snap_err *err)
{
    (void)arg;
    return recover_one(h, FAKE_UUID, (struct snap_recovery){ .discard = true },
                       err);
}

int fake_host_recover_all(struct fake_host *h, void *arg, struct snap_err *err)
{
    int rc;
    char **uuids = NULL;
    size_t i, n = 0;

    (void)arg;
    rc = snap_store_domains(h->root, &uuids, &n, err);
    for (i = 0; i < n; i++) {
        if (!rc)
            rc = recover_one(h, uuids[i], (struct snap_recovery){ 0 }, err);
        free(uuids[i]);
    }
    free(uuids);
    return rc;
}

static void note(const char *path, const char *op, const char *first,
                 const char *second)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_journal_resume(&j, path, op, &ignored))
        return;
    if (first)
        snap_journal_note(&j, first);
    snap_journal_note(&j, second);
    snap_journal_dispose(&j);
}

/* The guest goes on: the first thing that a guardian writes down (op/guard.c
 * recovers, and each recovery (<verb>_finish.c) begins with that), since a pause after that is
 * the user's. */
static void note_resumed(struct fake_host *h, bool stood)
{
    char *path = snap_printf("%s/%s/journal", h->root, FAKE_UUID), *step;
    struct snap_journal_entry *e = NULL;
    struct snap_err ignored = SNAP_ERR_INIT;
    size_t n = 0, i;

    if (snap_journal_read(path, &e, &n, &ignored))
        n = 0;
    for (i = 0; i < n; i++) {
        if (snap_streq(e[i].step, "window") &&
            !snap_journal_find(e, n, "resumed"))
            note(path, "create", stood ? NULL : "void", "resumed");
        if (!snap_has_prefix(e[i].step, "pause-"))
            continue;
        step = snap_printf("resumed-%s", e[i].step + strlen("pause-"));
        note(path, "delete", NULL, step);
        free(step);
    }
    snap_journal_entries_free(e, n);
    free(path);
}

/* What the guardian does first, and does not wait for. */
static void tell_xen(struct fake_host *h, uint32_t domid)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;

    if (!snap_store_open(&s, h->root, FAKE_UUID, false, &ignored))
        snap_recover_known(&h->env, &s, domid, false, &ignored);
    snap_store_close(&s);
}

static int guardian(struct fake_host *h, bool tells, struct snap_err *err)
{
    int rc;
    const struct fake_domain *d = fake_domain_find(h->world, FAKE_UUID);
    bool stood = d && (d->suspended || d->paused);
    const struct snap_held held = {
        .uuid = FAKE_UUID,
        .domid = d ? d->domid : UINT32_MAX,
        .monitor_pid = 4242,
        .suspend = true,
        .pause = true,
    };

    if (tells)
        tell_xen(h, held.domid);
    rc = h->env.ops->rescue(h->env.hyp, &held, err);
    if (!rc)
        note_resumed(h, stood);
    return rc;
}

int fake_host_guardian(struct fake_host *h, void *arg, struct snap_err *err)
{
    (void)arg;
    return guardian(h, true, err);
}

int fake_host_guardian_untold(struct fake_host *h, void *arg,
                              struct snap_err *err)
{
    (void)arg;
    third_may_lose(h);
    return guardian(h, false, err);
}

/* ---- off and on ---- */

void fake_host_stop(struct fake_host *h)
{
    struct fake_domain *d = fake_domain_find(h->world, "vm1");

    fake_store_close(h->disks, d->domid);
    d->exists = false;
}

void fake_host_start(struct fake_host *h)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    const struct snap_leaf *a, *b;
    char *da, *db;

    if (!snap_store_open(&s, h->root, FAKE_UUID, false, &err))
        snap_state_load(&s, &st, &err);
    a = snap_state_leaf(&st, "xvda");
    b = snap_state_leaf(&st, "xvdb");
    da = a ? snap_printf("xvda:%s:%s", a->format, a->path)
           : snap_strdup(h->disk[0]);
    db = b ? snap_printf("xvdb:%s:%s", b->format, b->path)
           : snap_strdup(h->disk[1]);
    fake_domain_add(h->world, "vm1", FAKE_UUID,
                    (const char *const[]){ da, db, NULL });
    free(da);
    free(db);
    snap_state_dispose(&st);
    snap_store_close(&s);
}

/* ---- what is in the store ---- */

static struct snap_buf *listing;
static size_t root_len;

static int list_one(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    const char *base = path + ftw->base;

    (void)st;
    if (type == FTW_F && strcmp(base, "lock") && strcmp(base, "state.json"))
        snap_buf_addf(listing, "%s%s", listing->len ? " " : "",
                      path + root_len + 38);
    return 0;
}

char *fake_host_files(const struct fake_host *h)
{
    struct snap_buf b = { 0 };

    listing = &b;
    root_len = strlen(h->root);
    nftw(h->root, list_one, 16, FTW_PHYS);
    return b.data ? b.data : snap_strdup("");
}
