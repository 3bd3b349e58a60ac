/* SPDX-License-Identifier: LGPL-2.1-only */
#include "tools/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/file/image_protect.h"
#include "lib/mem.h"

static int image_user(void *opaque, const char *path, char **who_r,
                      struct snap_err *err)
{
    struct scene *f = opaque;

    (void)err;
    *who_r = f->who[0] && !strcmp(path, f->who_path) ? snap_strdup(f->who)
                                                     : NULL;
    return 0;
}

static void log_fn(void *opaque, enum snap_level level, const char *msg)
{
    struct scene *f = opaque;

    if (level == SNAP_LOG_WARN)
        snprintf(f->warned, sizeof(f->warned), "%s", msg);
}

static struct snap_log collector = { .fn = log_fn };

int scene_set_up(void **state)
{
    struct scene *f = snap_zalloc(sizeof(*f));

    f->dir = real_dir_make();
    f->c.domid = UINT32_MAX;
    f->c.op_id = "op1";
    f->c.image_user = image_user;
    f->c.opaque = f;
    collector.opaque = f;
    f->c.log = &collector;
    *state = f;
    return 0;
}

int scene_tear_down(void **state)
{
    struct scene *f = *state;

    real_qemu_stop(f->q);
    real_dir_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

void scene_start(struct scene *f)
{
    f->q = real_qemu_start(f->dir);
    f->c.qmp = real_qemu_qmp(f->q);
    f->c.domid = 7;
}

void scene_stop(struct scene *f)
{
    real_qemu_stop(f->q);
    f->q = NULL;
    f->c.qmp = NULL;
    f->c.domid = UINT32_MAX;
}

char *scene_path(struct scene *f, const char *name)
{
    return snap_printf("%s/%s", f->dir, name);
}

char *scene_image(struct scene *f, const char *name, const char *format)
{
    char *path = scene_path(f, name);

    assert_int_equal(
        real_run("qemu-img", "create", "-q", "-f", format, path, "1M", NULL),
        0);
    return path;
}

void scene_ask(struct snap_part *p, const char *vdev, const char *path,
               const char *format, enum snap_disk_type want)
{
    memset(p, 0, sizeof(*p));
    p->vdev = snap_strdup(vdev);
    p->path = snap_strdup(path);
    p->format = snap_strdup(format);
    p->tag = snap_strdup("s1");
    p->frontend_state = 4;
    p->drv = snap_disk_match(snap_disk_drivers, p, want);
    assert_non_null(p->drv);
}

void scene_refuses(struct scene *f, struct snap_part *p, int rc,
                   const char *words)
{
    struct snap_err e = SNAP_ERR_INIT;
    int got = p->drv->probe(&f->c, p, &e);

    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    snap_part_dispose(p);
}

void scene_ok(int rc, const struct snap_err *e)
{
    if (rc)
        fail_msg("%d %s", rc, e->msg);
}

void scene_take(struct scene *f, struct snap_part *p)
{
    struct snap_err e = SNAP_ERR_INIT;

    DO(probe, p);
    DO(prepare, p);
    scene_ok(p->drv->group->take(&f->c, &p, 1, &e), &e);
    scene_ok(snap_image_unprotect(p->frozen_path, &e), &e);
}

void scene_kill(struct scene *f)
{
    real_qemu_kill(f->q);
    f->q = NULL;
    scene_stop(f);
}

char *scene_disk(struct scene *f, unsigned n)
{
    char *path = scene_image(f, "a.qcow2", "qcow2");
    unsigned i;

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    for (i = 0; i < n; i++)
        real_qemu_write(f->q, "xvda", i, i + 1);
    return path;
}

char *scene_taken(struct scene *f, struct snap_part *p, unsigned n)
{
    char *path = scene_disk(f, n);

    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, p);
    return path;
}

void scene_know(struct snap_delete *d, const char *path, const char *format,
                bool frozen)
{
    struct snap_known *k;

    d->known = snap_realloc(d->known, d->n_known + 1, sizeof(*d->known));
    k = &d->known[d->n_known++];
    k->path = snap_strdup(path);
    k->format = snap_strdup(format);
    k->frozen = frozen;
}

int scene_main(const char *name, const struct CMUnitTest *tests, size_t n)
{
    const char *missing = real_qemu_missing();

    if (missing) {
        printf("1..0 # SKIP %s: %s\n", name, missing);
        return 0;
    }
    cmocka_set_test_filter(getenv("ONLY"));
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
