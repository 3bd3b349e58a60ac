/* SPDX-License-Identifier: LGPL-2.1-only */
/* Options and configuration file: merged where they agree, refused with both
 * places where not, and every conflict among what was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_cfg.h"
#include "lib/mem.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "model/request.h"

static void parse(const char *text, struct snap_cfg *cfg)
{
    struct snap_err err = SNAP_ERR_INIT;

    memset(cfg, 0, sizeof(*cfg));
    if (fake_cfg_parse("s1.cfg", text, strlen(text), cfg, &err))
        fail_msg("%s", err.msg);
}

static int merge(struct snap_create_req *r, const char *text,
                 struct snap_err *err)
{
    struct snap_cfg cfg;
    int rc;

    parse(text, &cfg);
    rc = snap_create_req_merge(r, &cfg, err);
    snap_cfg_dispose(&cfg);
    return rc;
}

static void init(struct snap_create_req *r)
{
    memset(r, 0, sizeof(*r));
    r->live = -1;
    r->domain = snap_strdup("web");
}

static void good_file(struct snap_create_req *r, const char *text)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (merge(r, text, &err) || snap_create_req_check(r, &err))
        fail_msg("%s: %s", text, err.msg);
}

/* The file is refused in this request with exactly this message. */
static void bad_merge(struct snap_create_req *r, const char *text,
                      const char *msg)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (merge(r, text, &err) != SNAP_INVAL)
        fail_msg("%s was not refused", text);
    assert_string_equal(err.msg, msg);
    assert_int_equal(err.rc, SNAP_INVAL);
}

static void bad_file(const char *text, const char *msg)
{
    struct snap_create_req r;

    init(&r);
    bad_merge(&r, text, msg);
    snap_create_req_dispose(&r);
}

/* Refuses this request (and disposes of it). */
static void bad_check(struct snap_create_req *r, const char *msg)
{
    struct snap_err err = SNAP_ERR_INIT;

    assert_int_equal(snap_create_req_check(r, &err), SNAP_INVAL);
    assert_string_equal(err.msg, msg);
    snap_create_req_dispose(r);
}

static void add(struct snap_create_req *r, const char *spec)
{
    struct snap_disk_choice c = { .vdev = NULL };
    struct snap_err err = SNAP_ERR_INIT;
    char *origin = snap_printf("--disk %.*s", (int)strcspn(spec, ","), spec);

    if (snap_disk_choice_parse(spec, false, origin, &c, &err) ||
        snap_create_req_add_disk(r, &c, &err))
        fail_msg("%s", err.msg);
    free(origin);
}

static void test_nothing_said(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    good_file(&r, "# nothing\n\n");
    assert_null(r.name);
    assert_int_equal(r.live, -1);
    assert_int_equal(r.memory, SNAP_MEM_DEFAULT);
    assert_int_equal(r.type, SNAP_DISK_AUTO);
    snap_create_req_dispose(&r);
    snap_create_req_dispose(&r);
}

static void test_everything_in_file(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    good_file(&r, "# what we want\n"
                  "name=\"s1\"\n"
                  "description='before the upgrade'\n"
                  "memory=\"/m/s1.save\"; live=1\n"
                  "type=\"external\"\n"
                  "quiesce=\"none\"\n"
                  "creationtime=\"2015-03-04\"\n"
                  "disks=[ 'vdev=xvda,type=internal',\n"
                  "        '/new.qcow2,qcow2,xvdb',  # V9\n"
                  "        ',,hda', ]\n");
    assert_string_equal(r.name, "s1");
    assert_string_equal(r.origin_name, "s1.cfg:2");
    assert_string_equal(r.description, "before the upgrade");
    assert_int_equal(r.memory, SNAP_MEM_YES);
    assert_string_equal(r.memory_file, "/m/s1.save");
    assert_string_equal(r.origin_memory, "s1.cfg:4");
    assert_int_equal(r.live, 1);
    assert_int_equal(r.type, SNAP_DISK_EXTERNAL);
    assert_int_equal(r.n_disks, 3);
    assert_string_equal(r.disks[0].origin, "s1.cfg:8");
    assert_string_equal(r.disks[1].origin, "s1.cfg:9");
    assert_string_equal(r.disks[1].target, "/new.qcow2");
    assert_string_equal(r.disks[2].vdev, "hda");
    assert_int_equal(r.disks[2].type, SNAP_DISK_INTERNAL);
    snap_create_req_dispose(&r);
}

static void test_memory_words(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    good_file(&r, "memory=\"yes\"\n");
    assert_int_equal(r.memory, SNAP_MEM_YES);
    assert_null(r.memory_file);
    snap_create_req_dispose(&r);
    init(&r);
    good_file(&r, "memory='no'\nlive=0\n");
    assert_int_equal(r.memory, SNAP_MEM_NO);
    assert_int_equal(r.live, 0);
    snap_create_req_dispose(&r);
}

/* The old key, and a value that is a number. */
static void test_old_words(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    good_file(&r, "name=17\ndisk=[ 'hda=/new.qcow2,type=qcow2' ]\n");
    assert_string_equal(r.name, "17");
    assert_string_equal(r.disks[0].format, "qcow2");
    snap_create_req_dispose(&r);
}

static void test_agreeing(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    r.name = snap_strdup("s1");
    r.origin_name = snap_strdup("--name");
    r.memory = SNAP_MEM_YES;
    r.memory_file = snap_strdup("/m");
    r.origin_memory = snap_strdup("--memory");
    r.live = 1;
    r.origin_live = snap_strdup("--live");
    r.type = SNAP_DISK_INTERNAL;
    r.origin_type = snap_strdup("--type");
    good_file(&r, "name=\"s1\"\nmemory=\"/m\"\nlive=1\ntype=\"internal\"\n");
    assert_string_equal(r.origin_name, "--name");
    snap_create_req_dispose(&r);
}

static void test_disagreeing(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    r.name = snap_strdup("s1");
    r.origin_name = snap_strdup("--name");
    bad_merge(&r, "name=\"s2\"\n",
              "name: --name s1 and s1.cfg:1 "
              "(name=\"s2\") disagree; remove one");
    r.description = snap_strdup("a");
    r.origin_description = snap_strdup("--description");
    bad_merge(&r, "\ndescription=\"b\"\n",
              "description: --description a and "
              "s1.cfg:2 (description=\"b\") disagree; remove one");
    r.memory = SNAP_MEM_NO;
    r.origin_memory = snap_strdup("--disk-only");
    bad_merge(&r, "memory=\"yes\"\n",
              "memory: --disk-only and s1.cfg:1 "
              "(memory=\"yes\") disagree; remove one");
    r.memory = SNAP_MEM_YES;
    r.memory_file = snap_strdup("/a");
    snap_set(&r.origin_memory, "--memory");
    bad_merge(&r, "memory=\"/b\"\n",
              "memory: --memory /a and s1.cfg:1 "
              "(memory=\"/b\") disagree; remove one");
    bad_merge(&r, "memory=\"no\"\n",
              "memory: --memory /a and s1.cfg:1 "
              "(memory=\"no\") disagree; remove one");
    r.live = 1;
    r.origin_live = snap_strdup("--live");
    bad_merge(&r, "live=0\n",
              "live: --live and s1.cfg:1 (live=\"0\") "
              "disagree; remove one");
    r.type = SNAP_DISK_INTERNAL;
    r.origin_type = snap_strdup("--type");
    bad_merge(&r, "type=\"external\"\n",
              "type: --type internal and s1.cfg:1 "
              "(type=\"external\") disagree; remove one");
    add(&r, "xvda");
    bad_merge(&r, "disks=[\n'xvda,type=external' ]\n",
              "disk xvda: both "
              "--disk xvda and s1.cfg:2 say what to do with it; remove one");
    snap_create_req_dispose(&r);
}

static void test_bad_values(void **state)
{
    (void)state;
    bad_file("name=\"../x\"\n",
             "s1.cfg:1: name \"../x\": character 3 is not "
             "allowed; use letters, digits, '.', '_' and '-'");
    bad_file("description=\"a\\nb\"\n",
             "s1.cfg:1: description: control "
             "character (such as a newline) at byte 2; use one line of text");
    bad_file("description=\"\"\n", "s1.cfg:1: description cannot be empty");
    bad_file("memory=\"maybe\"\n",
             "s1.cfg:1: memory=\"maybe\" is neither "
             "\"yes\" nor \"no\" nor an absolute path without . and ..");
    bad_file("memory=\"/a/../b\"\n",
             "s1.cfg:1: memory=\"/a/../b\" is "
             "neither \"yes\" nor \"no\" nor an absolute path without . and "
             "..");
    bad_file("type=\"fast\"\n", "s1.cfg:1: type=\"fast\" is neither "
                                "\"internal\" nor \"external\"");
    bad_file("live=2\n", "s1.cfg:1: live=\"2\" is neither 0 nor 1");
    bad_file("quiesce=\"agent\"\n", "s1.cfg:1: quiesce=\"agent\" cannot be "
                                    "done by this version; only \"none\" can");
    bad_file("disks=\"xvda\"\n", "s1.cfg:1: disks must be a list, as in "
                                 "disks=[ 'vdev=xvda' ]");
    bad_file("name=[ 'a' ]\n", "s1.cfg:1: name must be one value, not a "
                               "list");
    bad_file("disk=[]\n\ndisks=[]\n",
             "s1.cfg: disk (line 1) and disks "
             "(line 3) are the same key; use only disks");
    bad_file("disks=[ 'xvda',\n 'xvda,type=external' ]\n",
             "disk xvda: both "
             "s1.cfg:1 and s1.cfg:2 say what to do with it; remove one");
    bad_file("disks=[ 'xvda',\n\n 'xvdb,typ=external' ]\n",
             "s1.cfg:3: "
             "unknown key \"typ\"; did you mean \"type\"?");
}

static void test_unknown_keys(void **state)
{
    (void)state;
    bad_file("\n\n\ndescripton=\"a\"\n",
             "s1.cfg:4: unknown key "
             "\"descripton\"; did you mean \"description\"?");
    bad_file("colour=\"red\"\n",
             "s1.cfg:1: unknown key \"colour\"; known "
             "are name, description, memory, type, live and disks");
}

static void test_keys_of_revert(void **state)
{
    static const char *const keys[] = {
        "format",      "domain",          "uuid",         "domain_config",
        "memory_size", "memory_checksum", "memory_kb",    "created",
        "id",          "consistency",     "guest",        "window_ms",
        "versions",    "parent",          "disk_details", "left_out",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *text = snap_printf("%s=1\n", keys[i]);
        char *msg = snap_printf("s1.cfg:1: key \"%s\" is in files that "
                                "describe a snapshot already taken; use it "
                                "with snapshot-revert --config, or write a "
                                "new file for snapshot-create",
                                keys[i]);

        bad_file(text, msg);
        free(text);
        free(msg);
    }
}

static void test_checks_texts(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    snap_free(&r.domain);
    bad_check(&r, "which domain?");
    init(&r);
    snap_set(&r.domain, "");
    bad_check(&r, "which domain?");
    init(&r);
    r.name = snap_strdup("-n");
    r.origin_name = snap_strdup("--name");
    bad_check(&r, "--name: name \"-n\" must begin with a letter or a digit");
    init(&r);
    r.description = snap_strdup("a\tb");
    bad_check(&r, "--description: control character (such as a newline) at "
                  "byte 2; use one line of text");
}

static void test_checks_memory(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    r.live = 1;
    r.origin_live = snap_strdup("--live");
    r.memory = SNAP_MEM_NO;
    r.origin_memory = snap_strdup("s1.cfg:3");
    bad_check(&r, "--live is about saving memory, and s1.cfg:3 leaves memory "
                  "out; remove one");
    init(&r);
    r.memory = SNAP_MEM_NO;
    r.memory_file = snap_strdup("/m");
    bad_check(&r, "--memory /m names a file for the memory, and --disk-only "
                  "leaves memory out; remove one");
    init(&r);
    r.memory = SNAP_MEM_YES;
    r.memory_file = snap_strdup("m.save");
    r.origin_memory = snap_strdup("--memory");
    bad_check(&r, "--memory: \"m.save\" is not an absolute path without . "
                  "and ..");
}

static void test_checks_output(void **state)
{
    struct snap_create_req r;

    (void)state;
    init(&r);
    r.output = snap_strdup("/o");
    bad_check(&r, "--output /o goes with --no-metadata; add that, or leave "
                  "--output out and the snapshot is kept in the store");
    init(&r);
    r.no_metadata = true;
    bad_check(&r, "--no-metadata needs --output FILE: without that file "
                  "nobody could bring the snapshot back");
    init(&r);
    r.no_metadata = true;
    r.output = snap_strdup("");
    bad_check(&r, "--output: the file's name is empty");
    init(&r);
    r.no_metadata = true;
    r.output = snap_strdup("/o");
    r.memory = SNAP_MEM_YES;
    r.memory_file = snap_strdup("/o");
    r.origin_memory = snap_strdup("--memory");
    bad_check(&r, "--output and --memory are both /o");
}

static void test_checks_disks(void **state)
{
    struct snap_create_req r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    init(&r);
    add(&r, "xvda,target=/n");
    r.keep_path = true;
    bad_check(&r, "--disk xvda: with --keep-path the new image takes the old "
                  "one's path and not /n; remove one");
    init(&r);
    add(&r, "xvda,target=/n");
    add(&r, "xvdb,target=/n");
    bad_check(&r, "--disk xvda and --disk xvdb have the same target /n; give "
                  "each disk its own");
    init(&r);
    add(&r, "xvda,target=/n");
    r.memory = SNAP_MEM_YES;
    r.memory_file = snap_strdup("/n");
    bad_check(&r, "--disk xvda: target /n is also the memory image");
    init(&r);
    add(&r, "xvda,target=/n");
    r.output = snap_strdup("/n");
    r.no_metadata = true;
    bad_check(&r, "--disk xvda: target /n is also the file of --output");
    init(&r);
    r.output = snap_strdup("s.cfg");
    r.no_metadata = true;
    bad_check(&r, "--output s.cfg is not an absolute path, which it must be "
                  "if the memory image is to be put beside it; write the "
                  "whole path, or add --memory=FILE");
    init(&r);
    add(&r, "xvda,target=/n");
    r.disks[0].type = SNAP_DISK_INTERNAL;
    bad_check(&r, "--disk xvda: an internal snapshot has no target (/n)");
    init(&r);
    assert_int_equal(merge(&r, "disks=[ 'xvda,image=/i' ]\n", &err), 0);
    bad_check(&r, "s1.cfg:1: image=/i is for the files that snapshot-revert "
                  "takes; the new image is named by target=");
    init(&r);
    r.keep_path = true;
    r.type = SNAP_DISK_INTERNAL;
    r.origin_type = snap_strdup("--type");
    bad_check(&r, "--keep-path is about external snapshots, and --type asks "
                  "for internal ones; remove one");
    init(&r);
    r.reuse_external = true;
    add(&r, "xvda,type=external");
    bad_check(&r, "--reuse-external: no disk names the image to use; add "
                  "--disk VDEV,target=FILE");
}

static void test_good_combinations(void **state)
{
    struct snap_create_req r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    init(&r);
    r.paused = true;
    r.memory = SNAP_MEM_NO;
    r.keep_path = true;
    r.type = SNAP_DISK_INTERNAL;
    add(&r, "xvda,type=external");
    assert_int_equal(snap_create_req_check(&r, &err), 0);
    snap_create_req_dispose(&r);
    init(&r);
    r.reuse_external = true;
    r.no_metadata = true;
    r.output = snap_strdup("/o");
    r.live = 1;
    r.type = SNAP_DISK_INTERNAL;
    add(&r, "xvda,target=/a");
    add(&r, "xvdb,target=/b");
    assert_int_equal(snap_create_req_check(&r, &err), 0);
    snap_create_req_dispose(&r);
}

static void test_add_disk(void **state)
{
    struct snap_create_req r;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_disk_choice c = { .vdev = NULL };
    size_t i;

    (void)state;
    init(&r);
    add(&r, "xvda,type=external");
    c.vdev = snap_strdup("xvda");
    c.origin = snap_strdup("--no-disk xvda");
    c.skip = true;
    assert_int_equal(snap_create_req_add_disk(&r, &c, &err), SNAP_INVAL);
    assert_string_equal(err.msg, "disk xvda: both --disk xvda and --no-disk "
                                 "xvda say what to do with it; remove one");
    assert_null(c.vdev);
    assert_int_equal(r.n_disks, 1);

    snap_err_clear(&err);
    for (i = 1; i < SNAP_DISKS_MAX; i++) {
        char *spec = snap_printf("xvdz%zu", i);

        add(&r, spec);
        free(spec);
    }
    c.vdev = snap_strdup("hda");
    c.origin = snap_strdup("--disk hda");
    assert_int_equal(snap_create_req_add_disk(&r, &c, &err), SNAP_INVAL);
    assert_string_equal(err.msg, "--disk hda: more than 256 disks");
    snap_create_req_dispose(&r);
}

static void test_revert_req(void **state)
{
    struct snap_revert_req r = { .paused = true };

    (void)state;
    r.domain = snap_strdup("a");
    r.name = snap_strdup("b");
    r.config_file = snap_strdup("c");
    snap_revert_req_dispose(&r);
    snap_revert_req_dispose(&r);
    assert_null(r.domain);
    assert_false(r.paused);
}

/* The fake parser is part of what the other tests stand on. */
static void test_fake_parser(void **state)
{
    static const struct {
        const char *text, *msg;
    } bad[] = {
        { "a", "t:1: '=' must follow a key" },
        { "a=", "t:1: a value must be a string or a number" },
        { "a=b\n", "t:1: a value must be a string or a number" },
        { "\na='x\n'", "t:2: string without its end" },
        { "a='x", "t:1: string without its end" },
        { "a='\\x41'", "t:1: escape that does not survive" },
        { "a='\\101'", "t:1: escape that does not survive" },
        { "a=1 b=2", "t:1: more behind a value" },
        { "a=1\na=2", "t:2: key given twice" },
        { "A=1", "t:1: a key must begin with a letter" },
        { "a=[ 1 2 ]", "t:1: a list goes on with ',' or ends with ']'" },
        { "a=[ 1,\n[2] ]", "t:2: a value must be a string or a number" },
        { "a=[ 1,", "t:1: a value must be a string or a number" },
    };
    struct snap_cfg cfg = { .file = NULL };
    struct snap_err err = SNAP_ERR_INIT;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snap_err_clear(&err);
        assert_int_equal(
            fake_cfg_parse("t", bad[i].text, strlen(bad[i].text), &cfg, &err),
            SNAP_INVAL);
        assert_string_equal(err.msg, bad[i].msg);
        assert_null(cfg.entries);
    }
    parse("a='x\\'\\\"\\\\\\n'; b=[ # c\n\n1,\n\"2\" ] # e\nc.d_1=0xff", &cfg);
    assert_int_equal(cfg.n, 3);
    assert_string_equal(snap_cfg_find(&cfg, "a")->values[0], "x'\"\\\n");
    assert_int_equal(snap_cfg_find(&cfg, "b")->n, 2);
    assert_int_equal(snap_cfg_find(&cfg, "b")->lines[1], 4);
    assert_string_equal(snap_cfg_find(&cfg, "c.d_1")->values[0], "0xff");
    assert_null(snap_cfg_find(&cfg, "z"));
    snap_cfg_dispose(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_said),
        cmocka_unit_test(test_everything_in_file),
        cmocka_unit_test(test_memory_words),
        cmocka_unit_test(test_old_words),
        cmocka_unit_test(test_agreeing),
        cmocka_unit_test(test_disagreeing),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_keys_of_revert),
        cmocka_unit_test(test_checks_texts),
        cmocka_unit_test(test_checks_memory),
        cmocka_unit_test(test_checks_output),
        cmocka_unit_test(test_checks_disks),
        cmocka_unit_test(test_good_combinations),
        cmocka_unit_test(test_add_disk),
        cmocka_unit_test(test_revert_req),
        cmocka_unit_test(test_fake_parser),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
