/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that no one operation takes together: in which order they are taken,
 * that all are or none, and a frozen volume that fills up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/check.h"
#include "fakes/fake_disk_int.h"
#include "fakes/fake_host.h"
#include "lib/mem.h"
#include "op/verify.h"
#include "store/store.h"

static struct fake_host host;
static struct before then; /* what the guest had when it was taken */

static struct snap_create_req ask(void)
{
    return (struct snap_create_req){ .domain = (char *)"vm1",
                                     .name = (char *)"s1",
                                     .live = -1,
                                     .no_wait = true,
                                     .memory = SNAP_MEM_NO };
}

static void set_up(enum fake_disks disks)
{
    fake_host_init_with(&host, disks);
    before_take(&then, &host);
}

static int tear_down(void **state)
{
    (void)state;
    fake_host_dispose(&host);
    return 0;
}

static void done(fake_op *op, void *req)
{
    struct fake_outcome out;

    fake_host_run(&host, op, req, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        fail_msg("%s", out.msg);
}

static void create(void)
{
    struct snap_create_req req = ask();

    done(fake_host_create, &req);
}

/* The command ends at this call. */
static void dies_at(enum fake_disks disks, const char *call)
{
    struct snap_create_req req = ask();
    struct fake_outcome out;
    unsigned n;

    for (n = 1;; n++) {
        set_up(disks);
        if (!fake_host_run(&host, fake_host_create, &req, DOOM_DEATH, n, 0,
                           &out))
            fail_msg("%s is never called", call);
        if (!strcmp(out.doomed, call))
            break;
        fake_host_dispose(&host);
    }
}

static void goes_on(void)
{
    const char *w;

    done(fake_host_guardian, NULL);
    before_take(&then, &host);
    done(fake_host_recover, NULL);
    w = check_guest(&host, &then);
    if (w)
        fail_msg("%s", w);
}

static const char *active(const char *vdev)
{
    return fake_store_active(host.disks,
                             fake_domain_find(host.world, "vm1")->domid, vdev);
}

/* A pool with room for one volume has none for two; that is seen in the plan. */
static void a_pool_is_promised_once(void **state)
{
    struct snap_create_req req = ask();
    struct fake_outcome out;

    (void)state;
    set_up(FAKE_VOLUMES);
    host.disks->pool_bytes = 6u << 20;
    fake_host_run(&host, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_NOSPACE);
    assert_non_null(strstr(out.msg, "its pool has no room"));
    assert_false(fake_store_exists(host.disks, "vol/a-s1"));
    assert_null(strstr(host.disks->violation, "v"));
    host.disks->pool_bytes = 8u << 20;
    create();
}

/* To put a guest back on its old image is dearer than to remove a volume. */
static void what_moves_comes_last(void **state)
{
    (void)state;
    dies_at(FAKE_OVER_VOLUME, "disk: take done xvdb");
    assert_string_equal(active("xvda"), "/img/a.img");
    assert_true(fake_store_exists(host.disks, "vol/b-s1"));
    goes_on();
    assert_false(fake_store_exists(host.disks, "vol/b-s1"));
    assert_string_equal(active("xvda"), "/img/a.img");
}

/* One volume after the other: the second is not there when it dies. */
static void half_a_group_is_put_back(void **state)
{
    (void)state;
    dies_at(FAKE_VOLUMES, "disk: take half xvdb");
    assert_true(fake_store_exists(host.disks, "vol/a-s1"));
    goes_on();
    assert_false(fake_store_exists(host.disks, "vol/a-s1"));
    assert_false(fake_store_exists(host.disks, "vol/b-s1"));
}

/* Both groups were taken, so the snapshot is finished. */
static void all_groups_is_taken(void **state)
{
    struct before at;
    bool there;
    const char *w;

    (void)state;
    dies_at(FAKE_OVER_VOLUME, "disk: take done xvda");
    at = then;
    goes_on();
    w = check_record(&host, "s1", false, &at, &there);
    if (w || !there)
        fail_msg("%s", w ? w : "there is no snapshot");
}

/* The guest does not notice; who goes back is told before anything is done;
 * and it can be deleted. */
static void frozen_volume_fills_up(void **state)
{
    struct snap_revert_req back = { .domain = (char *)"vm1",
                                    .name = (char *)"s1",
                                    .no_wait = true };
    struct snap_delete_req del = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };
    struct fake_outcome out;
    const char *w;
    int i;

    (void)state;
    set_up(FAKE_VOLUMES);
    host.disks->room = 3;
    create();
    for (i = 0; i < 3; i++)
        before_take(&then, &host);
    fake_host_run(&host, fake_host_revert, &back, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_CORRUPT);
    assert_non_null(strstr(out.msg, "vol/a-s1 is damaged"));
    w = check_guest(&host, &then);
    if (w)
        fail_msg("%s", w);
    done(fake_host_delete, &del);
    w = check_guest(&host, &then);
    if (w)
        fail_msg("%s", w);
    assert_false(fake_store_exists(host.disks, "vol/a-s1"));
}

static void round_trip(void)
{
    struct snap_revert_req back = { .domain = (char *)"vm1",
                                    .name = (char *)"s1",
                                    .no_wait = true };
    struct snap_delete_req del = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };
    struct before at = then;
    const char *w;

    create();
    before_take(&then, &host);
    done(fake_host_revert, &back);
    w = check_guest(&host, &at);
    if (!w)
        done(fake_host_delete, &del);
    if (!w)
        w = check_guest(&host, &at);
    if (w)
        fail_msg("%s", w);
}

/* The kernel serves the disks, and there is no QEMU to ask. */
static void without_a_qemu(void **state)
{
    (void)state;
    set_up(FAKE_VOLUMES);
    host.world->phy = true;
    round_trip();
}

static void with_a_qemu_for_one_disk(void **state)
{
    (void)state;
    set_up(FAKE_OVER_VOLUME);
    host.world->phy = true;
    round_trip();
}

/* Nobody takes what another than QEMU serves, if no driver knows of it. */
static void backend_without_a_driver(void **state)
{
    static const struct snap_disk_driver *const qemus[] = { &fake_internal,
                                                            &fake_external,
                                                            NULL };
    struct snap_create_req req = ask();
    struct fake_outcome out;

    (void)state;
    set_up(FAKE_VOLUMES);
    host.world->phy = true;
    host.env.drivers = qemus;
    fake_host_run(&host, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_UNSUPPORTED);
    assert_string_equal(out.msg,
                        "xvda: no driver for backend phy (/vol/a); use "
                        "--no-disk xvda, or give the disk backendtype=qdisk");
}

static void pool_is_full(void **state)
{
    struct snap_create_req req = ask();
    struct fake_outcome out;

    (void)state;
    set_up(FAKE_INSIDE_VOLUME);
    host.disks->pool_bytes = 0;
    fake_host_run(&host, fake_host_create, &req, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, SNAP_NOSPACE);
    assert_null(check_guest(&host, &then));
}

#define T(fn) cmocka_unit_test_teardown(fn, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_pool_is_promised_once),  T(what_moves_comes_last),
        T(half_a_group_is_put_back), T(all_groups_is_taken),
        T(frozen_volume_fills_up),   T(pool_is_full),
        T(without_a_qemu),           T(with_a_qemu_for_one_disk),
        T(backend_without_a_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
