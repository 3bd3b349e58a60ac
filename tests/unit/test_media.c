/* SPDX-License-Identifier: LGPL-2.1-only */
/* op/media.c: a CD whose image is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/media.h"
#include "op/parts.h"

#define DISK(vdev, path, flags)                          \
    "{\"vdev\":\"" vdev "\",\"pdev_path\":\"" path "\"," \
    "\"format\":\"raw\"" flags "}"
#define CD ",\"is_cdrom\":1"

static struct snap_err err;
static char **notes;
static size_t n_notes;

static char *config(const char *type, const char *disks)
{
    return snap_printf("{\"c_info\":{\"type\":\"%s\",\"name\":\"vm1\"},"
                       "\"disks\":[%s],\"future\":{\"key\":7}}",
                       type, disks);
}

static struct snap_json *parsed(const char *json)
{
    struct snap_json *j = NULL;

    assert_int_equal(snap_json_parse(json, strlen(json), &j, &err), 0);
    return j;
}

static const char *of(const struct snap_json *j, size_t i, const char *key)
{
    return snap_json_get_str(snap_json_at(snap_json_get(j, "disks"), i), key);
}

static void forget(char *json)
{
    free(json);
    snap_notes_free(&notes, &n_notes);
    snap_err_clear(&err);
}

/* Emulated, it stays, and is empty; memory would expect it. */
static void hvm(void **state)
{
    char *json;
    struct snap_json *j;

    (void)state;
    json = config("hvm",
                  DISK("xvda", "/none/a.raw", ",\"readwrite\":1") "," DISK(
                      "hdc", "/none/cd.iso",
                      CD ",\"removable\":1") "," DISK("hdd", "/dev/null", CD));
    assert_int_equal(snap_media_eject(&json, true, &notes, &n_notes, &err),
                     SNAP_REFUSED);
    assert_non_null(strstr(err.msg, "--disk-only"));
    assert_int_equal(snap_media_eject(&json, false, &notes, &n_notes, &err),
                     0);
    assert_int_equal(n_notes, 1);
    assert_string_equal(notes[0], "hdc: /none/cd.iso is not there; the "
                                  "drive is empty");
    j = parsed(json);
    assert_int_equal(snap_json_len(snap_json_get(j, "disks")), 3);
    assert_string_equal(of(j, 0, "pdev_path"), "/none/a.raw");
    assert_string_equal(of(j, 1, "vdev"), "hdc");
    assert_string_equal(of(j, 1, "pdev_path"), "");
    assert_string_equal(of(j, 1, "format"), "empty");
    assert_string_equal(of(j, 1, "backend"), "qdisk");
    assert_int_equal(
        snap_json_integer(
            snap_json_get(snap_json_at(snap_json_get(j, "disks"), 1),
                          "removable"),
            0),
        1);
    assert_string_equal(of(j, 2, "pdev_path"), "/dev/null");
    assert_int_equal(snap_json_integer(snap_json_path(j, "future.key"), 0), 7);
    snap_json_free(j);
    forget(json);
}

/* A PV drive cannot be empty: it goes, or the guest would miss it. */
static void pv(void **state)
{
    static const char *const types[] = { "pv", "pvh" };
    char *json, *same;
    struct snap_json *j;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        json = config(types[i],
                      DISK("xvdc", "/none/cd.iso", CD) "," DISK(
                          "xvda", "/none/a.raw", ",\"readwrite\":1"));
        same = snap_strdup(json);
        assert_int_equal(snap_media_eject(&json, true, &notes, &n_notes, &err),
                         SNAP_REFUSED);
        assert_non_null(strstr(err.msg, "xvdc: /none/cd.iso is not there"));
        assert_non_null(strstr(err.msg, "--disk-only"));
        assert_string_equal(json, same);
        free(same);
        assert_int_equal(snap_media_eject(&json, false, NULL, NULL, &err), 0);
        j = parsed(json);
        assert_int_equal(snap_json_len(snap_json_get(j, "disks")), 1);
        assert_string_equal(of(j, 0, "vdev"), "xvda");
        snap_json_free(j);
        forget(json);
    }
}

/* What is there, what is empty, and what is no CD are left as they are. */
static void untouched(void **state)
{
    char *json = config(
        "hvm", DISK("hdc", "/dev/null", CD) "," DISK("hdd", "", CD) "," DISK(
                   "xvde", "/none/ro.raw", ""));
    char *same = snap_strdup(json), *what;

    (void)state;
    assert_int_equal(snap_media_eject(&json, true, &notes, &n_notes, &err), 0);
    assert_int_equal(n_notes, 0);
    assert_string_equal(json, same);
    what = snap_media_lacks(json);
    assert_string_equal(what, "xvde: /none/ro.raw is not there");
    free(what);
    free(same);
    forget(json);
}

/* What can be written to is looked at by its driver. */
static void lacks(void **state)
{
    char *json = config("hvm",
                        DISK("xvda", "/none/a.raw", ",\"readwrite\":1"));

    (void)state;
    assert_null(snap_media_lacks(json));
    assert_null(snap_media_lacks("{"));
    free(json);
    json = snap_strdup("{\"c_info\":{\"type\":\"hvm\"},\"disks\":7}");
    assert_int_equal(snap_media_eject(&json, false, NULL, NULL, &err),
                     SNAP_CORRUPT);
    forget(json);
}

/* Each refusal names the way out that there is. */
static void ways_out(void **state)
{
    struct snap_vbd cd = { .vdev = (char *)"hdc", .cdrom = true };
    struct snap_vbd ro = { .vdev = (char *)"xvde", .readonly = true };

    (void)state;
    assert_int_equal(snap_media_refuse(&cd, "/none/cd.iso", &err),
                     SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, "--eject-missing"));
    snap_err_clear(&err);
    assert_int_equal(snap_media_refuse(&ro, "/none/ro.raw", &err),
                     SNAP_NOTFOUND);
    assert_null(strstr(err.msg, "--eject-missing"));
    snap_err_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hvm),       cmocka_unit_test(pv),
        cmocka_unit_test(untouched), cmocka_unit_test(lacks),
        cmocka_unit_test(ways_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
