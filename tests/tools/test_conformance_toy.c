/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The toy driver of docs/first-driver.md under the suite.  Its world is a
 * folder, and a guest that is this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "tools/conformance.h"
#include "tools/real_dir.h"
#include "toy/toy.h"

#define DOMID      7
#define BLOCK      4096
#define DISKS      4
#define IMAGE_MODE 0600

struct world {
    char *dir;
    bool running;
    unsigned char last; /* byte written last */
    struct open_disk {
        char vdev[8];
        int fd;
    } disk[DISKS];
    unsigned n;
};

static struct world *w_open(void)
{
    struct world *w = snap_zalloc(sizeof(*w));

    w->dir = real_dir_make();
    return w;
}

static void w_stop(struct world *w)
{
    while (w->n)
        close(w->disk[--w->n].fd);
    w->running = false;
}

static void w_close(struct world *w)
{
    w_stop(w);
    real_dir_remove(w->dir);
    free(w->dir);
    free(w);
}

static const char *w_dir(struct world *w)
{
    return w->dir;
}

static unsigned char next_byte(struct world *w)
{
    w->last = w->last == 255 ? 1 : w->last + 1;
    return w->last;
}

static void put_block(int fd, unsigned i, unsigned char byte)
{
    char buf[BLOCK];

    memset(buf, byte, sizeof(buf));
    assert_int_equal(pwrite(fd, buf, BLOCK, (off_t)i * BLOCK), BLOCK);
}

static bool has_all(int fd, const struct content *c)
{
    char buf[BLOCK], want[BLOCK];
    unsigned i;

    for (i = 0; i < CONTENT_BLOCKS; i++) {
        memset(want, c->block[i], sizeof(want));
        if (pread(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK ||
            memcmp(buf, want, BLOCK))
            return false;
    }
    return true;
}

static void w_image(struct world *w, const char *path, const char *format,
                    struct content *c_r)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, IMAGE_MODE);

    assert_string_equal(format, "raw");
    assert_true(fd >= 0);
    memset(c_r, 0, sizeof(*c_r));
    assert_int_equal(ftruncate(fd, CONTENT_BLOCKS * BLOCK), 0);
    c_r->block[3] = next_byte(w);
    put_block(fd, 3, c_r->block[3]);
    close(fd);
}

static void w_start(struct world *w)
{
    w->running = true;
}

static void w_add(struct world *w, const char *vdev, const char *path,
                  const char *format)
{
    struct open_disk *d = &w->disk[w->n++];

    assert_string_equal(format, "raw");
    assert_true(w->n <= DISKS);
    snprintf(d->vdev, sizeof(d->vdev), "%s", vdev);
    d->fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(d->fd >= 0);
}

static int disk_of(const struct world *w, const char *vdev)
{
    unsigned i;

    for (i = 0; i < w->n; i++)
        if (!strcmp(w->disk[i].vdev, vdev))
            return w->disk[i].fd;
    fail_msg("the guest has no %s", vdev);
    return -1;
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
    c->domid = w->running ? DOMID : UINT32_MAX;
    c->op_id = op_id;
    c->image_user = nobody;
}

static void w_write(struct world *w, const char *vdev, struct content *c)
{
    unsigned char byte = next_byte(w);
    unsigned i = byte % CONTENT_BLOCKS;

    put_block(disk_of(w, vdev), i, byte);
    c->block[i] = byte;
}

static bool w_has(struct world *w, const char *vdev, const struct content *c)
{
    return has_all(disk_of(w, vdev), c);
}

static bool w_image_has(struct world *w, const char *path, const char *format,
                        const struct content *c)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes;

    (void)w;
    (void)format;
    assert_true(fd >= 0);
    yes = has_all(fd, c);
    close(fd);
    return yes;
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
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    (void)w;
    assert_true(fd >= 0);
    put_block(fd, 1, 0x5a);
    close(fd);
}

static void w_resize(struct world *w, const char *path, const char *format)
{
    (void)w;
    (void)format;
    assert_int_equal(truncate(path, 2 * CONTENT_BLOCKS * BLOCK), 0);
}

static void w_remove(struct world *w, const char *path)
{
    (void)w;
    assert_int_equal(unlink(path), 0);
}

/* As long as a copy of ours is. */
static void w_foreign(struct world *w, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, IMAGE_MODE);

    (void)w;
    assert_true(fd >= 0);
    put_block(fd, 0, 'm');
    assert_int_equal(ftruncate(fd, CONTENT_BLOCKS * BLOCK + TOY_TRAILER_LEN),
                     0);
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

static const struct world_ops folder = {
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

static const struct variant variants[] = {
    { .name = "copy of a raw image",
      .ops = &folder,
      .drivers = toy_drivers,
      .driver = "toy-copy",
      .want = SNAP_DISK_INTERNAL,
      .format = "raw",
      .clone_format = "raw",
      .file = "a.raw" },
    { .name = "names with blanks",
      .ops = &folder,
      .drivers = toy_drivers,
      .driver = "toy-copy",
      .want = SNAP_DISK_INTERNAL,
      .format = "raw",
      .clone_format = "raw",
      .file = "my disk, 1.raw",
      .tag = "before the upgrade" },
};

int main(void)
{
    return conformance_run("toy driver", variants,
                           sizeof(variants) / sizeof(variants[0]));
}
