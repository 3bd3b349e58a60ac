/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * All images that a revert changes in place are held together: nobody else
 * opens any of them, and our own tools do.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk/file/image_guard.h"
#include "disk/file/in_use.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

#define DISKS 6

static const unsigned char then[3] = { 1, 2, 0 }, now[3] = { 1, 9, 0 };

struct disks {
    char *path[DISKS];
    struct snap_part p[DISKS];
    struct snap_held_images l;
};

static void set_up(struct scene *f, struct disks *d)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_part *p;
    char name[16];
    int i;

    memset(d, 0, sizeof(*d));
    for (i = 0; i < DISKS; i++) {
        p = &d->p[i];
        snprintf(name, sizeof(name), "%c.qcow2", 'a' + i);
        d->path[i] = scene_image(f, name, "qcow2");
        real_image_write(d->path[i], "qcow2", 0, 1);
        real_image_write(d->path[i], "qcow2", 1, 2);
        scene_ask(p, "xvda", d->path[i], "qcow2", SNAP_DISK_INTERNAL);
        scene_take(f, p);
        real_image_write(d->path[i], "qcow2", 1, 9);
    }
    f->c.op_id = "op2";
    for (i = 0; i < DISKS; i++) {
        DO(verify, &d->p[i]);
        DO(revert_prepare, &d->p[i]);
        scene_ok(d->p[i].drv->in_place(&f->c, &d->p[i], false, &d->l, &e), &e);
    }
    assert_int_equal(d->l.n, DISKS);
}

static void tear_down(struct disks *d)
{
    int i;

    snap_held_images_dispose(&d->l);
    for (i = 0; i < DISKS; i++) {
        snap_part_dispose(&d->p[i]);
        free(d->path[i]);
    }
}

/* Somebody who is neither we nor a child of ours opens it.  He is not left
 * waiting for an answer. */
static bool others(const char *path, bool refused)
{
    char *line = snap_printf("LC_ALL=C timeout 10 dd if=%s of=/dev/null "
                             "count=1 2>&1 | grep -q '%s'; exit $?",
                             path, refused ? "not permitted" : "copied");
    int status = real_run("sh", "-c", line, NULL);

    free(line);
    return !status;
}

static bool others_can(const char *path)
{
    return others(path, false);
}

static bool others_are_refused(const char *path)
{
    return others(path, true);
}

/* A process of ours starts it, and it is none of our tools: so does the monitor
 * with the QEMU of a guest that reboots. */
static bool a_child_of_ours_is_refused(const char *path)
{
    char *in = snap_printf("if=%s", path);
    int status = real_run("dd", in, "of=/dev/null", "count=1", NULL);

    free(in);
    return status != 0;
}

static bool kernel_can(const struct scene *f)
{
    int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
    bool can = fd >= 0 && !fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM,
                                         AT_FDCWD, f->dir);

    if (fd >= 0)
        close(fd);
    if (!can)
        printf("# SKIP held images: no fanotify permission events here\n");
    return can;
}

/* One that has come meanwhile could open none of them. */
static void somebody_comes(struct scene *f, const char *path)
{
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", path);
}

static void check_all(const struct disks *d, bool (*is)(const char *path))
{
    int i;

    for (i = 0; i < DISKS; i++)
        assert_true(is(d->path[i]));
}

static void check_content(const struct disks *d, const unsigned char *want)
{
    int i;

    for (i = 0; i < DISKS; i++)
        assert_true(real_image_has(d->path[i], "qcow2", want, 3));
}

static void all_are_switched_together(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_image_guard *g = NULL, *inner = NULL;
    struct disks d;
    int i;

    if (!kernel_can(f))
        return;
    set_up(f, &d);
    check_all(&d, others_can);
    scene_ok(snap_image_hold(&f->c, &d.l, &g, &e), &e);
    check_all(&d, a_child_of_ours_is_refused);
    for (i = 0; i < DISKS; i++) {
        check_all(&d, others_are_refused);
        somebody_comes(f, d.path[i]);
        DO(revert_switch, &d.p[i]);
    }
    check_all(&d, others_are_refused);
    check_content(&d, then);
    /* It did not come to the last one, and is put back under the same. */
    snap_held_images_dispose(&d.l);
    for (i = 0; i < DISKS; i++)
        scene_ok(d.p[i].drv->in_place(&f->c, &d.p[i], true, &d.l, &e), &e);
    scene_ok(snap_image_hold(&f->c, &d.l, &inner, &e), &e);
    snap_image_guard_end(&g);
    for (i = DISKS; i-- > 0;) {
        check_all(&d, others_are_refused);
        DO(revert_undo, &d.p[i]);
    }
    check_all(&d, others_are_refused);
    snap_image_guard_end(&inner);
    check_all(&d, others_can);
    check_content(&d, now);
    assert_int_equal(snap_image_check_unused(&f->c, d.path[DISKS - 1], NULL),
                     SNAP_BUSY);
    tear_down(&d);
}

/* Somebody has one of them already: none is held, and none was touched. */
static void one_is_in_use(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_image_guard *g = NULL;
    struct disks d;
    int fd;

    set_up(f, &d);
    somebody_comes(f, d.path[DISKS - 1]);
    assert_int_equal(snap_image_hold(&f->c, &d.l, &g, &e), SNAP_BUSY);
    assert_non_null(strstr(e.msg, "web (xvda)"));
    assert_null(g);
    check_all(&d, others_can);
    f->who[0] = '\0';
    fd = open(d.path[1], O_RDWR);
    assert_int_equal(snap_image_hold(&f->c, &d.l, &g, NULL), SNAP_BUSY);
    close(fd);
    check_all(&d, others_can);
    /* What does not change may be in use, and is held all the same. */
    d.l.image[1].changes = false;
    fd = open(d.path[1], O_RDWR);
    snap_err_clear(&e);
    scene_ok(snap_image_hold(&f->c, &d.l, &g, &e), &e);
    close(fd);
    if (kernel_can(f))
        check_all(&d, others_are_refused);
    snap_image_guard_end(&g);
    check_content(&d, now);
    tear_down(&d);
}

/* libxl forks a process that lives as long as a QEMU.  After our end, however
 * we end, nobody waits for an answer. */
static void a_fork_that_lives_on(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_image_guard *g = NULL;
    struct disks d;
    pid_t pid;

    if (!kernel_can(f))
        return;
    set_up(f, &d);
    scene_ok(snap_image_hold(&f->c, &d.l, &g, &e), &e);
    pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    check_all(&d, others_are_refused);
    snap_image_guard_end(&g);
    check_all(&d, others_can);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    tear_down(&d);
}

/* We are killed: the kernel lets everybody in. */
static void we_are_killed(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_image_guard *g = NULL;
    struct disks d;
    char byte;
    int p[2];
    pid_t pid;

    if (!kernel_can(f))
        return;
    set_up(f, &d);
    assert_int_equal(pipe(p), 0);
    pid = fork();
    if (!pid) {
        if (!snap_image_hold(&f->c, &d.l, &g, &e) && write(p[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    close(p[1]);
    assert_int_equal(read(p[0], &byte, 1), 1);
    close(p[0]);
    check_all(&d, others_are_refused);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    check_all(&d, others_can);
    tear_down(&d);
}

/* Put back only if nobody has written to any of them since. */
static void one_was_written_to(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct disks d;
    int i, rc = 0;

    set_up(f, &d);
    for (i = 0; i < DISKS; i++)
        DO(revert_switch, &d.p[i]);
    real_image_write(d.path[0], "qcow2", 0, 7);
    snap_held_images_dispose(&d.l);
    for (i = DISKS; !rc && i-- > 0;)
        rc = d.p[i].drv->in_place(&f->c, &d.p[i], true, &d.l, &e);
    assert_int_equal(rc, SNAP_RECOVER);
    assert_int_equal(i, 0);
    tear_down(&d);
}

/* A path that is kept leads to another image afterwards: the one and the other
 * are held. */
static void a_kept_path(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_image_guard *g = NULL;
    struct snap_held_images l = { 0 };
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    if (!kernel_can(f))
        goto out;
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    scene_take(f, &p);
    f->c.op_id = "op2";
    DO(verify, &p);
    DO(revert_prepare, &p);
    assert_string_equal(p.leaf_path, path);
    scene_ok(p.drv->in_place(&f->c, &p, false, &l, &e), &e);
    scene_ok(snap_image_hold(&f->c, &l, &g, &e), &e);
    assert_true(others_are_refused(path));
    DO(revert_switch, &p);
    assert_true(others_are_refused(path));
    snap_image_guard_end(&g);
    assert_true(others_can(path));
    snap_held_images_dispose(&l);
    scene_ok(p.drv->in_place(&f->c, &p, true, &l, &e), &e);
    scene_ok(snap_image_hold(&f->c, &l, &g, &e), &e);
    assert_true(others_are_refused(path));
    DO(revert_undo, &p);
    assert_true(others_are_refused(path));
    snap_image_guard_end(&g);
    assert_true(others_can(path));
    snap_held_images_dispose(&l);
    snap_part_dispose(&p);
out:
    free(path);
}

/* After a boot a file system may not be there yet.  Nothing is concluded from
 * that: the revert is put back once it is. */
static void its_storage_is_not_there(void **state)
{
    struct scene *f = *state;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    char *away = scene_path(f, "away"), *leaf_away = scene_path(f, "leaf");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    f->c.op_id = "op2";
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    assert_int_equal(rename(p.leaf_path, leaf_away), 0);
    assert_int_equal(rename(p.frozen_path, away), 0);
    assert_int_equal(p.drv->revert_undo(&f->c, &p, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "not mounted?"));
    f->c.only_look = true;
    assert_int_equal(p.drv->revert_undo(&f->c, &p, NULL), SNAP_REFUSED);
    f->c.only_look = false;
    assert_int_equal(rename(away, p.frozen_path), 0);
    assert_int_equal(rename(leaf_away, p.leaf_path), 0);
    DO(revert_undo, &p);
    assert_false(snap_file_exists(p.leaf_path));
    snap_part_dispose(&p);
    free(path);
    free(away);
    free(leaf_away);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(all_are_switched_together), SCENE_TEST(one_is_in_use),
        SCENE_TEST(a_fork_that_lives_on),      SCENE_TEST(we_are_killed),
        SCENE_TEST(one_was_written_to),        SCENE_TEST(a_kept_path),
        SCENE_TEST(its_storage_is_not_there),
    };

    return SCENE_MAIN("images that are held together", tests);
}
