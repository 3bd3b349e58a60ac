/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the kernel has and no process shows, by whatever name: an image behind
 * a loop device that is mounted, or of which a part is, while the domain is
 * off and while it runs.
 */
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk/file/in_use.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

static char dev[32]; /* "" if there is none */
static char *at; /* where something is mounted, or NULL */

static void unmount(void)
{
    if (at && (umount(at) || rmdir(at)))
        perror(at);
    snap_free(&at);
}

static void detach(void)
{
    if (dev[0])
        real_run("losetup", "-d", dev, NULL);
    dev[0] = '\0';
}

static int tear_down(void **state)
{
    unmount();
    detach();
    return scene_tear_down(state);
}

/* False, said, where it cannot be had. */
static bool attach(const char *path, const char *how, const char *test)
{
    int i;

    for (i = 7; i >= 0; i--) {
        snprintf(dev, sizeof(dev), "/dev/loop%d", i);
        if (!real_run("losetup", how, dev, path, NULL))
            return true;
    }
    dev[0] = '\0';
    printf("# SKIP %s: losetup does not work here\n", test);
    return false;
}

/* As addpart(8), which Debian 13 does not have. */
static bool add_part(void)
{
    struct blkpg_partition part = {
        .pno = 1,
        .start = 64 * 512,
        .length = 1792 * 512,
    };
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_ADD_PARTITION,
        .datalen = sizeof(part),
        .data = &part,
    };
    int fd = open(dev, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && !ioctl(fd, BLKPG, &arg);

    if (fd >= 0)
        close(fd);
    return done;
}

static bool mount_it(struct scene *f, const char *what, const char *test)
{
    char *to = scene_path(f, "at");

    if (real_run("mkfs.ext2", "-q", "-F", what, NULL) || mkdir(to, 0700) ||
        mount(what, to, "ext2", 0, NULL)) {
        printf("# SKIP %s: no loop device can be mounted here\n", test);
        rmdir(to);
        free(to);
        return false;
    }
    at = to;
    return true;
}

static void used_by(const char *path, const char *words)
{
    char *who = NULL;

    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    if (!words && who)
        fail_msg("%s: used by \"%s\"", path, who);
    if (words && (!who || !strstr(who, words)))
        fail_msg("%s: used by \"%s\", not \"%s\"", path, who ? who : "nobody",
                 words);
    free(who);
}

/* Message and device, and "mounted at". */
static void used_mounted(const char *path, const char *before)
{
    char *words = snap_printf("%smounted at %s)", before, at);

    used_by(path, words);
    free(words);
}

static void mounted_over_a_loop_device(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "a.img", "raw"), *words;

    if (!attach(path, "-v", "mounted images") ||
        !mount_it(f, dev, "mounted images"))
        goto out;
    words = snap_printf("%s (", dev);
    used_mounted(path, words);
    free(words);
    used_mounted(dev, "the kernel (");
    /* The mount stands, whatever the device is said to be now. */
    assert_int_equal(real_run("blockdev", "--setro", dev, NULL), 0);
    used_mounted(path, "");
    assert_int_equal(real_run("blockdev", "--setrw", dev, NULL), 0);
    unmount();
    used_by(path, dev);
    used_by(dev, NULL);
    detach();
    used_by(path, NULL);
out:
    free(path);
}

static void a_part_of_it_mounted(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "a.img", "raw"), *part = NULL, *words;

    if (!attach(path, "-P", "mounted partitions") || !add_part()) {
        printf("# SKIP mounted partitions: no parts of loop devices here\n");
        goto out;
    }
    part = snap_printf("%sp1", dev);
    if (!mount_it(f, part, "mounted partitions"))
        goto out;
    words = snap_printf("(its part %s, ", part);
    used_mounted(path, words);
    used_mounted(dev, words);
    free(words);
    used_mounted(part, "the kernel (");
    unmount();
    used_by(path, dev);
    used_by(dev, NULL);
    used_by(part, NULL);
out:
    free(part);
    free(path);
}

static void by_whatever_name(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "a.img", "raw"), *hard = NULL, *moved = NULL;
    char *other = scene_path(f, "other"), *node = scene_path(f, "node");
    struct stat st;

    if (!attach(path, "-v", "images behind loop devices"))
        goto out;
    hard = scene_path(f, "hard.img");
    moved = scene_path(f, "moved.img");
    assert_int_equal(link(path, hard), 0);
    used_by(hard, dev);
    assert_int_equal(rename(path, moved), 0);
    used_by(moved, dev);
    used_by(hard, dev);
    assert_int_equal(unlink(moved), 0);
    used_by(hard, dev);
    if (mkdir(other, 0700) || mount(f->dir, other, NULL, MS_BIND, NULL)) {
        printf("# SKIP images by a bind mount's name: no mount here\n");
        rmdir(other);
    } else {
        at = snap_strdup(other);
        moved = snap_realloc(moved, strlen(other) + 16, 1);
        sprintf(moved, "%s/hard.img", other);
        used_by(moved, dev);
        unmount();
    }
    /* A loop device over it, that has another name for it. */
    assert_int_equal(stat(dev, &st), 0);
    if (!mknod(node, S_IFBLK | 0600, st.st_rdev)) {
        char below[32];

        snprintf(below, sizeof(below), "%s", dev);
        if (attach(node, "-v", "a loop device over a device")) {
            used_by(below, dev);
            detach();
        }
        snprintf(dev, sizeof(dev), "%s", below);
    }
    detach();
    used_by(hard, NULL);
out:
    free(hard);
    free(moved);
    free(other);
    free(node);
    free(path);
}

/* Of QEMU's own image a snapshot is made; not if another writes to it. */
static void while_the_domain_runs(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_disk(f, 1);

    if (!attach(path, "-v", "a running domain's image"))
        goto out;
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_BUSY, dev);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_BUSY, dev);
    detach();
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    if (attach(path, "-v", "a running domain's image")) {
        assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_BUSY);
        assert_non_null(strstr(e.msg, dev));
        detach();
    }
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
out:
    free(path);
}

static char said[1024]; /* last */

static void keep_said(void *opaque, enum snap_level level, const char *msg)
{
    (void)opaque;
    (void)level;
    snprintf(said, sizeof(said), "%s", msg);
}

/* The overlay that takes over, or is merged: QEMU's own, and another's. */
static void what_stands_on_it(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d = { .may_merge = true };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_taken(f, &p, 1);
    const struct snap_log keep = { .fn = keep_said }, *log = f->c.log;
    int fd;

    d.leaf = snap_strdup(p.active_path);
    scene_know(&d, p.active_path, "qcow2", false);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    if (d.how != SNAP_DELETE_MERGE)
        fail_msg("not a merge: %d", d.how);
    /* A merge would take it from its reader. */
    f->c.log = &keep;
    fd = open(p.active_path, O_RDONLY);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    close(fd);
    f->c.log = log;
    if (!strstr(said, p.active_path) || !strstr(said, "is not merged into"))
        fail_msg("nobody says why it is no merge: \"%s\"", said);
    if (attach(p.active_path, "-v", "a running domain's image")) {
        assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_BUSY);
        assert_non_null(strstr(e.msg, dev));
        detach();
    }
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* A revert asks before the domain is destroyed. */
static void others_than_the_domain(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_disk(f, 1);
    struct snap_qmp *qmp = f->c.qmp;
    int fd;

    scene_ok(snap_image_check_others(&f->c, path, true, &e), &e);
    fd = open(path, O_RDONLY);
    scene_ok(snap_image_check_others(&f->c, path, false, &e), &e);
    assert_int_equal(snap_image_check_others(&f->c, path, true, &e),
                     SNAP_BUSY);
    close(fd);
    /* Which process is its QEMU is not known. */
    f->c.qmp = NULL;
    snap_err_clear(&e);
    scene_ok(snap_image_check_others(&f->c, path, true, &e), &e);
    if (attach(path, "-r", "a running domain's image")) {
        scene_ok(snap_image_check_others(&f->c, path, false, &e), &e);
        assert_int_equal(snap_image_check_others(&f->c, path, true, &e),
                         SNAP_BUSY);
        detach();
    }
    f->c.domid = UINT32_MAX;
    assert_int_equal(snap_image_check_others(&f->c, path, false, &e),
                     SNAP_BUSY);
    f->c.qmp = qmp;
    free(path);
}

#define KERNEL_TEST(fn) \
    cmocka_unit_test_setup_teardown(fn, scene_set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KERNEL_TEST(mounted_over_a_loop_device),
        KERNEL_TEST(a_part_of_it_mounted),
        KERNEL_TEST(by_whatever_name),
        KERNEL_TEST(while_the_domain_runs),
        KERNEL_TEST(what_stands_on_it),
        KERNEL_TEST(others_than_the_domain),
    };

    return SCENE_MAIN("images that the kernel has", tests);
}
