/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * No operation begins under a plan that its recovery could not read whole, or
 * would read otherwise than it was meant: nothing is touched, and no journal
 * is there afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/taken.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/clone.h"
#include "op/create.h"
#include "op/delete.h"
#include "op/revert.h"

static const char *const bad[] = {
    "/img/../etc/x.qcow2", "/img/./x.qcow2", "/img/a\nb.qcow2",
    "/img/a\x7f.qcow2",    "x.qcow2",        "/img/\xff.qcow2",
};
#define N_BAD (sizeof(bad) / sizeof(bad[0]))

static struct fake_host host;
static struct fake_store before;
static struct snap_err err;

static int setup(void **state)
{
    (void)state;
    return taken_attached(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

/* From here on nothing may change. */
static void watch(void)
{
    before = *host.disks;
    snap_err_clear(&err);
}

static void nothing_was_done(int rc, const char *uuid, const char *path)
{
    char *journal = snap_printf("%s/%s/journal", host.root, uuid);

    if (rc != SNAP_FAIL && rc != SNAP_REFUSED)
        fail_msg("%s: %d %s", path, rc, err.msg);
    if (!strstr(err.msg, "so nothing was done"))
        fail_msg("%s: \"%s\"", path, err.msg);
    assert_false(snap_file_exists(journal));
    assert_memory_equal(host.disks, &before, sizeof(before));
    free(journal);
}

static void create(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_create_plan p;
    struct snap_create_result r;
    size_t i;
    int rc;

    (void)state;
    for (i = 0; i < N_BAD; i++) {
        assert_int_equal(
            snap_create_plan_make(&host.env, &req, false, &p, &err), 0);
        snap_set(&p.rec.parts[1].active_path, bad[i]);
        watch();
        rc = snap_create_run(&host.env, &req, &p, &r, &err);
        nothing_was_done(rc, FAKE_UUID, bad[i]);
        snap_create_result_dispose(&r);
        snap_create_plan_dispose(&p);
    }
}

static void revert(void **state)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct snap_revert_plan p;
    struct snap_revert_result r;
    size_t i;
    int rc;

    (void)state;
    for (i = 0; i < 2 * N_BAD; i++) {
        assert_int_equal(
            snap_revert_plan_make(&host.env, &req, false, &p, &err), 0);
        snap_set(i % 2 ? &p.rec.parts[1].leaf_path : &p.rec.parts[1].drop_path,
                 bad[i / 2]);
        watch();
        rc = snap_revert_run(&host.env, &req, &p, &r, &err);
        nothing_was_done(rc, FAKE_UUID, bad[i / 2]);
        snap_revert_result_dispose(&r);
        snap_revert_plan_dispose(&p);
    }
}

static void clone_it(void **state)
{
    struct snap_clone_req req = { .domain = (char *)"vm1",
                                  .name = (char *)"s1",
                                  .new_name = (char *)"vm2" };
    struct snap_clone_plan p;
    struct snap_clone_result r;
    size_t i;
    int rc;

    (void)state;
    for (i = 0; i < N_BAD; i++) {
        assert_int_equal(
            snap_clone_plan_make(&host.env, &req, false, &p, &err), 0);
        snap_set(&p.rec.parts[0].leaf_path, bad[i]);
        watch();
        rc = snap_clone_run(&host.env, &req, &p, &r, &err);
        nothing_was_done(rc, p.uuid, bad[i]);
        snap_clone_result_dispose(&r);
        snap_clone_plan_dispose(&p);
    }
}

static void spoil(struct snap_delete *d, size_t what, const char *path)
{
    switch (what) {
    case 0:
        snap_set(&d->parent, path);
        break;
    case 1:
        snap_set(&d->leaf, path);
        break;
    default:
        if (d->n_child)
            snap_set(&d->child[0].path, path);
        else
            snap_set(&d->gone, path);
    }
}

static void delete_it(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct snap_delete_plan p;
    struct snap_delete_result r = { 0 };
    size_t i;
    int rc;

    (void)state;
    for (i = 0; i < 3 * N_BAD; i++) {
        assert_int_equal(
            snap_delete_plan_make(&host.env, &req, false, &p, &err), 0);
        spoil(&p.del[0], i % 3, bad[i / 3]);
        watch();
        rc = snap_delete_run(&host.env, &p, &r, &err);
        nothing_was_done(rc, FAKE_UUID, bad[i / 3]);
        snap_delete_plan_dispose(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(create, setup, teardown),
        cmocka_unit_test_setup_teardown(revert, setup, teardown),
        cmocka_unit_test_setup_teardown(clone_it, setup, teardown),
        cmocka_unit_test_setup_teardown(delete_it, setup, teardown),
    };

    return cmocka_run_group_tests_name("test_plan_journal", tests, NULL, NULL);
}
