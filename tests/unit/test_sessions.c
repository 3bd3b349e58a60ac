/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Several domains in one command's hands: in the order of their UUIDs whatever
 * they were named in, and all or none.  The locks are real ones, and who waits
 * for them are processes.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/sessions.h"
#include "store/lock.h"

/* vm2, which is off, comes before vm1. */
#define FIRST_UUID "00000000-2222-3333-4444-555555555555"
#define ROUNDS     100
#define SOON       20 /* seconds until somebody waits for ever */

static const char *const one_way[] = { "vm1", "vm2" };
static const char *const other_way[] = { "vm2", "vm1" };
static struct fake_host host;
static struct snap_sessions ss;
static struct snap_err err;
static unsigned flocks; /* since look_at_locks() */
static struct snap_store held = SNAP_STORE_INIT; /* by us, not by children */

static int count_flocks(const char *layer, const char *what)
{
    if (!strcmp(layer, "file") && !strcmp(what, "flock"))
        flocks++;
    return 0;
}

static void look_at_locks(void)
{
    flocks = 0;
    snap_fault_hook = count_flocks;
}

static int create(const char *domain, const char *cfg)
{
    struct snap_disk_choice skip = { .vdev = (char *)"xvdb", .skip = true };
    struct snap_create_req req = { .domain = (char *)domain,
                                   .name = (char *)(cfg ? "s1" : "t1"),
                                   .live = -1,
                                   .type = SNAP_DISK_INTERNAL,
                                   .domain_config = (char *)cfg,
                                   .disks = cfg ? NULL : &skip,
                                   .n_disks = cfg ? 0 : 1 };

    snap_err_clear(&err);
    return fake_host_create(&host, &req, &err);
}

static int setup(void **state)
{
    static const char text[] =
        "name='vm2'\nuuid='" FIRST_UUID "'\nmemory=64\n"
        "disk=[ 'format=qcow2,vdev=xvda,target=/img/a.qcow2' ]\n";
    char cfg[] = "/tmp/snap-sessions-XXXXXX";
    int fd = mkstemp(cfg), rc;

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    fake_host_init(&host);
    fake_host_stop(&host);
    rc = snap_file_write(cfg, text, strlen(text), 0600, false, &err);
    if (!rc)
        rc = fake_host_attach(&host, &err);
    if (!rc)
        rc = create("vm2", cfg);
    unlink(cfg);
    fake_host_start(&host);
    if (!rc)
        rc = create("vm1", NULL);
    if (rc)
        print_error("%s\n", err.msg);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    snap_sessions_close(&ss);
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static int open_as(const char *const *who, struct snap_entry how)
{
    how.command = "snapshot-test";
    snap_err_clear(&err);
    return snap_sessions_open(&ss, &host.env, who, 2, &how, &err);
}

static void opened(int rc)
{
    if (rc)
        fail_msg("%s", err.msg);
    assert_int_equal(ss.n, 2);
    assert_string_equal(ss.v[0].uuid, FIRST_UUID);
    assert_string_equal(ss.v[1].uuid, FAKE_UUID);
    assert_string_equal(ss.v[0].name, "vm2");
    assert_string_equal(ss.v[1].name, "vm1");
    assert_false(ss.v[0].there);
    assert_true(ss.v[1].there);
    assert_string_not_equal(ss.v[0].op_id, ss.v[1].op_id);
}

static void refused(int rc, int want, const char *why)
{
    assert_int_equal(rc, want);
    assert_int_equal(err.rc, want);
    if (!strstr(err.msg, why))
        fail_msg("said \"%s\", not \"%s\"", err.msg, why);
    assert_int_equal(ss.n, 0);
    assert_null(ss.v);
}

static void hold(struct snap_store *s, const char *uuid)
{
    *s = (struct snap_store)SNAP_STORE_INIT;
    assert_int_equal(snap_store_open(s, host.root, uuid, false, NULL), 0);
    assert_int_equal(snap_store_lock(s, false, "another", NULL, NULL), 0);
}

/* Can somebody else have it? */
static bool is_free(const char *uuid)
{
    struct snap_store s = SNAP_STORE_INIT;
    bool is;

    assert_int_equal(snap_store_open(&s, host.root, uuid, false, NULL), 0);
    is = !snap_store_lock(&s, false, "another", NULL, NULL);
    snap_store_close(&s);
    return is;
}

static char *file_of(const char *uuid, const char *name)
{
    return snap_printf("%s/%s/%s", host.root, uuid, name);
}

static void leave_journal(const char *uuid, const char *text)
{
    char *path = file_of(uuid, "journal");

    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0600, false, NULL), 0);
    free(path);
}

static void by_uuid_whatever_the_order(void **state)
{
    (void)state;
    opened(open_as(one_way, (struct snap_entry){ 0 }));
    assert_false(is_free(FIRST_UUID));
    assert_false(is_free(FAKE_UUID));
    assert_ptr_equal(snap_sessions_find(&ss, FAKE_UUID), &ss.v[1]);
    assert_null(snap_sessions_find(&ss, "none"));
    snap_sessions_close(&ss);
    snap_sessions_close(&ss);
    assert_true(is_free(FIRST_UUID));
    assert_true(is_free(FAKE_UUID));
    opened(open_as(other_way, (struct snap_entry){ 0 }));
}

/* One that is busy: it is known by how many locks were asked for that the one
 * with the lower UUID comes first. */
static void one_busy_lets_all_go(void **state)
{
    const char *const *const ways[] = { one_way, other_way };
    struct snap_store s;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        hold(&s, FIRST_UUID);
        look_at_locks();
        refused(open_as(ways[i], (struct snap_entry){ 0 }), SNAP_BUSY,
                "vm2: another (pid ");
        assert_int_equal(flocks, 1);
        assert_true(is_free(FAKE_UUID));
        snap_store_close(&s);

        hold(&s, FAKE_UUID);
        look_at_locks();
        refused(open_as(ways[i], (struct snap_entry){ 0 }), SNAP_BUSY,
                "vm1: another (pid ");
        assert_int_equal(flocks, 2);
        assert_true(is_free(FIRST_UUID));
        snap_store_close(&s);
    }
}

static void one_named_twice(void **state)
{
    static const char *const twice[] = { "vm1", FAKE_UUID };

    (void)state;
    look_at_locks();
    refused(open_as(twice, (struct snap_entry){ 0 }), SNAP_INVAL,
            "vm1 and " FAKE_UUID " are the same domain");
    assert_int_equal(flocks, 0);
    snap_err_clear(&err);
    refused(snap_sessions_open(&ss, &host.env, NULL, 0, NULL, &err),
            SNAP_INVAL, "no domain");
}

static void one_that_nobody_knows(void **state)
{
    static const char *const unknown[] = { "vm1", "vm3" };

    (void)state;
    look_at_locks();
    refused(open_as(unknown, (struct snap_entry){ 0 }), SNAP_NOTFOUND, "vm3");
    assert_int_equal(flocks, 0);
}

static void what_was_left_of_the_second_cannot_be_mended(void **state)
{
    char *state_file = file_of(FIRST_UUID, "state.json");
    char *record = file_of(FIRST_UUID, "records/s1.json");
    char *before[2] = { NULL, NULL }, *after[2] = { NULL, NULL }, *files, *now;
    const char *path[2] = { state_file, record };
    struct fake_store disks;
    size_t i, n;

    (void)state;
    leave_journal(FAKE_UUID, "what is this\n{}\n");
    for (i = 0; i < 2; i++)
        assert_int_equal(
            snap_file_read(path[i], 1 << 20, &before[i], &n, &err), 0);
    files = fake_host_files(&host);
    disks = *host.disks;
    refused(open_as(one_way, (struct snap_entry){ 0 }), SNAP_RECOVER, "vm1: ");
    assert_true(is_free(FIRST_UUID));
    assert_true(is_free(FAKE_UUID));
    now = fake_host_files(&host);
    assert_string_equal(now, files);
    assert_memory_equal(host.disks, &disks, sizeof(disks));
    for (i = 0; i < 2; i++) {
        assert_int_equal(snap_file_read(path[i], 1 << 20, &after[i], &n, &err),
                         0);
        assert_string_equal(after[i], before[i]);
        free(after[i]);
        free(before[i]);
    }
    free(now);
    free(files);
    free(record);
    free(state_file);
}

static void what_was_left_is_put_right(void **state)
{
    char *journal = file_of(FAKE_UUID, "journal");

    (void)state;
    leave_journal(FAKE_UUID, "");
    opened(open_as(one_way, (struct snap_entry){ 0 }));
    assert_false(snap_file_exists(journal));
    assert_non_null(strstr(host.said, "an earlier command was interrupted"));
    free(journal);
}

static void a_dry_run_takes_no_lock(void **state)
{
    struct snap_store a, b;

    (void)state;
    hold(&a, FIRST_UUID);
    hold(&b, FAKE_UUID);
    look_at_locks();
    opened(open_as(one_way, (struct snap_entry){ .dry_run = true }));
    assert_int_equal(flocks, 0);
    snap_store_close(&a);
    snap_store_close(&b);
}

static void shared_with_others(void **state)
{
    struct snap_sessions theirs;
    struct snap_entry how = { .command = "another", .shared = true };

    (void)state;
    assert_int_equal(
        snap_sessions_open(&theirs, &host.env, other_way, 2, &how, &err), 0);
    opened(open_as(one_way, (struct snap_entry){ .shared = true }));
    snap_sessions_close(&ss);
    refused(open_as(one_way, (struct snap_entry){ 0 }), SNAP_BUSY, "vm2: ");
    snap_sessions_close(&theirs);
}

/* ---- processes ---- */

/* Takes both again and again; 0 if it always got them in time. */
static pid_t taking(const char *const *who)
{
    pid_t pid;
    int i;

    fflush(NULL);
    pid = fork();
    if (pid)
        return pid;
    alarm(SOON);
    snap_store_close(&held);
    for (i = 0; i < ROUNDS; i++) {
        if (open_as(who, (struct snap_entry){ .wait = true }))
            _exit(1);
        usleep(500);
        snap_sessions_close(&ss);
    }
    _exit(0);
}

static void ends_well(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void nobody_waits_for_ever(void **state)
{
    pid_t one = taking(one_way), other = taking(other_way);

    (void)state;
    ends_well(one);
    ends_well(other);
}

/* Who waits for vm1 has vm2, however its user named them. */
static void whoever_waits_has_those_before(void **state)
{
    pid_t pid;
    double deadline = snap_now_ms() + SOON * 1000;

    (void)state;
    hold(&held, FAKE_UUID);
    pid = taking(one_way);
    while (is_free(FIRST_UUID) && snap_now_ms() < deadline)
        usleep(1000);
    assert_false(is_free(FIRST_UUID));
    snap_store_close(&held);
    ends_well(pid);
}

#define SESSIONS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSIONS_TEST(by_uuid_whatever_the_order),
        SESSIONS_TEST(one_busy_lets_all_go),
        SESSIONS_TEST(one_named_twice),
        SESSIONS_TEST(one_that_nobody_knows),
        SESSIONS_TEST(what_was_left_of_the_second_cannot_be_mended),
        SESSIONS_TEST(what_was_left_is_put_right),
        SESSIONS_TEST(a_dry_run_takes_no_lock),
        SESSIONS_TEST(shared_with_others),
        SESSIONS_TEST(nobody_waits_for_ever),
        SESSIONS_TEST(whoever_waits_has_those_before),
    };

    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
