/* SPDX-License-Identifier: LGPL-2.1-only */
/* What reaches the sink: one safe line, at its level, of any length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"

struct heard {
    int times;
    enum snap_level level;
    char *msg;
};

static void listen_to(void *opaque, enum snap_level level, const char *msg)
{
    struct heard *h = opaque;

    h->times++;
    h->level = level;
    snap_set(&h->msg, msg);
    errno = ENOTTY;
}

static void a_message_arrives(void **state)
{
    struct heard h = { 0 };
    struct snap_log log = { listen_to, &h };

    (void)state;
    errno = EBADF;
    snap_say(&log, SNAP_LOG_WARN, "disk %s: %d%%", "xvda", 90);
    assert_int_equal(errno, EBADF);
    assert_int_equal(h.times, 1);
    assert_int_equal(h.level, SNAP_LOG_WARN);
    assert_string_equal(h.msg, "disk xvda: 90%");
    snap_say(&log, SNAP_LOG_DEBUG, "%s", "");
    assert_int_equal(h.level, SNAP_LOG_DEBUG);
    assert_string_equal(h.msg, "");
    snap_free(&h.msg);
}

static void nobody_listens(void **state)
{
    struct snap_log deaf = { 0 };

    (void)state;
    snap_say(NULL, SNAP_LOG_NOTE, "x %d", 1);
    snap_say(&deaf, SNAP_LOG_NOTE, "x %d", 1);
}

static void it_is_safe_to_print(void **state)
{
    struct heard h = { 0 };
    struct snap_log log = { listen_to, &h };

    (void)state;
    snap_say(&log, SNAP_LOG_NOTE, "%s", "a\rb\033]0;x\a\xc2\x9bq\xfe ü\n");
    assert_string_equal(h.msg, "a?b?]0;x???q? ü");
    snap_free(&h.msg);
}

static void a_long_message_is_whole(void **state)
{
    struct heard h = { 0 };
    struct snap_log log = { listen_to, &h };
    char *big;

    (void)state;
    big = snap_zalloc(100001);
    memset(big, 'x', 100000);
    snap_say(&log, SNAP_LOG_DEBUG, "%s", big);
    assert_string_equal(h.msg, big);
    snap_free(&big);
    snap_free(&h.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(it_is_safe_to_print),
        cmocka_unit_test(a_long_message_is_whole),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
