/* SPDX-License-Identifier: LGPL-2.1-only */
/* The journal: what is written is read back, torn ends are forgiven, damage
 * is not, and a begin that fails leaves nothing. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "store/journal.h"

static char dir[] = "/tmp/snap-journal-XXXXXX";
static char *path;

static int setup(void **state)
{
    (void)state;
    path = snap_printf("%s/journal", dir);
    unlink(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    return 0;
}

static void write_one(void)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_json *plan = snap_json_object();

    snap_json_set_str(plan, "what", "a\nplan \"quoted\"");
    assert_int_equal(snap_journal_begin(&j, path, "create", plan, &err), 0);
    assert_int_equal(snap_journal_mark(&j, "window", NULL, &err), 0);
    snap_journal_note(&j, "saved");
    snap_journal_dispose(&j);
    snap_json_free(plan);
}

static void test_round_trip(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    struct stat st;

    (void)state;
    write_one();
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(snap_journal_read(path, &e, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_string_equal(e[0].op, "create");
    assert_string_equal(e[0].step, "plan");
    assert_string_equal(snap_json_get_str(e[0].data, "what"),
                        "a\nplan \"quoted\"");
    assert_non_null(snap_journal_find(e, n, "window"));
    assert_non_null(snap_journal_find(e, n, "saved"));
    assert_null(snap_journal_find(e, n, "destroy"));
    snap_journal_entries_free(e, n);
}

static void test_missing(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(snap_journal_read(path, &e, &n, &err), SNAP_NOTFOUND);
}

static void test_second_is_refused(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal j = SNAP_JOURNAL_INIT;

    (void)state;
    write_one();
    assert_int_not_equal(snap_journal_begin(&j, path, "revert", NULL, &err),
                         0);
    assert_true(snap_file_exists(path));
}

/* A power cut at any byte: the entries before it are read, never an error. */
static void test_torn_at_every_byte(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;
    size_t len = 0, cut, last = 0;

    (void)state;
    write_one();
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, &err), 0);
    for (cut = 0; cut <= len; cut++) {
        struct snap_journal_entry *e = NULL;
        size_t n = 0;

        assert_int_equal(truncate(path, cut), 0);
        assert_int_equal(snap_journal_read(path, &e, &n, &err), 0);
        assert_true(n >= last);
        last = n;
        snap_journal_entries_free(e, n);
        assert_int_equal(snap_file_write(path, text, len, 0600, false, &err),
                         0);
    }
    assert_int_equal(last, 3);
    free(text);
}

/* One flipped byte anywhere but in the last line is damage, and said. */
static void test_flipped_byte(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;
    size_t len = 0, i, first;

    (void)state;
    write_one();
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, &err), 0);
    first = strchr(text, '\n') - text;
    for (i = 0; i < first; i++) {
        struct snap_journal_entry *e = NULL;
        size_t n = 0;
        int rc;

        text[i] ^= 1;
        if (text[i] == '\n') {
            text[i] ^= 1;
            continue;
        }
        assert_int_equal(snap_file_write(path, text, len, 0600, false, &err),
                         0);
        rc = snap_journal_read(path, &e, &n, &err);
        assert_int_equal(rc, SNAP_CORRUPT);
        assert_non_null(strstr(err.msg, "line 1"));
        snap_err_clear(&err);
        text[i] ^= 1;
    }
    free(text);
}

static int fail_at, calls;

static int count_and_fail(const char *layer, const char *what)
{
    (void)layer;
    (void)what;
    return ++calls == fail_at ? EIO : 0;
}

/* Every call of begin fails once: no journal stays behind, since nothing was
 * done under it. */
static void test_begin_fails(void **state)
{
    (void)state;
    for (fail_at = 1; fail_at < 50; fail_at++) {
        struct snap_err err = SNAP_ERR_INIT;
        struct snap_journal j = SNAP_JOURNAL_INIT;
        int rc;

        calls = 0;
        snap_fault_hook = count_and_fail;
        rc = snap_journal_begin(&j, path, "create", NULL, &err);
        snap_fault_hook = NULL;
        if (!rc) {
            snap_journal_dispose(&j);
            break;
        }
        assert_true(err.msg[0]);
        assert_false(snap_file_exists(path));
    }
    assert_true(fail_at > 2 && fail_at < 50);
}

/* Recovery goes on behind what is whole, and the torn end is gone. */
/* One step of a deletion after the other, the second of them failing. */
static void notes_torn(int (*second)(struct snap_journal *j))
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_json *plan = snap_json_object();

    assert_int_equal(snap_journal_begin(&j, path, "delete", plan, &err), 0);
    assert_int_equal(second(&j), SNAP_NOSPACE);
    snap_journal_note(&j, "pause-xvdb");
    snap_journal_mark(&j, "switched-xvdb", NULL, &err);
    snap_journal_dispose(&j);
    snap_json_free(plan);
}

static int with_a_full_disk(struct snap_journal *j)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct rlimit was, full;
    struct stat st;
    int rc;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    full = was;
    full.rlim_cur = st.st_size + 30;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    rc = snap_journal_mark(j, "switched-xvda", NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    /* There is no other way to fill up a part of a line here. */
    return rc == SNAP_IO ? SNAP_NOSPACE : rc;
}

static int fail_writes(const char *layer, const char *what)
{
    (void)layer;
    return snap_has_prefix(what, "write ") ? ENOSPC : 0;
}

static int fail_all(const char *layer, const char *what)
{
    (void)layer;
    (void)what;
    return ENOSPC;
}

static int with_a_fault(struct snap_journal *j)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    snap_fault_hook = fail_writes;
    rc = snap_journal_mark(j, "switched-xvda", NULL, &err);
    snap_fault_hook = NULL;
    return rc;
}

static int with_no_way_back(struct snap_journal *j)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    snap_fault_hook = fail_all;
    rc = snap_journal_mark(j, "switched-xvda", NULL, &err);
    snap_fault_hook = NULL;
    return rc;
}

/* A step that did not fit is not there, and those after it are. */
static void test_a_torn_note(void **state)
{
    static int (*const how[])(struct snap_journal *) = { with_a_full_disk,
                                                         with_a_fault };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL;
    size_t n = 0, i;

    (void)state;
    for (i = 0; i < 2; i++) {
        notes_torn(how[i]);
        if (snap_journal_read(path, &e, &n, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(n, 3);
        assert_null(snap_journal_find(e, n, "switched-xvda"));
        assert_non_null(snap_journal_find(e, n, "pause-xvdb"));
        assert_non_null(snap_journal_find(e, n, "switched-xvdb"));
        snap_journal_entries_free(e, n);
        unlink(path);
    }
}

/* What cannot be cut off stays the last line, so that the rest can be read. */
static void test_a_torn_note_that_stays(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    size_t n = 0;

    (void)state;
    notes_torn(with_no_way_back);
    if (snap_journal_read(path, &e, &n, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n, 1);
    snap_journal_entries_free(e, n);
    /* A recovery cuts it off, and goes on. */
    assert_int_equal(snap_journal_resume(&j, path, "delete", &err), 0);
    assert_int_equal(snap_journal_mark(&j, "switched-xvda", NULL, &err), 0);
    snap_journal_dispose(&j);
    assert_int_equal(snap_journal_read(path, &e, &n, &err), 0);
    assert_int_equal(n, 2);
    snap_journal_entries_free(e, n);
}

static void test_resume(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    int cut;

    (void)state;
    assert_int_equal(snap_journal_resume(&j, path, "create", &err),
                     SNAP_NOTFOUND);
    for (cut = 0; cut < 8; cut += 7) {
        struct stat st;

        unlink(path);
        write_one();
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - cut), 0);
        snap_err_clear(&err);
        assert_int_equal(snap_journal_resume(&j, path, "create", &err), 0);
        assert_int_equal(snap_journal_mark(&j, "again", NULL, &err), 0);
        snap_journal_dispose(&j);
        assert_int_equal(snap_journal_read(path, &e, &n, &err), 0);
        assert_int_equal(n, cut ? 3 : 4);
        assert_string_equal(e[n - 1].step, "again");
        assert_string_equal(e[1].step, "window");
        snap_journal_entries_free(e, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_torn_at_every_byte, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_flipped_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_torn_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_torn_note_that_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begin_fails, setup, teardown),
    };
    int failed;

    if (!mkdtemp(dir))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
