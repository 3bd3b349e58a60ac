/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a new image may be read by, what is made durable before it is named,
 * what images are refused for what they are, and who keeps one from being
 * changed or removed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/leaf_drop.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_names.h"
#include "fakes/durable.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* ---- what was made durable ---- */

#define SYNCED 64
static struct stat synced[SYNCED];
static unsigned n_synced;

static void note_sync(int fd)
{
    if (n_synced < SYNCED && !fstat(fd, &synced[n_synced]))
        n_synced++;
}

/* Was it synced in the state that it has now (its content and time stamp)? */
static bool is_durable(const char *path)
{
    struct stat st;
    unsigned i;

    if (stat(path, &st))
        return false;
    for (i = 0; i < n_synced; i++)
        if (snap_same_stat(&st, &synced[i]) &&
            (S_ISDIR(st.st_mode) ||
             (st.st_size == synced[i].st_size &&
              st.st_mtim.tv_sec == synced[i].st_mtim.tv_sec &&
              st.st_mtim.tv_nsec == synced[i].st_mtim.tv_nsec)))
            return true;
    return false;
}

static void what_is_made_is_durable(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_part *one = &p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    n_synced = 0;
    DO(prepare, &p);
    assert_true(is_durable(snap_overlay_file(&p)));
    assert_true(is_durable(f->dir));
    /* The time stamp tells afterwards that a guest has had it. */
    assert_true(snap_overlay_is_new(snap_overlay_file(&p)));
    n_synced = 0;
    scene_ok(p.drv->group->take(&f->c, &one, 1, &e), &e);
    assert_false(snap_overlay_is_new(snap_overlay_file(&p)));
    /* Not while the guest stands. */
    assert_int_equal(n_synced, 0);
    DO(secure, &p);
    assert_true(is_durable(snap_overlay_file(&p)));
    snap_part_dispose(&p);
    free(path);
}

/* ---- rights ---- */

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void as_the_base(void **state)
{
    struct scene *f = *state;
    static const mode_t modes[][2] = {
        { 0640, 0640 }, { 0600, 0600 }, { 0664, 0664 },
        { 0755, 0644 }, { 0440, 0640 }, { 04660, 0660 },
    };
    size_t i;

    if (geteuid()) {
        printf("# SKIP owners of new images: not root\n");
        return;
    }
    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct snap_part p;
        struct stat st;
        char *name = snap_printf("a%zu.qcow2", i);
        char *path = scene_image(f, name, "qcow2");

        assert_int_equal(chown(path, 1234, 2345), 0);
        assert_int_equal(chmod(path, modes[i][0]), 0);
        scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
        scene_take(f, &p);
        assert_int_equal(stat(p.active_path, &st), 0);
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 2345);
        assert_int_equal(mode_of(p.active_path), modes[i][1]);
        DO(verify, &p);
        DO(revert_prepare, &p);
        assert_int_equal(mode_of(p.leaf_path), modes[i][1]);
        snap_part_dispose(&p);
        free(path);
        free(name);
    }
}

/* A device's owner says nothing about files. */
static void beside_a_readable_umask(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    mode_t old = umask(0);
    char *path = scene_image(f, "a.qcow2", "qcow2");

    assert_int_equal(chmod(path, 0600), 0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    assert_int_equal(mode_of(p.active_path), 0600);
    umask(old);
    snap_part_dispose(&p);
    free(path);
}

/* As setfacl -m u:1234:r would: version 2, then tag, permissions, id. */
static const unsigned char acl[] = {
    2,  0, 0, 0, /* */
    1,  0, 6, 0, 255, 255, 255, 255, /* owner rw- */
    2,  0, 4, 0, 210, 4,   0,   0, /* user 1234 r-- */
    4,  0, 0, 0, 255, 255, 255, 255, /* group --- */
    16, 0, 4, 0, 255, 255, 255, 255, /* mask r-- */
    32, 0, 0, 0, 255, 255, 255, 255, /* others --- */
};

static void with_its_attributes(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char got[256];
    char *path = scene_image(f, "a.qcow2", "qcow2");

    if (setxattr(path, "user.note", "x", 1, 0) ||
        setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0)) {
        printf("# SKIP attributes of new images: the file system has none\n");
        free(path);
        return;
    }
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    assert_int_equal(getxattr(p.active_path, "user.note", got, sizeof(got)),
                     1);
    assert_int_equal(
        getxattr(p.active_path, "system.posix_acl_access", got, sizeof(got)),
        sizeof(acl));
    assert_memory_equal(got, acl, sizeof(acl));
    assert_int_equal(mode_of(p.active_path), mode_of(path));
    snap_part_dispose(&p);
    free(path);
}

/* ---- what an image is ---- */

static void refused_for_what_it_is(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_qcow2 h = { 0 };
    char *path = scene_path(f, "d.qcow2"), *raw = scene_path(f, "d.raw"), *opt;

    opt = snap_printf("data_file=%s", raw);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              opt, path, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "convert");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "convert");
    free(opt);
    free(path);
    path = scene_path(f, "one.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              "refcount_bits=1", path, "1M", NULL),
                     0);
    assert_int_equal(snap_qcow2_read(path, &h, NULL), 0);
    assert_int_equal(h.refcount_bits, 1);
    snap_qcow2_dispose(&h);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "type=external");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    snap_part_dispose(&p);
    free(raw);
    free(path);
}

/* Extended L2 entries and compressed clusters are served by what QEMU does. */
static void served_whatever_it_is(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    unsigned char want[2] = { 5, 6 };
    char *src = scene_image(f, "src.qcow2", "qcow2");
    char *path = scene_path(f, "x.qcow2");

    real_image_write(src, "qcow2", 0, 5);
    real_image_write(src, "qcow2", 1, 6);
    assert_int_equal(real_run("qemu-img", "convert", "-c", "-O", "qcow2", "-o",
                              "extended_l2=on,compression_type=zlib", src,
                              path, NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    d.leaf = snap_strdup(p.active_path);
    scene_know(&d, p.active_path, "qcow2", false);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    scene_ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    DO(remove, &p);
    assert_true(real_image_has(p.active_path, "qcow2", want, 2));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(src);
    free(path);
}

/* The target says what the guest's disk below it is; else a guest says it. */
static void the_format_in_a_target(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    char *over = scene_path(f, "over.qcow2");

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", over, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.target = snap_strdup(over);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_REFUSED, "-F qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "qcow2", over, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.target = snap_strdup(over);
    p.reuse_target = true;
    scene_take(f, &p);
    snap_part_dispose(&p);
    free(over);
    free(path);
}

/* Without the extension that says it, as QEMU before 6.1 made them. */
static void strip_format(const char *path)
{
    unsigned char head[4096], *at = NULL;
    static const unsigned char magic[4] = { 0xe2, 0x79, 0x2a, 0xca };
    int fd = open(path, O_RDWR);
    size_t i;

    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    for (i = 72; !at && i + 4 < sizeof(head); i++)
        if (!memcmp(head + i, magic, 4))
            at = head + i;
    assert_non_null(at);
    at[0] = 0x11; /* one that nobody knows is passed over */
    assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
    close(fd);
}

/* Of a raw image that nobody calls so, too, there is nothing below. */
static void a_raw_base_that_nobody_names(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    unsigned depth = 0;
    char *raw = scene_image(f, "g.img", "raw");
    char *path = scene_path(f, "a.qcow2");

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              raw, "-F", "raw", path, NULL),
                     0);
    strip_format(path);
    assert_int_equal(snap_overlay_depth(path, &depth, NULL), 0);
    assert_int_equal(depth, 2);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    snap_part_dispose(&p);
    free(raw);
    free(path);
}

/* What a copy is over is not guessed: "raw" would turn it into garbage. */
static void a_copy_over_what_nobody_says(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *gold = scene_image(f, "gold.qcow2", "qcow2");
    char *path = scene_path(f, "a.qcow2");

    real_image_write(gold, "qcow2", 0, 1);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              gold, "-F", "qcow2", path, NULL),
                     0);
    strip_format(path);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    DO(verify, &p); /* in place */
    p.shared = true;
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "which format"));
    snap_set(&p.leaf_dir, f->dir);
    snap_err_clear(&e);
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    snap_part_dispose(&p);
    free(gold);
    free(path);
}

static void with_a_snapshot_inside_it_is_written(void **state)
{
    struct scene *f = *state;
    struct snap_qcow2 h = { 0 };
    char *path = scene_image(f, "a.qcow2", "qcow2");

    assert_int_equal(snap_qcow2_read(path, &h, NULL), 0);
    assert_true(h.unwritten);
    snap_qcow2_dispose(&h);
    assert_int_equal(real_run("qemu-img", "snapshot", "-c", "x", path, NULL),
                     0);
    assert_int_equal(snap_qcow2_read(path, &h, NULL), 0);
    assert_false(h.unwritten);
    snap_qcow2_dispose(&h);
    free(path);
}

/* ---- who keeps it ---- */

static void who_only_writes(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "a.img", "raw"), *who = NULL;
    int fd = open(path, O_WRONLY);

    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    assert_non_null(who);
    free(who);
    close(fd);
    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    assert_null(who);
    free(path);
}

/* /dev/vg/lv and /dev/dm-0: one device, two inodes. */
static void two_names_of_a_device(void **state)
{
    struct stat a = { .st_mode = S_IFBLK, .st_rdev = 7, .st_ino = 1 };
    struct stat b = { .st_mode = S_IFBLK, .st_rdev = 7, .st_ino = 2 };

    (void)state;
    assert_true(snap_same_stat(&a, &b));
    b.st_rdev = 8;
    b.st_ino = 1;
    assert_false(snap_same_stat(&a, &b));
}

/* The frozen image, the leaf and the domain's own disk, while somebody has
 * them: nothing is changed and nothing goes. */
static void while_somebody_has_it(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    int fd;

    real_image_write(path, "qcow2", 0, 1);
    real_image_write(path, "qcow2", 1, 1);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    d.leaf = snap_strdup(p.active_path);
    d.may_merge = true;
    scene_know(&d, p.active_path, "qcow2", false);
    fd = open(path, O_RDONLY);
    assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_BUSY);
    close(fd);
    snap_err_clear(&e);
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", path);
    assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_BUSY);
    assert_non_null(strstr(e.msg, "web (xvda)"));
    f->who[0] = '\0';
    snap_err_clear(&e);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    /* Between plan and deed. */
    fd = open(path, O_RDONLY);
    assert_int_equal(p.drv->merge(&f->c, &p, &d, &e), SNAP_BUSY);
    assert_int_equal(snap_image_drop(&f->c, path, "qcow2", NULL, NULL),
                     SNAP_BUSY);
    close(fd);
    assert_true(snap_file_exists(path));
    snap_delete_dispose(&d);
    memset(&d, 0, sizeof(d));
    /* The domain was put on the frozen image again: it is its disk. */
    d.leaf = snap_strdup(path);
    snap_err_clear(&e);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_DROP);
    assert_true(d.keep_image);
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

static void a_leaf_in_use_or_protected(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    int fd;

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    DO(revert_prepare, &p);
    fd = open(p.leaf_path, O_RDWR);
    assert_int_equal(p.drv->revert_undo(&f->c, &p, &e), SNAP_BUSY);
    close(fd);
    assert_true(snap_file_exists(p.leaf_path));
    if (!snap_image_protect(p.active_path, NULL)) {
        scene_ok(snap_leaf_drop(&f->c, p.active_path, "a", NULL, &e), &e);
        assert_true(snap_file_exists(p.active_path));
        assert_true(snap_image_protected(p.active_path));
        assert_int_equal(snap_image_unprotect(p.active_path, NULL), 0);
    } else {
        printf("# SKIP a protected leaf: no immutable attribute here\n");
    }
    snap_err_clear(&e);
    scene_ok(p.drv->revert_undo(&f->c, &p, &e), &e);
    assert_false(snap_file_exists(p.leaf_path));
    snap_part_dispose(&p);
    free(path);
}

/* What the kernel itself has: no process shows it. */
static void a_mounted_device(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "fs.img", "raw"), *who = NULL, dev[32];
    char *at = scene_path(f, "at");
    int i;

    assert_int_equal(truncate(path, 16 << 20), 0);
    for (i = 7; i >= 0; i--) {
        snprintf(dev, sizeof(dev), "/dev/loop%d", i);
        if (!real_run("losetup", dev, path, NULL))
            break;
    }
    if (i < 0 || real_run("mkfs.ext2", "-q", dev, NULL) || mkdir(at, 0700) ||
        real_run("mount", dev, at, NULL)) {
        printf("# SKIP mounted images: no loop device can be mounted here\n");
        rmdir(at);
    } else {
        assert_int_equal(snap_image_writer(dev, &who, NULL), 0);
        real_run("umount", at, NULL);
        rmdir(at);
        assert_non_null(who);
        assert_non_null(strstr(who, at));
        free(who);
        assert_int_equal(snap_image_writer(dev, &who, NULL), 0);
        assert_null(who);
    }
    if (i >= 0)
        real_run("losetup", "-d", dev, NULL);
    free(at);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_is_made_is_durable),
        SCENE_TEST(as_the_base),
        SCENE_TEST(beside_a_readable_umask),
        SCENE_TEST(with_its_attributes),
        SCENE_TEST(refused_for_what_it_is),
        SCENE_TEST(served_whatever_it_is),
        SCENE_TEST(the_format_in_a_target),
        SCENE_TEST(a_raw_base_that_nobody_names),
        SCENE_TEST(a_copy_over_what_nobody_says),
        SCENE_TEST(with_a_snapshot_inside_it_is_written),
        SCENE_TEST(who_only_writes),
        SCENE_TEST(two_names_of_a_device),
        SCENE_TEST(while_somebody_has_it),
        SCENE_TEST(a_leaf_in_use_or_protected),
        SCENE_TEST(a_mounted_device),
    };

    durable_on_sync = note_sync;
    return SCENE_MAIN("rights, durability and owners of images", tests);
}
