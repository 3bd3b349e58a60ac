/* SPDX-License-Identifier: LGPL-2.1-only */
/* JSON comes out as it went in, and what is not JSON does not come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"

static struct snap_json *parse(const char *text)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;

    if (snap_json_parse(text, strlen(text), &j, &err))
        fail_msg("%s: %s", text, err.msg);
    assert_int_equal(err.rc, 0);
    return j;
}

/* Must be refused, with this in the message. */
static void refuse_len(const char *text, size_t len, const char *why)
{
    struct snap_json *j = (void *)&j;
    struct snap_err err = SNAP_ERR_INIT;
    char *exact;

    /* A copy without slack lets AddressSanitizer see a read too far. */
    exact = malloc(len ? len : 1);
    memcpy(exact, text, len);
    assert_int_equal(snap_json_parse(exact, len, &j, &err), SNAP_CORRUPT);
    free(exact);
    assert_null(j);
    assert_int_equal(err.rc, SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "offset"));
    assert_null(strchr(err.msg, '\n'));
    if (!strstr(err.msg, why))
        fail_msg("%s: said \"%s\", not \"%s\"", text, err.msg, why);
}

static void refuse(const char *text, const char *why)
{
    refuse_len(text, strlen(text), why);
}

/* Comes out as want, compact; and again when that is parsed. */
static void becomes(const char *text, const char *want)
{
    struct snap_json *j, *k;
    char *once, *twice;

    j = parse(text);
    once = snap_json_text(j, false);
    assert_string_equal(once, want);
    k = parse(once);
    twice = snap_json_text(k, false);
    assert_string_equal(twice, once);
    free(twice);
    twice = snap_json_text(k, true);
    snap_json_free(k);
    k = parse(twice);
    free(twice);
    twice = snap_json_text(k, false);
    assert_string_equal(twice, once);
    free(once);
    free(twice);
    snap_json_free(j);
    snap_json_free(k);
}

static void stays(const char *text)
{
    becomes(text, text);
}

static void values_survive(void **state)
{
    (void)state;
    stays("null");
    stays("true");
    stays("false");
    stays("\"\"");
    stays("[]");
    stays("{}");
    stays("[[],{},[{}],null]");
    stays("{\"z\":1,\"a\":{\"b\":[true,\"x\"]},\"m\":null}");
    becomes(" \t\r\n[ 1 , 2 ]\n ", "[1,2]");
    becomes("{ \"a\" : 1 }", "{\"a\":1}");
}

static void numbers_keep_their_text(void **state)
{
    (void)state;
    stays("0");
    stays("-0");
    stays("18446744073709551615");
    stays("-9223372036854775808");
    stays("123456789012345678901234567890");
    stays("0.1000");
    stays("1e5");
    stays("1E+05");
    stays("-1.5e-400");
    stays("1e999");
}

static void strings_survive(void **state)
{
    (void)state;
    stays("\"\\b\\f\\n\\r\\t\\\"\\\\/\"");
    becomes("\"\\/\"", "\"/\"");
    becomes("\"\\u0041\\u00e4\\u20AC\\uD83D\\uDE00\"",
            "\"A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    stays("\"\\u0001\\u001F\\u007F\\u0080\\u009F\xc2\xa0\"");
    becomes("\"\\u007f\xc2\x80|\xc2\x9f\xc2\xa0\xc2\xbf\xc3\x80\"",
            "\"\\u007F\\u0080|\\u009F\xc2\xa0\xc2\xbf\xc3\x80\"");
    becomes("{\"\x7f\xc2\x85\":\"\xc2\x9b\\n\"}",
            "{\"\\u007F\\u0085\":\"\\u009B\\n\"}");
    stays("{\"\":1,\"\\\"\\n\":2}");
    stays("\"// no comment /* here */\"");
    stays("\"\\\\u0000 \\\\ud800\"");
}

static void a_trailing_nul_is_tolerated(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;

    (void)state;
    assert_int_equal(snap_json_parse("{}", 3, &j, &err), 0);
    snap_json_free(j);
    refuse_len("{}\0", 4, "");
    refuse_len("\0{}", 3, "");
    refuse_len("\0", 1, "");
    refuse_len("[1\0]", 4, "");
}

static void what_is_not_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{'a':1}",
        "nul",
        "nulll",
        "True",
        "tru",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\x01\"",
        "\"\t\"",
        "[1 2]",
        "\xef\xbb\xbf{}",
        "\\u0022",
        "[\\\"]",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse(bad[i], "");
}

static void more_than_one_value_is_refused(void **state)
{
    (void)state;
    refuse("1 2", "trailing garbage");
    refuse("{}{}", "trailing garbage");
    refuse("{} {}", "trailing garbage");
    refuse("[]]", "trailing garbage");
    refuse("{}x", "");
    refuse("{},", "trailing garbage");
    refuse("true false", "trailing garbage");
}

static void comments_are_refused(void **state)
{
    (void)state;
    refuse("/* x */ 1", "comment");
    refuse("[1, // x\n2]", "comment");
    refuse("{} /* x */", "trailing garbage");
    refuse("{}//", "trailing garbage");
}

static void bad_utf8_is_refused(void **state)
{
    (void)state;
    refuse("\"\x80\"", "offset 1: invalid UTF-8");
    refuse("\"ab\xff\"", "offset 3: invalid UTF-8");
    refuse("\"\xc0\x80\"", "UTF-8");
    refuse("\"\xe2\x82\"", "UTF-8");
    refuse("\"\xed\xa0\x80\"", "UTF-8");
    refuse("\"\xf4\x90\x80\x80\"", "UTF-8");
    refuse("\"\xf0\x9f\x98", "UTF-8");
    refuse("{\"\xfe\":1}", "UTF-8");
    refuse("[1]\xff", "UTF-8");
    refuse("\"\\\xff\"", "");
    refuse("\"\\\xc3\xa4\"", "");
}

static void bad_escapes_are_refused(void **state)
{
    (void)state;
    refuse("\"a\\u0000b\"", "NUL");
    refuse("{\"\\u0000\":1}", "NUL");
    refuse("\"\\ud800\"", "surrogate");
    refuse("\"\\uDBFF", "surrogate");
    refuse("\"\\udc00\"", "surrogate");
    refuse("\"\\ud800\\ud800\"", "surrogate");
    refuse("\"\\ud800\\n\"", "surrogate");
    refuse("\"\\ud800\\u0041\"", "surrogate");
    refuse("\"\\ud800\\u12", "surrogate");
    refuse("\"\\ud83d \\ude00\"", "surrogate");
}

static void duplicates_are_refused(void **state)
{
    struct snap_buf b = { 0 };
    int i;

    (void)state;
    refuse("{\"a\":1,\"a\":1}", "\"a\" twice");
    refuse("{\"a\":1,\"b\":{\"c\":1,\"d\":2,\"c\":3}}", "\"c\" twice");
    refuse("{\"a\":1,\"\\u0061\":1}", "\"a\" twice");
    refuse("{\"\":1,\"\":1}", "twice");
    refuse("{\"a.b\":1,\"a.b\":1}", "\"a.b\" twice in one object");
    refuse("{\"\\n\\u001b\":1,\"\\n\\u001b\":1}", "\"??\" twice");
    stays("[{\"a\":1},{\"a\":1}]");
    stays("{\"a\":{\"a\":{\"a\":1}}}");

    /* Many keys cost no more than sorting them. */
    snap_buf_adds(&b, "{");
    for (i = 0; i < 200000; i++)
        snap_buf_addf(&b, "\"k%d\":0,", i);
    snap_buf_adds(&b, "\"k7\":0}");
    refuse(b.data, "\"k7\" twice");
    b.data[b.len - 6] = 'x';
    becomes(b.data, b.data);
    snap_buf_dispose(&b);
}

static char *nested(const char *open, const char *inner, const char *close,
                    int n)
{
    struct snap_buf b = { 0 };
    int i;

    for (i = 0; i < n; i++)
        snap_buf_adds(&b, open);
    snap_buf_adds(&b, inner);
    for (i = 0; i < n; i++)
        snap_buf_adds(&b, close);
    return b.data;
}

static void depth_is_bounded(void **state)
{
    struct snap_buf b = { 0 };
    char *s;
    int i;

    (void)state;
    s = nested("[", "", "]", SNAP_JSON_DEPTH);
    stays(s);
    free(s);
    s = nested("{\"a\":", "1", "}", SNAP_JSON_DEPTH);
    stays(s);
    free(s);
    s = nested("[", "", "]", SNAP_JSON_DEPTH + 1);
    refuse(s, "deeper");
    free(s);
    s = nested("{\"a\":", "1", "}", SNAP_JSON_DEPTH + 1);
    refuse(s, "deeper");
    free(s);
    s = nested("[{\"a\":", "1", "}]", SNAP_JSON_DEPTH);
    refuse(s, "deeper");
    free(s);
    s = nested("[", "", "", 1000000);
    refuse(s, "deeper");
    free(s);
    /* Depth is what is open now, not what has been. */
    for (i = 0; i < 1000; i++)
        snap_buf_adds(&b, i ? ",[[]]" : "[[[]]");
    snap_buf_adds(&b, "]");
    stays(b.data);
    snap_buf_dispose(&b);
}

static void the_number_of_values_is_bounded(void **state)
{
    struct snap_buf b = { 0 };
    int i;

    (void)state;
    snap_buf_adds(&b, "[0");
    for (i = 0; i < 2000000; i++)
        snap_buf_adds(&b, ",0");
    snap_buf_adds(&b, "]");
    refuse(b.data, "values");
    snap_buf_dispose(&b);
}

static void every_truncation_is_refused(void **state)
{
    static const char whole[] =
        "{\"id\":18446744073709551615,\"s\":\"\\\"\\u00e4\\uD83D\\uDE00 "
        "\xc3\xa4\xf0\x9f\x98\x80\\n\",\"a\":[1,-2.5e+3,null,true,false,{}],"
        "\"o\":{\"k\":[],\"\\t\":\"\"}}";
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(whole) - 1; i++)
        refuse_len(whole, i, "");
}

/* Each byte replaced by each of some: never a crash, never invalid output. */
static void every_mutation_is_refused_or_round_trips(void **state)
{
    static const char whole[] =
        "{\"a\":[1,2.5,\"\\u00e4\\n\",{\"b\":null}],\"c\":\"\xc3\xa4\"}";
    static const char with[] = "\"\\{}[]:,0-.eu \n\x01\x80\xc3\xff/tn";
    char copy[sizeof(whole)], *text, *again;
    struct snap_json *j, *k;
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof(whole) - 1; i++) {
        for (n = 0; n < sizeof(with); n++) {
            memcpy(copy, whole, sizeof(whole));
            copy[i] = with[n];
            if (snap_json_parse(copy, sizeof(whole) - 1, &j, NULL)) {
                assert_null(j);
                continue;
            }
            text = snap_json_text(j, false);
            k = parse(text);
            again = snap_json_text(k, false);
            assert_string_equal(again, text);
            free(again);
            free(text);
            snap_json_free(j);
            snap_json_free(k);
        }
    }
}

static void pretty_text(void **state)
{
    struct snap_json *j;
    char *s;

    (void)state;
    j = parse("{\"a\":[1,{\"b\":[]}],\"c\":{}}");
    s = snap_json_text(j, true);
    assert_string_equal(s, "{\n"
                           "    \"a\": [\n        1,\n"
                           "        {\n"
                           "            \"b\": []\n        }\n"
                           "    ],\n"
                           "    \"c\": {}\n}");
    free(s);
    snap_json_free(j);
}

/* As deep as can be, each level in its place: {"a":[{"a":[...,0],"b":[]},0]}. */
static void pretty_text_of_many_levels(void **state)
{
    struct snap_buf in = { 0 }, want = { 0 };
    struct snap_json *j;
    char *s;
    int i;

    (void)state;
    for (i = 0; i < SNAP_JSON_DEPTH; i++) {
        snap_buf_adds(&in, i % 2 ? "[" : "{\"a\":");
        snap_buf_addf(&want, i % 2 ? "[\n%*s" : "{\n%*s\"a\": ", (i + 1) * 4,
                      "");
    }
    snap_buf_adds(&in, "7");
    snap_buf_adds(&want, "7");
    for (i = SNAP_JSON_DEPTH; i-- > 0;) {
        snap_buf_adds(&in, i % 2 ? ",0]" : ",\"b\":\"\"}");
        snap_buf_addf(&want, i % 2 ? ",\n%*s0" : ",\n%*s\"b\": \"\"",
                      (i + 1) * 4, "");
        snap_buf_addf(&want, "\n%*s%s", i * 4, "", i % 2 ? "]" : "}");
    }
    stays(in.data);
    j = parse(in.data);
    s = snap_json_text(j, true);
    assert_string_equal(s, want.data);
    free(s);
    snap_json_free(j);
    snap_buf_dispose(&in);
    snap_buf_dispose(&want);
}

static void constructors(void **state)
{
    struct snap_json *o, *a, *copy;
    char *s, *t;

    (void)state;
    o = snap_json_object();
    a = snap_json_array();
    snap_json_push(a, snap_json_int(INT64_MIN));
    snap_json_push(a, snap_json_int(INT64_MAX));
    snap_json_push(a, snap_json_bool(true));
    snap_json_push(a, snap_json_null());
    snap_json_push(a, snap_json_str(NULL));
    snap_json_push(a, snap_json_str("x\ny"));
    snap_json_set(o, "a", a);
    snap_json_set_str(o, "s", "1");
    snap_json_set_int(o, "i", -1);
    snap_json_set_bool(o, "b", false);
    s = snap_json_text(o, false);
    assert_string_equal(s, "{\"a\":[-9223372036854775808,"
                           "9223372036854775807,true,null,null,\"x\\ny\"],"
                           "\"s\":\"1\",\"i\":-1,\"b\":false}");
    copy = snap_json_copy(o);
    snap_json_set_int(o, "i", 5);
    snap_json_free(o);
    t = snap_json_text(copy, false);
    assert_string_equal(t, s);
    free(s);
    free(t);
    snap_json_free(copy);
    assert_null(snap_json_copy(NULL));
    snap_json_free(NULL);
}

static void is_double(double v, const char *want)
{
    struct snap_json *j;
    char *s;

    j = snap_json_double(v);
    s = snap_json_text(j, false);
    assert_string_equal(s, want);
    becomes(s, want);
    free(s);
    snap_json_free(j);
}

static void doubles(void **state)
{
    (void)state;
    is_double(0, "0");
    is_double(-0.0001, "0");
    is_double(1, "1");
    is_double(100, "100");
    is_double(1.5, "1.5");
    is_double(-1.2345, "-1.234");
    is_double(0.0004, "0");
    is_double(1234567.891, "1234567.891");
    is_double(NAN, "null");
    is_double(INFINITY, "null");
    is_double(-INFINITY, "null");
}

static void what_is_not_utf8_becomes_so(void **state)
{
    struct snap_json *o;
    char *s;

    (void)state;
    o = snap_json_object();
    snap_json_set_str(o, "p\xff", "/a\xff\xc3/\xc3\xa4\033");
    s = snap_json_text(o, false);
    assert_string_equal(s, "{\"p\xef\xbf\xbd\":\"/a\xef\xbf\xbd\xef\xbf\xbd/"
                           "\xc3\xa4\\u001B\"}");
    stays(s);
    free(s);
    snap_json_free(o);
}

static void objects_change_in_place(void **state)
{
    struct snap_json *o;
    char *s;

    (void)state;
    o = parse("{\"a\":1,\"unknown\":[18446744073709551615],\"b\":2,"
              "\"c\":3}");
    snap_json_set_str(o, "b", "new");
    snap_json_set(o, "a", NULL);
    snap_json_set(o, "never", NULL);
    snap_json_set(o, "c", snap_json_get(o, "c")); /* itself: kept */
    snap_json_set_int(o, "d", 4);
    s = snap_json_text(o, false);
    assert_string_equal(s, "{\"unknown\":[18446744073709551615],"
                           "\"b\":\"new\",\"c\":3,\"d\":4}");
    free(s);
    assert_int_equal(snap_json_len(o), 4);
    assert_string_equal(snap_json_key_at(o, 0), "unknown");
    assert_string_equal(snap_json_key_at(o, 3), "d");
    assert_null(snap_json_key_at(o, 4));
    assert_int_equal(snap_json_integer(snap_json_at(o, 3), 0), 4);
    while (snap_json_len(o))
        snap_json_set(o, snap_json_key_at(o, 0), NULL);
    snap_json_set_int(o, "x", 1);
    assert_int_equal(snap_json_get_int(o, "x", 0), 1);
    snap_json_free(o);
}

static void looking_never_fails(void **state)
{
    struct snap_json *j;

    (void)state;
    j = parse("{\"a\":{\"b\":{\"c\":7}},\"ab\":1,\"l\":[1],\"e\":{\"\":2}}");
    assert_int_equal(snap_json_integer(snap_json_path(j, "a.b.c"), 0), 7);
    assert_ptr_equal(snap_json_path(j, "l"), snap_json_get(j, "l"));
    assert_int_equal(snap_json_integer(snap_json_path(j, "e."), 0), 2);
    assert_null(snap_json_path(j, "a.b.c.d"));
    assert_null(snap_json_path(j, "a.x.c"));
    assert_null(snap_json_path(j, "a.b."));
    assert_null(snap_json_path(j, ""));
    assert_null(snap_json_path(j, "."));
    assert_null(snap_json_path(j, "l.0"));
    assert_null(snap_json_path(NULL, "a"));
    assert_null(snap_json_get(j, ""));
    assert_null(snap_json_get(NULL, "a"));
    assert_null(snap_json_get(snap_json_get(j, "l"), "a"));
    assert_null(snap_json_at(j, 4));
    assert_null(snap_json_at(NULL, 0));
    assert_null(snap_json_key_at(snap_json_get(j, "l"), 0));
    assert_int_equal(snap_json_len(NULL), 0);
    assert_int_equal(snap_json_len(snap_json_get(j, "ab")), 0);
    assert_int_equal(snap_json_type(NULL), SNAP_JSON_NULL);
    assert_int_equal(snap_json_type(j), SNAP_JSON_OBJECT);
    snap_json_free(j);
}

static void reads_as(const char *text, int64_t i, uint64_t u)
{
    struct snap_json *j;

    j = parse(text);
    assert_true(snap_json_integer(j, 77) == i);
    assert_true(snap_json_unsigned(j, 77) == u);
    snap_json_free(j);
}

static void typed_reads(void **state)
{
    struct snap_json *j;

    (void)state;
    reads_as("0", 0, 0);
    reads_as("-0", 0, 77);
    reads_as("-1", -1, 77);
    reads_as("9223372036854775807", INT64_MAX, INT64_MAX);
    reads_as("9223372036854775808", 77, 9223372036854775808u);
    reads_as("18446744073709551615", 77, UINT64_MAX);
    reads_as("18446744073709551616", 77, 77);
    reads_as("-9223372036854775808", INT64_MIN, 77);
    reads_as("-9223372036854775809", 77, 77);
    reads_as("1.0", 77, 77);
    reads_as("1e3", 77, 77);
    reads_as("\"1\"", 77, 77);
    reads_as("null", 77, 77);
    reads_as("true", 77, 77);
    reads_as("[1]", 77, 77);

    j = parse("{\"r\":1.5,\"big\":1e999,\"s\":\"x\",\"t\":true,\"n\":null}");
    assert_true(snap_json_real(snap_json_get(j, "r"), 0) == 1.5);
    assert_true(snap_json_real(snap_json_get(j, "big"), 3) == 3);
    assert_true(snap_json_real(snap_json_get(j, "s"), 3) == 3);
    assert_true(snap_json_real(NULL, 3) == 3);
    assert_string_equal(snap_json_get_str(j, "s"), "x");
    assert_null(snap_json_get_str(j, "r"));
    assert_null(snap_json_get_str(j, "none"));
    assert_string_equal(snap_json_string(snap_json_get(j, "n"), "d"), "d");
    assert_true(snap_json_get_bool(j, "t", false));
    assert_true(snap_json_get_bool(j, "r", true));
    assert_false(snap_json_get_bool(j, "none", false));
    assert_int_equal(snap_json_get_int(j, "none", 9), 9);
    snap_json_free(j);
}

/* --- all but one key --------------------------------------------------- */

static void without(const char *text, const char *skip, const char *want)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char *got;

    if (snap_json_parse_but(text, strlen(text), skip, &j, &err))
        fail_msg("%s: %s", text, err.msg);
    got = snap_json_text(j, false);
    assert_string_equal(got, want);
    free(got);
    snap_json_free(j);
}

static void without_fails(const char *text, const char *why)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = (void *)&j;

    assert_int_equal(snap_json_parse_but(text, strlen(text), "k", &j, &err),
                     SNAP_CORRUPT);
    assert_null(j);
    if (!strstr(err.msg, why))
        fail_msg("%s: said \"%s\", not \"%s\"", text, err.msg, why);
}

static void one_key_can_be_left_out(void **state)
{
    (void)state;
    without("{\"a\":1,\"k\":{\"x\":[{\"k\":{}},2,null,true,\"s\"]},\"b\":2}",
            "k", "{\"a\":1,\"k\":{},\"b\":2}");
    without("{\"k\":[1,[2,{\"a\":3}]],\"b\":[4]}", "k",
            "{\"k\":[],\"b\":[4]}");
    without("{\"k\":{},\"b\":{}}", "k", "{\"k\":{},\"b\":{}}");
    /* Only a container, only of the root, only that key. */
    without("{\"k\":7,\"b\":\"k\"}", "k", "{\"k\":7,\"b\":\"k\"}");
    without("{\"b\":{\"k\":{\"x\":1}}}", "k", "{\"b\":{\"k\":{\"x\":1}}}");
    without("[{\"k\":{\"x\":1}}]", "k", "[{\"k\":{\"x\":1}}]");
    without("{\"kk\":{\"x\":1}}", "k", "{\"kk\":{\"x\":1}}");
    without("{\"k\":{\"x\":1}}", NULL, "{\"k\":{\"x\":1}}");
}

/* What is not kept is looked at all the same. */
static void what_is_left_out_must_be_json(void **state)
{
    struct snap_buf b = { 0 };
    size_t i;

    (void)state;
    without_fails("{\"k\":{\"x\":}}", "offset");
    without_fails("{\"k\":{\"x\":1}", "offset");
    without_fails("{\"k\":[1,]}", "offset");
    without_fails("{\"k\":{\"x\":\"\xff\"}}", "UTF-8");
    without_fails("{\"k\":{\"x\":\"\\u0000\"}}", "NUL");
    without_fails("{\"k\":{\"x\":1},\"k\":{}}", "twice");
    without_fails("{\"k\":{}} x", "offset");

    snap_buf_adds(&b, "{\"k\":");
    for (i = 1; i < SNAP_JSON_DEPTH; i++)
        snap_buf_adds(&b, "[");
    for (i = 1; i < SNAP_JSON_DEPTH; i++)
        snap_buf_adds(&b, "]");
    snap_buf_adds(&b, "}");
    without(b.data, "k", "{\"k\":[]}");
    b.len = 0;
    snap_buf_adds(&b, "{\"k\":");
    for (i = 0; i < SNAP_JSON_DEPTH; i++)
        snap_buf_adds(&b, "[");
    for (i = 0; i < SNAP_JSON_DEPTH; i++)
        snap_buf_adds(&b, "]");
    snap_buf_adds(&b, "}");
    without_fails(b.data, "nested deeper");

    b.len = 0;
    snap_buf_adds(&b, "{\"k\":[0");
    for (i = 0; i < 1u << 20; i++)
        snap_buf_adds(&b, ",0");
    snap_buf_adds(&b, "]}");
    without_fails(b.data, "values");
    snap_buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_survive),
        cmocka_unit_test(numbers_keep_their_text),
        cmocka_unit_test(strings_survive),
        cmocka_unit_test(a_trailing_nul_is_tolerated),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(more_than_one_value_is_refused),
        cmocka_unit_test(comments_are_refused),
        cmocka_unit_test(bad_utf8_is_refused),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_mutation_is_refused_or_round_trips),
        cmocka_unit_test(pretty_text),
        cmocka_unit_test(pretty_text_of_many_levels),
        cmocka_unit_test(constructors),
        cmocka_unit_test(doubles),
        cmocka_unit_test(what_is_not_utf8_becomes_so),
        cmocka_unit_test(objects_change_in_place),
        cmocka_unit_test(looking_never_fails),
        cmocka_unit_test(typed_reads),
        cmocka_unit_test(one_key_can_be_left_out),
        cmocka_unit_test(what_is_left_out_must_be_json),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
