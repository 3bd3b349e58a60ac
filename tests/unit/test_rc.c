/* SPDX-License-Identifier: LGPL-2.1-only */
/* The error message: first wins, nothing overflows, nothing escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/rc.h"

static void every_code_has_its_own_name(void **state)
{
    int a, b;

    (void)state;
    for (a = 0; a >= SNAP_RECOVER; a--) {
        assert_non_null(snap_rc_name(a));
        assert_string_not_equal(snap_rc_name(a), "unknown");
        for (b = 0; b > a; b--)
            assert_string_not_equal(snap_rc_name(a), snap_rc_name(b));
    }
    assert_string_equal(snap_rc_name(1), "unknown");
    assert_string_equal(snap_rc_name(SNAP_RECOVER - 1), "unknown");
    assert_string_equal(snap_rc_name(-1000000), "unknown");
}

static void the_first_error_wins(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(snap_fail(&err, SNAP_BUSY, "disk %s", "xvda"), SNAP_BUSY);
    assert_int_equal(snap_fail(&err, SNAP_IO, "later"), SNAP_IO);
    assert_int_equal(snap_fail_errno(&err, SNAP_IO, EIO, "later"), SNAP_IO);
    assert_int_equal(err.rc, SNAP_BUSY);
    assert_string_equal(err.msg, "disk xvda");
    snap_err_clear(&err);
    assert_int_equal(err.rc, 0);
    assert_string_equal(err.msg, "");
}

static void null_err_is_fine(void **state)
{
    (void)state;
    assert_int_equal(snap_fail(NULL, SNAP_IO, "x"), SNAP_IO);
    assert_int_equal(snap_fail_errno(NULL, SNAP_IO, ENOSPC, "x"),
                     SNAP_NOSPACE);
    snap_err_prefix(NULL, "x");
    snap_err_append(NULL, "x");
    snap_err_clear(NULL);
}

static void a_failure_is_never_success(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(snap_fail(&err, 0, "x"), SNAP_FAIL);
    assert_int_equal(err.rc, SNAP_FAIL);
    assert_int_equal(snap_fail(NULL, 7, "x"), SNAP_FAIL);
}

static void errno_is_told_and_kept(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    errno = EBADF;
    assert_int_equal(snap_fail_errno(&err, SNAP_IO, ENOENT, "open %s", "/x"),
                     SNAP_IO);
    assert_int_equal(errno, EBADF);
    assert_string_equal(err.msg, "open /x: No such file or directory");
    snap_err_prefix(&err, "disk %s", "xvdb");
    snap_err_append(&err, "try %d", 2);
    assert_int_equal(errno, EBADF);
    assert_string_equal(err.msg, "disk xvdb: open /x: No such file or "
                                 "directory (try 2)");
}

static void no_space_is_recognised(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(snap_fail_errno(&err, SNAP_IO, ENOSPC, "w"),
                     SNAP_NOSPACE);
    assert_int_equal(err.rc, SNAP_NOSPACE);
    snap_err_clear(&err);
    assert_int_equal(snap_fail_errno(&err, SNAP_IO, EDQUOT, "w"),
                     SNAP_NOSPACE);
    snap_err_clear(&err);
    assert_int_equal(snap_fail_errno(&err, SNAP_FAIL, ENOSPC, "w"), SNAP_FAIL);
}

static void nothing_is_added_to_no_error(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    snap_err_prefix(&err, "x");
    snap_err_append(&err, "x");
    assert_string_equal(err.msg, "");
}

static void long_messages_keep_prefix_and_hint(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char big[2 * SNAP_ERR_MAX];
    int i;

    (void)state;
    memset(big, 'm', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    snap_fail(&err, SNAP_IO, "%s", big);
    assert_int_equal(strlen(err.msg), SNAP_ERR_MAX - 1);
    snap_err_prefix(&err, "disk xvda");
    snap_err_append(&err, "try again");
    assert_int_equal(strlen(err.msg), SNAP_ERR_MAX - 1);
    assert_memory_equal(err.msg, "disk xvda: mmm", 14);
    assert_non_null(strstr(err.msg, "m... (try again)"));

    for (i = 0; i < 100; i++) {
        snap_err_prefix(&err, "%s", big);
        snap_err_append(&err, "%s", big);
        assert_true(strlen(err.msg) < SNAP_ERR_MAX);
    }
    snap_err_clear(&err);
    snap_fail_errno(&err, SNAP_IO, EIO, "%s", big);
    assert_non_null(strstr(err.msg, "...: Input/output error"));
}

static void what_strangers_wrote_is_printable(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    snap_fail(&err, SNAP_FAIL, "%s", "a\033[2Jb\nc\x7f\xc2\x9bq\xff\n\n");
    assert_string_equal(err.msg, "a?[2Jb?c???q?");
    snap_err_prefix(&err, "p\n");
    snap_err_append(&err, "\ts");
    assert_string_equal(err.msg, "p?: a?[2Jb?c???q? (?s)");
    snap_err_clear(&err);
    snap_fail(&err, SNAP_FAIL, "Gerät „ä“");
    assert_string_equal(err.msg, "Gerät „ä“");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(null_err_is_fine),
        cmocka_unit_test(a_failure_is_never_success),
        cmocka_unit_test(errno_is_told_and_kept),
        cmocka_unit_test(no_space_is_recognised),
        cmocka_unit_test(nothing_is_added_to_no_error),
        cmocka_unit_test(long_messages_keep_prefix_and_hint),
        cmocka_unit_test(what_strangers_wrote_is_printable),
    };

    return cmocka_run_group_tests_name("rc", tests, NULL, NULL);
}
