/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a create leaves behind: nobody but its owner can read the memory of a
 * guest, and nobody can write to what it froze.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/fault.h"
#include "lib/mem.h"

static struct fake_host host;
static struct snap_err err;

static int setup(void **state)
{
    (void)state;
    snap_err_clear(&err);
    fake_host_init(&host);
    return fake_host_attach(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static int create(enum snap_memory_want memory)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .memory = memory,
                                   .type = SNAP_DISK_EXTERNAL };

    return fake_host_create(&host, &req, &err);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    char *path = snap_printf("%s/%s/%s", host.root, FAKE_UUID, name);

    if (stat(path, &st))
        fail_msg("%s is not there", path);
    free(path);
    return st.st_mode & 07777;
}

/* With the least umask there is: while it is written, and afterwards. */
static unsigned looks;

static int look_while_it_is_written(const char *layer, const char *what)
{
    if (strcmp(layer, "hyp") != 0 || strcmp(what, "save") != 0)
        return 0;
    assert_int_equal(mode_of("memory/s1.save.part"), 0600);
    looks++;
    return 0;
}

static void memory_is_for_its_owner(void **state)
{
    mode_t old = umask(0);

    (void)state;
    looks = 0;
    snap_fault_hook = look_while_it_is_written;
    assert_int_equal(create(SNAP_MEM_DEFAULT), 0);
    umask(old);
    assert_int_equal(looks, 1);
    assert_int_equal(mode_of("memory/s1.save"), 0600);
    assert_int_equal(mode_of("records/s1.json"), 0600);
    assert_int_equal(mode_of("state.json"), 0600);
}

static void what_is_frozen_is_protected(void **state)
{
    static const char *const frozen[] = { "/img/a.qcow2", "/img/b.img" };
    size_t i;

    (void)state;
    assert_int_equal(create(SNAP_MEM_NO), 0);
    for (i = 0; i < 2; i++)
        assert_true(fake_store_find(host.disks, frozen[i])->immutable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_is_for_its_owner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_frozen_is_protected, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("test_created", tests, NULL, NULL);
}
