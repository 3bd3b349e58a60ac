/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is said to qemu-img, word for word, and what is read from images
 * without it: headers made by hand, most of them hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/drivers.h"
#include "disk/format/format_names.h"
#include "disk/format/qcow2_header.h"
#include "disk/format/vhd_footer.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qcow2_tag.h"
#include "disk/qemu/qemu_img.h"
#include "disk/qemu/qemu_node.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"

static char dir[64];

static char *in_dir(const char *name)
{
    return snap_printf("%s/%s", dir, name);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/xlsnap-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char *cmd[] = { "qemu-img", "argv", "image", "a.s1.qcow2", "answer" };
    size_t i;

    (void)state;
    snap_run_path_first = NULL;
    for (i = 0; i < sizeof(cmd) / sizeof(cmd[0]); i++) {
        char *path = in_dir(cmd[i]);

        unlink(path);
        free(path);
    }
    return rmdir(dir);
}

static void put(const char *name, const void *data, size_t len, mode_t mode)
{
    char *path = in_dir(name);

    assert_int_equal(snap_file_write(path, data, len, mode, false, NULL), 0);
    free(path);
}

/* ---- argv ---- */

/* A qemu-img that writes down its arguments, one a line in <>, and prints
 * the file "answer". */
static void fake_qemu_img(const char *answer, int status)
{
    char *script = snap_printf("#!/bin/sh\nfor a in \"$@\"; do printf "
                               "'<%%s>\\n' \"$a\"; done >%s/argv\n"
                               "cat %s/answer\nexit %d\n",
                               dir, dir, status);

    put("qemu-img", script, strlen(script), 0755);
    put("answer", answer, strlen(answer), 0600);
    free(script);
    snap_run_path_first = dir;
}

static void argv_is(const char *want)
{
    char *path = in_dir("argv"), *text = NULL;
    size_t len;

    assert_int_equal(snap_file_read(path, 65536, &text, &len, NULL), 0);
    assert_string_equal(text, want);
    free(text);
    free(path);
}

#define ODD "/vm/a b'c\"d,e%s$(f)\\;*.qcow2"

static void argv_of_each_call(void **state)
{
    struct snap_json *j = NULL;

    (void)state;
    fake_qemu_img("{\"virtual-size\": 5}", 0);
    assert_int_equal(snap_qemu_img_info(NULL, ODD, "raw", false, &j, NULL), 0);
    assert_int_equal(snap_image_size(j), 5);
    snap_json_free(j);
    argv_is("<info>\n<-U>\n<--output=json>\n<-f>\n<raw>\n<" ODD ">\n");
    fake_qemu_img("[{\"virtual-size\": 5}]", 0);
    assert_int_equal(snap_qemu_img_info(NULL, ODD, "vpc", true, &j, NULL), 0);
    snap_json_free(j);
    argv_is("<info>\n<-U>\n<--output=json>\n<--backing-chain>\n<-f>\n<vpc>\n"
            "<" ODD ">\n");
    assert_int_equal(snap_qemu_img_create(NULL, ODD, "/b,b", "raw",
                                          (uint64_t)1 << 63, NULL),
                     0);
    argv_is("<create>\n<-q>\n<-f>\n<qcow2>\n<-u>\n<-b>\n</b,b>\n<-F>\n<raw>\n"
            "<" ODD ">\n<9223372036854775808>\n");
    assert_int_equal(snap_qemu_img_snapshot(NULL, "-a", "-l", ODD, NULL), 0);
    argv_is("<snapshot>\n<-q>\n<-a>\n<-l>\n<" ODD ">\n");
    assert_int_equal(snap_qemu_img_commit(NULL, ODD, NULL, NULL, NULL), 0);
    argv_is("<commit>\n<-q>\n<-f>\n<qcow2>\n<-d>\n<" ODD ">\n");
}

static void answers_are_not_trusted(void **state)
{
    static const struct {
        const char *answer;
        bool chain;
        int status, rc;
    } bad[] = {
        { "", false, 0, SNAP_CORRUPT }, { "{", false, 0, SNAP_CORRUPT },
        { "[]", false, 0, SNAP_PROTO }, { "{}", true, 0, SNAP_PROTO },
        { "[]", true, 0, SNAP_PROTO },  { "{}", false, 1, SNAP_FAIL },
    };
    struct snap_buf b = { 0 };
    struct snap_json *j;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct snap_err e = SNAP_ERR_INIT;

        fake_qemu_img(bad[i].answer, bad[i].status);
        assert_int_equal(
            snap_qemu_img_info(NULL, "/x", "raw", bad[i].chain, &j, &e),
            bad[i].rc);
        assert_null(j);
        assert_true(e.msg[0]);
    }
    snap_buf_adds(&b, "[{}");
    for (i = 0; i < 300; i++)
        snap_buf_adds(&b, ",{}");
    snap_buf_adds(&b, "]");
    fake_qemu_img(b.data, 0);
    assert_int_equal(snap_qemu_img_info(NULL, "/x", "raw", true, &j, NULL),
                     SNAP_PROTO);
    snap_buf_dispose(&b);
}

static void formats(void **state)
{
    (void)state;
    assert_string_equal(snap_qemu_format("vhd"), "vpc");
    assert_string_equal(snap_qemu_format("raw"), "raw");
    assert_null(snap_qemu_format("qed"));
    assert_null(snap_qemu_format(NULL));
    assert_string_equal(snap_libxl_format("vpc"), "vhd");
    assert_null(snap_libxl_format("luks"));
    assert_null(snap_libxl_format(NULL));
}

/* ---- what qemu-img says of an image ---- */

static void tags(void **state)
{
    static const char text[] =
        "{\"virtual-size\":\"big\",\"snapshots\":[{\"id\":\"1\",\"name\":"
        "\"a\",\"date-sec\":5},{\"id\":\"2\",\"name\":\"1\"},{\"id\":\"3\","
        "\"name\":\"b\"},{\"id\":\"4\",\"name\":\"b\"},{\"id\":\"5\"},7,"
        "{\"id\":5,\"name\":5}],\"format-specific\":{\"data\":[]}}";
    struct snap_json *j = NULL;
    struct snap_image_tag t;

    (void)state;
    assert_int_equal(snap_json_parse(text, strlen(text), &j, NULL), 0);
    snap_image_find_tag(j, "a", &t);
    assert_true(t.count == 1 && !t.id_clash && t.date == 5);
    snap_image_find_tag(j, "1", &t);
    assert_true(t.count == 1 && t.id_clash);
    snap_image_find_tag(j, "b", &t);
    assert_true(t.count == 2 && !t.id_clash);
    snap_image_find_tag(j, "c", &t);
    assert_true(!t.count && !t.id_clash);
    snap_image_find_tag(NULL, "c", &t);
    assert_int_equal(t.count, 0);
    assert_int_equal(snap_image_snapshots(j), 7);
    assert_int_equal(snap_image_size(j), 0);
    assert_false(snap_image_corrupt(j));
    assert_false(snap_image_has_bitmaps(j));
    snap_json_free(j);
}

static void tag_in_the_image(void **state)
{
    static const char *const names[][2] = {
        { "1795259390", "snap-1795259390" },
        { "0", "snap-0" },
        { "a", "a" },
        { "1a", "1a" },
        { "1.0", "1.0" },
        { "-1", "-1" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct snap_part p = { 0 };

        p.tag = snap_strdup(names[i][0]);
        snap_qcow2_tag_set(&p);
        assert_string_equal(snap_qcow2_tag(&p), names[i][1]);
        snap_part_dispose(&p);
    }
}

/* ---- headers ---- */

#define LEN 4096

static void be32(unsigned char *b, size_t at, uint32_t v)
{
    v = htobe32(v);
    memcpy(b + at, &v, sizeof(v));
}

static void be64(unsigned char *b, size_t at, uint64_t v)
{
    v = htobe64(v);
    memcpy(b + at, &v, sizeof(v));
}

/* A version 3 header with a backing file and its format. */
static void good(unsigned char *b)
{
    memset(b, 0, LEN);
    memcpy(b, "QFI\xfb", 4);
    be32(b, 4, 3);
    be64(b, 8, 512); /* backing file's name */
    be32(b, 16, 6);
    be32(b, 20, 16);
    be64(b, 24, 1 << 20);
    be32(b, 36, 1); /* L1 entries */
    be64(b, 40, 1024);
    be32(b, 100, 104);
    be32(b, 104, 0xe2792aca);
    be32(b, 108, 3);
    memcpy(b + 112, "raw", 3);
    be32(b, 120, 0x23852875);
    be32(b, 124, 24);
    memcpy(b + 512, "/vm/b\xc3", 6);
}

static int read_header(const unsigned char *b, size_t len,
                       struct snap_qcow2 *h)
{
    char *path = in_dir("image");
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    put("image", b, len, 0600);
    memset(h, 0, sizeof(*h));
    rc = snap_qcow2_read(path, h, &e);
    if (rc) {
        assert_non_null(strstr(e.msg, path));
        assert_null(h->backing);
        assert_null(h->backing_format);
    }
    free(path);
    return rc;
}

static void a_good_header(void **state)
{
    unsigned char b[LEN];
    struct snap_qcow2 h;

    (void)state;
    good(b);
    assert_int_equal(read_header(b, LEN, &h), 0);
    assert_int_equal(h.version, 3);
    assert_int_equal(h.size, 1 << 20);
    assert_string_equal(h.backing, "/vm/b\xc3");
    assert_string_equal(h.backing_format, "raw");
    assert_true(h.bitmaps);
    assert_true(h.unwritten);
    assert_false(h.dirty || h.corrupt || h.data_file || h.encrypted);
    snap_qcow2_dispose(&h);
    b[1024 + 7] = 1; /* a second-level table */
    b[79] = 7;
    be32(b, 32, 2);
    be32(b, 60, 3);
    assert_int_equal(read_header(b, LEN, &h), 0);
    assert_true(!h.unwritten && h.dirty && h.corrupt && h.data_file);
    assert_true(h.encrypted && h.snapshots == 3);
    snap_qcow2_dispose(&h);
    good(b);
    be32(b, 4, 2); /* no feature bits, no header length */
    be64(b, 8, 0);
    memset(b + 72, 0, 100);
    assert_int_equal(read_header(b, LEN, &h), 0);
    assert_null(h.backing);
    snap_qcow2_dispose(&h);
}

static void bad_headers(void **state)
{
    unsigned char b[LEN];
    struct snap_qcow2 h;
    size_t i;
    static const struct {
        int width;
        size_t at;
        uint64_t v;
    } bad[] = {
        { 4, 0, 0 },
        { 4, 4, 1 },
        { 4, 4, 4 },
        { 8, 8, 1 },
        { 8, 8, 71 },
        { 8, 8, LEN - 3 },
        { 8, 8, 1ull << 63 },
        { 8, 8, UINT64_MAX },
        { 4, 16, 0 },
        { 4, 16, 1024 },
        { 4, 16, UINT32_MAX },
        { 4, 100, 0 },
        { 4, 100, 103 },
        { 4, 100, LEN + 1 },
        { 4, 100, UINT32_MAX },
        { 4, 108, UINT32_MAX },
        { 4, 108, 500 },
        { 4, 124, UINT32_MAX },
        { 4, 112, 0x72000077 },
    };

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        good(b);
        if (bad[i].width == 4)
            be32(b, bad[i].at, (uint32_t)bad[i].v);
        else
            be64(b, bad[i].at, bad[i].v);
        if (read_header(b, LEN, &h) != SNAP_CORRUPT)
            fail_msg("%zu", i);
    }
    /* A name with a newline, and with a NUL. */
    good(b);
    b[514] = '\n';
    assert_int_equal(read_header(b, LEN, &h), SNAP_CORRUPT);
    good(b);
    b[514] = '\0';
    assert_int_equal(read_header(b, LEN, &h), SNAP_CORRUPT);
    /* Cut off anywhere: an error, or the same reading. */
    good(b);
    for (i = 0; i < 600; i++) {
        int rc = read_header(b, i, &h);

        assert_true(rc == 0 || rc == SNAP_CORRUPT);
        assert_true(i >= 518 || rc);
        if (!rc)
            assert_false(h.unwritten);
        snap_qcow2_dispose(&h);
    }
    /* A table that is too large, or outside, is not empty. */
    good(b);
    be32(b, 36, UINT32_MAX);
    assert_int_equal(read_header(b, LEN, &h), 0);
    assert_false(h.unwritten);
    snap_qcow2_dispose(&h);
    good(b);
    be64(b, 40, UINT64_MAX - 7);
    assert_int_equal(read_header(b, LEN, &h), 0);
    assert_false(h.unwritten);
    snap_qcow2_dispose(&h);
}

/* Every single byte of a good header turned over: no crash, no leak. */
static void every_bit(void **state)
{
    unsigned char b[LEN];
    struct snap_qcow2 h;
    size_t i;
    int bit;

    (void)state;
    for (i = 0; i < 160; i++)
        for (bit = 0; bit < 8; bit += 3) {
            good(b);
            b[i] ^= (unsigned char)(1 << bit);
            if (!read_header(b, LEN, &h))
                assert_true(!h.backing || strlen(h.backing) <= 1023);
            snap_qcow2_dispose(&h);
        }
}

static void not_files(void **state)
{
    struct snap_qcow2 h = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = in_dir("image");

    (void)state;
    assert_int_equal(snap_qcow2_read(path, &h, NULL), SNAP_NOTFOUND);
    assert_int_equal(snap_qcow2_read(dir, &h, &e), SNAP_CORRUPT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(snap_qcow2_read(path, &h, NULL), SNAP_CORRUPT);
    assert_int_equal(snap_vhd_check(path, NULL), SNAP_CORRUPT);
    free(path);
}

/* ---- names ---- */

static void stems(void **state)
{
    static const char *const names[][2] = {
        { "/vm/a.qcow2", "a" },
        { "/vm/a.img", "a" },
        { "/vm/a.s1.qcow2", "a.s1" },
        { "/vm/a.raw.img", "a" },
        { "/vm/a", "a" },
        { "/vm/.qcow2", ".qcow2" },
        { "/vm/a.iso", "a.iso" },
        { "/vm/x.vhd", "x" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *s = snap_overlay_stem(names[i][0]);

        assert_string_equal(s, names[i][1]);
        free(s);
    }
}

static void names_of_overlays(void **state)
{
    struct snap_part p = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = NULL, *big;

    (void)state;
    p.vdev = snap_strdup("xvda");
    p.tag = snap_strdup("s1");
    p.path = snap_strdup("/vm/a b.img");
    assert_int_equal(snap_overlay_name(&p, p.path, ".qcow2", &path, NULL), 0);
    assert_string_equal(path, "/vm/a b.s1.qcow2");
    snap_set(&p.stem, "c");
    assert_int_equal(
        snap_overlay_name(&p, "/other/x", "-r7.qcow2", &path, NULL), 0);
    assert_string_equal(path, "/other/c.s1-r7.qcow2");
    assert_int_equal(snap_overlay_name(&p, "/x", ".q", &path, NULL), 0);
    assert_string_equal(path, "/c.s1.q");
    big = snap_zalloc(300);
    memset(big, 'x', 240);
    snap_set(&p.stem, big);
    assert_int_equal(snap_overlay_name(&p, "/vm/x", ".qcow2", &path, &e),
                     SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "target="));
    free(big);
    free(path);
    snap_part_dispose(&p);
}

/* ---- the table ---- */

static const struct snap_disk_driver *choose(const char *format,
                                             enum snap_disk_type want,
                                             const char *target, bool keep,
                                             const char *stem)
{
    struct snap_part p = {
        .path = (char *)"/vm/a",
        .format = (char *)format,
        .target = (char *)target,
        .keep_path = keep,
        .stem = (char *)stem,
    };

    return snap_disk_match(snap_disk_drivers, &p, want);
}

static void choosing(void **state)
{
    const struct snap_disk_driver *in = &snap_disk_qcow2_internal;
    const struct snap_disk_driver *over = &snap_disk_overlay;

    (void)state;
    assert_ptr_equal(choose("qcow2", SNAP_DISK_AUTO, NULL, false, NULL), in);
    assert_ptr_equal(choose("raw", SNAP_DISK_AUTO, NULL, false, NULL), over);
    assert_ptr_equal(choose("vhd", SNAP_DISK_AUTO, NULL, false, NULL), over);
    assert_ptr_equal(choose("qcow2", SNAP_DISK_EXTERNAL, NULL, false, NULL),
                     over);
    assert_ptr_equal(choose("qcow2", SNAP_DISK_AUTO, "/t", false, NULL), over);
    assert_ptr_equal(choose("qcow2", SNAP_DISK_AUTO, NULL, true, NULL), over);
    /* On an overlay of ours: again an overlay, unless asked otherwise. */
    assert_ptr_equal(choose("qcow2", SNAP_DISK_AUTO, NULL, false, "a"), over);
    assert_ptr_equal(choose("qcow2", SNAP_DISK_INTERNAL, NULL, false, "a"),
                     in);
    assert_null(choose("raw", SNAP_DISK_INTERNAL, NULL, false, NULL));
    assert_null(choose("qed", SNAP_DISK_AUTO, NULL, false, NULL));
    assert_null(choose("empty", SNAP_DISK_AUTO, NULL, false, NULL));
    assert_ptr_equal(snap_disk_by_name(snap_disk_drivers, "overlay"), over);
    assert_null(snap_disk_by_name(snap_disk_drivers, "none"));
    assert_null(snap_disk_by_name(snap_disk_drivers, NULL));
    assert_string_equal(snap_disk_type_name(SNAP_DISK_AUTO), "auto");
}

static void no_slot_is_empty(void **state)
{
    const struct snap_disk_driver *const *d;

    (void)state;
    for (d = snap_disk_drivers; *d; d++) {
        assert_non_null((*d)->name);
        assert_non_null((*d)->doc);
        assert_non_null((*d)->match);
        assert_non_null((*d)->probe);
        assert_non_null((*d)->group);
        assert_non_null((*d)->group_key);
        assert_non_null((*d)->prepare);
        assert_non_null((*d)->group->take);
        assert_non_null((*d)->group->was_taken);
        assert_non_null((*d)->finish);
        assert_non_null((*d)->undo);
        assert_non_null((*d)->inspect);
        assert_non_null((*d)->verify);
        assert_non_null((*d)->revert_prepare);
        assert_non_null((*d)->in_place);
        assert_non_null((*d)->revert_switch);
        assert_non_null((*d)->revert_finish);
        assert_non_null((*d)->revert_undo);
        assert_non_null((*d)->remove);
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(argv_of_each_call), T(answers_are_not_trusted),
        T(formats),           T(tags),
        T(tag_in_the_image),  T(a_good_header),
        T(bad_headers),       T(every_bit),
        T(not_files),         T(stems),
        T(names_of_overlays), T(choosing),
        T(no_slot_is_empty),
    };

    return cmocka_run_group_tests_name("images and qemu-img", tests, NULL,
                                       NULL);
}
