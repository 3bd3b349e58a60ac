/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is held while a revert changes disks: what changes in place, and what
 * the domain has beside that and leaves; not what the new domain opens or reads
 * through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "model/disk_slots.h"
#include "op/hold.h"

static char held[256];

static int fake_hold(struct snap_disk_ctx *c, const struct snap_held_images *l,
                     struct snap_image_guard **g_r, struct snap_err *err)
{
    size_t i;

    (void)c;
    (void)err;
    for (i = 0; i < l->n; i++) {
        strncat(held, l->image[i].path, sizeof(held) - strlen(held) - 1);
        strncat(held, l->image[i].changes ? "! " : " ",
                sizeof(held) - strlen(held) - 1);
    }
    *g_r = (struct snap_image_guard *)held;
    return 0;
}

static void fake_hold_end(struct snap_image_guard **g)
{
    *g = NULL;
}

static int in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                    bool back, struct snap_held_images *l,
                    struct snap_err *err)
{
    (void)c;
    (void)back;
    (void)err;
    if (!strcmp(p->vdev, "xvda"))
        snap_held_images_add(l, p->frozen_path, true);
    return 0;
}

static const struct snap_disk_driver driver = {
    .name = "x", .identity = snap_slot_no_identity, .in_place = in_place
};

static const struct snap_disk_driver mover = {
    .name = "y",
    .moves_active = true,
    .identity = snap_slot_no_identity,
    .in_place = in_place
};

static const struct snap_disk_driver *const drivers[] = { &driver, &mover,
                                                          NULL };
static struct snap_env env = { .drivers = drivers,
                               .hold = fake_hold,
                               .hold_end = fake_hold_end };

/* xvda changes in place; xvdb, of which the xl.cfg named an image, gets a new
 * one over /b1, which an earlier snapshot froze over /b0. */
static const char *of(const char *named)
{
    struct snap_part parts[2], early;
    struct snap_record earlier;
    struct snap_revert_plan p;
    struct snap_hold h = { 0 };
    struct snap_disk_ctx c = { 0 };
    struct snap_err err = SNAP_ERR_INIT;
    char *config = snap_printf(
        "{\"disks\": [{\"vdev\": \"xvda\", \"pdev_path\": \"/a\", \"format\": "
        "\"qcow2\", \"backend\": \"qdisk\", \"readwrite\": 1}, {\"vdev\": "
        "\"xvdb\", \"pdev_path\": \"%s\", \"format\": \"qcow2\", \"backend\": "
        "\"qdisk\", \"readwrite\": 1}]}",
        named);

    memset(parts, 0, sizeof(parts));
    memset(&early, 0, sizeof(early));
    memset(&earlier, 0, sizeof(earlier));
    memset(&p, 0, sizeof(p));
    parts[0].vdev = (char *)"xvda";
    parts[0].frozen_path = parts[0].leaf_path = (char *)"/a";
    parts[0].drv = &driver;
    parts[1].vdev = (char *)"xvdb";
    parts[1].type = early.type = SNAP_DISK_EXTERNAL;
    parts[1].frozen_path = (char *)"/b1";
    parts[1].leaf_path = (char *)"/b1.new";
    parts[1].drv = early.drv = &mover;
    early.vdev = (char *)"xvdb";
    early.frozen_path = (char *)"/b0";
    earlier.parts = &early;
    earlier.n_parts = 1;
    p.rec.parts = parts;
    p.rec.n_parts = 2;
    p.ses.all = &earlier;
    p.ses.n_all = 1;
    p.ses.there = true;
    p.old_config = config;

    held[0] = '\0';
    if (snap_hold_begin(&h, &env, &c, &p, &err))
        fail_msg("%s", err.msg);
    snap_hold_end(&h);
    free(config);
    return held;
}

static void test_what_is_left_is_held(void **state)
{
    (void)state;
    assert_string_equal(of("/b2"), "/a! /b2 ");
}

static void test_not_what_the_new_domain_opens(void **state)
{
    (void)state;
    assert_string_equal(of("/b1"), "/a! ");
    assert_string_equal(of("/b1.new"), "/a! ");
}

/* An old xl.cfg names it, and the new image is over it. */
static void test_not_what_the_new_domain_reads_through(void **state)
{
    (void)state;
    assert_string_equal(of("/b0"), "/a! ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left_is_held),
        cmocka_unit_test(test_not_what_the_new_domain_opens),
        cmocka_unit_test(test_not_what_the_new_domain_reads_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
