/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a command is about to do, written and read: everything comes back, what
 * is damaged is refused, and what a recovery would take for something else is
 * never begun.
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
#include "op/create.h"
#include "op/intent.h"

static struct fake_host host;
static struct snap_create_plan p;
static struct snap_intent in;
static char *journal;
static struct snap_err err;

static bool changes; /* what check() finds */

static int check(struct snap_intent *i, struct snap_err *e)
{
    if (snap_json_type(snap_json_at(i->disks, 0)) != SNAP_JSON_STRING)
        return snap_fail(e, SNAP_CORRUPT, "journal: bad disk");
    if (changes)
        snap_json_push(i->disks, snap_json_str("and more"));
    return 0;
}

/* An operation that no table knows. */
static const struct snap_op op = {
    .name = "import",
    .disks = "imported",
    .makes_files = true,
    .check = check,
};

static int setup(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };

    (void)state;
    changes = false;
    if (taken_attached(&host, &err))
        return -1;
    journal = snap_printf("%s/%s/journal", host.root, FAKE_UUID);
    assert_int_equal(snap_create_plan_make(&host.env, &req, false, &p, &err),
                     0);
    snap_intent_init(&in, &op, p.ses.op_id, FAKE_UUID, &p.rec);
    snap_intent_before(&in, &p.ses);
    in.disks = snap_json_array();
    snap_json_push(in.disks, snap_json_str("/img/a"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_intent_dispose(&in);
    snap_create_plan_dispose(&p);
    free(journal);
    snap_err_clear(&err);
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static int begin(void)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    int rc = snap_intent_begin(&host.env, &p.ses.store, &in, &j, &err);

    snap_journal_dispose(&j);
    return rc;
}

/* What is in the journal by now; the caller frees it. */
static struct snap_json *plan_now(void)
{
    size_t n = 0;
    struct snap_journal_entry *e = NULL;
    struct snap_json *plan;

    assert_int_equal(snap_journal_read(journal, &e, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(e[0].op, "import");
    assert_string_equal(e[0].step, "plan");
    plan = snap_json_copy(e[0].data);
    snap_journal_entries_free(e, n);
    return plan;
}

static int read_it(const struct snap_json *plan, struct snap_intent *back)
{
    snap_err_clear(&err);
    return snap_intent_read(&host.env, &p.ses.store, &op, plan, back, &err);
}

static void fill_in(void)
{
    in.before.there = true;
    in.before.paused = true;
    in.before.had_qemu = true;
    in.before.domid = 4711;
    in.before.monitor_pid = 815;
    in.before.config = snap_strdup("{\"a\": 1}");
    in.after.paused = true;
    in.after.no_metadata = true;
    in.after.name = snap_strdup("vm2");
    in.after.output = snap_strdup("/img/out.cfg");
}

static void everything_comes_back(void **state)
{
    struct snap_intent back;
    struct snap_json *plan;

    (void)state;
    fill_in();
    assert_int_equal(begin(), 0);
    plan = plan_now();
    assert_int_equal(read_it(plan, &back), 0);
    assert_ptr_equal(back.op, &op);
    assert_string_equal(back.op_id, p.ses.op_id);
    assert_string_equal(back.uuid, FAKE_UUID);
    assert_string_equal(back.boot_id, in.boot_id);
    assert_string_equal(back.rec->name, "s2");
    assert_int_equal(back.rec->n_parts, p.rec.n_parts);
    assert_true(back.before.there);
    assert_true(back.before.paused);
    assert_true(back.before.had_qemu);
    assert_int_equal(back.before.domid, 4711);
    assert_int_equal(back.before.monitor_pid, 815);
    assert_string_equal(back.before.config, "{\"a\": 1}");
    assert_true(back.after.paused);
    assert_true(back.after.no_metadata);
    assert_string_equal(back.after.name, "vm2");
    assert_string_equal(back.after.output, "/img/out.cfg");
    assert_string_equal(snap_json_string(snap_json_at(back.disks, 0), ""),
                        "/img/a");
    assert_non_null(snap_json_get(back.mounts, "/img/out.cfg"));
    snap_intent_dispose(&back);
    snap_json_free(plan);
}

static void of_a_domain_that_is_off(void **state)
{
    struct snap_intent back;
    struct snap_json *plan;

    (void)state;
    in.before.there = false;
    assert_int_equal(begin(), 0);
    plan = plan_now();
    assert_int_equal(read_it(plan, &back), 0);
    assert_false(back.before.there);
    assert_int_equal(back.before.domid, UINT32_MAX);
    assert_int_equal(back.before.monitor_pid, 0);
    assert_null(back.before.config);
    assert_null(back.after.name);
    assert_null(back.after.output);
    snap_intent_dispose(&back);
    snap_json_free(plan);
}

/* What is not said is so that a guest which may stand is looked for. */
static void what_is_missing(void **state)
{
    struct snap_intent back;
    struct snap_json *plan;

    (void)state;
    fill_in();
    assert_int_equal(begin(), 0);
    plan = plan_now();
    snap_json_set(plan, "running", NULL);
    snap_json_set(plan, "mounts", NULL);
    snap_json_set(plan, "had_qemu", NULL);
    snap_json_set_str(plan, "output", NULL);
    assert_int_equal(read_it(plan, &back), 0);
    assert_true(back.before.there);
    assert_true(back.before.had_qemu);
    assert_int_equal(back.before.domid, 4711);
    assert_null(back.after.output);
    assert_null(back.mounts);
    snap_intent_dispose(&back);
    snap_json_free(plan);
}

static void refused(struct snap_json *plan, const char *key,
                    struct snap_json *value)
{
    struct snap_intent back;
    struct snap_json *bad = snap_json_copy(plan);

    snap_json_set(bad, key, value);
    if (read_it(bad, &back) != SNAP_CORRUPT)
        fail_msg("%s: \"%s\"", key, err.msg);
    snap_intent_dispose(&back);
    snap_json_free(bad);
}

static void what_is_damaged(void **state)
{
    static const char *const texts[] = { "boot_id",  "machine_id",
                                         "hardware", "old_config",
                                         "new_name", "output",
                                         "uuid",     "op_id" };
    static const char *const truths[] = { "running", "was_paused", "had_qemu",
                                          "paused_after", "no_metadata" };
    static const char *const numbers[] = { "domid", "monitor_pid" };
    struct snap_json *plan;
    size_t i;

    (void)state;
    fill_in();
    assert_int_equal(begin(), 0);
    plan = plan_now();
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        refused(plan, texts[i], snap_json_int(1));
    for (i = 0; i < sizeof(truths) / sizeof(truths[0]); i++)
        refused(plan, truths[i], snap_json_str("true"));
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        refused(plan, numbers[i], snap_json_str("1"));
        refused(plan, numbers[i], snap_json_int(-1));
        refused(plan, numbers[i], snap_json_int(INT64_C(1) << 33));
    }
    refused(plan, "record", NULL);
    refused(plan, "imported", snap_json_object());
    refused(plan, "mounts", snap_json_array());
    refused(plan, "op_id", snap_json_str("../../etc"));
    refused(plan, "op_id", snap_json_str("abcdefghijklmnopq"));
    refused(plan, "uuid",
            snap_json_str("22222222-2222-3333-4444-555555555555"));
    snap_json_free(plan);
}

static void not_begun(const char *why)
{
    snap_err_clear(&err);
    assert_int_equal(begin(), SNAP_FAIL);
    if (!strstr(err.msg, why) || !strstr(err.msg, "so nothing was done"))
        fail_msg("\"%s\"", err.msg);
    assert_false(snap_file_exists(journal));
}

/* The operation's own part: what its recovery could not read, and what it
 * would read as something else. */
static void what_is_read_otherwise(void **state)
{
    (void)state;
    changes = true;
    not_begun("imported would be read otherwise");
    changes = false;
    snap_json_free(in.disks);
    in.disks = snap_json_array();
    not_begun("bad disk");
}

/* A reader that loses a number would name another domain. */
static void a_number_that_does_not_fit(void **state)
{
    (void)state;
    in.before.monitor_pid = -1;
    not_begun("bad monitor_pid");
}

static void names(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; snap_ops[i]; i++)
        assert_ptr_equal(snap_op_find(snap_ops[i]->name), snap_ops[i]);
    assert_int_equal(i, 4);
    assert_null(snap_op_find("import"));
    assert_null(snap_op_find(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_comes_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(of_a_domain_that_is_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_read_otherwise, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_number_that_does_not_fit, setup,
                                        teardown),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("test_intent", tests, NULL, NULL);
}
