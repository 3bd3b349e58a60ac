/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One set of images under two UUIDs: an xl.cfg without a uuid gives its domain
 * another one with each xl create.  Each command has the lock of its own
 * domain's folder only, so a command for the one comes while a command for the
 * other is at work, at each of its calls to the outside.  Whoever comes second
 * has to see the first: whatever both say, what a snapshot froze stays as it
 * was, and no domain writes to it or below it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/taken.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/uses.h"
#include "store/lock.h"
#include "store/state.h"
#include "store/store.h"

#define TWIN_UUID  "22222222-2222-3333-4444-555555555555"
#define OTHER_UUID "33333333-2222-3333-4444-555555555555"

/* What a command came to; it may be a child's, so it is shared. */
struct done {
    int rc;
    char msg[SNAP_ERR_MAX];
};

struct command {
    const char *name;
    fake_op *op;
    void *req;
};

static char twin_cfg[] = "/tmp/snap-twins-XXXXXX",
            other_cfg[] = "/tmp/snap-twins-XXXXXX";
static struct snap_delete_req delete_req = { .domain = (char *)FAKE_UUID,
                                             .name = (char *)"s1",
                                             .no_wait = true };
static struct snap_revert_req revert_req = { .domain = (char *)FAKE_UUID,
                                             .name = (char *)"s1",
                                             .no_wait = true };
static struct snap_create_req twin_req = { .domain = (char *)TWIN_UUID,
                                           .name = (char *)"t1",
                                           .live = -1,
                                           .memory = SNAP_MEM_NO,
                                           .type = SNAP_DISK_EXTERNAL,
                                           .no_wait = true,
                                           .domain_config = twin_cfg };
static struct snap_create_req other_req = { .domain = (char *)OTHER_UUID,
                                            .name = (char *)"o1",
                                            .live = -1,
                                            .memory = SNAP_MEM_NO,
                                            .type = SNAP_DISK_EXTERNAL,
                                            .no_wait = true,
                                            .domain_config = other_cfg };

static const struct command a_delete = { "snapshot-delete", fake_host_delete,
                                         &delete_req },
                            a_revert = { "snapshot-revert", fake_host_revert,
                                         &revert_req },
                            twins_create = { "snapshot-create of the twin",
                                             fake_host_create, &twin_req },
                            others_create = { "snapshot-create of another",
                                              fake_host_create, &other_req };

/* ---- the scene: vm1 has s1 and is off; the twin is to go on from there ---- */

static struct taken t;
static struct done *done; /* of the command at work, and of who comes */

static void write_cfg(const char *file, const char *name, const char *uuid,
                      const char *a, const char *b)
{
    char *text = snap_printf("name='%s'\nuuid='%s'\nmemory=64\n"
                             "disk=[ 'format=qcow2,vdev=xvda,target=%s',\n"
                             "       'format=qcow2,vdev=xvdb,target=%s' ]\n",
                             name, uuid, a, b);
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_file_write(file, text, strlen(text), 0600, false, &err))
        fail_msg("%s", err.msg);
    free(text);
}

static enum snap_disk_type type = SNAP_DISK_EXTERNAL; /* s1 */

static int setup(void **state)
{
    const struct taken_how how = { .off = true, .type = type };

    (void)state;
    memset(&t, 0, sizeof(t));
    taken_init(&t, &how);
    fake_store_add(t.h.disks, "/img/c.qcow2", "qcow2", 1 << 30);
    fake_store_add(t.h.disks, "/img/d.qcow2", "qcow2", 1 << 30);
    write_cfg(twin_cfg, "vm1", TWIN_UUID, t.path_a, t.path_b);
    write_cfg(other_cfg, "vm2", OTHER_UUID, "/img/c.qcow2", "/img/d.qcow2");
    memset(done, 0, 2 * sizeof(*done));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    taken_dispose(&t);
    return 0;
}

/* ---- who comes, and when ---- */

/* Of the moments that are alike all but every third are left out, unless it is
 * all that is asked for; each kind lasts for more calls than that. */
static unsigned step = 3;

static struct {
    const struct command *who;
    unsigned at, calls;
    bool wait; /* until he has finished, as if we were slow */
    pid_t pid;
    int go; /* a byte lets him begin */
} third;

static void do_it(const struct command *c, struct done *d)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (fake_host_attach(&t.h, &err))
        fail_msg("%s", err.msg);
    d->rc = c->op(&t.h, c->req, &err);
    snprintf(d->msg, sizeof(d->msg), "%s", err.msg);
    fake_host_detach(&t.h);
}

static void ends(void)
{
    int status = 0;

    if (third.go >= 0)
        close(third.go);
    third.go = -1;
    if (third.pid && (waitpid(third.pid, &status, 0) != third.pid || status))
        fail_msg("%s crashed (%#x)", third.who->name, status);
    third.pid = 0;
}

/* A process of his own, from before we have any lock that it would have with
 * us: flock() belongs to the open file. */
static void stands_by(void)
{
    int ends_of[2];
    char go;

    if (pipe(ends_of))
        abort();
    third.go = ends_of[1];
    third.pid = fork();
    if (third.pid) {
        close(ends_of[0]);
        return;
    }
    close(ends_of[1]);
    snap_fault_hook = NULL;
    if (read(ends_of[0], &go, 1) == 1)
        do_it(third.who, &done[1]);
    _exit(0);
}

static int at_call(const char *layer, const char *what)
{
    (void)layer;
    (void)what;
    if (++third.calls != third.at)
        return 0;
    if (write(third.go, "g", 1) != 1)
        abort();
    if (third.wait)
        ends();
    return 0;
}

/* The second comes at call n of the first.  False: that makes fewer. */
static bool meet(const struct command *first, const struct command *second,
                 bool wait, unsigned n)
{
    third.who = second;
    third.wait = wait;
    third.at = n;
    third.calls = 0;
    stands_by();
    snap_fault_hook = at_call;
    do_it(first, &done[0]);
    snap_fault_hook = NULL;
    ends();
    return third.calls >= n;
}

/* ---- what has to be true ---- */

static void wrong(const char *what, const char *path)
{
    fail_msg("at call %u, %s: %s %s (%d \"%s\", %d \"%s\")", third.at,
             third.who->name, path, what, done[0].rc, done[0].msg, done[1].rc,
             done[1].msg);
}

static int entry(const char *path)
{
    const struct fake_image *im = fake_store_find(t.h.disks, path);

    return im ? (int)(im - t.h.disks->image) : -1;
}

static bool is_at_or_below(int image, int top)
{
    for (; top >= 0 && image >= 0; top = t.h.disks->image[top].backing)
        if (top == image)
            return true;
    return false;
}

/* A domain that has not been told writes to what its twin froze; but not below
 * that. */
static void check_written(const char *uuid, const char *frozen)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    size_t i;

    assert_int_equal(snap_store_open(&s, t.h.root, uuid, false, &err), 0);
    assert_int_equal(snap_state_load(&s, &st, &err), 0);
    for (i = 0; i < st.n; i++)
        if (strcmp(st.leaves[i].path, frozen) != 0 &&
            is_at_or_below(entry(st.leaves[i].path), entry(frozen)))
            wrong("is over what a domain writes to", frozen);
    snap_state_dispose(&st);
    snap_store_close(&s);
}

/* The snapshots of one of both: of which instant they have to be. */
static void check_records(const char *uuid, const struct before *at)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r = { 0 };
    const char *name = strcmp(uuid, FAKE_UUID) ? "t1" : "s1";
    size_t k;

    assert_int_equal(snap_store_open(&s, t.h.root, uuid, false, &err), 0);
    if (snap_store_get(&s, name, t.h.env.drivers, &r, &err))
        assert_int_equal(err.rc, SNAP_NOTFOUND);
    for (k = 0; k < r.n_parts; k++) {
        const char *frozen = r.parts[k].frozen_path;
        bool inside = r.parts[k].drv->inside;
        uint64_t is = inside ? fake_store_snap(t.h.disks, frozen, name)
                             : fake_store_content(t.h.disks, frozen);

        if (is != (k ? at->b : at->a))
            wrong("is not what was frozen", frozen);
        if (inside)
            continue;
        check_written(FAKE_UUID, frozen);
        check_written(TWIN_UUID, frozen);
    }
    snap_record_dispose(&r);
    snap_store_close(&s);
}

static void check(void)
{
    if (t.h.disks->violation[0])
        wrong(t.h.disks->violation, "the images");
    check_records(FAKE_UUID, &t.at);
    check_records(TWIN_UUID, &t.last);
}

/* Each of both is the one that comes second, some time. */
static void at_each_call(const struct command *first,
                         const struct command *second)
{
    unsigned n, won = 0, lost = 0;
    bool more = true;

    for (n = 1; more; n += step) {
        setup(NULL);
        more = meet(first, second, true, n);
        if (getenv("TWINS_SAY"))
            print_message("%u: %d %s, %d %s\n", n, done[0].rc, done[0].msg,
                          done[1].rc, done[1].msg);
        check();
        if (done[0].rc == SNAP_RECOVER || done[1].rc == SNAP_RECOVER)
            wrong("were begun, and could not be finished", "the second's");
        won += !done[0].rc && done[1].rc == SNAP_BUSY &&
               strstr(done[1].msg, "in the hands of");
        lost += done[0].rc && !done[1].rc;
        teardown(NULL);
    }
    assert_true(won > 0);
    assert_true(lost > 0);
}

static void a_create_beside_a_delete(void **state)
{
    (void)state;
    at_each_call(&a_delete, &twins_create);
}

static void a_delete_beside_a_create(void **state)
{
    (void)state;
    at_each_call(&twins_create, &a_delete);
}

static void a_create_beside_a_revert(void **state)
{
    (void)state;
    at_each_call(&a_revert, &twins_create);
}

static void a_revert_beside_a_create(void **state)
{
    (void)state;
    at_each_call(&twins_create, &a_revert);
}

/* Which would change the image in place that the other freezes.  Nothing
 * protects a device. */
static void a_create_beside_a_revert_in_place(void **state)
{
    (void)state;
    type = SNAP_DISK_AUTO;
    at_each_call(&a_revert, &twins_create);
    type = SNAP_DISK_EXTERNAL;
}

/* ---- who has other images ---- */

/* They do not come in each other's way, at whatever moment. */
static void one_with_other_images(void **state)
{
    unsigned n;
    bool more = true;

    (void)state;
    for (n = 1; more; n += step) {
        setup(NULL);
        t.h.env.begin_ms = 0;
        more = meet(&a_delete, &others_create, false, n);
        if (done[0].rc || (more && done[1].rc))
            wrong("were waited for", "other images");
        teardown(NULL);
    }
}

/* Long work is done without the store's lock. */
static void held_for_a_moment(void **state)
{
    unsigned n, outside = 0;
    bool more = true;

    (void)state;
    for (n = 1; more; n += step) {
        setup(NULL);
        more = meet(&a_delete, &others_create, true, n);
        if (done[1].rc && !strstr(done[1].msg, "the lock of the whole store"))
            wrong("were refused", "other images");
        outside += done[1].rc == 0;
        teardown(NULL);
    }
    /* All but those around the journal's plan. */
    assert_true(3 * outside > 2 * n / step);
}

/* ---- who does not come to his end ---- */

/* The lock of a dead command is nobody's, and its journal says what to do. */
static void one_that_died(void **state)
{
    struct fake_outcome out;
    unsigned n, busy = 0;
    bool more = true;

    (void)state;
    for (n = 1; more; n += step) {
        setup(NULL);
        third.who = &twins_create;
        third.at = n;
        more = fake_host_run(&t.h, fake_host_create, &twin_req, DOOM_DEATH, n,
                             0, &out);
        do_it(&a_delete, &done[0]);
        if (done[0].rc == SNAP_BUSY) {
            busy++;
            assert_non_null(
                strstr(done[0].msg, "run xl snapshot-recover " TWIN_UUID));
            fake_host_run(&t.h, fake_host_recover_all, NULL, DOOM_NONE, 0, 0,
                          &out);
            assert_int_equal(out.rc, 0);
            do_it(&a_delete, &done[0]);
        }
        if (done[0].rc && done[0].rc != SNAP_REFUSED)
            wrong("could not be deleted", "s1");
        check();
        teardown(NULL);
    }
    assert_true(busy > 0);
}

/* Whoever hangs with it is named, and keeps nobody for ever. */
static void one_that_hangs(void **state)
{
    struct snap_store whole = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(
        snap_store_lock_whole(&whole, t.h.root, "snapshot-test", &err), 0);
    do_it(&a_delete, &done[0]);
    assert_int_equal(done[0].rc, SNAP_BUSY);
    assert_non_null(strstr(done[0].msg, "snapshot-test (pid "));
    snap_store_close(&whole);
    do_it(&a_delete, &done[0]);
    assert_int_equal(done[0].rc, 0);
}

/* What cannot be read may name any image, but for those that the QEMU of a
 * domain that runs has. */
static void a_journal_that_cannot_be_read(void **state)
{
    char *dir = snap_printf("%s/%s", t.h.root, OTHER_UUID);
    char *journal = snap_printf("%s/journal", dir);
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(
        snap_file_write(journal, "no\nplan\n", 8, 0600, false, &err), 0);
    do_it(&a_delete, &done[0]);
    assert_int_equal(done[0].rc, SNAP_REFUSED);
    assert_non_null(
        strstr(done[0].msg, "run xl snapshot-recover " OTHER_UUID));
    fake_host_start(&t.h);
    do_it(&a_delete, &done[0]);
    assert_string_equal(done[0].msg, "");
    free(journal);
    free(dir);
}

/* ---- what is in whose hands ---- */

static bool clash(const char *a, enum snap_use_how a_how, const char *b,
                  enum snap_use_how b_how)
{
    struct snap_uses x = { .n = 0 }, y = { .n = 0 };
    bool yes, back;

    snap_uses_add(&x, (struct snap_object){ NULL, (char *)a, "qcow2" }, a_how);
    snap_uses_add(&y, (struct snap_object){ NULL, (char *)b, "qcow2" }, b_how);
    yes = snap_uses_clash(&t.h.env, &x, &y) != NULL;
    back = snap_uses_clash(&t.h.env, &y, &x) != NULL;
    assert_int_equal(yes, back);
    snap_uses_dispose(&x);
    snap_uses_dispose(&y);
    return yes;
}

static void read_and_changed(void **state)
{
    (void)state;
    assert_false(clash(t.path_a, SNAP_USE_READ, t.path_a, SNAP_USE_READ));
    assert_true(clash(t.path_a, SNAP_USE_READ, t.path_a, SNAP_USE_CHANGE));
    assert_true(clash(t.path_a, SNAP_USE_CHANGE, t.path_a, SNAP_USE_CHANGE));
    /* It is over /img/a.qcow2. */
    assert_true(
        clash(t.path_a, SNAP_USE_READ, "/img/a.qcow2", SNAP_USE_CHANGE));
    assert_false(
        clash(t.path_a, SNAP_USE_CHANGE, "/img/a.qcow2", SNAP_USE_READ));
    assert_false(clash(t.path_a, SNAP_USE_CHANGE, t.path_b, SNAP_USE_CHANGE));
    assert_false(
        clash("/img/none", SNAP_USE_READ, "/img/a.qcow2", SNAP_USE_CHANGE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_create_beside_a_delete),
        cmocka_unit_test(a_delete_beside_a_create),
        cmocka_unit_test(a_create_beside_a_revert),
        cmocka_unit_test(a_revert_beside_a_create),
        cmocka_unit_test(a_create_beside_a_revert_in_place),
        cmocka_unit_test(one_with_other_images),
        cmocka_unit_test(held_for_a_moment),
        cmocka_unit_test(one_that_died),
        cmocka_unit_test_setup_teardown(one_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_cannot_be_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(read_and_changed, setup, teardown),
    };
    const char *all = getenv("CRASH_ALL");
    int fd = mkstemp(twin_cfg), fd2 = mkstemp(other_cfg), rc;

    if (fd < 0 || fd2 < 0)
        return 1;
    close(fd);
    close(fd2);
    if (all)
        step = 1;
    done = mmap(NULL, 2 * sizeof(*done), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(twin_cfg);
    unlink(other_cfg);
    return rc;
}
