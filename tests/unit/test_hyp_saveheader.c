/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The save header: written as xl would (byte for byte), read back, and every
 * damage refused.  Runs without Xen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "hyp/saveheader.h"

#define JSON "{\"c_info\":{\"name\":\"demo\"}}"

/* A file that holds these bytes, at its beginning. */
static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("header", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static int read_bytes(const void *data, size_t len, char **json_r,
                      bool *poisoned_r, struct snap_err *err)
{
    int rc, fd = file_of(data, len);

    rc = snap_saveheader_read(fd, json_r, poisoned_r, err);
    close(fd);
    return rc;
}

static void expect_corrupt(const void *data, size_t len, int want,
                           const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *json = (char *)1;
    bool poisoned;

    assert_int_equal(read_bytes(data, len, &json, &poisoned, &err), want);
    assert_null(json);
    assert_int_equal(err.rc, want);
    assert_non_null(strstr(err.msg, words));
}

/* The bytes of tools/xl/xl.h's struct, put together by hand. */
static void test_bytes(void **state)
{
    static const unsigned char want[] = {
        'X', 'e', 'n', ' ',  's', 'a', 'v', 'e', 'd', ' ', 'd', 'o', 'm', 'a',
        'i', 'n', ',', ' ',  'x', 'l', ' ', 'f', 'o', 'r', 'm', 'a', 't', '\n',
        ' ', 0,   ' ', '\r', 4,   3,   2,   1,   3,   0,   0,   0,   0,   0,
        0,   0,   7,   0,    0,   0,   3,   0,   0,   0,   '{', '}', 0,
    };
    struct snap_buf b = { 0 };

    (void)state;
    snap_saveheader_write(&b, "{}", false);
    assert_int_equal(b.len, sizeof(want));
    assert_memory_equal(b.data, want, sizeof(want));
    snap_buf_dispose(&b);

    /* Poisoned, it differs in the one bit that xl refuses. */
    snap_saveheader_write(&b, "{}", true);
    assert_int_equal(b.len, sizeof(want));
    assert_int_equal((unsigned char)b.data[39], 0x80);
    b.data[39] = 0;
    assert_memory_equal(b.data, want, sizeof(want));
    snap_buf_dispose(&b);
}

static void test_round_trip(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { 0 };
    bool poisoned;
    char *json, rest[8];
    int fd, kind;

    (void)state;
    for (kind = 0; kind < 2; kind++) {
        snap_saveheader_write(&b, JSON, kind);
        snap_buf_adds(&b, "stream");
        fd = file_of(b.data, b.len);
        assert_int_equal(snap_saveheader_read(fd, &json, &poisoned, &err), 0);
        assert_string_equal(json, JSON);
        assert_int_equal(poisoned, kind);
        assert_int_equal(err.rc, 0);
        assert_int_equal(read(fd, rest, sizeof(rest)), 6);
        assert_memory_equal(rest, "stream", 6);
        close(fd);
        free(json);
        snap_buf_dispose(&b);
    }
}

static void test_truncated_anywhere(void **state)
{
    struct snap_buf b = { 0 };
    size_t len;

    (void)state;
    snap_saveheader_write(&b, JSON, true);
    for (len = 0; len < b.len; len++)
        expect_corrupt(b.data, len, SNAP_CORRUPT, "the memory image ends");
    snap_buf_dispose(&b);
}

static void test_every_magic_byte(void **state)
{
    struct snap_buf b = { 0 };
    size_t i;

    (void)state;
    snap_saveheader_write(&b, JSON, true);
    for (i = 0; i < 32; i++) {
        b.data[i] ^= 0x20;
        expect_corrupt(b.data, b.len, SNAP_CORRUPT, "not a memory image");
        b.data[i] ^= 0x20;
    }
    snap_buf_dispose(&b);
}

static void put(struct snap_buf *b, size_t at, uint32_t value)
{
    memcpy(b->data + at, &value, sizeof(value));
}

static void test_fields(void **state)
{
    static const uint32_t lengths[] = {
        0,          1,          3,          4, SNAP_SAVEHEADER_MAX + 1,
        0x7fffffff, 0x80000000, 0xffffffff,
    };
    struct snap_buf b = { 0 };
    size_t i;

    (void)state;
    snap_saveheader_write(&b, JSON, false);
    put(&b, 32, 0x04030201);
    expect_corrupt(b.data, b.len, SNAP_CORRUPT, "byte order");
    put(&b, 32, 0x01020304);

    for (i = 2; i < 31; i++) {
        put(&b, 36, 3 | (1u << i));
        expect_corrupt(b.data, b.len, SNAP_CORRUPT, "nobody knows");
    }
    for (i = 0; i < 3; i++) {
        put(&b, 36, i);
        expect_corrupt(b.data, b.len, SNAP_UNSUPPORTED, "before 4.6");
    }
    put(&b, 36, 3);

    put(&b, 40, 1);
    expect_corrupt(b.data, b.len, SNAP_CORRUPT, "optional flags");
    put(&b, 40, 0);

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        put(&b, 44, lengths[i]);
        expect_corrupt(b.data, b.len, SNAP_CORRUPT, "bytes long");
    }
    put(&b, 44, 4 + sizeof(JSON));
    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        put(&b, 48, lengths[i]);
        expect_corrupt(b.data, b.len, SNAP_CORRUPT, "contradicts itself");
    }
    snap_buf_dispose(&b);
}

static void test_nul(void **state)
{
    struct snap_buf b = { 0 };

    (void)state;
    snap_saveheader_write(&b, JSON, false);
    b.data[b.len - 1] = 'x';
    expect_corrupt(b.data, b.len, SNAP_CORRUPT, "does not end where");
    b.data[b.len - 1] = '\0';
    b.data[60] = '\0';
    expect_corrupt(b.data, b.len, SNAP_CORRUPT, "does not end where");
    snap_buf_dispose(&b);
}

/* The longest that is allowed is read; a file that promises as much and does
 * not have it costs nothing worse than the promise. */
static void test_longest(void **state)
{
    size_t len = SNAP_SAVEHEADER_MAX - 4 - 1;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { 0 };
    char *json = malloc(len + 1), *back;
    bool poisoned;

    (void)state;
    assert_non_null(json);
    memset(json, ' ', len);
    json[len] = '\0';
    snap_saveheader_write(&b, json, true);
    assert_int_equal(read_bytes(b.data, b.len, &back, &poisoned, &err), 0);
    assert_int_equal(strlen(back), len);
    expect_corrupt(b.data, 100, SNAP_CORRUPT, "within its configuration");
    free(back);
    free(json);
    snap_buf_dispose(&b);
}

static void test_unreadable(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    bool poisoned;
    char *json;

    (void)state;
    assert_int_equal(snap_saveheader_read(-1, &json, &poisoned, &err),
                     SNAP_IO);
    assert_non_null(strstr(err.msg, "cannot read the header"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_every_magic_byte),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_unreadable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
