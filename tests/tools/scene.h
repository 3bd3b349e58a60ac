/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests test_drivers_*.c have in common: a folder with real images,
 * a QEMU if one is wanted, and the product's drivers.  Everything fails the
 * test that goes wrong here.
 */
#ifndef TESTS_TOOLS_SCENE_H
#define TESTS_TOOLS_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk/drivers.h"
#include "tools/real_dir.h"
#include "tools/real_qemu.h"

struct scene {
    char *dir;
    struct real_qemu *q;
    struct snap_disk_ctx c;
    char who[64]; /* what image_user says */
    char who_path[512]; /* of this path */
    char warned[1024]; /* the last warning */
};

int scene_set_up(void **state);
int scene_tear_down(void **state);

/* A QEMU for the domain, without disks; and none any more. */
void scene_start(struct scene *f);
void scene_stop(struct scene *f);
/* Not asked to end. */
void scene_kill(struct scene *f);

char *scene_path(struct scene *f, const char *name);
/* A new image of 1 MB; caller frees its path. */
char *scene_image(struct scene *f, const char *name, const char *format);

/* A part as op/ asks for it.  vdev is kept, the rest copied. */
void scene_ask(struct snap_part *p, const char *vdev, const char *path,
               const char *format, enum snap_disk_type want);
/* Probe must refuse with this code, and the message must have this in it. */
void scene_refuses(struct scene *f, struct snap_part *p, int rc,
                   const char *words);
void scene_ok(int rc, const struct snap_err *e);
/* Until it is taken; what is frozen can be written to, for a test's sake. */
void scene_take(struct scene *f, struct snap_part *p);

/* A QEMU with a.qcow2 as xvda, of which the first blocks hold 1, 2, … n. */
char *scene_disk(struct scene *f, unsigned n);
/* The same, and an external snapshot of it. */
char *scene_taken(struct scene *f, struct snap_part *p, unsigned n);

/* What op/ would say of an image to delete_plan(). */
void scene_know(struct snap_delete *d, const char *path, const char *format,
                bool frozen);

/* Of a driver, what takes only a part. */
#define DO(slot, p)                                     \
    do {                                                \
        struct snap_err e_ = SNAP_ERR_INIT;             \
        scene_ok((p)->drv->slot(&f->c, (p), &e_), &e_); \
    } while (0)

#define SCENE_TEST(fn) \
    cmocka_unit_test_setup_teardown(fn, scene_set_up, scene_tear_down)
/* What main() returns; a skip if there is no QEMU.  ONLY in the environment
 * is the name of one test, or a pattern. */
int scene_main(const char *name, const struct CMUnitTest *tests, size_t n);
#define SCENE_MAIN(name, tests) \
    scene_main((name), (tests), sizeof(tests) / sizeof((tests)[0]))

#endif /* TESTS_TOOLS_SCENE_H */
