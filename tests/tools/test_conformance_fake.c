/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The reference drivers under the suite: what the tests of op/ rely on is
 * what the real drivers do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/fake_disk.h"
#include "lib/mem.h"
#include "tools/conformance.h"

#define DOMID 7

struct world {
    struct fake_store *s;
    bool running;
    unsigned made;
};

static struct world *w_open(void)
{
    struct world *w = snap_zalloc(sizeof(*w));

    w->s = fake_store_current = fake_store_new();
    return w;
}

static void w_close(struct world *w)
{
    assert_string_equal(w->s->violation, "");
    fake_store_free(w->s);
    fake_store_current = NULL;
    free(w);
}

static const char *w_dir(struct world *w)
{
    (void)w;
    return "/vm";
}

static const char *w_vol_dir(struct world *w)
{
    (void)w;
    return "/vol";
}

static void w_image(struct world *w, const char *path, const char *format,
                    struct content *c_r)
{
    c_r->number = fake_store_add(w->s, path, format, 1 << 20);
}

static void w_start(struct world *w)
{
    w->running = true;
}

static void w_add(struct world *w, const char *vdev, const char *path,
                  const char *format)
{
    fake_store_open(w->s, DOMID, vdev, path, format);
}

static void w_stop(struct world *w)
{
    fake_store_close(w->s, DOMID);
    w->running = false;
}

static void w_ctx(struct world *w, const char *op_id, struct snap_disk_ctx *c)
{
    memset(c, 0, sizeof(*c));
    c->domid = w->running ? DOMID : UINT32_MAX;
    c->op_id = op_id;
}

static void w_write(struct world *w, const char *vdev, struct content *c)
{
    c->number = fake_store_write(w->s, DOMID, vdev);
}

static bool w_has(struct world *w, const char *vdev, const struct content *c)
{
    return fake_store_read(w->s, DOMID, vdev) == c->number;
}

static bool w_image_has(struct world *w, const char *path, const char *format,
                        const struct content *c)
{
    (void)format;
    return fake_store_content(w->s, path) == c->number;
}

static char *w_digest(struct world *w)
{
    struct snap_buf b = { 0 };
    int i;

    /* Order does not matter, so it is kept by path. */
    for (i = 0; i < FAKE_IMAGES; i++) {
        const struct fake_image *im = &w->s->image[i];

        if (im->exists)
            snap_buf_addf(&b, "%s %s %llu %d %d %d\n", im->path, im->format,
                          (unsigned long long)im->content, im->whole,
                          im->frozen, im->backing);
    }
    for (i = 0; i < FAKE_SNAPS; i++)
        if (w->s->snap[i].used)
            snap_buf_addf(&b, "%s@%s\n", w->s->image[w->s->snap[i].image].path,
                          w->s->snap[i].tag);
    snap_buf_addf(&b, ".");
    return b.data;
}

static bool w_exists(struct world *w, const char *path)
{
    return fake_store_exists(w->s, path);
}

static void w_damage(struct world *w, const char *path)
{
    fake_store_find(w->s, path)->damaged = true;
}

static void w_resize(struct world *w, const char *path, const char *format)
{
    (void)format;
    fake_store_find(w->s, path)->size *= 2;
}

static void w_remove(struct world *w, const char *path)
{
    fake_store_remove(w->s, path);
}

static void w_foreign(struct world *w, const char *path)
{
    fake_store_add(w->s, path, "iso", 4711);
}

/* /dev/mapper/vol-a--s1 of vol/a-s1 */
static char *device_of(const char *volume)
{
    struct snap_buf b = { 0 };

    snap_buf_adds(&b, "/dev/mapper/vol-");
    for (volume += strspn(volume, "/") + strlen("vol/"); *volume; volume++)
        snap_buf_addf(&b, *volume == '-' ? "-%c" : "%c", *volume);
    return b.data;
}

static char *w_alias(struct world *w, struct snap_object o)
{
    char *alias;

    if (o.kind || !strncmp(o.id, "/vol/", 5))
        return device_of(o.id);
    alias = snap_printf("%s.alias", o.id);
    if (!fake_store_exists(w->s, alias))
        fake_store_link(w->s, alias, o.id);
    return alias;
}

#define OPS(dir_fn)                                                        \
    {                                                                      \
        .open = w_open, .close = w_close, .dir = dir_fn, .image = w_image, \
        .start = w_start, .add = w_add, .stop = w_stop, .ctx = w_ctx,      \
        .write = w_write, .has = w_has, .image_has = w_image_has,          \
        .digest = w_digest, .exists = w_exists, .damage = w_damage,        \
        .resize = w_resize, .remove = w_remove, .foreign = w_foreign,      \
        .alias = w_alias,                                                  \
    }

static const struct world_ops in_files = OPS(w_dir);
static const struct world_ops in_volumes = OPS(w_vol_dir);

#define FAKE(n, d, t, f, l)                                          \
    .name = n, .drivers = fake_disk_drivers, .driver = d, .want = t, \
    .format = f, .live = l

static const struct variant variants[] = {
    { FAKE("internal, live", "fake-internal", SNAP_DISK_INTERNAL, "qcow2",
           true),
      .ops = &in_files, .file = "a.qcow2" },
    { FAKE("internal, off", "fake-internal", SNAP_DISK_INTERNAL, "qcow2",
           false),
      .ops = &in_files, .file = "a.qcow2" },
    { FAKE("external, live", "fake-external", SNAP_DISK_EXTERNAL, "raw", true),
      .ops = &in_files, .file = "a.raw" },
    { FAKE("external, off", "fake-external", SNAP_DISK_EXTERNAL, "raw", false),
      .ops = &in_files, .file = "a.raw" },
    { FAKE("external, path kept, live", "fake-external", SNAP_DISK_EXTERNAL,
           "qcow2", true),
      .ops = &in_files, .file = "a.qcow2", .keep_path = true },
    { FAKE("external, path kept, off", "fake-external", SNAP_DISK_EXTERNAL,
           "qcow2", false),
      .ops = &in_files, .file = "a.qcow2", .keep_path = true },
    { FAKE("volume, live", "fake-volume", SNAP_DISK_INTERNAL, "raw", true),
      .file = "lv", .ops = &in_volumes, .clone_format = "raw" },
    { FAKE("volume, off", "fake-volume", SNAP_DISK_AUTO, "raw", false),
      .file = "lv", .ops = &in_volumes, .clone_format = "raw" },
};

int main(void)
{
    return conformance_run("fake drivers", variants,
                           sizeof(variants) / sizeof(variants[0]));
}
