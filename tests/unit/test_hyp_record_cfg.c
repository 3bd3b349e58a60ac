/* SPDX-License-Identifier: LGPL-2.1-only */
/* The configuration form of a record through the real libxlutil: what is
 * written comes back to the letter.  Needs libxlutil, and no Xen running. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hyp/cfg_xlu.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "store/record.h"
#include "store/record_cfg.h"

static void round_trip(const struct snap_record *a)
{
    struct snap_record b = { .id = NULL };
    struct snap_cfg cfg = { .file = NULL };
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;

    if (snap_record_to_cfg(a, &text, &err) ||
        hyp_cfg_parse("s1.cfg", text, strlen(text), &cfg, &err) ||
        snap_record_from_cfg(&cfg, sample_drivers, &b, &err))
        fail_msg("%s\n%s", err.msg, text ? text : "");
    sample_assert_equal(a, &b);
    snap_cfg_dispose(&cfg);
    snap_record_dispose(&b);
    free(text);
}

static void test_sample(void **state)
{
    struct snap_record r;

    (void)state;
    sample_record(&r, "s1");
    round_trip(&r);
    snap_record_dispose(&r);
}

/* Every character that a string may hold, in every kind of string. */
static void test_characters(void **state)
{
    struct snap_record r;
    int c;

    (void)state;
    for (c = ' '; c < 0x7f; c++) {
        sample_record(&r, "s1");
        snap_free(&r.description);
        r.description = snap_printf("x%c%c\\%cy%c", c, c, c, c);
        snap_free(&r.config_json);
        r.config_json = snap_printf("{\"c_info\":{\"uuid\":\"" SAMPLE_UUID
                                    "\"},\"x\":\"%s%c%s%c\"}",
                                    strchr("\"\\", c) ? "\\" : "", c,
                                    strchr("\"\\", c) ? "\\" : "", c);
        if (c != ',' && c != '/' && c != '.') {
            snap_free(&r.parts[1].active_path);
            r.parts[1].active_path = snap_printf("/i/%c%cx", c, c);
        }
        round_trip(&r);
        snap_record_dispose(&r);
    }
}

static void test_large(void **state)
{
    struct snap_record r;
    struct snap_buf b = { .len = 0 };
    size_t i;

    (void)state;
    sample_record(&r, "s1");
    snap_buf_adds(&b, "{\"x\":[0");
    for (i = 0; i < 60000; i++)
        snap_buf_addf(&b, ",\"a'%zu\"", i);
    snap_buf_adds(&b, "]}");
    snap_set(&r.config_json, b.data);
    round_trip(&r);
    snap_buf_dispose(&b);
    snap_record_dispose(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests_name("hyp_record_cfg", tests, NULL, NULL);
}
