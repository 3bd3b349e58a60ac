/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Others at work on the images while we are: who has one open, who changed it,
 * what a dead command left, and what the freezing protects.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/qemu/overlay_names.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

static void a_frozen_base_that_is_open(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.img", "raw"), *who = NULL;
    int fd;

    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    fd = open(path, O_RDONLY);
    DO(verify, &p);
    close(fd);
    fd = open(path, O_RDWR);
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "open for writing"));
    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    assert_non_null(strstr(who, "test_drivers"));
    free(who);
    close(fd);
    snap_part_dispose(&p);
    free(path);
}

/* A file system that keeps no such flags, as NFS. */
static bool no_flags;

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;

    if (no_flags && request == FS_IOC_GETFLAGS) {
        errno = ENOTTY;
        return -1;
    }
    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    return syscall(SYS_ioctl, fd, request, arg);
}

static void a_changed_base_is_seen(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.img", "raw"), *cmd;

    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    real_image_write(path, "raw", 0, 7);
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_CORRUPT);
    /* The way out that it names works. */
    cmd = strstr(e.msg, "touch -d @");
    assert_non_null(cmd);
    cmd = snap_strndup(cmd + 9, strcspn(cmd + 9, " "));
    assert_int_equal(real_run("touch", "-d", cmd, path, NULL), 0);
    free(cmd);
    cmd = snap_printf("chattr -i '%s'; touch", path);
    assert_non_null(strstr(e.msg, cmd));
    free(cmd);
    DO(verify, &p);
    /* On NFS chattr would only fail. */
    real_image_write(path, "raw", 0, 8);
    snap_err_clear(&e);
    no_flags = true;
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_CORRUPT);
    no_flags = false;
    assert_non_null(strstr(e.msg, "touch -d @"));
    assert_null(strstr(e.msg, "chattr"));
    assert_non_null(strstr(e.msg, "on every machine"));
    snap_part_dispose(&p);
    free(path);
}

static void a_loop_device_is_a_user(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"), *who = NULL;
    char dev[32];
    int i;

    for (i = 7; i >= 0; i--) {
        snprintf(dev, sizeof(dev), "/dev/loop%d", i);
        if (!real_run("losetup", dev, path, NULL))
            break;
    }
    if (i < 0) {
        printf("# SKIP images behind loop devices: losetup does not work "
               "here\n");
        free(path);
        return;
    }
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    /* A device as the base: it is called raw, and says where it goes. */
    snap_part_dispose(&p);
    scene_ask(&p, "xvda", dev, "raw", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "target=");
    scene_ask(&p, "xvda", dev, "raw", SNAP_DISK_EXTERNAL);
    p.target = scene_path(f, "over.qcow2");
    scene_take(f, &p);
    DO(verify, &p);
    assert_string_equal(p.frozen_path, dev);
    DO(undo, &p);
    real_run("losetup", "-d", dev, NULL);
    assert_non_null(who);
    assert_non_null(strstr(who, dev));
    free(who);
    snap_part_dispose(&p);
    free(path);
}

/* Both went on: the base, and the overlay.  Nothing is merged. */
static void undo_does_not_choose(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.img", "raw");
    unsigned char over[2] = { 0, 2 }, base[2] = { 3, 0 };

    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    real_image_write(p.active_path, "qcow2", 1, 2);
    usleep(20000);
    real_image_write(path, "raw", 0, 3);
    assert_int_equal(p.drv->undo(&f->c, &p, &e), SNAP_RECOVER);
    assert_non_null(strstr(e.msg, "by hand"));
    assert_true(real_image_has(path, "raw", base, 2));
    over[0] = 3; /* through the changed base */
    assert_true(real_image_has(p.active_path, "qcow2", over, 2));
    snap_part_dispose(&p);
    free(path);
}

static void what_a_dead_prepare_left(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *tmp, *before, *after;
    int fd;

    before = real_dir_digest(f->dir);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    tmp = snap_printf("%s.xlsnap-op1", snap_overlay_file(&p));
    fd = open(tmp, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
    close(fd);
    assert_int_equal(link(path, p.frozen_path), 0);
    scene_ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_int_equal(s, SNAP_PART_PARTIAL);
    DO(undo, &p);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(tmp);
    snap_part_dispose(&p);
    free(path);
}

static void what_is_frozen_is_protected(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.img", "raw"), *copy;
    int fd;

    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    if (p.drv->finish(&f->c, &p, &e)) {
        assert_non_null(strstr(e.msg, "could not be made immutable"));
        printf("# SKIP the immutable attribute: %s\n", e.msg);
        goto out;
    }
    fd = open(path, O_RDWR);
    assert_int_equal(fd, -1);
    DO(finish, &p); /* again: fine */
    DO(verify, &p);
    /* Asked to remove it while an overlay needs it: no.  Without one: yes. */
    assert_int_equal(p.drv->remove(&f->c, &p, &e), SNAP_REFUSED);
    assert_true(snap_image_protected(path));
    copy = snap_strdup(p.active_path);
    assert_int_equal(unlink(copy), 0);
    free(copy);
    DO(remove, &p);
    assert_false(snap_file_exists(path));
    DO(remove, &p);
out:
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_frozen_base_that_is_open),
        SCENE_TEST(a_changed_base_is_seen),
        SCENE_TEST(a_loop_device_is_a_user),
        SCENE_TEST(undo_does_not_choose),
        SCENE_TEST(what_a_dead_prepare_left),
        SCENE_TEST(what_is_frozen_is_protected),
    };

    return SCENE_MAIN("others at work on the images", tests);
}
