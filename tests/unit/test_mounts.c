/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A recovery with a file system that is not mounted: what is on it is not gone,
 * so nothing is decided without it.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/taken.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/mount.h"
#include "op/intent.h"
#include "op/mounts.h"
#include "store/journal.h"
#include "store/state.h"

#define NOWHERE "/nothing/is/mounted/here"
#define STEP    5 /* deaths that are left out, and one */

static struct snap_err err;

/* ---- what a plan names ---- */

#define NAMED "/img/now", "/img/frozen", "/img/active"

static struct snap_json *a_plan(void)
{
    static const char text[] =
        "{\"record\": {\"disks\": [{\"vdev\": \"xvda\","
        " \"path\": \"/img/now\", \"frozen_path\": \"/img/frozen\","
        " \"active_path\": \"/img/active\"}],"
        " \"memory\": {\"path\": \"/img/memory\"},"
        " \"domain_config\": {\"kernel\": \"/boot/vmlinuz\"}},"
        " \"disks\": [{\"vdev\": \"xvda\", \"gone\": \"/img/gone\","
        " \"children\": [{\"path\": \"/img/child\"}]}],"
        " \"leaves\": [{\"leaf_path\": \"/img/leaf\"}],"
        " \"output\": \"/img/output\"}";
    struct snap_json *plan;

    assert_int_equal(snap_json_parse(text, sizeof(text) - 1, &plan, &err), 0);
    return plan;
}

static int looked_for(const struct snap_intent *in,
                      const struct snap_state *st)
{
    return snap_mounts_check(in->op, in->mounts, in->rec, in->after.name, st,
                             &err);
}

/* With what is named not mounted, one after the other. */
static void each_is_missed(const struct snap_intent *in,
                           const char *const *names, size_t n)
{
    size_t i;
    struct snap_state st = { 0 };

    assert_int_equal(snap_json_len(in->mounts), n);
    assert_int_equal(looked_for(in, &st), 0);
    for (i = 0; i < n; i++) {
        char *was = snap_strdup(snap_json_get_str(in->mounts, names[i]));

        assert_non_null(was);
        snap_json_set_str(in->mounts, names[i], NOWHERE);
        snap_err_clear(&err);
        assert_int_equal(looked_for(in, &st), SNAP_RECOVER);
        assert_non_null(strstr(err.msg, names[i]));
        assert_non_null(strstr(err.msg, NOWHERE));
        assert_non_null(strstr(err.msg, "snapshot-recover vm1"));
        snap_json_set_str(in->mounts, names[i], was);
        free(was);
    }
}

static void every_file(void **state)
{
    static const struct {
        struct snap_op op;
        const char *named[8];
        size_t n;
    } all[] = {
        { { .name = "a" }, { NAMED }, 3 },
        { { .disks = "leaves" }, { NAMED, "/img/leaf" }, 4 },
        { { .disks = "disks" }, { NAMED, "/img/gone", "/img/child" }, 5 },
        { { .disks = "disks", .makes_files = true },
          { NAMED, "/img/gone", "/img/child", "/img/memory", "/img/output" },
          7 },
    };
    size_t i;
    struct snap_record rec = { .domain_name = (char *)"vm1" };
    struct snap_json *plan = a_plan();

    (void)state;
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct snap_intent in = { .op = &all[i].op, .rec = &rec };

        in.mounts = snap_mounts_of(in.op, plan);
        each_is_missed(&in, all[i].named, all[i].n);
        snap_json_free(in.mounts);
    }
    snap_json_free(plan);
}

static void a_file_that_is_there(void **state)
{
    char path[] = "/tmp/snap-mounts-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    assert_false(snap_mount_missing(path, NOWHERE));
    unlink(path);
    assert_true(snap_mount_missing(path, NOWHERE));
    assert_false(snap_mount_missing(path, NULL));
}

/* Bound onto itself it is what it was; with something else it is not.  In a
 * child: the mounts are its own. */
static int bound(const char *dir, const char *other)
{
    char *file = snap_printf("%s/a", dir), *was = snap_mount_of(file), *now;
    int bad;

    if (unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount(dir, dir, NULL, MS_BIND, NULL))
        return 77;
    now = snap_mount_of(file);
    bad = !was || !now || strcmp(was, now) != 0;
    free(now);
    if (umount(dir) || mount(other, dir, NULL, MS_BIND, NULL))
        return 77;
    now = snap_mount_of(file);
    bad |= !now || strcmp(dir, now) != 0;
    return bad;
}

static void a_folder_bound_onto_itself(void **state)
{
    char dir[] = "/tmp/snap-mounts-XXXXXX", *other;
    int status = 0;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(dir));
    other = snap_printf("%s/other", dir);
    assert_int_equal(mkdir(other, 0700), 0);
    pid = fork();
    if (!pid)
        _exit(bound(dir, other));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rmdir(other);
    rmdir(dir);
    free(other);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("# SKIP a folder bound onto itself: nothing may be "
                      "mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- each command, dead at any call ---- */

struct kind {
    const char *what;
    fake_op *op;
    void *req;
    bool off;
};

/* The first disk's image, by the state, was on what is mounted there; returns
 * where it really is. */
static char *mounted_on(struct fake_host *h, const char *mount)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    char *was;

    assert_int_equal(snap_store_open(&s, h->root, FAKE_UUID, false, &err), 0);
    assert_int_equal(snap_state_load(&s, &st, &err), 0);
    assert_true(st.n > 0);
    was = snap_strdup(st.leaves[0].mount);
    snap_set(&st.leaves[0].mount, mount);
    assert_int_equal(snap_state_save(&s, &st, &err), 0);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return was;
}

static bool has_plan(const struct fake_host *h)
{
    char *path = snap_printf("%s/%s/journal", h->root, FAKE_UUID);
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    bool has = !snap_journal_read(path, &e, &n, NULL) && n > 0;

    snap_journal_entries_free(e, n);
    free(path);
    return has;
}

/* Xen knows the image below already, and the guest stands: before it goes on its
 * QEMU is waited for, which was told to go there or is told again. */
static bool goes_below(const char *doomed)
{
    return snap_has_prefix(doomed, "disk: merge_switch") ||
           !strcmp(doomed, "hyp: set_active done");
}

/* Every image is there still, under its name. */
static bool none_went(const struct fake_store *a, const struct fake_store *b)
{
    size_t i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (a->image[i].exists != b->image[i].exists ||
            strcmp(a->image[i].path, b->image[i].path) != 0)
            return false;
    return true;
}

/* Every image as it was, and what QEMU has open. */
static bool same_images(const struct fake_store *a, const struct fake_store *b)
{
    return !memcmp(a->image, b->image, sizeof(a->image)) &&
           !memcmp(a->snap, b->snap, sizeof(a->snap)) &&
           !memcmp(a->open, b->open, sizeof(a->open));
}

/* True if there was such a call. */
static bool die_at(const struct kind *k, unsigned n, unsigned *met)
{
    struct taken t = { 0 };
    const struct taken_how how = { .type = SNAP_DISK_EXTERNAL, .off = k->off };
    struct fake_outcome out;
    struct fake_store *before = snap_zalloc(sizeof(*before));
    char *was;
    bool reached, below;

    taken_init(&t, &how);
    reached = fake_host_run(&t.h, k->op, k->req, DOOM_DEATH, n, 0, &out);
    if (!reached || !has_plan(&t.h))
        goto out;
    ++*met;
    below = goes_below(out.doomed);
    was = mounted_on(&t.h, NOWHERE);
    *before = *t.h.disks;
    fake_host_run(&t.h, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    if (out.rc != SNAP_RECOVER || !strstr(out.msg, NOWHERE))
        fail_msg("%s, dead at %u: rc %d, %s", k->what, n, out.rc, out.msg);
    if (!has_plan(&t.h) || !(below ? none_went(before, t.h.disks)
                                   : same_images(before, t.h.disks)))
        fail_msg("%s, dead at %u: something was changed", k->what, n);
    free(mounted_on(&t.h, n % 2 ? was : NOWHERE));
    free(was);
    /* It is mounted; or its user gives it up. */
    fake_host_run(&t.h, n % 2 ? fake_host_recover : fake_host_recover_keep,
                  NULL, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s, dead at %u, mounted: rc %d, %s", k->what, n, out.rc,
                 out.msg);
    assert_false(has_plan(&t.h));

out:
    free(before);
    taken_dispose(&t);
    return reached;
}

static void sweep(const struct kind *k)
{
    unsigned n, met = 0;

    for (n = 1; die_at(k, n, &met); n += STEP)
        ;
    assert_true(met > 3);
}

static void a_create(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    struct kind k = { "create", fake_host_create, &req, false };

    (void)state;
    sweep(&k);
    k.off = true;
    sweep(&k);
}

static void a_revert(void **state)
{
    struct snap_revert_req req;
    struct kind k = { "revert", fake_host_revert, &req, false };

    (void)state;
    taken_revert_req(&req);
    sweep(&k);
    k.off = true;
    sweep(&k);
}

static void a_delete(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct kind k = { "delete", fake_host_delete, &req, false };

    (void)state;
    sweep(&k);
    k.off = true;
    sweep(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file),
        cmocka_unit_test(a_file_that_is_there),
        cmocka_unit_test(a_folder_bound_onto_itself),
        cmocka_unit_test(a_create),
        cmocka_unit_test(a_revert),
        cmocka_unit_test(a_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
