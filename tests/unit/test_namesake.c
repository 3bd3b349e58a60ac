/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An xl.cfg without a uuid gives the domain another UUID with each xl create.
 * Snapshots of the one before are not lost from sight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/listing.h"
#include "op/resolve.h"

#define OTHER_UUID "22222222-2222-3333-4444-555555555555"

static struct fake_host host;
static struct snap_err err;

static int create(const char *name, const char *file)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .live = -1,
                                   .type = SNAP_DISK_INTERNAL,
                                   .domain_config = (char *)file };
    struct snap_disk_choice skip = { .vdev = (char *)"xvdb", .skip = true };

    snap_err_clear(&err);
    if (!file) {
        req.disks = &skip;
        req.n_disks = 1;
    }
    return fake_host_create(&host, &req, &err);
}

/* OTHER_UUID was a vm1 once, and has the snapshot "old"; the vm1 that runs now
 * has "new". */
static int setup(void **state)
{
    static const char text[] =
        "name='vm1'\nuuid='" OTHER_UUID "'\nmemory=64\n"
        "disk=[ 'format=qcow2,vdev=xvda,target=/img/a.qcow2' ]\n";
    char cfg[] = "/tmp/snap-namesake-XXXXXX";
    int fd = mkstemp(cfg);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    fake_host_init(&host);
    fake_host_stop(&host);
    if (snap_file_write(cfg, text, strlen(text), 0600, false, &err) ||
        fake_host_attach(&host, &err) || create("old", cfg))
        return -1;
    unlink(cfg);
    fake_host_start(&host);
    return create("new", NULL);
}

static int teardown(void **state)
{
    (void)state;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static void hinted(int rc)
{
    assert_int_equal(rc, SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, "there is no snapshot old"));
    assert_non_null(strstr(err.msg, OTHER_UUID ": give that"));
}

static void test_hint(void **state)
{
    struct snap_revert_req revert = { .domain = (char *)"vm1",
                                      .name = (char *)"old" };
    struct snap_delete_req delete = { .domain = (char *)"vm1",
                                      .name = (char *)"old" };
    struct snap_clone_req clone = { .domain = (char *)"vm1",
                                    .name = (char *)"old",
                                    .new_name = (char *)"vm2" };

    (void)state;
    snap_err_clear(&err);
    hinted(fake_host_revert(&host, &revert, &err));
    snap_err_clear(&err);
    hinted(fake_host_delete(&host, &delete, &err));
    snap_err_clear(&err);
    hinted(fake_host_clone(&host, &clone, &err));

    /* One that nobody has. */
    revert.name = (char *)"none";
    snap_err_clear(&err);
    assert_int_equal(fake_host_revert(&host, &revert, &err), SNAP_NOTFOUND);
    assert_null(strstr(err.msg, OTHER_UUID));

    /* As the message says; not while the other one has the image. */
    fake_host_stop(&host);
    delete.domain = (char *)OTHER_UUID;
    snap_err_clear(&err);
    if (fake_host_delete(&host, &delete, &err))
        fail_msg("%s", err.msg);
}

static void test_list(void **state)
{
    struct snap_listing *ls = NULL;
    struct snap_delete_req delete = { .domain = (char *)OTHER_UUID,
                                      .name = (char *)"old" };
    size_t n = 0;

    (void)state;
    assert_int_equal(snap_listings_load(&host.env, "vm1", &ls, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(ls[0].n, 1);
    assert_string_equal(ls[0].rs[0].name, "new");
    assert_non_null(strstr(host.said, "snapshot-list " OTHER_UUID));
    snap_listings_free(&ls, &n);

    /* Without snapshots it is none. */
    fake_host_stop(&host);
    if (fake_host_delete(&host, &delete, &err))
        fail_msg("%s", err.msg);
    host.said[0] = '\0';
    assert_int_equal(snap_listings_load(&host.env, "vm1", &ls, &n, &err), 0);
    assert_null(strstr(host.said, OTHER_UUID));
    snap_listings_free(&ls, &n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };

    return cmocka_run_group_tests_name("namesake", tests, NULL, NULL);
}
