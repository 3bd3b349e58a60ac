/* SPDX-License-Identifier: LGPL-2.1-only */
/* op/clone_config.c: what of a configuration two domains must not share. */
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
#include "model/name.h"
#include "model/request.h"
#include "op/clone_config.h"
#include "op/parts.h"

#define OLD "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b"
#define NEW "11111111-2222-4333-8444-555555555599"

struct made {
    int rc;
    struct snap_err err;
    char *json;
    struct snap_json *j;
    char **macs, **notes;
    size_t n_macs, n_notes;
};

static void make(struct made *m, const char *rest, bool memory,
                 char *const *left_out, size_t n_left_out)
{
    const struct snap_active disk = { "xvda", "/img/new.qcow2", "qcow2" };
    const struct snap_clone_config c = {
        .name = "web2",
        .uuid = NEW,
        .memory = memory,
        .disks = &disk,
        .n_disks = 1,
        .left_out = left_out,
        .n_left_out = n_left_out,
    };
    char *json = snap_printf(
        "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\",\"uuid\":\"" OLD
        "\",\"domid\":7},"
        "\"disks\":[{\"vdev\":\"xvda\",\"pdev_path\":\"/img/old.raw\","
        "\"format\":\"raw\",\"readwrite\":1},"
        "{\"vdev\":\"xvdb\",\"pdev_path\":\"/img/b.raw\","
        "\"format\":\"raw\",\"readwrite\":1},"
        "{\"vdev\":\"xvdc\",\"pdev_path\":\"/img/cd.iso\","
        "\"format\":\"raw\",\"is_cdrom\":1}]%s%s}",
        rest[0] ? "," : "", rest);

    memset(m, 0, sizeof(*m));
    m->rc = snap_clone_config_make(json, &c, &m->json, &m->macs, &m->n_macs,
                                   &m->notes, &m->n_notes, &m->err);
    if (!m->rc)
        assert_int_equal(
            snap_json_parse(m->json, strlen(m->json), &m->j, NULL), 0);
    else
        assert_null(m->json);
    free(json);
}

static void dispose(struct made *m)
{
    snap_json_free(m->j);
    free(m->json);
    snap_notes_free(&m->macs, &m->n_macs);
    snap_notes_free(&m->notes, &m->n_notes);
}

static const char *str(const struct made *m, const char *path)
{
    return snap_json_string(snap_json_path(m->j, path), NULL);
}

static bool noted(const struct made *m, const char *what)
{
    size_t i;

    for (i = 0; i < m->n_notes; i++)
        if (strstr(m->notes[i], what))
            return true;
    return false;
}

static void test_identity_and_disks(void **state)
{
    struct made m;
    const struct snap_json *disks;

    (void)state;
    make(&m, "\"future\":{\"key\":[1,2]}", true, NULL, 0);
    assert_int_equal(m.rc, 0);
    assert_string_equal(str(&m, "c_info.name"), "web2");
    assert_string_equal(str(&m, "c_info.uuid"), NEW);
    assert_null(snap_json_path(m.j, "c_info.domid"));
    assert_non_null(snap_json_path(m.j, "future.key"));
    disks = snap_json_get(m.j, "disks");
    assert_int_equal(snap_json_len(disks), 3);
    assert_string_equal(snap_json_get_str(snap_json_at(disks, 0), "pdev_path"),
                        "/img/new.qcow2");
    assert_string_equal(snap_json_get_str(snap_json_at(disks, 0), "format"),
                        "qcow2");
    assert_string_equal(snap_json_get_str(snap_json_at(disks, 2), "pdev_path"),
                        "/img/cd.iso");
    assert_int_equal(m.n_notes, 0);
    dispose(&m);
}

static void test_left_out(void **state)
{
    struct made m;
    char *left[] = { (char *)"xvdb" };
    const struct snap_json *disks;

    (void)state;
    make(&m, "", false, left, 1);
    assert_int_equal(m.rc, 0);
    disks = snap_json_get(m.j, "disks");
    assert_int_equal(snap_json_len(disks), 2);
    assert_string_equal(snap_json_get_str(snap_json_at(disks, 0), "vdev"),
                        "xvda");
    assert_string_equal(snap_json_get_str(snap_json_at(disks, 1), "vdev"),
                        "xvdc");
    dispose(&m);
}

/* Each has a new one of Xen's, no two are the same, nor as before. */
static void test_macs(void **state)
{
    static const char *const old[] = { "00:16:3e:01:02:03",
                                       "00:16:3E:01:02:04" };
    struct made m;
    const struct snap_json *nics;
    const char *a, *b;
    int i;

    (void)state;
    for (i = 0; i < 50; i++) {
        make(&m,
             "\"nics\":[{\"mac\":\"00:16:3e:01:02:03\",\"ifname\":\"web0\","
             "\"bridge\":\"br0\"},"
             "{\"mac\":\"00:16:3E:01:02:04\",\"ip\":\"10.0.0.7\"}]",
             true, NULL, 0);
        assert_int_equal(m.rc, 0);
        nics = snap_json_get(m.j, "nics");
        a = snap_json_get_str(snap_json_at(nics, 0), "mac");
        b = snap_json_get_str(snap_json_at(nics, 1), "mac");
        assert_int_equal(strlen(a), 17);
        assert_true(snap_has_prefix(a, "00:16:3e:"));
        assert_true(snap_has_prefix(b, "00:16:3e:"));
        assert_string_not_equal(a, b);
        assert_int_not_equal(strcasecmp(a, old[0]), 0);
        assert_int_not_equal(strcasecmp(b, old[1]), 0);
        assert_int_equal(m.n_macs, 2);
        assert_string_equal(m.macs[0], a);
        assert_string_equal(m.macs[1], b);
        assert_null(snap_json_get(snap_json_at(nics, 0), "ifname"));
        assert_string_equal(snap_json_get_str(snap_json_at(nics, 0), "bridge"),
                            "br0");
        assert_true(noted(&m, "10.0.0.7"));
        dispose(&m);
    }
}

static void test_displays(void **state)
{
    struct made m;
    const struct snap_json *vnc;

    (void)state;
    make(&m,
         "\"vfbs\":[{\"vnc\":{\"enable\":\"True\",\"listen\":\"0.0.0.0:5\","
         "\"display\":5,\"findunused\":\"False\",\"passwd\":\"p\"}},"
         "{\"vnc\":{\"enable\":\"False\",\"display\":3}}],"
         "\"b_info\":{\"type.hvm\":{\"vnc\":{\"enable\":\"True\","
         "\"listen\":\"::1\",\"findunused\":\"True\"}}}",
         true, NULL, 0);
    assert_int_equal(m.rc, 0);
    vnc = snap_json_get(snap_json_at(snap_json_get(m.j, "vfbs"), 0), "vnc");
    assert_null(snap_json_get(vnc, "display"));
    assert_string_equal(snap_json_get_str(vnc, "findunused"), "True");
    assert_string_equal(snap_json_get_str(vnc, "listen"), "0.0.0.0");
    assert_string_equal(snap_json_get_str(vnc, "passwd"), "p");
    vnc = snap_json_get(snap_json_at(snap_json_get(m.j, "vfbs"), 1), "vnc");
    assert_int_equal(snap_json_get_int(vnc, "display", 0), 3);
    vnc = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    vnc = snap_json_get(vnc, "vnc");
    assert_string_equal(snap_json_get_str(vnc, "listen"), "::1");
    assert_true(noted(&m, "VNC"));
    dispose(&m);
}

static const char spice[] = "\"b_info\":{\"type.hvm\":{\"spice\":{\"enable\":"
                            "\"True\",\"port\":5900}}}";

static void test_spice(void **state)
{
    struct made m;
    const struct snap_json *s;

    (void)state;
    make(&m, spice, true, NULL, 0);
    assert_int_equal(m.rc, SNAP_REFUSED);
    assert_non_null(strstr(m.err.msg, "--disk-only"));
    dispose(&m);
    make(&m, spice, false, NULL, 0);
    assert_int_equal(m.rc, 0);
    s = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    s = snap_json_get(s, "spice");
    assert_string_equal(snap_json_get_str(s, "enable"), "False");
    assert_true(noted(&m, "SPICE"));
    dispose(&m);
}

static void test_lines(void **state)
{
    struct made m;
    const struct snap_json *s, *ch;

    (void)state;
    make(&m,
         "\"b_info\":{\"extra_hvm\":[\"-foo\"],\"type.hvm\":{\"serial\":"
         "\"file:/log\",\"serial_list\":[\"pty\",\"/dev/ttyS0\"]}},"
         "\"channels\":[{\"name\":\"a\",\"connection.pty\":{}},"
         "{\"name\":\"b\",\"connection.socket\":{\"path\":\"/s\"}}]",
         true, NULL, 0);
    assert_int_equal(m.rc, 0);
    s = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    assert_string_equal(snap_json_get_str(s, "serial"), "null");
    s = snap_json_get(s, "serial_list");
    assert_string_equal(snap_json_string(snap_json_at(s, 0), ""), "pty");
    assert_string_equal(snap_json_string(snap_json_at(s, 1), ""), "null");
    ch = snap_json_at(snap_json_get(m.j, "channels"), 1);
    assert_null(snap_json_get(ch, "connection.socket"));
    assert_non_null(snap_json_get(ch, "connection.pty"));
    assert_true(noted(&m, "file:/log"));
    assert_true(noted(&m, "/dev/ttyS0"));
    assert_true(noted(&m, "channel b"));
    assert_true(noted(&m, "arguments for QEMU"));
    dispose(&m);
}

static void test_single_devices(void **state)
{
    static const char *const keys[] = { "pcidevs", "dtdevs", "usbdevs",
                                        "vtpms",   "sshms",  "virtios" };
    struct made m;
    char *rest;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        rest = snap_printf("\"%s\":[{\"dev\":1}]", keys[i]);
        make(&m, rest, true, NULL, 0);
        assert_int_equal(m.rc, SNAP_REFUSED);
        assert_int_equal(m.n_macs, 0);
        dispose(&m);
        make(&m, rest, false, NULL, 0);
        assert_int_equal(m.rc, 0);
        assert_null(snap_json_get(m.j, keys[i]));
        assert_int_equal(m.n_notes, 1);
        dispose(&m);
        free(rest);
    }
    make(&m, "\"p9s\":[{\"path\":\"/srv/share\"}],\"pcidevs\":[]", true, NULL,
         0);
    assert_int_equal(m.rc, 0);
    assert_true(noted(&m, "/srv/share"));
    assert_non_null(snap_json_get(m.j, "p9s"));
    dispose(&m);
}

static void test_usb(void **state)
{
    static const char usb[] =
        "\"b_info\":{\"type.hvm\":{\"usbdevice\":\"host:1.2\","
        "\"usbdevice_list\":[\"tablet\",\"host:04f2:0402\"]}}";
    struct made m;
    const struct snap_json *hvm, *list;

    (void)state;
    make(&m, usb, true, NULL, 0);
    assert_int_equal(m.rc, SNAP_REFUSED);
    dispose(&m);
    make(&m, usb, false, NULL, 0);
    assert_int_equal(m.rc, 0);
    hvm = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    assert_null(snap_json_get(hvm, "usbdevice"));
    list = snap_json_get(hvm, "usbdevice_list");
    assert_int_equal(snap_json_len(list), 1);
    assert_string_equal(snap_json_string(snap_json_at(list, 0), ""), "tablet");
    assert_true(noted(&m, "USB devices of the host"));
    dispose(&m);
    make(&m,
         "\"b_info\":{\"type.hvm\":{\"usbdevice\":\"tablet\","
         "\"usbdevice_list\":[\"mouse\"]}}",
         true, NULL, 0);
    assert_int_equal(m.rc, 0);
    assert_int_equal(m.n_notes, 0);
    hvm = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    assert_string_equal(snap_json_get_str(hvm, "usbdevice"), "tablet");
    assert_int_equal(snap_json_len(snap_json_get(hvm, "usbdevice_list")), 1);
    dispose(&m);
}

static void test_smbios(void **state)
{
    struct made m;
    const struct snap_json *list;

    (void)state;
    make(&m,
         "\"b_info\":{\"type.hvm\":{\"smbios_firmware\":\"/fw/s\","
         "\"smbios\":["
         "{\"key\":\"system_manufacturer\",\"value\":\"Acme\"},"
         "{\"key\":\"system_serial_number\",\"value\":\"1\"},"
         "{\"key\":\"enclosure_asset_tag\",\"value\":\"2\"},"
         "{\"key\":\"baseboard_serial_number\",\"value\":\"3\"},7]}}",
         true, NULL, 0);
    assert_int_equal(m.rc, 0);
    list = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    list = snap_json_get(list, "smbios");
    assert_int_equal(snap_json_len(list), 2);
    assert_string_equal(snap_json_get_str(snap_json_at(list, 0), "value"),
                        "Acme");
    assert_true(noted(&m, "system_serial_number"));
    assert_true(noted(&m, "enclosure_asset_tag"));
    assert_true(noted(&m, "baseboard_serial_number"));
    assert_true(noted(&m, "/fw/s"));
    dispose(&m);
}

static void test_genid(void **state)
{
    struct made m;
    const struct snap_json *id;
    size_t i, same = 0;

    (void)state;
    make(&m,
         "\"b_info\":{\"type.hvm\":{\"ms_vm_genid\":[1,2,3,4,5,6,7,8,9,10,11,"
         "12,13,14,15,16]}}",
         true, NULL, 0);
    id = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    id = snap_json_get(id, "ms_vm_genid");
    assert_int_equal(snap_json_len(id), 16);
    for (i = 0; i < 16; i++)
        same += snap_json_integer(snap_json_at(id, i), -1) == (int64_t)i + 1;
    assert_true(same < 16);
    dispose(&m);
    /* None stays none. */
    make(&m,
         "\"b_info\":{\"type.hvm\":{\"ms_vm_genid\":[0,0,0,0,0,0,0,0,0,0,0,0,"
         "0,0,0,0]}}",
         true, NULL, 0);
    id = snap_json_get(snap_json_path(m.j, "b_info"), "type.hvm");
    id = snap_json_get(id, "ms_vm_genid");
    for (i = 0; i < 16; i++)
        assert_int_equal(snap_json_integer(snap_json_at(id, i), -1), 0);
    dispose(&m);
}

/* A stranger's text. */
static void test_strange(void **state)
{
    static const char *const rests[] = {
        "\"nics\":[1]",
        "\"nics\":[{\"mac\":7}]",
        "\"nics\":\"x\"",
        "\"vfbs\":[null,{\"vnc\":[]}]",
        "\"channels\":[7,null]",
        "\"b_info\":[]",
        "\"b_info\":{\"type.hvm\":[]}",
        "\"b_info\":{\"type.hvm\":{\"vnc\":{\"listen\":7},\"serial_list\":[7],"
        "\"ms_vm_genid\":\"x\"}}",
        "\"p9s\":[null]",
        "\"b_info\":{\"type.hvm\":{\"smbios\":7,\"usbdevice\":[],"
        "\"usbdevice_list\":{\"a\":1}}}",
    };
    struct made m;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        make(&m, rests[i], false, NULL, 0);
        assert_int_equal(m.rc, i ? 0 : SNAP_CORRUPT);
        dispose(&m);
    }
}

static void test_uuid(void **state)
{
    char a[37], b[37];
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        assert_int_equal(snap_uuid_make(a, NULL), 0);
        assert_int_equal(snap_uuid_make(b, NULL), 0);
        assert_int_equal(snap_uuid_check(a, NULL), 0);
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_and_disks),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_macs),
        cmocka_unit_test(test_displays),
        cmocka_unit_test(test_spice),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_single_devices),
        cmocka_unit_test(test_usb),
        cmocka_unit_test(test_smbios),
        cmocka_unit_test(test_genid),
        cmocka_unit_test(test_strange),
        cmocka_unit_test(test_uuid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
