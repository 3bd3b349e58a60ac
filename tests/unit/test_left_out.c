/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A disk that a snapshot leaves out goes on by itself.  Memory that comes back
 * does not know what happened on it, and the user is told so twice: when the
 * snapshot is taken, and before it is gone back to.
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
#include "lib/mem.h"
#include "op/create.h"
#include "op/revert.h"

static struct fake_host host;
static struct snap_err err;
static char image[] = "/tmp/snap-left-out-XXXXXX";

/* xvdb is a file that is there. */
static int setup(void **state)
{
    struct fake_domain *d;
    char *at, *rest;
    int fd = mkstemp(image);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    fake_host_init(&host);
    d = fake_domain_find(host.world, "vm1");
    at = strstr(d->config, "/img/b.img");
    if (!at || strlen(d->config) + sizeof(image) > sizeof(d->config))
        return -1;
    rest = snap_strdup(at + strlen("/img/b.img"));
    memcpy(at, image, strlen(image));
    memcpy(at + strlen(image), rest, strlen(rest) + 1);
    free(rest);
    return fake_host_attach(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    unlink(image);
    return 0;
}

static bool noted(char *const *notes, size_t n, const char *what)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (strstr(notes[i], "xvdb: ") && strstr(notes[i], what))
            return true;
    return false;
}

static void take(const char *name, enum snap_memory_want memory, bool warned)
{
    struct snap_disk_choice skip = { .vdev = (char *)"xvdb", .skip = true };
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .memory = memory,
                                   .live = -1,
                                   .type = SNAP_DISK_INTERNAL,
                                   .disks = &skip,
                                   .n_disks = 1 };
    struct snap_create_plan p;

    assert_int_equal(snap_create_plan_make(&host.env, &req, true, &p, &err),
                     0);
    assert_true(noted(p.ses.notes, p.ses.n_notes, "not wanted, left out"));
    assert_int_equal(noted(p.ses.notes, p.ses.n_notes,
                           "after a revert the guest still believes"),
                     warned);
    snap_create_plan_dispose(&p);
    assert_int_equal(fake_host_create(&host, &req, &err), 0);
}

static void go_back(const char *name, bool warned)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name };
    struct snap_revert_plan p;
    char *path;

    assert_int_equal(snap_revert_plan_make(&host.env, &req, true, &p, &err),
                     0);
    assert_true(noted(p.ses.notes, p.ses.n_notes, "keeps what it has now"));
    assert_int_equal(noted(p.ses.notes, p.ses.n_notes,
                           "which the memory that comes back does not know"),
                     warned);
    snap_revert_plan_dispose(&p);
    assert_int_equal(fake_host_revert(&host, &req, &err), 0);
    path = fake_domain_path(fake_domain_find(host.world, "vm1"), "xvdb");
    assert_string_equal(path, image);
    free(path);
}

static void test_with_memory(void **state)
{
    (void)state;
    take("s1", SNAP_MEM_YES, true);
    go_back("s1", true);
}

static void test_disks_only(void **state)
{
    (void)state;
    take("s2", SNAP_MEM_NO, false);
    go_back("s2", false);
}

static void test_gone(void **state)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };

    (void)state;
    unlink(image);
    assert_int_equal(fake_host_revert(&host, &req, &err), SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, image));
    assert_true(fake_domain_runs(fake_domain_find(host.world, "vm1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_memory),
        cmocka_unit_test(test_disks_only),
        cmocka_unit_test(test_gone),
    };

    return cmocka_run_group_tests_name("left out", tests, setup, teardown);
}
