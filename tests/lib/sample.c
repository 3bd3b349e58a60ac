/* SPDX-License-Identifier: LGPL-2.1-only */
/* See sample.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "model/disk_slots.h"

static const struct snap_disk_driver internal = {
    .name = "s-int",
    .check = snap_slot_check_inside,
    .identity = snap_slot_no_identity,
};
static const struct snap_disk_driver external = {
    .name = "s-ext",
    .check = snap_slot_check_over,
    .identity = snap_slot_no_identity,
};
/* Frozen volumes beside a file. */
static int check_volume(const struct snap_part *p, struct snap_err *err)
{
    return snap_streq(p->frozen_kind, "volume") && !p->active_kind &&
                   !p->before_kind
               ? 0
               : snap_fail(err, SNAP_CORRUPT, "frozen: not a volume");
}

static const struct snap_disk_driver volume = {
    .name = "s-vol",
    .check = check_volume,
    .identity = snap_slot_no_identity,
};
const struct snap_disk_driver *const sample_drivers[] = {
    &internal,
    &external,
    &volume,
    NULL,
};

static void sample_part(struct snap_part *p, const char *vdev,
                        const struct snap_disk_driver *drv, const char *frozen,
                        const char *active)
{
    p->vdev = snap_strdup(vdev);
    p->drv = drv;
    p->type = drv == &internal ? SNAP_DISK_INTERNAL : SNAP_DISK_EXTERNAL;
    p->size = 8589934592;
    p->path = snap_strdup(frozen);
    p->format = snap_strdup(drv == &internal ? "qcow2" : "raw");
    p->frozen_path = snap_strdup(frozen);
    p->frozen_format = snap_strdup(p->format);
    p->active_path = snap_strdup(active);
    p->active_format = snap_strdup("qcow2");
    p->data = snap_json_object();
    snap_json_set_int(p->data, "nr", 7);
    snap_json_set_str(p->data, "said", "a 'quoted\" \\ word, and\nmore");
}

void sample_record(struct snap_record *r, const char *name)
{
    size_t i;

    memset(r, 0, sizeof(*r));
    r->id = snap_strdup("0123456789abcdef0123456789abcdef");
    r->name = snap_strdup(name);
    r->description = snap_strdup(
        "before the \"big\" upgrade, l'\xc3\xa9t\xc3\xa9"
        " #1 \\ 2");
    r->parent = snap_strdup("s0");
    r->created = 1795257220;
    r->domain_name = snap_strdup("web'1");
    memcpy(r->domain_uuid, SAMPLE_UUID, 37);
    r->guest_type = SNAP_GUEST_PVH;
    r->paused = true;
    r->consistency = snap_strdup("memory");
    r->config_json = snap_strdup(
        "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web'1\",\"uuid\":\"" SAMPLE_UUID
        "\"},\"b_info\":{\"max_memkb\":18446744073709551615,"
        "\"cmdline\":\"a=\\\"b\\\" c\\\\d 'e' \\n\"},\"disks\":[]}");
    r->has_memory = true;
    r->live = true;
    r->mem_path = snap_strdup("/var/lib/xen/snapshots/m.save");
    r->mem_size = 536870912123;
    memcpy(r->mem_hash, "00112233445566778899aabbccddeeff", 33);
    r->mem_kb = 524288;
    r->window_ms = 41.125;
    r->versions = snap_strdup("Xen 4.17.7, QEMU 7.2.22, xl-snapshot 0.1.0");
    r->parts = snap_zalloc(2 * sizeof(*r->parts));
    r->n_parts = 2;
    sample_part(&r->parts[0], "xvda", &internal, "/img/a b.qcow2",
                "/img/a b.qcow2");
    sample_part(&r->parts[1], "xvdb", &external, "/img/b's.raw",
                "/img/b.s1.qcow2");
    r->parts[1].stem = snap_strdup("b");
    for (i = 0; i < 2; i++)
        r->parts[i].tag = snap_strdup(name);
    r->left_out = snap_zalloc(sizeof(*r->left_out));
    r->left_out[0] = snap_strdup("xvdc");
    r->n_left_out = 1;
}

static void same(const char *a, const char *b)
{
    if (!a || !b)
        assert_true(a == b);
    else
        assert_string_equal(a, b);
}

static void same_json(const struct snap_json *a, const struct snap_json *b)
{
    char *ta = a ? snap_json_text(a, false) : NULL;
    char *tb = b ? snap_json_text(b, false) : NULL;

    same(ta, tb);
    free(ta);
    free(tb);
}

static void same_part(const struct snap_part *a, const struct snap_part *b)
{
    same(a->vdev, b->vdev);
    same(a->path, b->path);
    same(a->format, b->format);
    same(a->tag, b->tag);
    same(a->stem, b->stem);
    assert_ptr_equal(a->drv, b->drv);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->keep_path, b->keep_path);
    assert_int_equal(a->hvm, b->hvm);
    same(a->frozen_path, b->frozen_path);
    same(a->frozen_format, b->frozen_format);
    same(a->active_path, b->active_path);
    same(a->active_format, b->active_format);
    same_json(a->data, b->data);
}

void sample_assert_equal(const struct snap_record *a,
                         const struct snap_record *b)
{
    size_t i;

    same(a->id, b->id);
    same(a->name, b->name);
    same(a->description, b->description);
    same(a->parent, b->parent);
    assert_int_equal(a->created, b->created);
    same(a->domain_name, b->domain_name);
    same(a->domain_uuid, b->domain_uuid);
    assert_int_equal(a->guest_type, b->guest_type);
    assert_int_equal(a->paused, b->paused);
    same(a->consistency, b->consistency);
    same(a->config_json, b->config_json);
    assert_int_equal(a->has_memory, b->has_memory);
    assert_int_equal(a->live, b->live);
    same(a->mem_path, b->mem_path);
    assert_int_equal(a->mem_size, b->mem_size);
    same(a->mem_hash, b->mem_hash);
    assert_int_equal(a->mem_kb, b->mem_kb);
    assert_true(a->window_ms == b->window_ms);
    same(a->versions, b->versions);
    assert_int_equal(a->n_parts, b->n_parts);
    for (i = 0; i < a->n_parts; i++)
        same_part(&a->parts[i], &b->parts[i]);
    assert_int_equal(a->n_left_out, b->n_left_out);
    for (i = 0; i < a->n_left_out; i++)
        same(a->left_out[i], b->left_out[i]);
}
