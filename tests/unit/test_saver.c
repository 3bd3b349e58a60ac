/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Somebody begins to migrate a domain while its QEMU moves data for a
 * deletion: the work ends in time, and whoever is at work is named.  The looks
 * are a second apart, so each case takes that long.
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

#include <cmocka.h>

#include "fakes/taken.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/create.h"
#include "op/delete.h"
#include "op/recover.h"
#include "op/saver.h"
#include "store/lock.h"
#include "store/store.h"

static struct fake_host host;
static struct snap_err err;
static const char *at; /* "merge half": somebody begins there */

static struct fake_domain *vm(void)
{
    return fake_domain_find(host.world, "vm1");
}

static int setup(void **state)
{
    (void)state;
    return taken_attached(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static void migrates(bool yes)
{
    vm()->other_save = vm()->precopy = yes;
}

/* After the last look before the snapshot is gone. */
static int late_hook(const char *layer, const char *what)
{
    static unsigned looks;

    looks += !strcmp(layer, "hyp") && !strcmp(what, "saver");
    if (looks == 2 && !strcmp(layer, "file")) {
        looks++;
        migrates(true);
    }
    return 0;
}

/* And a tick is due. */
static int hook(const char *layer, const char *what)
{
    if (!at || strcmp(layer, "disk") || strcmp(what, at) != 0)
        return 0;
    at = NULL;
    migrates(true);
    poll(NULL, 0, 1050);
    return 0;
}

static int delete_s1(const char *call)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    int rc;

    at = call;
    snap_fault_hook = hook;
    snap_err_clear(&err);
    rc = fake_host_delete(&host, &req, &err);
    snap_fault_hook = NULL;
    assert_null(at);
    return rc;
}

static bool has_s1(bool *journal_r)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err e = SNAP_ERR_INIT;
    char *path;
    bool has;

    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &e), 0);
    path = snap_store_journal_path(&s);
    *journal_r = snap_file_exists(path);
    has = snap_store_has(&s, "s1");
    free(path);
    snap_store_close(&s);
    return has;
}

static int recover(void)
{
    int rc;
    struct snap_store s = SNAP_STORE_INIT;
    char *what = NULL;

    snap_err_clear(&err);
    rc = snap_store_open(&s, host.root, FAKE_UUID, true, &err);
    if (!rc)
        rc = snap_store_lock(&s, false, "recover", NULL, &err);
    if (!rc)
        rc = snap_recover(&host.env, &s, false, &what, &err);
    free(what);
    snap_store_close(&s);
    return rc;
}

static void names_it(void)
{
    if (!strstr(err.msg, "is being saved or migrated"))
        fail_msg("it said: %s", err.msg);
}

static uint64_t changes(void)
{
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < FAKE_IMAGES; i++)
        n += host.disks->image[i].stamp;
    return n;
}

/* Before the snapshot is gone: it is kept. */
static void during_a_pull(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    bool journal;
    uint64_t before;

    (void)state;
    assert_int_equal(fake_host_create(&host, &req, &err), 0);
    before = changes();
    assert_int_equal(delete_s1("pull xvda"), SNAP_BUSY);
    names_it();
    assert_int_equal(changes(), before); /* nor what it was copying */
    assert_non_null(strstr(err.msg, "snapshot s1 is kept"));
    assert_true(has_s1(&journal));
    assert_false(journal);
    migrates(false);
    assert_null(check_guest(&host, NULL));
}

/* After that it is finished by the next one, when the migration has ended. */
static void during_a_merge(void **state)
{
    bool journal;
    char *path;

    (void)state;
    assert_int_equal(delete_s1("merge half xvda"), SNAP_RECOVER);
    names_it();
    assert_false(has_s1(&journal));
    assert_true(journal);
    path = fake_domain_path(vm(), "xvda");
    assert_string_not_equal(path, "/img/a.qcow2");
    free(path);
    assert_int_equal(recover(), SNAP_RECOVER);
    names_it();
    migrates(false);
    if (recover())
        fail_msg("%s", err.msg);
    assert_null(check_guest(&host, NULL));
    path = fake_domain_path(vm(), "xvda");
    assert_string_equal(path, "/img/a.qcow2");
    free(path);
}

/* What is inside an image that another QEMU opens stays there until then. */
static void before_what_is_inside_goes(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_INTERNAL };
    struct snap_delete_req del = { .domain = (char *)"vm1",
                                   .name = (char *)"s2" };
    char *path = fake_domain_path(vm(), "xvda");

    (void)state;
    assert_int_equal(fake_host_create(&host, &req, &err), 0);
    snap_fault_hook = late_hook;
    assert_int_equal(fake_host_delete(&host, &del, &err), SNAP_RECOVER);
    snap_fault_hook = NULL;
    names_it();
    assert_int_not_equal(fake_store_snap(host.disks, path, "s2"), 0);
    migrates(false);
    if (recover())
        fail_msg("%s", err.msg);
    assert_int_equal(fake_store_snap(host.disks, path, "s2"), 0);
    free(path);
}

/* A look that fails says nothing of others. */
static int no_look(const char *layer, const char *what)
{
    return !strcmp(layer, "hyp") && !strcmp(what, "saver") ? EIO : 0;
}

static void nobody_known(void **state)
{
    struct snap_domain dom = { 0 };
    struct snap_saver s = { .env = &host.env, .dom = &dom };

    (void)state;
    dom.domid = vm()->domid;
    snap_fault_hook = no_look;
    assert_int_equal(snap_saver_look(&s, &err), 0);
    snap_fault_hook = NULL;
    migrates(true);
    assert_false(snap_saver_tick(&s)); /* too soon */
    assert_int_equal(snap_saver_verdict(&s, SNAP_INTR, &err), SNAP_INTR);
    assert_int_equal(snap_saver_look(&s, &err), SNAP_BUSY);
    assert_int_equal(snap_saver_verdict(&s, SNAP_IO, &err), SNAP_IO);
    migrates(false);
    s.dom = NULL;
    assert_int_equal(snap_saver_look(&s, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(during_a_pull, setup, teardown),
        cmocka_unit_test_setup_teardown(during_a_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(before_what_is_inside_goes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_known, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
