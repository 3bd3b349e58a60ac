/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What changes between plan and deed, and what is found half-way: an image
 * that somebody came to need is kept, disks that contradict each other are
 * left alone, a memory image that is not whole is none, and a guest goes on, or
 * is paused, as it was.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_disk_int.h"
#include "fakes/fake_host.h"
#include "lib/boot_id.h"
#include "lib/fault.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/delete.h"
#include "op/guardian.h"
#include "op/recover.h"
#include "store/lock.h"
#include "store/state.h"
#include "store/store.h"

#define OTHER_UUID "22222222-2222-3333-4444-555555555555"

/* In place of lib/boot_id.c's. */
static bool booted_again;

char *snap_boot_id(void)
{
    return snap_strdup(booted_again ? "11111111-0000-4000-8000-00000000000b"
                                    : "11111111-0000-4000-8000-00000000000a");
}

static int64_t started; /* the time of the store's */

int64_t snap_host_started(void)
{
    return started;
}

/* This machine may have other work. */
#define TELL_MS 60000

static struct fake_host host;
static struct snap_err err;

static struct fake_domain *vm(void)
{
    return fake_domain_find(host.world, "vm1");
}

static int create(const char *name, enum snap_disk_type type)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .live = -1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_NO,
                                   .type = type };

    snap_err_clear(&err);
    return fake_host_create(&host, &req, &err);
}

static int setup(void **state)
{
    (void)state;
    booted_again = false;
    snap_guard_tell_ms = TELL_MS;
    snap_err_clear(&err);
    fake_host_init(&host);
    started = host.disks->now = 1;
    return fake_host_attach(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    assert_string_equal(host.disks->violation, "");
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static void says(const char *words)
{
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" has no \"%s\"", err.msg, words);
}

/* ---- an image that goes ---- */

/* The deletion of s1 of a guest that wrote much: by a pull. */
static void plan(struct snap_delete_plan *p)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };

    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_find(host.disks, "/img/a.s1.qcow2")->bytes = 1;
    fake_store_find(host.disks, "/img/b.s1.qcow2")->bytes = 1;
    assert_int_equal(snap_delete_plan_make(&host.env, &req, false, p, &err),
                     0);
    assert_int_equal(p->del[0].how, SNAP_DELETE_PULL);
}

static void keeps(struct snap_delete_plan *p, const char *words)
{
    struct snap_delete_result r = { 0 };

    assert_int_equal(snap_delete_run(&host.env, p, &r, &err), SNAP_RECOVER);
    says(words);
    assert_true(fake_store_exists(host.disks, "/img/a.qcow2"));
    snap_delete_plan_dispose(p);
}

static void another_snapshot_came_to_need_it(void **state)
{
    struct snap_delete_plan p;

    (void)state;
    plan(&p);
    snap_set(&p.rec.name, "twin");
    p.rec.id[0] = p.rec.id[0] == '0' ? '1' : '0';
    assert_int_equal(snap_store_put(&p.ses.store, &p.rec, &err), 0);
    snap_set(&p.rec.name, "s1");
    keeps(&p, "/img/a.qcow2 is kept: another snapshot needs it");
}

static void somebody_came_to_read_through_it(void **state)
{
    struct snap_delete_plan p;
    struct fake_image *other;

    (void)state;
    plan(&p);
    fake_store_add(host.disks, "/img/new.qcow2", "qcow2", 1 << 30);
    other = fake_store_find(host.disks, "/img/new.qcow2");
    other->own = false;
    other->backing = fake_entry(host.disks, "/img/a.qcow2");
    keeps(&p, "/img/a.qcow2 is kept: /img/new.qcow2");
}

static void it_became_the_domains_disk(void **state)
{
    struct snap_delete_plan p;

    (void)state;
    plan(&p);
    snap_state_set_leaf(
        &p.ses.state, "xvda",
        (struct snap_object){ .id = "/img/a.qcow2", .format = "qcow2" }, "a",
        false);
    keeps(&p, "/img/a.qcow2 is kept: it is a domain's disk");
}

/* ---- disks that contradict each other ---- */

static const char *at; /* a call: the process ends there */

static int end_there(const char *layer, const char *what)
{
    char call[200];

    snprintf(call, sizeof(call), "%s: %s", layer, what);
    if (!strcmp(call, at))
        _exit(0);
    return 0;
}

static void dies(int (*hook)(const char *layer, const char *what), fake_op *op,
                 void *req)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        snap_fault_hook = hook;
        op(&host, req, &err);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void dies_at(const char *call, fake_op *op, void *req)
{
    at = call;
    dies(end_there, op, req);
}

static int recover(void)
{
    struct fake_outcome out;

    fake_host_run(&host, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    snap_err_clear(&err);
    return out.rc ? snap_fail(&err, out.rc, "%s", out.msg) : 0;
}

/* One disk has a snapshot, the other has none, and a QEMU that answers would
 * have taken both or none: whatever was done, somebody else did it. */
static void only_one_of_two_disks(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_NO };
    struct fake_store before;

    (void)state;
    host.disks->mortal = true;
    dies_at("disk: take half xvdb", fake_host_create, &req);
    before = *host.disks;
    assert_int_equal(recover(), SNAP_RECOVER);
    says("only 1 of 2 disks of vm1 are snapshotted");
    assert_memory_equal(host.disks, &before, sizeof(before));
}

/* s1 is there, and has none. */
static void has_no_memory(void)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r = { 0 };

    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_store_get(&s, "s1", host.env.drivers, &r, &err), 0);
    assert_false(r.has_memory);
    assert_string_equal(r.consistency, "crash");
    snap_record_dispose(&r);
    snap_store_close(&s);
}

/* Dead in a live save, with the disks taken: the rest of memory is missing. */
static void a_memory_image_that_nobody_ended(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = 1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_YES,
                                   .type = SNAP_DISK_EXTERNAL };

    (void)state;
    dies_at("hyp: save half", fake_host_create, &req);
    assert_int_equal(recover(), 0);
    has_no_memory();
}

/* A journal in the wrong folder, copied there with a domain's or by hand: the
 * images that it names are another's. */
static void anothers_journal(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_store s = SNAP_STORE_INIT;
    struct fake_store before;
    char *from = snap_printf("%s/%s/journal", host.root, FAKE_UUID), *to,
         *what = NULL;

    (void)state;
    dies_at("hyp: pause", fake_host_create, &req);
    before = *host.disks;
    assert_int_equal(snap_store_open(&s, host.root, OTHER_UUID, true, &err),
                     0);
    to = snap_store_journal_path(&s);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(snap_recover(&host.env, &s, false, &what, &err),
                     SNAP_RECOVER);
    says("is not of this domain");
    assert_memory_equal(host.disks, &before, sizeof(before));
    snap_store_close(&s);
    free(from);
    free(to);
}

/* ---- a guest that goes on ---- */

static char order[64]; /* of the calls of a deletion that matter */

static int note_order(const char *layer, const char *what)
{
    static const struct {
        const char *what;
        char letter;
    } calls[] = { { "pause", 'p' },
                  { "set_active", 'x' },
                  { "merge_switch xvda", 'q' },
                  { "merge_switch xvdb", 'q' },
                  { "unpause", 'u' } };
    size_t i, len = strlen(order);

    (void)layer;
    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (!strcmp(what, calls[i].what) && len + 1 < sizeof(order))
            order[len] = calls[i].letter;
    return 0;
}

/* Xen is told before QEMU writes to the other image: whoever starts the domain
 * after a death has all that it wrote. */
static void xen_is_told_before_qemu_changes_over(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    memset(order, 0, sizeof(order));
    snap_fault_hook = note_order;
    assert_int_equal(fake_host_delete(&host, &req, &err), 0);
    assert_string_equal(order, "pxqupxqu");
}

static int fail_once(const char *layer, const char *what)
{
    if (at && !strcmp(layer, "hyp") && !strcmp(what, at)) {
        at = NULL;
        return EIO;
    }
    return 0;
}

/* What fails once is tried in the other way, and by nobody else: a guest never
 * waits for a recovery. */
static void a_guest_that_does_not_go_on_at_once(void **state)
{
    static const struct {
        enum snap_memory_want memory;
        const char *call;
    } kinds[] = { { SNAP_MEM_YES, "resume" }, { SNAP_MEM_NO, "unpause" } };
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .live = -1,
                                   .no_wait = true,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_delete_req del = { .domain = (char *)"vm1",
                                   .name = (char *)"unpause",
                                   .no_wait = true };
    size_t i;

    (void)state;
    snap_fault_hook = fail_once;
    for (i = 0; i < 2; i++) {
        at = kinds[i].call;
        req.name = (char *)at;
        req.memory = kinds[i].memory;
        if (fake_host_create(&host, &req, &err))
            fail_msg("%s: %s", kinds[i].call, err.msg);
        assert_null(at);
        assert_true(fake_domain_runs(vm()));
    }
    at = "unpause";
    assert_int_equal(fake_host_delete(&host, &del, &err), 0);
    assert_null(at);
    assert_true(fake_domain_runs(vm()));
}

/* While its images are made known somebody lets it go on; and the command dies
 * when it has written that down. */
static int let_go_on_and_end(const char *layer, const char *what)
{
    static bool resumed;

    if (!strcmp(layer, "hyp") && !strcmp(what, "set_active"))
        vm()->suspended = false;
    if (!strcmp(layer, "hyp") && !strcmp(what, "resume"))
        resumed = true;
    if (resumed && !strcmp(layer, "file") && strstr(what, ".save.part"))
        _exit(0);
    return 0;
}

static void somebody_let_it_go_on(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_YES,
                                   .type = SNAP_DISK_EXTERNAL };

    (void)state;
    dies(let_go_on_and_end, fake_host_create, &req);
    assert_int_equal(recover(), 0);
    has_no_memory();
}

static int end_in_the_commit(const char *layer, const char *what)
{
    static bool resumed;

    if (!strcmp(layer, "hyp") && !strcmp(what, "resume done"))
        resumed = true;
    if (resumed && !strcmp(layer, "file") && strstr(what, ".save.part"))
        _exit(0);
    return 0;
}

/* Nobody synced it before the power went: its pages may be missing. */
static void the_host_was_booted_since(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .no_wait = true,
                                   .memory = SNAP_MEM_YES,
                                   .type = SNAP_DISK_EXTERNAL };

    (void)state;
    dies(end_in_the_commit, fake_host_create, &req);
    fake_host_stop(&host);
    booted_again = true;
    assert_int_equal(recover(), 0);
    has_no_memory();
}

static struct snap_revert_req back = { .domain = (char *)"vm1",
                                       .name = (char *)"s1",
                                       .no_wait = true };

static void stands_as_it_did(uint32_t before)
{
    assert_non_null(vm());
    assert_int_not_equal(vm()->domid, before);
    assert_true(vm()->paused);
}

static void paused_before_a_revert_that_failed(void **state)
{
    uint32_t before;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    vm()->paused = true;
    before = vm()->domid;
    at = "create";
    snap_fault_hook = fail_once;
    assert_int_not_equal(fake_host_revert(&host, &back, &err), 0);
    assert_null(at);
    stands_as_it_did(before);
}

static void paused_before_a_revert_that_died(void **state)
{
    uint32_t before;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    vm()->paused = true;
    before = vm()->domid;
    dies_at("hyp: create", fake_host_revert, &back);
    assert_null(vm());
    assert_int_equal(recover(), 0);
    stands_as_it_did(before);
}

/* ---- a deletion that dies while it merges ---- */

/* Its xl.cfg of before the snapshot names the images below, and nothing keeps
 * them from being opened just then.  What the guest had written last is in the
 * overlays, and nobody takes them away. */
static void started_on_the_image_below(void **state)
{
    static const char *const old[] = { "xvda:qcow2:/img/a.qcow2", NULL };
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };
    struct fake_outcome out;
    char *journal = snap_printf("%s/" FAKE_UUID "/journal", host.root);
    uint64_t last;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_write(host.disks, vm()->domid, "xvda");
    last = fake_store_content(host.disks, "/img/a.s1.qcow2");
    dies_at("disk: merge half xvda", fake_host_delete, &req);
    fake_host_stop(&host);
    fake_domain_add(host.world, "vm1", FAKE_UUID, old);

    assert_int_equal(recover(), SNAP_RECOVER);
    says("was started on /img/a.qcow2");
    says("snapshot-recover --keep vm1");
    assert_true(fake_domain_runs(vm()));
    /* Nor is it laid over what the guest wrote below since. */
    fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    assert_int_equal(recover(), SNAP_RECOVER);
    says("was started on /img/a.qcow2");
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == last);

    fake_host_run(&host, fake_host_recover_keep, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, 0);
    assert_true(access(journal, F_OK) != 0);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == last);
    assert_true(fake_store_exists(host.disks, "/img/a.qcow2"));
    assert_int_equal(recover(), 0);
    free(journal);
}

static struct snap_delete_req del_s1 = { .domain = (char *)"vm1",
                                         .name = (char *)"s1",
                                         .no_wait = true };

/* A guest with a snapshot, the deletion of which ends with its QEMU at this
 * call.  Returns what it had written last. */
static uint64_t power_goes_at(const char *call)
{
    uint64_t last;

    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at(call, fake_host_delete, &del_s1);
    fake_host_stop(&host);
    return last;
}

static const char *failing; /* a call: it fails each time */

static int fail_there(const char *layer, const char *what)
{
    char call[200];

    snprintf(call, sizeof(call), "%s: %s", layer, what);
    return strcmp(call, failing) ? 0 : EBUSY;
}

/* The deletion of s1 cannot be finished, since this call fails. */
static void is_left_at(const char *call)
{
    failing = call;
    snap_fault_hook = fail_there;
    assert_int_equal(fake_host_delete(&host, &del_s1, &err), SNAP_RECOVER);
    snap_fault_hook = NULL;
    says("is deleted");
    snap_err_clear(&err);
}

/* On a file system without, as NFS. */
static void not_immutable(const char *path)
{
    struct fake_image *im = fake_store_find(host.disks, path);

    im->frozen = im->immutable = false;
}

static void boot(void)
{
    booted_again = true;
    started = ++host.disks->now;
}

/* From another xl.cfg, for a while. */
static uint64_t runs_below(void)
{
    static const char *const old[] = { "xvda:qcow2:/img/a.qcow2", NULL };
    uint64_t wrote;

    fake_domain_add(host.world, "vm1", FAKE_UUID, old);
    host.disks->now++;
    wrote = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    return wrote;
}

static void has_both(uint64_t above, uint64_t below)
{
    struct fake_outcome out;
    char *journal = snap_printf("%s/" FAKE_UUID "/journal", host.root);
    unsigned i;

    for (i = 0; i < 2; i++) {
        assert_int_equal(recover(), SNAP_RECOVER);
        says("started from an old xl.cfg) wrote to /img/a.qcow2");
        says("snapshot-recover --keep vm1");
        assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
        assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") ==
                    above);
    }
    fake_host_run(&host, fake_host_recover_keep, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, 0);
    assert_true(access(journal, F_OK) != 0);
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == above);
    free(journal);
}

static void is_merged(uint64_t last)
{
    assert_int_equal(recover(), 0);
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == last);
    assert_false(fake_store_exists(host.disks, "/img/a.s1.qcow2"));
}

/* And nobody looked before it was off again. */
static void ran_on_the_image_below(void **state)
{
    uint64_t above, below;

    (void)state;
    above = power_goes_at("disk: merge half xvda");
    boot();
    below = runs_below();
    has_both(above, below);
}

static void ran_below_and_the_host_was_booted_again(void **state)
{
    uint64_t above, below;

    (void)state;
    above = power_goes_at("disk: merge half xvda");
    boot();
    below = runs_below();
    boot();
    has_both(above, below);
}

static int end_after_the_record(const char *layer, const char *what)
{
    static bool gone;

    (void)layer;
    if (gone)
        _exit(0);
    gone = snap_has_prefix(what, "unlink") && strstr(what, "records/s1.json");
    return 0;
}

/* Before anything was written down of the merge, but the plan. */
static void ran_below_before_the_merge(void **state)
{
    uint64_t above, below;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    above = fake_store_write(host.disks, vm()->domid, "xvda");
    dies(end_after_the_record, fake_host_delete, &del_s1);
    fake_host_stop(&host);
    boot();
    not_immutable("/img/a.qcow2");
    below = runs_below();
    has_both(above, below);
}

/* A recovery with the domain off died, too. */
static void ran_below_after_a_recovery(void **state)
{
    uint64_t above, below;

    (void)state;
    above = power_goes_at("disk: merge half xvda");
    boot();
    dies_at("disk: merge half xvda", fake_host_recover, NULL);
    below = runs_below();
    has_both(above, below);
}

/* Nor was there a QEMU before. */
static void ran_below_a_deletion_at_rest(void **state)
{
    uint64_t above, below;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    above = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    dies_at("disk: merge half xvda", fake_host_delete, &del_s1);
    below = runs_below();
    has_both(above, below);
}

/* What we write to it ourselves is no reason. */
static void nobody_ran_below(void **state)
{
    uint64_t last;

    (void)state;
    last = power_goes_at("disk: merge half xvda");
    boot();
    dies_at("disk: merge half xvda", fake_host_recover, NULL);
    host.disks->now++;
    dies_at("disk: merge done xvda", fake_host_recover, NULL);
    is_merged(last);
}

/* With the domain up again, on the right images. */
static void went_on_above(void **state)
{
    uint64_t last;

    (void)state;
    power_goes_at("disk: merge half xvda");
    boot();
    fake_host_start(&host);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at("disk: merge half xvda", fake_host_recover, NULL);
    host.disks->now++;
    dies_at("disk: merge half xvda", fake_host_recover, NULL);
    fake_host_stop(&host);
    is_merged(last);
}

/* First below, and then above: what it wrote below is hidden, and stays. */
static void ran_below_and_went_on_above(void **state)
{
    uint64_t above, below;

    (void)state;
    power_goes_at("disk: merge half xvda");
    boot();
    below = runs_below();
    fake_host_start(&host);
    above = fake_store_write(host.disks, vm()->domid, "xvda");
    has_both(above, below);
    assert_true(fake_domain_runs(vm()));
}

/* It was changed over to: there it belongs. */
static void went_on_below(void **state)
{
    uint64_t last;

    (void)state;
    power_goes_at("hyp: unpause");
    boot();
    last = runs_below();
    is_merged(last);
}

/* ---- what somebody wrote to since ---- */

static void is_kept(const char *path, uint64_t wrote)
{
    host.said[0] = '\0';
    snap_err_clear(&err);
    assert_int_equal(fake_host_recover(&host, NULL, &err), 0);
    assert_true(fake_store_content(host.disks, path) == wrote);
    assert_non_null(strstr(host.said, path));
    assert_non_null(strstr(host.said, "somebody has written to it"));
    fake_store_remove(host.disks, path);
    assert_int_equal(recover(), 0);
}

/* The frozen image had to stay at first, for somebody read it. */
static void ran_on_a_frozen_image_that_was_to_go(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    assert_int_equal(create("s2", SNAP_DISK_EXTERNAL), 0);
    is_left_at("disk: remove xvda");
    fake_host_stop(&host);
    not_immutable("/img/a.qcow2");
    is_kept("/img/a.qcow2", runs_below());
    assert_false(fake_store_exists(host.disks, "/img/b.img"));
}

/* As snapshot-create told its user to write into the xl.cfg. */
static uint64_t starts_above(const char *b)
{
    const char *const cfg[] = { "xvda:qcow2:/img/a.s1.qcow2", b, NULL };

    fake_domain_add(host.world, "vm1", FAKE_UUID, cfg);
    host.disks->now++;
    return fake_store_write(host.disks, vm()->domid, "xvda");
}

/* The old overlay could not go, and not even its name; on what is left the
 * domain was started. */
static void ran_on_an_overlay_that_was_to_go(void **state)
{
    struct fake_outcome out;
    uint64_t below, above;
    unsigned i;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    is_left_at("disk: merge_finish xvda");
    below = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    above = starts_above("xvdb:raw:/img/b.img");
    for (i = 0; i < 2; i++) {
        assert_int_equal(recover(), SNAP_RECOVER);
        says(i ? "started from its xl.cfg) wrote to /img/a.s1.qcow2"
               : "vm1 was started on /img/a.s1.qcow2");
        says("snapshot-recover --keep vm1");
        assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
        assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") ==
                    above);
        if (!i)
            fake_host_stop(&host);
    }
    fake_host_run(&host, fake_host_recover_keep, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, 0);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == above);
    fake_host_start(&host);
    assert_true(fake_store_read(host.disks, vm()->domid, "xvda") == above);
    assert_int_equal(recover(), 0);
}

/* Somebody reads it: it stays, and no xl.cfg finds it. */
static void an_overlay_that_somebody_reads(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    is_left_at("disk: merge_finish named xvda");
    assert_false(fake_store_exists(host.disks, "/img/a.s1.qcow2"));
    assert_string_equal(fake_store_active(host.disks, vm()->domid, "xvda"),
                        "/img/a.qcow2");
    assert_false(fake_store_exists(host.disks, "/img/b.s1.qcow2"));
    assert_int_equal(recover(), 0);
    assert_null(fake_store_check(
        host.disks, (const char *const[]){ "/img/a.qcow2", NULL }, NULL));
}

/* A revert to s1 dies with the new domain built, and its user gives that up. */
static void reverts_and_dies(void)
{
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at("disk: revert_finish xvda", fake_host_revert, &back);
    fake_host_stop(&host);
}

/* He works on with what the domain had before, in one of its disks. */
static uint64_t goes_on_as_before(void)
{
    return starts_above("xvdb:qcow2:/img/b.s1.qcow2");
}

static void old_images_are_kept(uint64_t wrote)
{
    host.said[0] = '\0';
    snap_err_clear(&err);
    assert_int_equal(fake_host_recover(&host, NULL, &err), 0);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == wrote);
    assert_true(fake_store_exists(host.disks, "/img/b.s1.qcow2"));
    assert_non_null(strstr(host.said, "/img/a.s1.qcow2"));
    assert_int_equal(recover(), 0);
}

static void has_now(uint64_t wrote)
{
    fake_host_start(&host);
    assert_true(fake_store_read(host.disks, vm()->domid, "xvda") == wrote);
}

static void went_on_as_before_a_revert(void **state)
{
    uint64_t wrote;

    (void)state;
    reverts_and_dies();
    wrote = goes_on_as_before();
    fake_host_stop(&host);
    old_images_are_kept(wrote);
    has_now(wrote);
}

static void goes_on_as_before_a_revert(void **state)
{
    uint64_t wrote;

    (void)state;
    reverts_and_dies();
    wrote = goes_on_as_before();
    old_images_are_kept(wrote);
    assert_true(fake_domain_runs(vm()));
    fake_host_stop(&host);
    has_now(wrote);
}

/* Not even one write so far. */
static void begins_as_before_a_revert(void **state)
{
    uint64_t has;
    static const char *const cfg[] = { "xvda:qcow2:/img/a.s1.qcow2",
                                       "xvdb:qcow2:/img/b.s1.qcow2", NULL };

    (void)state;
    reverts_and_dies();
    has = fake_store_content(host.disks, "/img/a.s1.qcow2");
    fake_domain_add(host.world, "vm1", FAKE_UUID, cfg);
    old_images_are_kept(has);
    fake_host_stop(&host);
    has_now(has);
}

/* What the revert had made; the test's own memory. */
static char *made_by_revert(const char *begins)
{
    int i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (host.disks->image[i].exists &&
            snap_has_prefix(host.disks->image[i].path, begins))
            return snap_printf("%.4s:qcow2:%s",
                               begins[5] == 'a' ? "xvda" : "xvdb",
                               host.disks->image[i].path);
    fail_msg("nothing is there that begins with %s", begins);
    return NULL;
}

/* By mistake, for a while; then on the right ones. */
static void went_on_as_before_and_then_after_a_revert(void **state)
{
    uint64_t wrote, last;
    char *a, *b;

    (void)state;
    reverts_and_dies();
    wrote = goes_on_as_before();
    fake_host_stop(&host);
    a = made_by_revert("/img/a.s1-r");
    b = made_by_revert("/img/b.s1-r");
    fake_domain_add(host.world, "vm1", FAKE_UUID,
                    (const char *const[]){ a, b, NULL });
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    old_images_are_kept(wrote);
    has_now(last);
    free(a);
    free(b);
}

/* Nobody did anything: what the revert has done is finished. */
static void a_revert_that_died_is_finished(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    dies_at("disk: revert_finish xvda", fake_host_revert, &back);
    booted_again = true;
    fake_host_stop(&host);
    assert_int_equal(recover(), 0);
    assert_false(fake_store_exists(host.disks, "/img/a.s1.qcow2"));
    assert_false(fake_store_exists(host.disks, "/img/b.s1.qcow2"));
}

/* The exchange fails for good at this call, and the guest goes on above; then
 * the domain is started on the image below, which is not immutable. */
static void ran_below_after_a_failed_exchange(const char *call, bool running)
{
    static const char *const old[] = { "xvda:qcow2:/img/a.qcow2", NULL };
    uint64_t above, below;

    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    is_left_at(call);
    assert_true(fake_domain_runs(vm()));
    assert_string_equal(fake_store_active(host.disks, vm()->domid, "xvda"),
                        "/img/a.s1.qcow2");
    /* In the same second, and then no more: no time stamp tells. */
    above = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    not_immutable("/img/a.qcow2");
    if (!running) {
        below = runs_below();
        has_both(above, below);
        return;
    }
    fake_domain_add(host.world, "vm1", FAKE_UUID, old);
    host.disks->now++;
    below = fake_store_write(host.disks, vm()->domid, "xvda");
    assert_int_equal(recover(), SNAP_RECOVER);
    says("was started on /img/a.qcow2");
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == above);
}

static void somebody_unpaused_it_and_ran_it_below(void **state)
{
    (void)state;
    ran_below_after_a_failed_exchange("hyp: stands", false);
}

static void somebody_unpaused_it_and_runs_it_below(void **state)
{
    (void)state;
    ran_below_after_a_failed_exchange("hyp: stands", true);
}

static void xen_was_not_told_and_it_runs_below(void **state)
{
    (void)state;
    ran_below_after_a_failed_exchange("disk: merge_switch xvda", true);
}

static void it_was_not_paused_and_runs_below(void **state)
{
    (void)state;
    ran_below_after_a_failed_exchange("hyp: pause", true);
}

/* And the store was full, so that this is not in the journal. */
static int no_way_back(const char *layer, const char *what)
{
    static bool full;

    full |= !strcmp(layer, "hyp") && !strcmp(what, "stands");
    if (!full)
        return 0;
    return !strcmp(layer, "file") ? ENOSPC : EBUSY;
}

static void a_full_store_and_it_runs_below(void **state)
{
    static const char *const old[] = { "xvda:qcow2:/img/a.qcow2", NULL };
    uint64_t above, below;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    snap_fault_hook = no_way_back;
    assert_int_equal(fake_host_delete(&host, &del_s1, &err), SNAP_RECOVER);
    snap_fault_hook = NULL;
    snap_err_clear(&err);
    host.disks->now++;
    above = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    not_immutable("/img/a.qcow2");
    fake_domain_add(host.world, "vm1", FAKE_UUID, old);
    below = fake_store_write(host.disks, vm()->domid, "xvda");
    assert_int_equal(recover(), SNAP_RECOVER);
    says("was started on /img/a.qcow2");
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == above);
}

/* The exchange failed, and nobody did anything: it is finished. */
static void an_exchange_that_failed_comes_through_later(void **state)
{
    uint64_t last;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    is_left_at("disk: merge_switch xvda");
    host.disks->now++;
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    assert_int_equal(recover(), 0);
    assert_true(fake_store_read(host.disks, vm()->domid, "xvda") == last);
    is_merged(last);
}

/* As recover(), and what Xen has of xvda when the guest is let go on is what
 * QEMU writes to then. */
static bool known_wrongly;

static int known_when_it_goes_on(const char *layer, const char *what)
{
    char *known;

    if (strcmp(layer, "hyp") || strcmp(what, "rescue"))
        return 0;
    fake_store_comes_to_it(host.disks);
    known = fake_domain_path(vm(), "xvda");
    known_wrongly |= !snap_streq(
        known, fake_store_active(host.disks, vm()->domid, "xvda"));
    free(known);
    return 0;
}

/* The guardian died with its command, so a recovery lets it go on. */
static void a_recovery_tells_xen_before_it_goes_on(void **state)
{
    static const char *const calls[] = { "disk: merge_switch xvda",
                                         "disk: merge_switch sent xvda" };
    size_t i;

    (void)state;
    known_wrongly = false;
    for (i = 0; i < 2; i++) {
        assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
        dies_at(calls[i], fake_host_delete, &del_s1);
        assert_true(vm()->paused);
        snap_fault_hook = known_when_it_goes_on;
        assert_int_equal(fake_host_recover(&host, NULL, &err), 0);
        snap_fault_hook = NULL;
        assert_false(vm()->paused);
        assert_false(known_wrongly);
    }
}

#define HANG_MS 8000
static double gone_on_ms; /* when it was let go on; 0: not yet */

/* QEMU's storage hangs as long as the guest stands. */
static int hangs_while_it_stands(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "rescue"))
        gone_on_ms = snap_now_ms();
    if (!gone_on_ms && snap_has_prefix(what, "merge_switch"))
        poll(NULL, 0, HANG_MS);
    return 0;
}

/* It stands, and a recovery lets it go on though this hangs. */
static void goes_on_though(int (*hangs)(const char *layer, const char *what))
{
    double began = snap_now_ms();

    assert_true(vm()->paused);
    gone_on_ms = 0;
    snap_guard_tell_ms = 200;
    snap_fault_hook = hangs;
    assert_int_equal(fake_host_recover(&host, NULL, &err), 0);
    snap_fault_hook = NULL;
    snap_guard_tell_ms = TELL_MS;
    assert_true(gone_on_ms > 0 && gone_on_ms - began < HANG_MS / 2.0);
    assert_non_null(strstr(host.said, "goes on before Xen knows its images"));
}

static void nothing_that_hangs_holds_it_up(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    dies_at("disk: merge_switch xvda", fake_host_delete, &del_s1);
    goes_on_though(hangs_while_it_stands);
    assert_false(vm()->paused);
    assert_int_equal(recover(), 0);
}

/* A lock of libxl, or xenstored, hangs as long as the guest stands. */
static int telling_hangs(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "rescue"))
        gone_on_ms = snap_now_ms();
    if (!gone_on_ms && !strcmp(layer, "hyp") &&
        snap_has_prefix(what, "set_active"))
        poll(NULL, 0, HANG_MS);
    return 0;
}

static void nor_after_a_create(void **state)
{
    static struct snap_create_req req = { .domain = (char *)"vm1",
                                          .name = (char *)"s1",
                                          .type = SNAP_DISK_EXTERNAL,
                                          .memory = SNAP_MEM_NO,
                                          .live = -1,
                                          .no_wait = true };
    char *known;

    (void)state;
    dies_at("hyp: set_active", fake_host_create, &req);
    goes_on_though(telling_hangs);
    known = fake_domain_path(vm(), "xvda");
    assert_string_equal(known,
                        fake_store_active(host.disks, vm()->domid, "xvda"));
    free(known);
}

/* It died between telling Xen and telling QEMU; its user lets the guest go on
 * and gives the deletion up: what he keeps is what it writes to. */
static void given_up_in_the_middle_of_an_exchange(void **state)
{
    static const char *const calls[] = { "disk: merge_switch xvda",
                                         "disk: merge_switch sent xvda" };
    uint64_t last;
    char *known;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
        dies_at(calls[i], fake_host_delete, &del_s1);
        vm()->paused = false;
        host.disks->now++;
        last = fake_store_write(host.disks, vm()->domid, "xvda");
        assert_int_equal(fake_host_recover_keep(&host, NULL, &err), 0);
        fake_store_comes_to_it(host.disks);
        known = fake_domain_path(vm(), "xvda");
        assert_string_equal(
            known, fake_store_active(host.disks, vm()->domid, "xvda"));
        free(known);
        fake_host_stop(&host);
        fake_host_start(&host); /* from what the state names */
        assert_true(fake_store_read(host.disks, vm()->domid, "xvda") == last);
        teardown(state);
        setup(state);
    }
}

/* The deletion of s1 dies at this call; the guest is let go on as a guardian
 * does it, writes, and is shut down.  Returns what it wrote last. */
static uint64_t dies_goes_on_and_ends(const char *call)
{
    uint64_t last;

    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at(call, fake_host_delete, &del_s1);
    assert_int_equal(fake_host_guardian(&host, NULL, &err), 0);
    assert_true(fake_domain_runs(vm()));
    host.disks->now++;
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    return last;
}

/* The domain's disk is what the guest wrote to last. */
static void keeps_what_it_wrote(uint64_t last)
{
    assert_int_equal(fake_host_recover_keep(&host, NULL, &err), 0);
    fake_host_start(&host); /* from what the state names */
    assert_true(fake_store_read(host.disks, vm()->domid, "xvda") == last);
    assert_int_equal(recover(), 0);
}

/* QEMU had changed over, which nobody wrote down; the guest went on below, and
 * its domain is off when its user gives the deletion up. */
static void given_up_after_it_went_on_below(void **state)
{
    static const char *const calls[] = { "disk: merge_switch sent xvda",
                                         "disk: merge_switch done xvda" };
    size_t i;

    for (i = 0; i < 2; i++) {
        keeps_what_it_wrote(dies_goes_on_and_ends(calls[i]));
        teardown(state);
        setup(state);
    }
}

/* What is left of the deletion is not finished, since a file system is not
 * mounted that one of the disks is on: as the state has it. */
static void mounted_at(const char *where)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    size_t i;

    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_state_load(&s, &st, &err), 0);
    assert_true(st.n > 0);
    for (i = 0; i < st.n; i++)
        snap_set(&st.leaves[i].mount, where);
    assert_int_equal(snap_state_save(&s, &st, &err), 0);
    snap_state_dispose(&st);
    snap_store_close(&s);
}

/* A recovery ended early; later the domain is started from its xl.cfg on the
 * overlay: that is not laid over what the guest wrote below. */
static void is_not_laid_over(void)
{
    uint64_t below, above;

    says("what was mounted on /nowhere");
    snap_err_clear(&err);
    below = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    not_immutable("/img/a.s1.qcow2");
    above = starts_above("xvdb:qcow2:/img/b.s1.qcow2");
    fake_host_stop(&host);
    mounted_at(NULL);
    assert_int_equal(recover(), SNAP_RECOVER);
    says("wrote to /img/a.s1.qcow2 after that had been merged");
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == below);
    assert_true(fake_store_content(host.disks, "/img/a.s1.qcow2") == above);
}

static void ran_above_after_it_went_on_below(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at("disk: merge_switch done xvda", fake_host_delete, &del_s1);
    assert_int_equal(fake_host_guardian(&host, NULL, &err), 0);
    mounted_at("/nowhere");
    assert_int_equal(recover(), SNAP_RECOVER);
    is_not_laid_over();
}

/* QEMU comes to it when it is not waited for any more. */
static int comes_late(const char *layer, const char *what)
{
    (void)layer;
    if (strcmp(what, "merge_switch sent xvda"))
        return 0;
    fake_store_comes_to_it(host.disks);
    return ETIMEDOUT;
}

static void an_exchange_that_is_late(void **state)
{
    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_write(host.disks, vm()->domid, "xvda");
    dies_at("disk: merge_switch sent xvda", fake_host_delete, &del_s1);
    vm()->paused = false;
    mounted_at("/nowhere");
    snap_fault_hook = comes_late;
    assert_int_equal(fake_host_recover(&host, NULL, &err), SNAP_RECOVER);
    snap_fault_hook = NULL;
    is_not_laid_over();
}

/* It was to be paused, and was not: it went on above. */
static void given_up_after_it_went_on_above(void **state)
{
    (void)state;
    keeps_what_it_wrote(dies_goes_on_and_ends("hyp: pause"));
}

/* Merged with the domain off, and the overlay has lost its name, as the tools
 * do it: what is left is the image below. */
static void given_up_when_the_overlay_is_gone(void **state)
{
    uint64_t last;

    (void)state;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    dies_at("disk: merge done xvda", fake_host_delete, &del_s1);
    fake_store_remove(host.disks, "/img/a.s1.qcow2");
    keeps_what_it_wrote(last);
}

/* ---- what its user is told to change ---- */

/* A deletion of s1 that merges xvda and pulls into xvdb, and dies in that. */
static void dies_in_the_merge(void)
{
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_store_find(host.disks, "/img/b.s1.qcow2")->bytes = 1;
    dies_at("disk: merge done xvda", fake_host_delete, &del_s1);
}

/* What a recovery says that is stale now; caller frees. */
static char *recover_and_tell(bool keep,
                              int (*hook)(const char *layer, const char *what))
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_recovery how = { .keep = keep, .tell = true };
    char *what = NULL;

    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_store_lock(&s, false, "recover", NULL, &err), 0);
    snap_fault_hook = hook;
    assert_int_equal(snap_recover_how(&host.env, &s, &how, false, &what, &err),
                     0);
    snap_fault_hook = NULL;
    snap_store_close(&s);
    free(what);
    return how.stale ? how.stale : snap_strdup("");
}

static void tells(char *stale, const char *words, bool wanted)
{
    if ((strstr(stale, words) != NULL) != wanted)
        fail_msg("\"%s\" %s \"%s\"", stale, wanted ? "lacks" : "has", words);
}

static void told_what_goes(void **state)
{
    char *stale;

    (void)state;
    dies_in_the_merge();
    stale = recover_and_tell(false, NULL);
    tells(stale, "the domain's disk is /img/a.qcow2 again", true);
    tells(stale, "/img/b.img goes", true);
    assert_false(fake_store_exists(host.disks, "/img/b.img"));
    free(stale);
}

static void not_told_of_what_could_not_go(void **state)
{
    char *stale;

    (void)state;
    dies_in_the_merge();
    failing = "disk: remove xvdb";
    stale = recover_and_tell(false, fail_there);
    tells(stale, "the domain's disk is /img/a.qcow2 again", true);
    tells(stale, "/img/b.img", false);
    assert_true(fake_store_exists(host.disks, "/img/b.img"));
    free(stale);
}

/* Every image stays, and a disk is what it is kept as. */
static void not_told_of_what_is_kept(void **state)
{
    char *stale;

    (void)state;
    dies_in_the_merge();
    stale = recover_and_tell(true, NULL);
    tells(stale, "the domain's disk is /img/a.s1.qcow2;", true);
    tells(stale, "/img/b.img", false);
    assert_true(fake_store_exists(host.disks, "/img/b.img"));
    free(stale);
    teardown(state);
    setup(state);
    dies_goes_on_and_ends("disk: merge_switch done xvda");
    stale = recover_and_tell(true, NULL);
    tells(stale, "the domain's disk is /img/a.qcow2 again", true);
    free(stale);
    teardown(state);
    setup(state);
    dies_in_the_merge();
    fake_host_stop(&host);
    fake_store_remove(host.disks, "/img/b.img"); /* or it is not mounted */
    stale = recover_and_tell(true, NULL);
    tells(stale, "/img/b.img", false);
    free(stale);
}

/* QEMU had changed over when we died; the recovery is about to exchange once
 * more, and the domain ends at this call of that. */
static const char *ends_at;
static bool begun;

static int ends_there(const char *layer, const char *what)
{
    /* QEMU did not answer when it was asked before that. */
    if (!begun && !strcmp(layer, "disk") &&
        snap_has_prefix(what, "merge_switched"))
        return EIO;
    begun |= !strcmp(layer, "hyp") && !strcmp(what, "pause");
    if (begun && !strcmp(layer, "hyp") && !strcmp(what, ends_at) && vm())
        fake_host_stop(&host);
    return 0;
}

static void ended_in_a_second_exchange(void **state)
{
    static const char *const calls[] = { "pause", "stands", "set_active" };
    uint64_t last;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
        fake_store_write(host.disks, vm()->domid, "xvda");
        dies_at("disk: merge_switch done xvda", fake_host_delete, &del_s1);
        vm()->paused = false;
        last = fake_store_write(host.disks, vm()->domid, "xvda");
        ends_at = calls[i];
        begun = false;
        snap_fault_hook = ends_there;
        assert_int_equal(fake_host_recover(&host, NULL, &err), SNAP_RECOVER);
        snap_fault_hook = NULL;
        snap_err_clear(&err);
        assert_null(vm());
        assert_int_equal(recover(), 0);
        is_merged(last);
        teardown(state);
        setup(state);
    }
}

static unsigned looks; /* since the guest went down */
static bool off_meanwhile;

/* Its guest reboots when the record goes: at the third look it is there. */
static int reboot_then(const char *layer, const char *what)
{
    static bool busy;

    if (busy)
        return 0;
    busy = true;
    if (strstr(what, "records/s1.json") && snap_has_prefix(what, "unlink"))
        fake_host_stop(&host);
    if (!strcmp(layer, "hyp") && snap_has_prefix(what, "find") && !vm() &&
        ++looks == 3)
        fake_host_start(&host);
    off_meanwhile |= snap_has_prefix(what, "merge ") && !vm();
    busy = false;
    return 0;
}

static void a_guest_that_reboots_is_waited_for(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };
    uint64_t last;

    (void)state;
    looks = 0;
    off_meanwhile = false;
    host.env.absent_ms = 5000;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    snap_fault_hook = reboot_then;
    assert_int_equal(fake_host_delete(&host, &req, &err), 0);
    snap_fault_hook = NULL;
    assert_int_equal(looks, 3);
    assert_false(off_meanwhile);
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == last);
}

/* It is down, and its daemon has not destroyed it yet. */
static int down_then_gone(const char *layer, const char *what)
{
    static bool busy;

    if (busy || strcmp(layer, "hyp") || !snap_has_prefix(what, "find"))
        return 0;
    busy = true;
    if (++looks == 3)
        fake_host_stop(&host);
    if (looks == 5)
        fake_host_start(&host);
    busy = false;
    return 0;
}

static pid_t while_it_is_away(void *opaque, const char *name)
{
    (void)opaque;
    (void)name;
    return vm() ? 0 : 4242;
}

static void one_that_is_down_is_waited_for(void **state)
{
    struct snap_domain dom = { 0 };
    uint32_t domid = vm()->domid;

    (void)state;
    host.world->monitor = while_it_is_away;
    vm()->shutdown = true;
    looks = 0;
    snap_fault_hook = down_then_gone;
    assert_int_equal(
        snap_absent_find(&host.env, FAKE_UUID, "vm1", false, &dom, &err), 0);
    assert_true(dom.domid != domid && !dom.shutdown);
    snap_domain_dispose(&dom);
    /* A daemon that we stopped waits for us, and not we for it. */
    memset(&dom, 0, sizeof(dom));
    vm()->shutdown = vm()->monitor_held = true;
    looks = 10;
    assert_int_equal(
        snap_absent_find(&host.env, FAKE_UUID, "vm1", false, &dom, &err), 0);
    assert_int_equal(looks, 11);
    snap_domain_dispose(&dom);
    vm()->monitor_held = false;
    /* One that is kept after a crash has no daemon. */
    memset(&dom, 0, sizeof(dom));
    vm()->shutdown = true;
    vm()->monitor_pid = 0;
    looks = 10;
    assert_int_equal(
        snap_absent_find(&host.env, FAKE_UUID, "vm1", false, &dom, &err), 0);
    snap_fault_hook = NULL;
    assert_int_equal(looks, 11);
    assert_true(dom.shutdown);
    snap_domain_dispose(&dom);
}

static int merged_off(const char *layer, const char *what)
{
    (void)layer;
    off_meanwhile |= snap_has_prefix(what, "merge ") && !vm();
    return 0;
}

/* Who watches vm1 while it is not there. */
static pid_t comes_soon(void *opaque, const char *name)
{
    assert_string_equal(name, "vm1");
    if (++looks < 3)
        return 4242;
    fake_host_start(opaque);
    return 0;
}

static pid_t never_comes(void *opaque, const char *name)
{
    (void)opaque;
    (void)name;
    looks++;
    return 4242;
}

static int delete_s1(void)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };

    return fake_host_delete(&host, &req, &err);
}

/* Its guest reboots just then: it is not off, though it is not there. */
static void a_domain_between_two_lives(void **state)
{
    uint64_t last;

    (void)state;
    looks = 0;
    off_meanwhile = false;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    fake_host_stop(&host);
    host.world->monitor = comes_soon;
    snap_fault_hook = merged_off;
    assert_int_equal(delete_s1(), 0);
    snap_fault_hook = NULL;
    assert_int_equal(looks, 3);
    assert_false(off_meanwhile);
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == last);
}

/* Its monitor has made the domain, and not yet its devices. */
static int built_then(const char *layer, const char *what)
{
    struct fake_domain *d = vm();

    if (!strcmp(layer, "hyp") && snap_has_prefix(what, "find") &&
        d->qemu_gone && ++looks == 6) {
        d->qemu_gone = d->paused = false;
        d->has_run = true;
    }
    off_meanwhile |= snap_has_prefix(what, "merge ") && d->qemu_gone;
    return 0;
}

static void a_domain_that_is_being_built(void **state)
{
    uint64_t last;

    (void)state;
    looks = 0;
    off_meanwhile = false;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    last = fake_store_write(host.disks, vm()->domid, "xvda");
    vm()->qemu_gone = vm()->paused = true;
    vm()->has_run = false;
    snap_fault_hook = built_then;
    assert_int_equal(delete_s1(), 0);
    snap_fault_hook = NULL;
    assert_int_equal(looks, 6);
    assert_false(off_meanwhile);
    assert_true(fake_store_content(host.disks, "/img/a.qcow2") == last);
}

static void a_domain_that_its_monitor_does_not_build(void **state)
{
    (void)state;
    looks = 0;
    assert_int_equal(create("s1", SNAP_DISK_EXTERNAL), 0);
    fake_host_stop(&host);
    host.world->monitor = never_comes;
    assert_int_equal(delete_s1(), SNAP_BUSY);
    assert_non_null(strstr(err.msg, "kill 4242"));
    assert_true(looks > 3);
    snap_err_clear(&err);
    assert_int_equal(create("s2", SNAP_DISK_EXTERNAL), SNAP_BUSY);
    snap_err_clear(&err);
    host.world->monitor = NULL;
    assert_int_equal(delete_s1(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_snapshot_came_to_need_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_came_to_read_through_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(it_became_the_domains_disk, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_one_of_two_disks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_memory_image_that_nobody_ended,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_host_was_booted_since, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(anothers_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_let_it_go_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(started_on_the_image_below, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ran_on_the_image_below, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            ran_below_and_the_host_was_booted_again, setup, teardown),
        cmocka_unit_test_setup_teardown(ran_below_before_the_merge, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ran_below_after_a_recovery, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ran_below_a_deletion_at_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_ran_below, setup, teardown),
        cmocka_unit_test_setup_teardown(went_on_above, setup, teardown),
        cmocka_unit_test_setup_teardown(ran_below_and_went_on_above, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(went_on_below, setup, teardown),
        cmocka_unit_test_setup_teardown(ran_on_a_frozen_image_that_was_to_go,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(ran_on_an_overlay_that_was_to_go,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_overlay_that_somebody_reads, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(somebody_unpaused_it_and_ran_it_below,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_unpaused_it_and_runs_it_below,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(xen_was_not_told_and_it_runs_below,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(it_was_not_paused_and_runs_below,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_store_and_it_runs_below, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            an_exchange_that_failed_comes_through_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_recovery_tells_xen_before_it_goes_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(nor_after_a_create, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_that_hangs_holds_it_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ended_in_a_second_exchange, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(given_up_in_the_middle_of_an_exchange,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(given_up_after_it_went_on_below, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ran_above_after_it_went_on_below,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_exchange_that_is_late, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(given_up_after_it_went_on_above, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(given_up_when_the_overlay_is_gone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(told_what_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(not_told_of_what_could_not_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(not_told_of_what_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(went_on_as_before_a_revert, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(goes_on_as_before_a_revert, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(begins_as_before_a_revert, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            went_on_as_before_and_then_after_a_revert, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revert_that_died_is_finished, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_is_down_is_waited_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_guest_that_reboots_is_waited_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_domain_between_two_lives, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_domain_that_is_being_built, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_domain_that_its_monitor_does_not_build, setup, teardown),
        cmocka_unit_test_setup_teardown(xen_is_told_before_qemu_changes_over,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_that_does_not_go_on_at_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(paused_before_a_revert_that_failed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(paused_before_a_revert_that_died,
                                        setup, teardown),
    };

    return cmocka_run_group_tests_name("test_between", tests, NULL, NULL);
}
