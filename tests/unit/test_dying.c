/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain that is being destroyed, and perhaps stays so because a backend
 * holds its memory: nothing is begun, and the user learns which one it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/mem.h"

static void refused(struct fake_host *h, int rc, const struct snap_err *err)
{
    char *id = snap_printf("vm1 (domain %u) is being destroyed",
                           (unsigned)fake_domain_find(h->world, "vm1")->domid);

    assert_int_equal(rc, SNAP_BUSY);
    assert_non_null(strstr(err->msg, id));
    free(id);
}

static void test_dying(void **state)
{
    struct fake_host h;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_create_req create = { .domain = (char *)"vm1",
                                      .name = (char *)"s1",
                                      .live = -1 };
    struct snap_revert_req revert = { .domain = (char *)"vm1",
                                      .name = (char *)"s1" };
    struct snap_delete_req delete = { .domain = (char *)"vm1",
                                      .name = (char *)"s1" };
    char *before, *after;

    (void)state;
    fake_host_init(&h);
    assert_int_equal(fake_host_attach(&h, &err), 0);
    assert_int_equal(fake_host_create(&h, &create, &err), 0);
    fake_domain_find(h.world, "vm1")->dying = true;
    before = fake_host_files(&h);

    refused(&h, fake_host_revert(&h, &revert, &err), &err);
    snap_err_clear(&err);
    refused(&h, fake_host_delete(&h, &delete, &err), &err);
    after = fake_host_files(&h);
    assert_string_equal(before, after);
    free(before);
    free(after);
    fake_host_detach(&h);
    fake_host_dispose(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dying) };

    return cmocka_run_group_tests_name("dying", tests, NULL, NULL);
}
