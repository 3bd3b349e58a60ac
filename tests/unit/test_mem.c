/* SPDX-License-Identifier: LGPL-2.1-only */
/* Strings, buffers, UTF-8, clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/mem.h"

static void strings(void **state)
{
    char *s = NULL;

    (void)state;
    assert_null(snap_strdup(NULL));
    assert_null(snap_strndup(NULL, 3));
    snap_set(&s, "abc");
    assert_string_equal(s, "abc");
    snap_set(&s, s);
    assert_string_equal(s, "abc");
    snap_set(&s, s + 1);
    assert_string_equal(s, "bc");
    snap_set(&s, NULL);
    assert_null(s);
    snap_free(&s);
    s = snap_strndup("abcdef", 3);
    assert_string_equal(s, "abc");
    snap_free(&s);
    assert_null(s);
    s = snap_strndup("ab", 10);
    assert_string_equal(s, "ab");
    snap_free(&s);
    s = snap_printf("%d-%s", 7, "x");
    assert_string_equal(s, "7-x");
    snap_free(&s);
}

static void comparisons(void **state)
{
    (void)state;
    assert_true(snap_streq(NULL, NULL));
    assert_false(snap_streq(NULL, ""));
    assert_false(snap_streq("", NULL));
    assert_true(snap_streq("a", "a"));
    assert_false(snap_streq("a", "ab"));
    assert_true(snap_has_prefix("abc", "ab"));
    assert_true(snap_has_prefix("abc", ""));
    assert_false(snap_has_prefix("ab", "abc"));
    assert_false(snap_has_prefix(NULL, "a"));
    assert_true(snap_has_suffix("abc", "bc"));
    assert_true(snap_has_suffix("abc", ""));
    assert_false(snap_has_suffix("bc", "abc"));
    assert_false(snap_has_suffix(NULL, "c"));
}

static void a_buffer_grows(void **state)
{
    struct snap_buf b = { 0 };
    int i;

    (void)state;
    snap_buf_add(&b, NULL, 0);
    assert_string_equal(b.data, "");
    for (i = 0; i < 10000; i++) {
        snap_buf_addf(&b, "%04d", i);
        assert_int_equal(b.data[b.len], 0);
    }
    snap_buf_adds(&b, "end");
    assert_int_equal(b.len, 40003);
    assert_memory_equal(b.data + 39996, "9999end", 8);
    snap_buf_add(&b, "\0x", 2);
    assert_int_equal(b.len, 40005);
    snap_buf_dispose(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
}

static void too_much_realloc(void)
{
    free(snap_realloc(NULL, SIZE_MAX / 2, 3));
}

static void too_much_buffer(void)
{
    struct snap_buf b = { 0 };

    snap_buf_add(&b, "x", 1);
    snap_buf_add(&b, "x", SIZE_MAX - 1);
}

/* In a child that must die by abort(). */
static void dies(void (*fn)(void))
{
    struct rlimit none = { 0, 0 };
    int status;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void overflow_is_death(void **state)
{
    (void)state;
    dies(too_much_realloc);
    dies(too_much_buffer);
}

static void utf8(void **state)
{
    static const struct {
        const char *s;
        size_t n, want;
    } t[] = {
        { "", 0, 0 },
        { "", 1, 1 }, /* NUL is ASCII */
        { "a", 1, 1 },
        { "\x7f", 1, 1 },
        { "\x80", 1, 0 }, /* stray continuation */
        { "\xc0\x80", 2, 0 }, /* overlong NUL */
        { "\xc1\xbf", 2, 0 },
        { "\xc2\x80", 2, 2 },
        { "\xc2\x80", 1, 0 }, /* cut off */
        { "\xc2\x41", 2, 0 },
        { "\xdf\xbf", 2, 2 },
        { "\xe0\x9f\xbf", 3, 0 }, /* overlong */
        { "\xe0\xa0\x80", 3, 3 },
        { "\xe2\x82\xac", 3, 3 },
        { "\xe2\x82", 2, 0 },
        { "\xe2\x82\x41", 3, 0 },
        { "\xed\x9f\xbf", 3, 3 },
        { "\xed\xa0\x80", 3, 0 }, /* surrogate */
        { "\xed\xbf\xbf", 3, 0 },
        { "\xee\x80\x80", 3, 3 },
        { "\xf0\x8f\xbf\xbf", 4, 0 }, /* overlong */
        { "\xf0\x90\x80\x80", 4, 4 },
        { "\xf4\x8f\xbf\xbf", 4, 4 },
        { "\xf4\x90\x80\x80", 4, 0 }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", 4, 0 },
        { "\xff", 1, 0 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_int_equal(snap_utf8_seq(t[i].s, t[i].n), t[i].want);
}

static void cleaning(void **state)
{
    char s[] = "a\tb\033\x7f\xc2\x85\xc2\xa0\xe2\x82\xff";
    char *e;

    (void)state;
    snap_clean(s);
    assert_string_equal(s, "a?b????\xc2\xa0???");
    e = snap_excerpt("abcdef", 6, 3);
    assert_string_equal(e, "abc...");
    snap_free(&e);
    e = snap_excerpt("abcdef", 6, 6);
    assert_string_equal(e, "abcdef");
    snap_free(&e);
    e = snap_excerpt("ab\0cd", 5, 10);
    assert_string_equal(e, "ab");
    snap_free(&e);
    e = snap_excerpt("a\xe2\x82\xac", 4, 3); /* not through a character */
    assert_string_equal(e, "a...");
    snap_free(&e);
    e = snap_excerpt("\n\xff\n", 3, 3);
    assert_string_equal(e, "???");
    snap_free(&e);
    e = snap_excerpt("", 0, 0);
    assert_string_equal(e, "");
    snap_free(&e);
}

static void clocks(void **state)
{
    double a, b;
    char *s;

    (void)state;
    a = snap_now_ms();
    usleep(2000);
    b = snap_now_ms();
    assert_true(b >= a + 2);
    assert_true(snap_epoch_seconds() > 1500000000);
    s = snap_time_iso(0);
    assert_string_equal(s, "1970-01-01T00:00:00Z");
    snap_free(&s);
    s = snap_time_iso(1795257220);
    assert_string_equal(s, "2026-11-21T10:33:40Z");
    snap_free(&s);
    s = snap_time_iso(INT64_MAX);
    assert_string_equal(s, "@9223372036854775807");
    snap_free(&s);
}

static void sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } t[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 1023, "1023 B" },
        { 1024, "1 kB" },
        { 12 * 1024, "12 kB" },
        { 1536, "1.5 kB" },
        { 128ull << 20, "128 MB" },
        { 3ull << 29, "1.5 GB" },
        { (1ull << 30) - 1, "1 GB" },
        { (1ull << 20) - 1, "1 MB" },
        { 1234567890, "1.1 GB" },
        { 999ull << 20 | 1 << 19, "1000 MB" },
        { 15ull << 60, "15 EB" },
        { UINT64_MAX, "16 EB" },
    };
    char *s;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = snap_size_human(t[i].n);
        assert_string_equal(s, t[i].want);
        snap_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),        cmocka_unit_test(comparisons),
        cmocka_unit_test(a_buffer_grows), cmocka_unit_test(overflow_is_death),
        cmocka_unit_test(utf8),           cmocka_unit_test(cleaning),
        cmocka_unit_test(clocks),         cmocka_unit_test(sizes),
    };

    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
