/* SPDX-License-Identifier: LGPL-2.1-only */
/* One disk's words: every form the RFC had, and every way to get it wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "model/request.h"

struct want {
    const char *spec;
    const char *vdev;
    enum snap_disk_type type;
    const char *target, *format, *image, *image_format;
};

#define A SNAP_DISK_AUTO
#define I SNAP_DISK_INTERNAL
#define X SNAP_DISK_EXTERNAL

static void same(const char *spec, const char *what, const char *got,
                 const char *want)
{
    if (!snap_streq(got, want))
        fail_msg("'%s': %s is %s and should be %s", spec, what,
                 got ? got : "NULL", want ? want : "NULL");
}

static void good(const struct want *w, bool from_file)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_disk_choice c = { .vdev = NULL };

    if (snap_disk_choice_parse(w->spec, from_file, "here", &c, &err))
        fail_msg("'%s' was refused: %s", w->spec, err.msg);
    same(w->spec, "vdev", c.vdev, w->vdev);
    same(w->spec, "target", c.target, w->target);
    same(w->spec, "format", c.format, w->format);
    same(w->spec, "image", c.image, w->image);
    same(w->spec, "imageformat", c.image_format, w->image_format);
    same(w->spec, "origin", c.origin, "here");
    if (c.type != w->type)
        fail_msg("'%s': type is %d and should be %d", w->spec, c.type,
                 w->type);
    assert_false(c.skip);
    snap_disk_choice_dispose(&c);
    snap_disk_choice_dispose(&c);
}

static void bad(const char *spec, bool from_file, const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_disk_choice c = { .vdev = NULL };

    if (snap_disk_choice_parse(spec, from_file, "s1.cfg:4", &c, &err) !=
        SNAP_INVAL)
        fail_msg("'%s' was not refused", spec);
    assert_int_equal(err.rc, SNAP_INVAL);
    if (strncmp(err.msg, "s1.cfg:4: ", 10) || !strstr(err.msg, words))
        fail_msg("'%s': \"%s\" does not say \"%s\"", spec, err.msg, words);
    assert_null(c.vdev);
    assert_null(c.origin);
}

/* What both --disk and the file take. */
static const struct want both[] = {
    { "xvda", "xvda", A, NULL, NULL, NULL, NULL },
    { " xvda ", "xvda", A, NULL, NULL, NULL, NULL },
    { "vdev=xvda", "xvda", A, NULL, NULL, NULL, NULL },
    { "xvda,type=internal", "xvda", I, NULL, NULL, NULL, NULL },
    { "xvda,type=external", "xvda", X, NULL, NULL, NULL, NULL },
    { "xvda,target=/n.q", "xvda", X, "/n.q", NULL, NULL, NULL },
    { "xvda,format=qcow2", "xvda", X, NULL, "qcow2", NULL, NULL },
    { "xvda,type=external,target=/n,format=qcow2", "xvda", X, "/n", "qcow2",
      NULL, NULL },
    { "xvda, target = /a b=c , format=qcow2", "xvda", X, "/a b=c", "qcow2",
      NULL, NULL },
    { "format=qcow2,vdev=hda,target=/new.qcow2", "hda", X, "/new.qcow2",
      "qcow2", NULL, NULL },
};

static const struct want file_only[] = {
    /* HOWTO */
    { "hda=/new.qcow2", "hda", X, "/new.qcow2", NULL, NULL, NULL },
    { "hda=/new.qcow2,type=qcow2", "hda", X, "/new.qcow2", "qcow2", NULL,
      NULL },
    { "hda=/new.qcow2,type=external,format=qcow2", "hda", X, "/new.qcow2",
      "qcow2", NULL, NULL },
    /* V9 */
    { "/new.qcow2,qcow2,hda", "hda", X, "/new.qcow2", "qcow2", NULL, NULL },
    { "/n=1.qcow2,,hda", "hda", X, "/n=1.qcow2", NULL, NULL, NULL },
    { "/new.qcow2, qcow2, hda", "hda", X, "/new.qcow2", "qcow2", NULL, NULL },
    { ",,hda", "hda", I, NULL, NULL, NULL, NULL },
    { " , , hda", "hda", I, NULL, NULL, NULL, NULL },
    /* ours */
    { "vdev=xvda,type=internal,image=/a.q,imageformat=qcow2", "xvda", I, NULL,
      NULL, "/a.q", "qcow2" },
    { "vdev=xvdb,type=external,target=/b.q,format=qcow2,image=/b.raw,"
      "imageformat=raw",
      "xvdb", X, "/b.q", "qcow2", "/b.raw", "raw" },
    { "vdev=xvdb,type=external,target=/b,format=raw,image=/c,imageformat=vhd",
      "xvdb", X, "/b", "raw", "/c", "vhd" },
    { "xvda,image=/a", "xvda", A, NULL, NULL, "/a", NULL },
};

static void test_good(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        good(&both[i], true);
        good(&both[i], false);
    }
    for (i = 0; i < sizeof(file_only) / sizeof(file_only[0]); i++)
        good(&file_only[i], true);
}

static void test_bad_everywhere(void **state)
{
    static const struct {
        const char *spec, *words;
    } t[] = {
        { "xvda,type=qcow2", "the type is internal or external; an image's "
                             "format is given as format=" },
        { "xvda,type=fast", "type=fast: the type is internal or external" },
        { "xvda,type=", "the type is internal or external" },
        { "xvda,type=internal,type=external", "type is given twice" },
        { "xvda,type=internal,target=/n",
          "an internal snapshot has no "
          "target (/n); leave it out or use type=external" },
        { "xvda,type=internal,format=qcow2", "leave it out" },
        { "xvda,format=raw", "can only be qcow2" },
        { "xvda,format=zip", "unknown format; it is raw, qcow2" },
        { "xvda,target=", "target= is empty" },
        { "xvda,target=n.q", "target=n.q: not an absolute path" },
        { "xvda,target=/a/../b", "without . and .." },
        { "xvda,target=/a\x01", "target=/a?: not an absolute path" },
        { "xvda,target=/a,target=/b", "target is given twice" },
        { "xvda,xvdb", "\"xvdb\" is no KEY=VALUE" },
        { "xvda,", "\"\" is no KEY=VALUE" },
        { "xvda,vdev=xvdb", "the disk is named twice" },
        { "xvda,taget=/n", "unknown key \"taget\"; did you mean \"target\"?" },
        { "xvda,colour=red", "unknown key \"colour\"; known are vdev" },
        { "xvda,=x", "unknown key \"\"" },
        { "Xvda", "\"Xvda\" is no virtual device" },
        { "", "cannot be empty" },
        { "../../etc", "no virtual device" },
        { "xvda,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,"
          "a=1",
          "more than 16 fields" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        bad(t[i].spec, true, t[i].words);
        bad(t[i].spec, false, t[i].words);
    }
}

static void test_bad_in_file(void **state)
{
    (void)state;
    bad("type=external", true, "no disk is named; add vdev=xvda");
    bad("/new.qcow2,qcow2", true, "three fields");
    bad("/new.qcow2", true, "three fields");
    bad("/n,qcow2,hda,x", true, "three fields");
    bad("/n,qcow2,vdev=hda", true, "three fields");
    bad(",qcow2,hda", true, "format qcow2 without a target");
    bad(",,", true, "cannot be empty");
    bad("/n,zip,hda", true, "unknown format");
    bad("/n,raw,hda", true, "can only be qcow2");
    bad("/a/../n,qcow2,hda", true, "not an absolute path");
    bad("hda=/n,type=internal", true, "an internal snapshot has no target");
    bad("hda=/n,type=zip", true, "unknown format");
    bad("xvda,imageformat=raw", true, "imageformat= without image=");
    bad("xvda,image=/a,target=/a", true, "image and target are both /a");
    bad("xvda,image=a", true, "image=a: not an absolute path");
    bad("xvda,image=/a,image=/b", true, "image is given twice");
    bad("h*a=/n", true, "no virtual device");
}

static void test_bad_in_option(void **state)
{
    (void)state;
    bad("type=external", false,
        "begin with the disk's name, as in "
        "xvda,type=external");
    bad("xvda,image=/a", false,
        "image= is for the configuration files that "
        "snapshot-revert takes");
    bad("xvda,imageformat=raw", false, "snapshot-revert");
    bad("hda=/new.qcow2", false, "unknown key \"hda\"");
    bad("/new.qcow2,qcow2,hda", false, "no virtual device");
    bad(",,hda", false, "cannot be empty");
}

/* Any text is taken or refused, and what is taken is well-formed. */
static void test_every_cut(void **state)
{
    static const char text[] =
        "vdev=xvdb,type=external,target=/b.q,format=qcow2,image=/b.raw,"
        "imageformat=raw";
    struct snap_err err;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text); i++) {
        struct snap_disk_choice c = { .vdev = NULL };
        char *cut = snap_strndup(text, i);
        int rc;

        snap_err_clear(&err);
        rc = snap_disk_choice_parse(cut, true, "cut", &c, &err);
        assert_int_equal(rc, err.rc);
        assert_true(rc == 0 || rc == SNAP_INVAL);
        if (!rc)
            assert_int_equal(snap_vdev_check(c.vdev, NULL), 0);
        snap_disk_choice_dispose(&c);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad_everywhere),
        cmocka_unit_test(test_bad_in_file),
        cmocka_unit_test(test_bad_in_option),
        cmocka_unit_test(test_every_cut),
    };

    return cmocka_run_group_tests_name("diskspec", tests, NULL, NULL);
}
