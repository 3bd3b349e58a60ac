/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Configuration files through libxlutil: values, keys, lines, and messages
 * with the line.  Needs libxlutil, and no Xen running.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hyp/cfg_xlu.h"
#include "lib/mem.h"

static int parse_n(const char *text, size_t len, struct snap_cfg *cfg,
                   struct snap_err *err)
{
    memset(cfg, 0, sizeof(*cfg));
    return hyp_cfg_parse("t.cfg", text, len, cfg, err);
}

static void good(const char *text, struct snap_cfg *cfg)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc = parse_n(text, strlen(text), cfg, &err);

    if (rc)
        print_error("%s\n", err.msg);
    assert_int_equal(rc, 0);
    assert_string_equal(cfg->file, "t.cfg");
}

static void bad_n(const char *text, size_t len, const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_cfg cfg;

    assert_int_equal(parse_n(text, len, &cfg, &err), SNAP_INVAL);
    if (!strstr(err.msg, words))
        print_error("\"%s\" does not say \"%s\"\n", err.msg, words);
    assert_non_null(strstr(err.msg, words));
    assert_null(strchr(err.msg, '\n'));
    snap_cfg_dispose(&cfg);
}

static void bad(const char *text, const char *words)
{
    bad_n(text, strlen(text), words);
}

static void is_value(const struct snap_cfg_entry *e, const char *key, int line,
                     const char *value)
{
    assert_string_equal(e->key, key);
    assert_int_equal(e->line, line);
    assert_false(e->list);
    assert_int_equal(e->n, 1);
    assert_string_equal(e->values[0], value);
}

static void test_values(void **state)
{
    struct snap_cfg cfg;

    (void)state;
    good("# a comment\n"
         "name = \"before-upgrade\"\n"
         "\n"
         "memory=1;type = 'external'  # why not\n"
         "\tsize = 0x1f\n"
         "description = \"it's \\\"quoted\\\", with # and = and [\"\n",
         &cfg);
    assert_int_equal(cfg.n, 5);
    is_value(&cfg.entries[0], "name", 2, "before-upgrade");
    is_value(&cfg.entries[1], "memory", 4, "1");
    is_value(&cfg.entries[2], "type", 4, "external");
    is_value(&cfg.entries[3], "size", 5, "0x1f");
    is_value(&cfg.entries[4], "description", 6,
             "it's \"quoted\", with # and = and [");
    snap_cfg_dispose(&cfg);
}

static void test_lists(void **state)
{
    const struct snap_cfg_entry *e;
    struct snap_cfg cfg;

    (void)state;
    good("empty = []\n"
         "disks = [ 'xvda', # the system\n"
         "          # and\n"
         "          \"xvdb,type=internal\",\n"
         "\n"
         "          7,\n"
         "        ]\n"
         "live = 1",
         &cfg);
    assert_int_equal(cfg.n, 3);
    e = &cfg.entries[0];
    assert_true(e->list);
    assert_int_equal(e->n, 0);
    e = &cfg.entries[1];
    assert_true(e->list);
    assert_int_equal(e->line, 2);
    assert_int_equal(e->n, 3);
    assert_string_equal(e->values[0], "xvda");
    assert_string_equal(e->values[1], "xvdb,type=internal");
    assert_string_equal(e->values[2], "7");
    assert_int_equal(e->lines[0], 2);
    assert_int_equal(e->lines[1], 4);
    assert_int_equal(e->lines[2], 6);
    is_value(&cfg.entries[2], "live", 8, "1");
    snap_cfg_dispose(&cfg);
}

static void test_nothing_much(void **state)
{
    static const char *const texts[] = {
        "", "\n", "\n\n\n", "# only a comment", ";", " \t ", "#", "#\n#",
    };
    struct snap_cfg cfg;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        good(texts[i], &cfg);
        assert_int_equal(cfg.n, 0);
        snap_cfg_dispose(&cfg);
    }
    good("a=1 # no newline at the end", &cfg);
    assert_int_equal(cfg.n, 1);
    snap_cfg_dispose(&cfg);
}

/* As in xl.cfg. */
static void test_addition(void **state)
{
    const struct snap_cfg_entry *e;
    struct snap_cfg cfg;

    (void)state;
    good("disks = [ 'xvda' ]\n"
         "name = 'a'\n"
         "disks += [ 'xvdb',\n"
         " 'xvdc' ]\n"
         "name += 'b'\n"
         "fresh += 'x'\n",
         &cfg);
    assert_int_equal(cfg.n, 3);
    e = &cfg.entries[0];
    assert_int_equal(e->n, 3);
    assert_string_equal(e->values[2], "xvdc");
    assert_int_equal(e->lines[0], 1);
    assert_int_equal(e->lines[1], 3);
    assert_int_equal(e->lines[2], 4);
    is_value(&cfg.entries[1], "name", 2, "ab");
    is_value(&cfg.entries[2], "fresh", 6, "x");
    snap_cfg_dispose(&cfg);
    bad("a = 'x'\na += [ 'y' ]\n", "t.cfg:2");
    bad("a = [ 'x' ]\na += 'y'\n", "t.cfg:2");
}

static void test_twice(void **state)
{
    (void)state;
    bad("name = 'a'\n\nname = 'b'\n",
        "t.cfg:3: \"name\" is set again, after line 1");
    bad("d = [ 'a' ]\nd = [ ]\n", "t.cfg:2: \"d\" is set again");
    bad("d += [ 'a' ]\nd = [ ]\n", "t.cfg:2: \"d\" is set again");
}

static void test_grammar_errors(void **state)
{
    (void)state;
    bad("name = 'a'\nmemory == 1\n", "t.cfg:2: ");
    bad("name = 'a'\n\n\nwhat is this\n", "t.cfg:4: ");
    bad("disks = [ 'a',\n 'b'\nname = 'x'\n", "t.cfg:3: ");
    bad("name = \"open\n", "t.cfg:1: ");
    bad("name = value\n", "t.cfg:1: ");
    bad("Name = 'a'\n", "t.cfg:1: ");
    bad("a = 1\nb = -1\n", "t.cfg:2: ");
    bad("a = [ ,, ]\n", "t.cfg:1: ");
    bad("= 1\n", "t.cfg:1: ");
    bad("a = 1 b = 2\n", "t.cfg:1: ");
    bad("a\n", "t.cfg:1: ");
    bad("a = 'x' ]\n", "t.cfg:1: ");
    bad("a = '\\q'\n", "t.cfg:1: ");
}

/* What libxlutil would not survive, or not notice. */
static void test_hazards(void **state)
{
    char *big;

    (void)state;
    bad_n("a = 1\nb = 'x\0y'\n", 16, "t.cfg:2: holds a NUL byte");
    bad_n("\0", 1, "t.cfg:1: holds a NUL byte");
    bad_n("# \0\n", 4, "t.cfg:1: holds a NUL byte");
    bad("a = 1\r\nb = 2\r\n", "t.cfg:1: has DOS line ends");
    bad("\na = 'x\\x41'\n", "t.cfg:2: numeric escapes");
    bad("a = \"\\x\"\n", "t.cfg:1: numeric escapes");
    bad("a = '\\0'\n", "t.cfg:1: numeric escapes");
    bad("a = '\\7'\n", "t.cfg:1: numeric escapes");
    bad("a = [ 'x',\n [ 'y' ] ]\n", "t.cfg:2: a list within a list");

    big = snap_zalloc(SNAP_CFG_MAX + 2);
    memset(big, '\n', SNAP_CFG_MAX + 1);
    bad_n(big, SNAP_CFG_MAX + 1, "too long");
    memset(big, '[', SNAP_CFG_MAX);
    bad_n(big, SNAP_CFG_MAX, "t.cfg:1: a list within a list");
    memset(big, 'a', SNAP_CFG_MAX);
    bad_n(big, SNAP_CFG_MAX, "t.cfg:1: ");
    free(big);
}

static void test_escapes(void **state)
{
    struct snap_cfg cfg;

    (void)state;
    good("a = 'tab\\there'\nb = 'back\\\\slash'\nc = '\\'q\\''\n", &cfg);
    assert_string_equal(cfg.entries[0].values[0], "tab\there");
    assert_string_equal(cfg.entries[1].values[0], "back\\slash");
    assert_string_equal(cfg.entries[2].values[0], "'q'");
    snap_cfg_dispose(&cfg);
}

/* Every beginning of a file is parsed or refused, never worse. */
static void test_truncated_anywhere(void **state)
{
    static const char text[] =
        "name = \"a\\\"b\" # c\ndisks = [ 'x', \"y\",\n 3 ]\nd += 0x1;e='f'\n";
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_cfg cfg;
    size_t len;
    char *copy;

    (void)state;
    for (len = 0; len < sizeof(text); len++) {
        copy = malloc(len ? len : 1); /* exact, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, text, len);
        snap_err_clear(&err);
        parse_n(copy, len, &cfg, &err);
        snap_cfg_dispose(&cfg);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_nothing_much),
        cmocka_unit_test(test_addition),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_grammar_errors),
        cmocka_unit_test(test_hazards),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_truncated_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
