/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A store that two machines see: neither recovers what the other has written
 * down, for it cannot see what runs there, unless its user says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/taken.h"
#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/machine_id.h"
#include "lib/mem.h"
#include "op/create.h"
#include "op/create_finish.h"
#include "op/recover.h"
#include "store/journal.h"
#include "store/lock.h"

#define HERE  "00112233445566778899aabbccddeeff\n"
#define THERE "ffeeddccbbaa99887766554433221100\n"

static struct fake_host host;
static struct snap_err err;
#define HARDWARE       "4c4c4544-0038-4a10-8051-b4c04f4e3332"
#define OTHER_HARDWARE "4c4c4544-0038-4a10-8051-b4c04f4e3333\n"

static char *id_file, *hardware_file, *journal;
static struct snap_json *plan_now;

static void this_is(const char *id)
{
    unlink(id_file);
    assert_int_equal(
        snap_file_write(id_file, id, strlen(id), 0600, true, &err), 0);
}

static void hardware_is(const char *id)
{
    unlink(hardware_file);
    assert_int_equal(
        snap_file_write(hardware_file, id, strlen(id), 0600, true, &err), 0);
}

/* A create of this machine that had written its plan down. */
static int setup(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_create_plan p;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_intent in;

    (void)state;
    if (taken_attached(&host, &err))
        return -1;
    id_file = snap_printf("%s/machine-id", host.root);
    journal = snap_printf("%s/%s/journal", host.root, FAKE_UUID);
    hardware_file = snap_printf("%s/product_uuid", host.root);
    snap_machine_id_file = id_file;
    snap_hardware_id_file = hardware_file;
    hardware_is(HARDWARE "\n");
    this_is(HERE);
    assert_int_equal(snap_create_plan_make(&host.env, &req, false, &p, &err),
                     0);
    snap_create_intent(&p, &req, &in);
    assert_int_equal(snap_intent_begin(&host.env, &p.ses.store, &in, &j, &err),
                     0);
    snap_journal_dispose(&j);
    snap_intent_dispose(&in);
    snap_create_plan_dispose(&p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(id_file);
    free(hardware_file);
    free(journal);
    snap_err_clear(&err);
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static int recover(bool take_over, bool dry_run, char **what_r)
{
    int rc;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_recovery how = { .take_over = take_over };

    snap_err_clear(&err);
    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    if (!dry_run)
        assert_int_equal(snap_store_lock(&s, false, "recover", NULL, &err), 0);
    rc = snap_recover_how(&host.env, &s, &how, dry_run, what_r, &err);
    snap_store_close(&s);
    return rc;
}

static void comes_through(bool take_over)
{
    char *what = NULL;

    assert_int_equal(recover(take_over, false, &what), 0);
    assert_string_equal(what, "unfinished snapshot s2 was undone");
    assert_false(snap_file_exists(journal));
    free(what);
}

static void its_own(void **state)
{
    (void)state;
    comes_through(false);
}

static void of_another(void **state)
{
    static const char *const says[] = { "00112233445566778899aabbccddeeff",
                                        "--take-over vm1" };
    char *what = NULL;
    size_t i;

    (void)state;
    this_is(THERE);
    assert_int_equal(recover(false, false, &what), SNAP_RECOVER);
    for (i = 0; i < sizeof(says) / sizeof(says[0]); i++)
        if (!strstr(err.msg, says[i]))
            fail_msg("\"%s\" lacks %s", err.msg, says[i]);
    assert_true(snap_file_exists(journal));
    assert_int_equal(recover(false, true, &what), 0);
    if (!strstr(what, "another machine"))
        fail_msg("%s", what);
    free(what);
    this_is(HERE);
    comes_through(false);
}

static void taken_over(void **state)
{
    (void)state;
    this_is(THERE);
    comes_through(true);
}

/* As if this host had been booted since. */
static void of_another_boot(void)
{
    char *text = NULL, *boot = snap_boot_id(), *at;
    struct snap_journal_entry *e = NULL;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    size_t n = 0;

    assert_int_equal(snap_journal_read(journal, &e, &n, &err), 0);
    text = snap_json_text(e[0].data, false);
    snap_journal_entries_free(e, n);
    at = strstr(text, boot);
    assert_non_null(at);
    memset(at, '0', 8);
    unlink(journal);
    assert_int_equal(snap_json_parse(text, strlen(text), &plan_now, &err), 0);
    assert_int_equal(snap_journal_begin(&j, journal, "create", plan_now, &err),
                     0);
    snap_journal_dispose(&j);
    snap_json_free(plan_now);
    free(boot);
    free(text);
}

/* Two copies of one installation have one ID. */
static void of_a_copy(void **state)
{
    char *what = NULL;

    (void)state;
    hardware_is(OTHER_HARDWARE);
    assert_int_equal(recover(false, false, &what), SNAP_RECOVER);
    if (!strstr(err.msg, HARDWARE))
        fail_msg("\"%s\" lacks " HARDWARE, err.msg);
    hardware_is("00000000-0000-0000-0000-000000000000\n"); /* of no use */
    comes_through(false);
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
    of_another_boot();
    hardware_is("4C4C4544-0038-4A10-8051-B4C04F4E3332\n"); /* the same */
    comes_through(false);
}

/* Then the boot alone tells, as it always did. */
static void nobody_can_tell(void **state)
{
    (void)state;
    this_is("uninitialized\n");
    comes_through(false);
}

static void it_has_none(void **state)
{
    (void)state;
    unlink(id_file);
    comes_through(false);
}

/* Text that is no ID is none, whatever it is mounted from. */
static void what_is_an_id(void **state)
{
    char *id;

    (void)state;
    snap_machine_id_file = "/proc/sys/kernel/random/boot_id";
    id = snap_machine_id();
    assert_string_equal(id, "");
    free(id);
    snap_machine_id_file = id_file;
    id = snap_machine_id();
    assert_string_equal(id, "00112233445566778899aabbccddeeff");
    free(id);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_own),       TEST(of_another),      TEST(taken_over),
        TEST(of_a_copy),     TEST(nobody_can_tell), TEST(it_has_none),
        TEST(what_is_an_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
