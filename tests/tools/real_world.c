/* SPDX-License-Identifier: LGPL-2.1-only */
/* See real_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/conformance.h"
#include "tools/real_dir.h"
#include "tools/real_qemu.h"
#include "tools/real_world.h"

#define DOMID 7

struct world {
    char *dir;
    struct real_qemu *q;
    unsigned char last; /* byte written last */
};

static struct world *w_open(void)
{
    struct world *w = snap_zalloc(sizeof(*w));

    w->dir = real_dir_make();
    return w;
}

static void w_close(struct world *w)
{
    real_qemu_stop(w->q);
    real_dir_remove(w->dir);
    free(w->dir);
    free(w);
}

static const char *w_dir(struct world *w)
{
    return w->dir;
}

static const char *qemu_format(const char *format)
{
    return strcmp(format, "vhd") ? format : "vpc";
}

static unsigned char next_byte(struct world *w)
{
    w->last = w->last == 255 ? 1 : w->last + 1;
    return w->last;
}

static void w_image(struct world *w, const char *path, const char *format,
                    struct content *c_r)
{
    const char *f = qemu_format(format);
    unsigned char byte = next_byte(w);

    memset(c_r, 0, sizeof(*c_r));
    /* force_size: a VHD's size is otherwise rounded to cylinders. */
    if (!strcmp(f, "vpc"))
        assert_int_equal(real_run("qemu-img", "create", "-q", "-f", f, "-o",
                                  "force_size=on", path, "2M", NULL),
                         0);
    else
        assert_int_equal(
            real_run("qemu-img", "create", "-q", "-f", f, path, "2M", NULL),
            0);
    real_image_write(path, f, 3, byte);
    c_r->block[3] = byte;
}

static void w_start(struct world *w)
{
    w->q = real_qemu_start(w->dir);
}

static void w_add(struct world *w, const char *vdev, const char *path,
                  const char *format)
{
    real_qemu_add(w->q, vdev, path, qemu_format(format));
}

static void w_stop(struct world *w)
{
    real_qemu_stop(w->q);
    w->q = NULL;
}

static int nobody(void *opaque, const char *path, char **who_r,
                  struct snap_err *err)
{
    (void)opaque;
    (void)path;
    (void)err;
    *who_r = NULL;
    return 0;
}

static void w_ctx(struct world *w, const char *op_id, struct snap_disk_ctx *c)
{
    memset(c, 0, sizeof(*c));
    c->qmp = w->q ? real_qemu_qmp(w->q) : NULL;
    c->domid = w->q ? DOMID : UINT32_MAX;
    c->op_id = op_id;
    c->image_user = nobody;
}

/* One block that moves, and one that is always written. */
static void w_write(struct world *w, const char *vdev, struct content *c)
{
    unsigned char byte = next_byte(w);
    const unsigned block[2] = {
        byte % (CONTENT_BLOCKS - 1),
        CONTENT_BLOCKS - 1,
    };

    real_qemu_write_two(w->q, vdev, block, byte);
    c->block[block[0]] = c->block[block[1]] = byte;
}

static bool w_has(struct world *w, const char *vdev, const struct content *c)
{
    return real_qemu_has(w->q, vdev, c->block, CONTENT_BLOCKS);
}

static bool w_image_has(struct world *w, const char *path, const char *format,
                        const struct content *c)
{
    (void)w;
    return real_image_has(path, qemu_format(format), c->block, CONTENT_BLOCKS);
}

static char *w_digest(struct world *w)
{
    return real_dir_digest(w->dir);
}

static bool w_exists(struct world *w, const char *path)
{
    (void)w;
    return snap_file_exists(path);
}

static void w_damage(struct world *w, const char *path)
{
    int fd;
    char junk[4096];

    (void)w;
    snap_image_unprotect(path, NULL);
    memset(junk, 0x5a, sizeof(junk));
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    close(fd);
}

static void w_resize(struct world *w, const char *path, const char *format)
{
    (void)w;
    snap_image_unprotect(path, NULL);
    /* vpc cannot be resized by qemu-img. */
    if (!strcmp(format, "vhd"))
        assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "vpc",
                                  "-o", "force_size=on", path, "3M", NULL),
                         0);
    else
        assert_int_equal(real_run("qemu-img", "resize", "-q", "-f", format,
                                  path, "4M", NULL),
                         0);
}

static void w_remove(struct world *w, const char *path)
{
    (void)w;
    snap_image_unprotect(path, NULL);
    assert_int_equal(unlink(path), 0);
}

static void w_foreign(struct world *w, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    (void)w;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "mine\n", 5), 5);
    close(fd);
}

static char *w_alias(struct world *w, struct snap_object o)
{
    char *alias = snap_printf("%s.alias", o.id);

    (void)w;
    if (access(alias, F_OK))
        assert_int_equal(symlink(o.id, alias), 0);
    return alias;
}

const struct world_ops real_world = {
    .open = w_open,
    .close = w_close,
    .dir = w_dir,
    .image = w_image,
    .start = w_start,
    .add = w_add,
    .stop = w_stop,
    .ctx = w_ctx,
    .write = w_write,
    .has = w_has,
    .image_has = w_image_has,
    .digest = w_digest,
    .exists = w_exists,
    .damage = w_damage,
    .resize = w_resize,
    .remove = w_remove,
    .foreign = w_foreign,
    .alias = w_alias,
};

int real_world_run(const char *name, const struct variant *v, size_t n)
{
    const char *missing = real_qemu_missing();
    struct variant *list;
    size_t i, n_list = 0;
    int failed;

    if (missing) {
        printf("1..0 # SKIP %s: %s\n", name, missing);
        return 0;
    }
    list = snap_realloc(NULL, n, sizeof(*list));
    for (i = 0; i < n; i++) {
        if (real_qemu_serves(qemu_format(v[i].format)))
            list[n_list++] = v[i];
        else
            printf("# SKIP %s: Xen's QEMU has no such format here\n",
                   v[i].name);
    }
    failed = conformance_run(name, list, n_list);
    free(list);
    return failed;
}
