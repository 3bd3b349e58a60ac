/* SPDX-License-Identifier: LGPL-2.1-only */
/* Names, devices, UUIDs, texts and the nearest key: each rule, and what its
 * message says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/hyp_ops.h"
#include "model/name.h"
#include "model/request.h"

typedef int check_fn(const char *s, struct snap_err *err);

static void good(check_fn *fn, const char *s)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (fn(s, &err))
        fail_msg("\"%s\" was refused: %s", s, err.msg);
    assert_int_equal(err.rc, 0);
}

static void bad(check_fn *fn, const char *s, const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    const char *p;

    if (fn(s, &err) != SNAP_INVAL)
        fail_msg("\"%s\" was not refused", s ? s : "NULL");
    assert_int_equal(err.rc, SNAP_INVAL);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    for (p = err.msg; *p; p++)
        assert_false(snap_is_control(p, 1));
}

static void test_names(void **state)
{
    char longest[SNAP_NAME_MAX + 2];

    (void)state;
    good(snap_name_check, "a");
    good(snap_name_check, "0");
    good(snap_name_check, "s1");
    good(snap_name_check, "1795257220");
    good(snap_name_check, "Before.the-big_upgrade.2");
    good(snap_name_check, "a..b");
    good(snap_name_check, "x.json.tmp-1");

    bad(snap_name_check, NULL, "cannot be empty");
    bad(snap_name_check, "", "cannot be empty");
    bad(snap_name_check, ".", "begin with a letter or a digit");
    bad(snap_name_check, "..", "begin with a letter or a digit");
    bad(snap_name_check, ".a", "begin with a letter or a digit");
    bad(snap_name_check, "-n", "begin with a letter or a digit");
    bad(snap_name_check, "_a", "begin with a letter or a digit");
    bad(snap_name_check, "a.", "must not end in a dot");
    bad(snap_name_check, "../x", "character 3 is not allowed");
    bad(snap_name_check, "a/b", "character 2 is not allowed");
    bad(snap_name_check, "/", "character 1");
    bad(snap_name_check, "a b", "character 2");
    bad(snap_name_check, " a", "character 1");
    bad(snap_name_check, "a\n", "\"a?\": character 2");
    bad(snap_name_check, "a\x7f", "character 2");
    bad(snap_name_check, "a\x1b[31m", "character 2");
    bad(snap_name_check, "a@b", "character 2");
    bad(snap_name_check, "a,b", "use letters, digits, '.', '_' and '-'");
    bad(snap_name_check, "a%s%n", "character 2");
    bad(snap_name_check, "\xc3\xa9t\xc3\xa9", "character 1");
    bad(snap_name_check,
        "a\xc0\xaf"
        "b",
        "character 2"); /* overlong '/' */
    bad(snap_name_check,
        "a\xef\xbc\x8f"
        "b",
        "character 2"); /* wide '/' */
    bad(snap_name_check,
        "a\xe2\x80\xae"
        "b",
        "character 2"); /* RTL override */
    bad(snap_name_check, "a\xff", "character 2");

    memset(longest, 'x', sizeof(longest));
    longest[SNAP_NAME_MAX + 1] = '\0';
    bad(snap_name_check, longest, "is 65 characters long; at most 64");
    longest[SNAP_NAME_MAX] = '\0';
    good(snap_name_check, longest);
}

static void test_long_name(void **state)
{
    char name[301];

    (void)state;
    memset(name, 'x', 300);
    name[300] = '\0';
    bad(snap_name_check, name, "xxx...\" is 300 characters long");
}

/* Whatever bytes a name has, those that pass make a path that is one. */
static void test_every_pair_of_bytes(void **state)
{
    char name[3] = "", *path;
    int a, b;

    (void)state;
    for (a = 1; a < 256; a++)
        for (b = 0; b < 256; b++) {
            name[0] = a;
            name[1] = b;
            if (snap_name_check(name, NULL))
                continue;
            path = snap_printf("/s/%s", name);
            assert_true(snap_path_ok(path));
            assert_ptr_equal(strrchr(path, '/'), path + 2);
            free(path);
        }
}

static void test_vdevs(void **state)
{
    (void)state;
    good(snap_vdev_check, "xvda");
    good(snap_vdev_check, "hda");
    good(snap_vdev_check, "sdb");
    good(snap_vdev_check, "xvdaa");
    good(snap_vdev_check, "hdc1");
    good(snap_vdev_check, "xvda12345678901x");

    bad(snap_vdev_check, NULL, "cannot be empty");
    bad(snap_vdev_check, "", "cannot be empty");
    bad(snap_vdev_check, "x", "no virtual device");
    bad(snap_vdev_check, "x1", "no virtual device");
    bad(snap_vdev_check, "1a", "no virtual device");
    bad(snap_vdev_check, "Xvda", "no virtual device");
    bad(snap_vdev_check, "xvda/", "no virtual device");
    bad(snap_vdev_check, "../a", "no virtual device");
    bad(snap_vdev_check, "-xvda", "no virtual device");
    bad(snap_vdev_check, "xvda\n", "\"xvda?\"");
    bad(snap_vdev_check, "xvd\xc3\xa9", "no virtual device");
    bad(snap_vdev_check, "xvda123456789012x", "no virtual device");
}

static void test_uuids(void **state)
{
    (void)state;
    good(snap_uuid_check, "00000000-0000-0000-0000-000000000000");
    good(snap_uuid_check, "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b");

    bad(snap_uuid_check, NULL, "no UUID");
    bad(snap_uuid_check, "", "no UUID");
    bad(snap_uuid_check, "..", "no UUID");
    bad(snap_uuid_check, "6B1F9A3C-2d4e-4f60-8a7b-0c1d2e3f4a5b", "no UUID");
    bad(snap_uuid_check, "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5", "no UUID");
    bad(snap_uuid_check, "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5bb", "no UUID");
    bad(snap_uuid_check, "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5/", "no UUID");
    bad(snap_uuid_check, "6b1f9a3c02d4e04f6008a7b00c1d2e3f4a5b", "no UUID");
    bad(snap_uuid_check, "../../../../../../../../../../../etc", "no UUID");
    bad(snap_uuid_check, "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5g", "no UUID");
}

static int text10(const char *s, struct snap_err *err)
{
    return snap_text_check(s, 10, "note", err);
}

static void test_texts(void **state)
{
    (void)state;
    good(text10, "a b\"c'\\d");
    good(text10, "\xc3\xa9t\xc3\xa9");
    good(text10, "0123456789");
    bad(text10, NULL, "note cannot be empty");
    bad(text10, "", "note cannot be empty");
    bad(text10, "0123456789a", "note is 11 bytes long; at most 10");
    bad(text10, "a\nb",
        "note: control character (such as a newline) at "
        "byte 2");
    bad(text10, "a\tb", "control character");
    bad(text10, "\x1b[0m", "byte 1");
    bad(text10, "a\xc2\x85", "byte 2"); /* C1 */
    bad(text10, "a\x7f", "byte 2");
    bad(text10, "ab\xff", "note: byte 3 is not UTF-8");
    bad(text10, "\xed\xa0\x80", "byte 1 is not UTF-8"); /* surrogate */
    bad(text10, "\xc0\xaf", "byte 1 is not UTF-8"); /* overlong */
}

static void test_formats(void **state)
{
    (void)state;
    assert_true(snap_format_known("raw"));
    assert_true(snap_format_known("qcow2"));
    assert_true(snap_format_known("vhd"));
    assert_false(snap_format_known("empty"));
    assert_false(snap_format_known("RAW"));
    assert_false(snap_format_known(""));
    assert_false(snap_format_known(NULL));
}

static void test_nearest(void **state)
{
    static const char *const known[] = {
        "name", "description", "memory", "disks", "live", NULL,
    };
    char longest[4096];

    (void)state;
    assert_string_equal(snap_cfg_nearest("descripton", known), "description");
    assert_string_equal(snap_cfg_nearest("desription", known), "description");
    assert_string_equal(snap_cfg_nearest("nmae", known), "name");
    assert_string_equal(snap_cfg_nearest("disk", known), "disks");
    assert_string_equal(snap_cfg_nearest("name", known), "name");
    assert_null(snap_cfg_nearest("colour", known));
    assert_null(snap_cfg_nearest("", known));
    memset(longest, 'n', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_null(snap_cfg_nearest(longest, known));
}

static void test_model(void **state)
{
    struct snap_domain d = { .name = snap_strdup("a"), .domid = 3 };
    struct snap_vbd v = { .vdev = snap_strdup("xvda"), .cdrom = true };

    (void)state;
    d.why_no_live = snap_strdup("b");
    v.script = snap_strdup("c");
    snap_domain_dispose(&d);
    snap_domain_dispose(&d);
    snap_vbd_dispose(&v);
    snap_vbd_dispose(&v);
    assert_null(d.name);
    assert_int_equal(d.domid, 0);
    assert_null(v.vdev);
    assert_false(v.cdrom);
    assert_string_equal(snap_guest_type_name(SNAP_GUEST_PV), "pv");
    assert_string_equal(snap_guest_type_name(SNAP_GUEST_PVH), "pvh");
    assert_string_equal(snap_guest_type_name(SNAP_GUEST_HVM), "hvm");
    assert_string_equal(snap_guest_type_name(99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_every_pair_of_bytes),
        cmocka_unit_test(test_vdevs),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
