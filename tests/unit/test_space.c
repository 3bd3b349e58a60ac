/* SPDX-License-Identifier: LGPL-2.1-only */
/* What several want of one file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/file.h"
#include "lib/space.h"

static const char here[] = "/tmp/not-yet/there.qcow2";

/* Others write to /tmp while this runs; whatever is asked for below differs
 * by a quarter of what was free. */
static uint64_t slack;

static uint64_t left(struct snap_space *s, const char *path)
{
    uint64_t bytes;

    assert_int_equal(snap_space_left(s, path, &bytes, NULL), 0);
    return bytes;
}

static uint64_t to_grow(struct snap_space *s, const char *path)
{
    uint64_t bytes;

    assert_int_equal(snap_space_to_grow(s, path, &bytes, NULL), 0);
    return bytes;
}

static bool about(uint64_t a, uint64_t b)
{
    return a < b ? b - a < slack : a - b < slack;
}

static void test_taken_is_gone(void **state)
{
    struct snap_space s = { 0 };
    uint64_t all = left(&s, here);

    (void)state;
    snap_space_take(&s, "/tmp", all / 2);
    assert_true(about(left(&s, here), all - all / 2));
    assert_true(about(to_grow(&s, here), all - all / 2));
    snap_space_take(&s, "/tmp/elsewhere", all / 4);
    assert_int_equal(s.n, 1);
    assert_true(about(left(&s, here), all - all / 2 - all / 4));
    snap_space_take(&s, here, all);
    assert_int_equal(left(&s, here), 0);
    snap_space_take(&s, here, UINT64_MAX);
    assert_int_equal(left(&s, here), 0);
}

static void test_kept_once(void **state)
{
    struct snap_space s = { 0 };
    uint64_t all = left(&s, here), keep = all / 2;

    (void)state;
    snap_space_keep(&s, "/tmp", keep);
    snap_space_keep(&s, here, keep);
    snap_space_keep(&s, here, 1);
    assert_true(about(left(&s, here), all - keep));
    assert_true(about(to_grow(&s, here), all));
    snap_space_take(&s, here, all - keep);
    assert_true(about(left(&s, here), 0));
    assert_true(about(to_grow(&s, here), keep));
}

static void test_file_systems_apart(void **state)
{
    struct snap_space s = { 0 };
    struct stat tmp, proc;

    (void)state;
    assert_int_equal(stat("/tmp", &tmp), 0);
    assert_int_equal(stat("/proc", &proc), 0);
    assert_int_not_equal(tmp.st_dev, proc.st_dev);
    snap_space_take(&s, "/proc/self", UINT64_MAX);
    assert_true(about(left(&s, here), left(NULL, here)));
    assert_int_equal(left(&s, "/proc/self"), 0);
}

static void test_not_counted(void **state)
{
    struct snap_space s = { 0 };
    uint64_t all = left(NULL, here);
    size_t i;

    (void)state;
    snap_space_take(NULL, here, all);
    snap_space_keep(NULL, here, all);
    assert_true(about(left(NULL, here), all));
    for (i = 0; i < SNAP_SPACE_MAX; i++)
        s.fs[i].dev = (dev_t)-1 - i;
    s.n = SNAP_SPACE_MAX;
    snap_space_take(&s, here, all);
    assert_int_equal(s.n, SNAP_SPACE_MAX);
    assert_true(about(left(&s, here), all));
}

static void test_pools(void **state)
{
    struct snap_space s = { 0 };
    char name[2 * SNAP_SPACE_NAME];
    unsigned i;

    (void)state;
    assert_int_equal(snap_space_pool_left(&s, "lvm vg/p data", 100), 100);
    snap_space_pool_take(&s, "lvm vg/p data", 30);
    snap_space_pool_take(&s, "lvm vg/p metadata", 5);
    assert_int_equal(snap_space_pool_left(&s, "lvm vg/p data", 100), 70);
    assert_int_equal(snap_space_pool_left(&s, "lvm vg/p metadata", 8), 3);
    assert_int_equal(snap_space_pool_left(&s, "zfs tank", 100), 100);
    snap_space_pool_take(&s, "lvm vg/p data", UINT64_MAX);
    assert_int_equal(snap_space_pool_left(&s, "lvm vg/p data", 100), 0);
    /* Beside file systems, which have no name. */
    snap_space_take(&s, "/tmp", 1);
    assert_int_equal(s.n, 3);
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    snap_space_pool_take(&s, name, 1);
    assert_int_equal(s.n, 3);
    for (i = 0; i < 2 * SNAP_SPACE_MAX; i++) {
        snprintf(name, sizeof(name), "pool %u", i);
        snap_space_pool_take(&s, name, 1);
    }
    assert_int_equal(s.n, SNAP_SPACE_MAX);
    snap_space_pool_take(NULL, "zfs tank", 1);
    assert_int_equal(snap_space_pool_left(NULL, "zfs tank", 7), 7);
}

int main(void)
{
    uint64_t free_bytes;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_is_gone),
        cmocka_unit_test(test_kept_once),
        cmocka_unit_test(test_file_systems_apart),
        cmocka_unit_test(test_not_counted),
        cmocka_unit_test(test_pools),
    };

    if (snap_free_bytes(here, &free_bytes, NULL, NULL))
        return 1;
    slack = free_bytes / 8;
    return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
