/* SPDX-License-Identifier: LGPL-2.1-only */
/* libxl's configuration: read as libxl writes it, with defaults left out, and
 * edited without losing what we do not know. */
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
#include "model/name.h"
#include "model/request.h"
#include "op/parts.h"

#define UUID "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b"

/* As Xen 4.17 writes it, with keys of a later version put in. */
static const char config[] =
    "{\n"
    "    \"c_info\": {\n"
    "        \"type\": \"pvh\",\n"
    "        \"name\": \"web\",\n"
    "        \"uuid\": \"" UUID "\",\n"
    "        \"run_hotplug_scripts\": \"True\",\n"
    "        \"later\": {\"a\": [1, 2.50, null]}\n"
    "    },\n"
    "    \"b_info\": {\n"
    "        \"max_vcpus\": 2,\n"
    "        \"max_memkb\": 524288,\n"
    "        \"target_memkb\": 393216,\n"
    "        \"shadow_memkb\": 18446744073709551615,\n"
    "        \"type.pvh\": {\n"
    "        }\n"
    "    },\n"
    "    \"disks\": [\n"
    "        {\n"
    "            \"pdev_path\": \"/img/a.qcow2\",\n"
    "            \"vdev\": \"xvda\",\n"
    "            \"backend\": \"qdisk\",\n"
    "            \"format\": \"qcow2\",\n"
    "            \"removable\": 1,\n"
    "            \"readwrite\": 1,\n"
    "            \"direct_io_safe\": true,\n"
    "            \"discard_enable\": \"<default>\",\n"
    "            \"grant_usage\": \"default\"\n"
    "        },\n"
    "        {\n"
    "            \"backend_domid\": 3,\n"
    "            \"pdev_path\": \"/dev/vg/b\",\n"
    "            \"vdev\": \"xvdb\",\n"
    "            \"backend\": \"PHY\",\n"
    "            \"format\": \"raw\",\n"
    "            \"script\": \"block-drbd\",\n"
    "            \"specification\": \"virtio\",\n"
    "            \"readwrite\": 1\n"
    "        },\n"
    "        {\n"
    "            \"vdev\": \"hdc\",\n"
    "            \"backend\": \"qdisk\",\n"
    "            \"format\": \"empty\",\n"
    "            \"removable\": 1,\n"
    "            \"is_cdrom\": 1\n"
    "        },\n"
    "        {\n"
    "            \"pdev_path\": \"/img/d\",\n"
    "            \"vdev\": \"xvdd\"\n"
    "        }\n"
    "    ],\n"
    "    \"on_reboot\": \"restart\",\n"
    "    \"later_too\": \"x\"\n"
    "}\n";

static void test_identity(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    enum snap_guest_type type = SNAP_GUEST_HVM;
    char *name = NULL, uuid[37] = "";
    uint64_t kb = 0;

    (void)state;
    if (snap_domain_json_identity(config, &name, uuid, &type, &kb, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(name, "web");
    assert_string_equal(uuid, UUID);
    assert_int_equal(type, SNAP_GUEST_PVH);
    assert_int_equal(kb, 393216);
    free(name);
    assert_int_equal(
        snap_domain_json_identity("{}", NULL, NULL, NULL, NULL, &err), 0);
}

static void types(const char *json, enum snap_guest_type want,
                  uint64_t want_kb)
{
    enum snap_guest_type type = 77;
    uint64_t kb = 77;

    assert_int_equal(
        snap_domain_json_identity(json, NULL, NULL, &type, &kb, NULL), 0);
    assert_int_equal(type, want);
    assert_int_equal(kb, want_kb);
}

static void test_types(void **state)
{
    (void)state;
    types("{\"c_info\":{\"type\":\"pv\"}}", SNAP_GUEST_PV, 0);
    types("{\"c_info\":{\"type\":\"HVM\"},\"b_info\":{\"max_memkb\":5}}",
          SNAP_GUEST_HVM, 5);
    types("{\"b_info\":{\"type.hvm\":{},\"max_memkb\":-1}}", SNAP_GUEST_HVM,
          0);
    types("{\"b_info\":{\"type.pv\":{},\"target_memkb\":"
          "18446744073709551615}}",
          SNAP_GUEST_PV, UINT64_MAX);
    /* In capitals it is still the same UUID. */
    char uuid[37] = "";

    assert_int_equal(
        snap_domain_json_identity(
            "{\"c_info\":{\"uuid\":\"6B1F9A3C-2D4E-4F60-8A7B-0C1D2E3F4A5B\"}}",
            NULL, uuid, NULL, NULL, NULL),
        0);
    assert_string_equal(uuid, UUID);
}

static void no_identity(const char *json, const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    enum snap_guest_type type;
    char *name = NULL, uuid[37] = "";
    int rc;

    rc = snap_domain_json_identity(json, &name, uuid, &type, NULL, &err);
    if (rc != SNAP_CORRUPT || err.rc != rc || !strstr(err.msg, words))
        fail_msg("%s: %d \"%s\"", json, rc, err.msg);
    assert_null(name);
}

static void test_no_identity(void **state)
{
    (void)state;
    no_identity("", "the domain's configuration: not valid JSON");
    no_identity("[]", "the domain's configuration: not an object");
    no_identity("{}", "c_info.name cannot be empty");
    no_identity("{\"c_info\":[]}", "c_info.name cannot be empty");
    no_identity("{\"c_info\":{\"name\":7}}", "c_info.name cannot be empty");
    no_identity("{\"c_info\":{\"name\":\"a\\nb\"}}", "control character");
    no_identity("{\"c_info\":{\"name\":\"a\"}}", "no well-formed UUID");
    no_identity("{\"c_info\":{\"name\":\"a\",\"uuid\":\"../..\"}}",
                "no well-formed UUID");
    no_identity("{\"c_info\":{\"name\":\"a\",\"uuid\":\"../.................."
                "................\"}}",
                "no well-formed UUID");
    no_identity("{\"c_info\":{\"name\":\"a\",\"uuid\":\"" UUID "\"}}",
                "pv, pvh or hvm");
    no_identity("{\"c_info\":{\"name\":\"a\",\"uuid\":\"" UUID "\","
                "\"type\":\"invalid\"}}",
                "pv, pvh or hvm");
}

static void free_vbds(struct snap_vbd *v, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        snap_vbd_dispose(&v[i]);
    free(v);
}

static void test_disks(void **state)
{
    struct snap_vbd *v = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    size_t n = 0;

    (void)state;
    if (snap_domain_json_disks(config, &v, &n, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n, 4);
    assert_string_equal(v[0].vdev, "xvda");
    assert_string_equal(v[0].path, "/img/a.qcow2");
    assert_string_equal(v[0].format, "qcow2");
    assert_string_equal(v[0].backend, "qdisk");
    assert_null(v[0].script);
    assert_false(v[0].readonly || v[0].cdrom || v[0].virtio);
    assert_int_equal(v[0].frontend_state, 0);
    assert_int_equal(v[0].backend_domid, 0);

    assert_string_equal(v[1].backend, "phy");
    assert_string_equal(v[1].script, "block-drbd");
    assert_true(v[1].virtio);
    assert_false(v[1].readonly);
    assert_int_equal(v[1].backend_domid, 3);

    assert_string_equal(v[2].path, "");
    assert_string_equal(v[2].format, "empty");
    assert_true(v[2].cdrom && v[2].readonly);

    assert_string_equal(v[3].format, "unknown");
    assert_string_equal(v[3].backend, "unknown");
    assert_true(v[3].readonly);
    free_vbds(v, n);

    assert_int_equal(snap_domain_json_disks("{}", &v, &n, &err), 0);
    assert_int_equal(n, 0);
    free_vbds(v, n);
}

static void no_disks(const char *json, const char *words)
{
    struct snap_vbd *v = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    size_t n = 7;

    if (snap_domain_json_disks(json, &v, &n, &err) != SNAP_CORRUPT ||
        !strstr(err.msg, words))
        fail_msg("%s: \"%s\"", json, err.msg);
    assert_null(v);
    assert_int_equal(n, 0);
}

static void test_no_disks(void **state)
{
    struct snap_buf b = { .len = 0 };
    size_t i;

    (void)state;
    no_disks("{", "not valid JSON");
    no_disks("{\"disks\":{}}", "disks is not an array");
    no_disks("{\"disks\":[7]}", "without a proper vdev");
    no_disks("{\"disks\":[{}]}", "without a proper vdev");
    no_disks("{\"disks\":[{\"vdev\":\"../x\"}]}", "without a proper vdev");
    no_disks("{\"disks\":[{\"vdev\":\"xvda\"},{\"vdev\":\"xvda\"}]}",
             "disk xvda twice");
    no_disks("{\"disks\":[{\"vdev\":\"xvda\",\"backend_domid\":4294967296}]}",
             "impossible backend_domid");
    snap_buf_adds(&b, "{\"disks\":[0");
    for (i = 0; i < SNAP_DISKS_MAX; i++)
        snap_buf_adds(&b, ",0");
    snap_buf_adds(&b, "]}");
    no_disks(b.data, "more than 256 disks");
    snap_buf_dispose(&b);
    b.data = snap_zalloc(SNAP_DOMAIN_JSON_MAX + 2);
    memset(b.data, ' ', SNAP_DOMAIN_JSON_MAX + 1);
    no_disks(b.data, "more than 4194304 bytes");
    snap_buf_dispose(&b);
}

/* Numbers keep their text and unknown keys their place. */
static void test_set_disks(void **state)
{
    const struct snap_active a[] = {
        { "xvdb", "/img/b \"1\".qcow2", "qcow2" },
        { "xvda", "/img/a.s1.qcow2", "qcow2" },
    };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *before = NULL, *after = NULL, *d;
    char *text = NULL, *ta, *tb;
    size_t i;

    (void)state;
    if (snap_domain_json_set_disks(config, a, 2, &text, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(snap_json_parse(text, strlen(text), &after, &err), 0);
    free(text);
    d = snap_json_at(snap_json_get(after, "disks"), 0);
    assert_string_equal(snap_json_get_str(d, "pdev_path"), "/img/a.s1.qcow2");
    assert_string_equal(snap_json_get_str(d, "grant_usage"), "default");
    d = snap_json_at(snap_json_get(after, "disks"), 1);
    assert_string_equal(snap_json_get_str(d, "pdev_path"),
                        "/img/b \"1\".qcow2");
    assert_string_equal(snap_json_get_str(d, "format"), "qcow2");
    assert_string_equal(snap_json_get_str(d, "backend"), "qdisk");
    assert_int_equal(snap_json_get_int(d, "backend_domid", 0), 3);

    /* With the three keys put back it is what it was, to the letter. */
    assert_int_equal(snap_json_parse(config, strlen(config), &before, &err),
                     0);
    for (i = 0; i < 2; i++) {
        const char *keys[] = { "pdev_path", "format", "backend" };
        size_t k;

        d = snap_json_at(snap_json_get(before, "disks"), i);
        for (k = 0; k < 3; k++)
            snap_json_set_str(snap_json_at(snap_json_get(after, "disks"), i),
                              keys[k], snap_json_get_str(d, keys[k]));
    }
    ta = snap_json_text(before, false);
    tb = snap_json_text(after, false);
    assert_string_equal(ta, tb);
    assert_non_null(strstr(tb, "18446744073709551615"));
    assert_non_null(strstr(tb, "2.50"));
    free(ta);
    free(tb);
    snap_json_free(before);
    snap_json_free(after);
}

static void test_set_no_disks(void **state)
{
    const struct snap_active a = { "xvdz", "/a", "qcow2" };
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;

    (void)state;
    assert_int_equal(snap_domain_json_set_disks(config, &a, 1, &text, &err),
                     SNAP_NOTFOUND);
    assert_string_equal(err.msg, "the domain's configuration has no disk "
                                 "xvdz");
    assert_null(text);
    snap_err_clear(&err);
    assert_int_equal(snap_domain_json_set_disks("{}", &a, 1, &text, &err),
                     SNAP_NOTFOUND);
    snap_err_clear(&err);
    assert_int_equal(
        snap_domain_json_set_disks("{\"disks\":[7,{}]}", &a, 1, &text, &err),
        SNAP_NOTFOUND);
    snap_err_clear(&err);
    assert_int_equal(snap_domain_json_set_disks("null", &a, 1, &text, &err),
                     SNAP_CORRUPT);
    assert_null(text);
    assert_int_equal(snap_domain_json_set_disks(config, NULL, 0, &text, NULL),
                     0);
    free(text);
}

/* A text cut anywhere is refused by all three. */
static void test_every_truncation(void **state)
{
    struct snap_vbd *v;
    char *cut, *text;
    size_t i, n;

    (void)state;
    for (i = 0; i < strlen(config) - 2; i++) {
        cut = snap_strndup(config, i);
        assert_int_equal(snap_domain_json_disks(cut, &v, &n, NULL),
                         SNAP_CORRUPT);
        assert_int_equal(snap_domain_json_set_disks(cut, NULL, 0, &text, NULL),
                         SNAP_CORRUPT);
        assert_int_equal(
            snap_domain_json_identity(cut, NULL, NULL, NULL, NULL, NULL),
            SNAP_CORRUPT);
        free(cut);
    }
}

/* A backend that is not said is the one that libxl takes. */
static void test_backends(void **state)
{
    static const struct {
        const char *disk, *backend;
    } rows[] = {
        { "\"format\":\"qcow2\",\"pdev_path\":\"/dev/null\"", "qdisk" },
        { "\"format\":\"raw\",\"pdev_path\":\"/none.img\"", "qdisk" },
        { "\"format\":\"raw\",\"pdev_path\":\"/dev/null\"", "qdisk" },
        { "\"format\":\"raw\",\"script\":\"block-nbd\"", "phy" },
        { "\"format\":\"raw\",\"backend\":\"tap\"", "tap" },
        { "\"pdev_path\":\"/x\"", "unknown" },
    };
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct snap_err err = SNAP_ERR_INIT;
        struct snap_vbd *v = NULL;
        char *json = snap_printf("{\"disks\":[{\"vdev\":\"xvda\",%s}]}",
                                 rows[i].disk);

        assert_int_equal(snap_domain_json_disks(json, &v, &n, &err), 0);
        assert_string_equal(v[0].backend, rows[i].backend);
        snap_vbds_free(&v, &n);
        free(json);
    }
}

static void test_set_uuid(void **state)
{
    static const char other[] = "99999999-2222-4333-8444-555555555501";
    struct snap_err err = SNAP_ERR_INIT;
    char *json = NULL, *name = NULL, uuid[37];

    (void)state;
    assert_int_equal(snap_domain_json_set_uuid(config, other, &json, &err), 0);
    assert_int_equal(
        snap_domain_json_identity(json, &name, uuid, NULL, NULL, &err), 0);
    assert_string_equal(uuid, other);
    free(name);
    free(json);
    assert_int_equal(
        snap_domain_json_set_uuid("{\"c_info\":1}", other, &json, &err),
        SNAP_CORRUPT);
    assert_null(json);
}

static const struct snap_json *genid_of(const struct snap_json *j)
{
    return snap_json_get(snap_json_get(snap_json_get(j, "b_info"), "type.hvm"),
                         "ms_vm_genid");
}

static void test_genid(void **state)
{
    static const char *const none[] = {
        "{\"b_info\":{\"type.hvm\":{\"ms_vm_genid\":[0,0,0,0,0,0,0,0,0,0,0,0,"
        "0,0,0,0]}}}",
        "{\"b_info\":{\"type.hvm\":{}}}",
        "{\"b_info\":{\"type.pvh\":{}}}",
        "{}",
    };
    static const char some[] =
        "{\"b_info\":{\"type.hvm\":{\"ms_vm_genid\":[1,2,3,4,5,6,7,8,9,10,11,"
        "12,13,14,15,16],\"bios\":\"ovmf\"}},\"later\":1}";
    char *first = NULL, *second = NULL;
    struct snap_json *j = NULL;
    size_t i, same = 0;

    (void)state;
    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(snap_domain_json_new_genid(none[i], &first, NULL), 0);
        assert_null(first);
    }
    assert_int_equal(snap_domain_json_new_genid(some, &first, NULL), 0);
    assert_int_equal(snap_domain_json_new_genid(some, &second, NULL), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(snap_json_parse(first, strlen(first), &j, NULL), 0);
    assert_int_equal(snap_json_len(genid_of(j)), 16);
    for (i = 0; i < 16; i++)
        same += snap_json_integer(snap_json_at(genid_of(j), i), -1) ==
                (int64_t)i + 1;
    assert_true(same < 8);
    assert_int_equal(snap_json_get_int(j, "later", 0), 1);
    snap_json_free(j);
    free(first);
    free(second);
    assert_int_equal(snap_domain_json_new_genid("[", &first, NULL),
                     SNAP_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_no_identity),
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_no_disks),
        cmocka_unit_test(test_set_disks),
        cmocka_unit_test(test_set_no_disks),
        cmocka_unit_test(test_backends),
        cmocka_unit_test(test_set_uuid),
        cmocka_unit_test(test_genid),
        cmocka_unit_test(test_every_truncation),
    };

    return cmocka_run_group_tests_name("domain_json", tests, NULL, NULL);
}
