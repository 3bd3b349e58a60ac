/* SPDX-License-Identifier: LGPL-2.1-only */
/* A guest that goes back to where it was before is told so by another
 * ms_vm_genid, with its memory and without (xl.cfg(5)). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "op/revert.h"

#define OLD "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"

static struct fake_host host;
static struct snap_err err;

static struct fake_domain *vm1(void)
{
    return fake_domain_find(host.world, "vm1");
}

/* As text; caller frees. */
static char *genid(void)
{
    struct snap_json *j = NULL;
    const struct snap_json *hvm;
    const char *config = vm1()->config;
    char *text;

    assert_int_equal(snap_json_parse(config, strlen(config), &j, &err), 0);
    hvm = snap_json_get(snap_json_get(j, "b_info"), "type.hvm");
    assert_int_equal(snap_json_len(snap_json_get(hvm, "ms_vm_genid")), 16);
    text = snap_json_text(snap_json_get(hvm, "ms_vm_genid"), false);
    snap_json_free(j);
    return text;
}

static void give_it_one(void)
{
    struct snap_json *j = NULL, *hvm = snap_json_object(), *id = NULL;
    char *config = vm1()->config, *text;

    assert_int_equal(snap_json_parse(config, strlen(config), &j, &err), 0);
    assert_int_equal(snap_json_parse(OLD, strlen(OLD), &id, &err), 0);
    snap_json_set(hvm, "ms_vm_genid", id);
    snap_json_set(snap_json_get(j, "b_info"), "type.hvm", hvm);
    text = snap_json_text(j, false);
    assert_true(strlen(text) < sizeof(vm1()->config));
    memcpy(config, text, strlen(text) + 1);
    snap_json_free(j);
    free(text);
}

static void operate(int (*fn)(struct fake_host *h, void *arg,
                              struct snap_err *err),
                    void *arg)
{
    if (fake_host_attach(&host, &err) || fn(&host, arg, &err))
        fail_msg("%s", err.msg);
    fake_host_detach(&host);
}

static void at_each_revert(void **state)
{
    struct snap_create_req create = { .domain = (char *)"vm1",
                                      .name = (char *)"s1",
                                      .live = -1,
                                      .memory = SNAP_MEM_DEFAULT,
                                      .type = SNAP_DISK_EXTERNAL };
    struct snap_revert_req revert = { .domain = (char *)"vm1",
                                      .name = (char *)"s1" };
    char *last = snap_strdup(OLD), *now;
    int i;

    (void)state;
    fake_host_init(&host);
    give_it_one();
    now = genid();
    assert_string_equal(now, OLD);
    free(now);
    operate(fake_host_create, &create);
    for (i = 0; i < 4; i++) {
        revert.disk_only = i % 2;
        operate(fake_host_revert, &revert);
        now = genid();
        assert_string_not_equal(now, OLD);
        assert_string_not_equal(now, last);
        free(last);
        last = now;
    }
    free(last);
    fake_host_dispose(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_each_revert),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
