/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the suite does not ask, since it is about real images: what must be
 * refused for what is in them, or where a target is, and how that is said.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/qcow2_tag.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"
#include "tools/scene.h"

/* ---- what the image is ---- */

static void internal_refusals(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path, *data = scene_path(f, "data"), *opt;
    int fd;
    unsigned char flag;

    path = scene_image(f, "bitmap.qcow2", "qcow2");
    assert_int_equal(real_run("qemu-img", "bitmap", "--add", path, "b0", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "use type=external");
    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "use type=external");
    scene_stop(f);
    free(path);

    path = scene_path(f, "datafile.qcow2");
    opt = snap_printf("data_file=%s", data);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              opt, path, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "another file");
    free(opt);
    free(path);

    path = scene_image(f, "flag.qcow2", "qcow2");
    for (flag = 1; flag < 3; flag++) {
        fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, &flag, 1, 79), 1);
        close(fd);
        scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
        scene_refuses(f, &p, SNAP_REFUSED, "qemu-img check -r all");
    }
    free(path);

    /* Not LUKS: to make a key, it measures the processor, and gives up when
     * others use it. */
    path = scene_path(f, "enc.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2",
                              "--object", "secret,id=s,data=pw", "-o",
                              "encrypt.format=aes,encrypt.key-secret=s", path,
                              "1M", NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "encrypted");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "encrypted");
    free(path);

    path = scene_image(f, "israw", "raw");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_CORRUPT, "not a qcow2 image");
    free(path);
    free(data);
}

/* qemu-img takes a name of digits for an ID first. */
/* A snapshot inside, taken after the host's clock was put back by a minute. */
static void take_with_a_late_clock(struct scene *f, struct snap_part *p,
                                   const char *path)
{
    struct snap_part *parts[1] = { p };
    struct snap_err e = SNAP_ERR_INIT;

    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    DO(probe, p);
    snap_json_set_int(p->data, "since", snap_epoch_seconds() + 60);
    DO(prepare, p);
    scene_ok(p->drv->group->take(&f->c, parts, 1, &e), &e);
}

static enum snap_part_state state_of(struct scene *f, struct snap_part *p)
{
    enum snap_part_state st = SNAP_PART_ABSENT;
    struct snap_err e = SNAP_ERR_INIT;

    scene_ok(p->drv->inspect(&f->c, p, &st, &e), &e);
    return st;
}

/* It is ours all the same, for a command that undoes and for a recovery. */
static void a_clock_that_was_put_back(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    unsigned running;
    char *path = scene_disk(f, 1);

    for (running = 2; running-- > 0;) {
        take_with_a_late_clock(f, &p, path);
        assert_int_equal(state_of(f, &p), SNAP_PART_PRESENT);
        DO(undo, &p);
        assert_int_equal(state_of(f, &p), SNAP_PART_ABSENT);
        snap_part_dispose(&p);
        if (running)
            scene_stop(f);
    }
    free(path);
}

/* Somebody puts another image there that has one of this name. */
static void a_snapshot_from_before(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    char *other = scene_image(f, "other.qcow2", "qcow2");

    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "user", path, NULL), 0);
    assert_int_equal(real_run("qemu-img", "snapshot", "-c", "s1", other, NULL),
                     0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    DO(probe, &p);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(state_of(f, &p), SNAP_PART_FOREIGN);
    DO(undo, &p);
    assert_int_equal(state_of(f, &p), SNAP_PART_FOREIGN);
    snap_part_dispose(&p);
    free(path);
    free(other);
}

static void a_tag_of_digits_is_not_an_id(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    unsigned char first[1] = { 1 }, now[1] = { 3 };

    real_image_write(path, "qcow2", 0, 2);
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "user", path, NULL),
        0); /* ID 1 */
    real_image_write(path, "qcow2", 0, 1);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&p.tag, "1");
    scene_take(f, &p);
    assert_string_equal(snap_qcow2_tag(&p), "snap-1");
    real_image_write(path, "qcow2", 0, 3);
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    assert_true(real_image_has(path, "qcow2", first, 1));
    DO(revert_undo, &p);
    assert_true(real_image_has(path, "qcow2", now, 1));
    DO(remove, &p);
    /* The user's own is still there. */
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-a", "user", path, NULL), 0);
    snap_part_dispose(&p);
    free(path);
}

static void differencing_vhd(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.vhd", "vpc");
    struct stat st;
    int fd;

    scene_ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    DO(probe, &p);
    snap_part_dispose(&p);
    /* The type in the copy at the head, then in the footer alone. */
    fd = open(path, O_WRONLY);
    fstat(fd, &st);
    assert_int_equal(pwrite(fd, "\0\0\0\4", 4, 60), 4);
    scene_ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    scene_refuses(f, &p, SNAP_REFUSED, "differencing");
    assert_int_equal(pwrite(fd, "\0\0\0\3", 4, 60), 4);
    assert_int_equal(pwrite(fd, "\0\0\0\4", 4, st.st_size - 512 + 60), 4);
    scene_ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    scene_refuses(f, &p, SNAP_REFUSED, "differencing");
    assert_int_equal(pwrite(fd, "xxxxxxxx", 8, 0), 8);
    assert_int_equal(pwrite(fd, "xxxxxxxx", 8, st.st_size - 512), 8);
    close(fd);
    scene_ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    scene_refuses(f, &p, SNAP_CORRUPT, "not a fixed or dynamic VHD");
    free(path);
}

/* ---- targets ---- */

static void target_refusals(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"),
         *other = scene_image(f, "b", "raw");
    char *s;

#define ASK(t)                                                  \
    do {                                                        \
        scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL); \
        snap_set(&p.target, t);                                 \
    } while (0)
    ASK(other);
    scene_refuses(f, &p, SNAP_EXISTS, "exists already");
    ASK("relative.qcow2");
    scene_refuses(f, &p, SNAP_INVAL, "absolute");
    ASK("nbd:localhost:10809");
    scene_refuses(f, &p, SNAP_INVAL, "absolute");
    ASK("/nonexistent/a.qcow2");
    scene_refuses(f, &p, SNAP_NOTFOUND, "folder /nonexistent");
    ASK(path);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_INVAL, "image itself");
    ASK(other);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_CORRUPT, "not a qcow2 image");
    s = scene_image(f, "over-nothing", "qcow2");
    ASK(s);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_REFUSED, "is not over");
    free(s);
    s = scene_path(f, "c.qcow2");
    ASK(s);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_NOTFOUND, "does not exist");
    ASK(s);
    snprintf(f->who, sizeof(f->who), "web (xvdb)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", s);
    scene_refuses(f, &p, SNAP_REFUSED, "used by web (xvdb)");
    f->who[0] = '\0';
    free(s);
    s = snap_printf("%s/%0250d", f->dir, 1);
    ASK(s);
    scene_refuses(f, &p, SNAP_REFUSED, "too long");
    free(s);

    s = scene_path(f, "r.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", s, "2M", NULL),
                     0);
    ASK(s);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_REFUSED, "bytes");
    real_image_write(s, "qcow2", 0, 9);
    ASK(s);
    p.reuse_target = true;
    scene_refuses(f, &p, SNAP_REFUSED, "not empty");
    free(s);
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    scene_refuses(f, &p, SNAP_REFUSED, "--keep-path");
#undef ASK
    free(path);
    free(other);
}

static void a_target_of_the_users(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"),
         *target = scene_path(f, "mine.qcow2");
    unsigned char was[1] = { 1 };

    real_image_write(path, "raw", 0, 1);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", target, NULL),
                     0);
    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    snap_set(&p.target, target);
    p.reuse_target = true;
    scene_take(f, &p);
    real_qemu_write(f->q, "xvda", 0, 2);
    assert_true(real_image_has(path, "raw", was, 1));
    DO(undo, &p);
    assert_true(snap_file_exists(target));
    was[0] = 2;
    assert_true(real_image_has(path, "raw", was, 1));
    snap_part_dispose(&p);
    free(path);
    free(target);
}

static void no_space_to_grow(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_space s = { 0 };
    char *path = scene_image(f, "a.qcow2", "qcow2");
    enum snap_disk_type type;

    snap_space_take(&s, path, UINT64_MAX);
    f->c.space = &s;
    for (type = SNAP_DISK_INTERNAL; type <= SNAP_DISK_EXTERNAL; type++) {
        scene_ask(&p, "xvda", path, "qcow2", type);
        scene_refuses(f, &p, SNAP_NOSPACE, "are free where");
    }
    /* What is kept free is kept for them. */
    s.n = 0;
    snap_space_keep(&s, path, UINT64_MAX);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    snap_part_dispose(&p);
    free(path);
}

static void depth_is_warned_of_and_bounded(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *base = scene_image(f, "0.qcow2", "qcow2"), *next = NULL;
    int i;

    for (i = 1; i < 31; i++) {
        next = snap_printf("%s/%d.qcow2", f->dir, i);
        assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2",
                                  "-u", "-b", base, "-F", "qcow2", next, "1M",
                                  NULL),
                         0);
        free(base);
        base = next;
    }
    scene_ask(&p, "xvda", base, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    assert_non_null(strstr(f->warned, "32 images"));
    snap_part_dispose(&p);
    /* A circle, which qemu-img itself would follow. */
    next = scene_path(f, "0.qcow2");
    assert_int_equal(unlink(next), 0);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", base, "-F", "qcow2", next, "1M", NULL),
                     0);
    scene_ask(&p, "xvda", base, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "circle");
    free(next);
    free(base);
}

/* ---- an internal snapshot in an image that others need ---- */

static void a_frozen_image_is_copied(void **state)
{
    struct scene *f = *state;
    struct snap_part in, over, copy = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    unsigned char one[2] = { 1, 7 }, two[2] = { 2, 7 }, three[2] = { 3, 7 };
    char *base = scene_image(f, "base.qcow2", "qcow2");
    char *path = scene_path(f, "a.qcow2"), *before, *after;
    struct stat st;
    struct snap_space all = { 0 };
    int round;

    /* Its second block comes from below. */
    real_image_write(base, "qcow2", 1, 7);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              base, "-F", "qcow2", path, NULL),
                     0);
    real_image_write(path, "qcow2", 0, 1);
    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    scene_ask(&in, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &in);
    real_qemu_write(f->q, "xvda", 0, 2);
    f->c.op_id = "op2";
    scene_ask(&over, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&over.tag, "s2");
    scene_take(f, &over);
    assert_int_equal(over.drv->finish(&f->c, &over, &e), 0);
    real_qemu_write(f->q, "xvda", 0, 3);

    f->c.op_id = "op3";
    before = real_dir_digest(f->dir);
    /* Others were promised all that is free. */
    snap_space_take(&all, path, UINT64_MAX);
    f->c.space = &all;
    DO(verify, &in);
    assert_int_equal(in.drv->revert_prepare(&f->c, &in, &e), SNAP_NOSPACE);
    assert_non_null(strstr(e.msg, "has to be copied"));
    f->c.space = NULL;
    for (round = 0; round < 2; round++) {
        DO(verify, &in);
        assert_string_not_equal(in.leaf_path, path);
        /* While the guest runs on the overlay. */
        DO(revert_prepare, &in);
        assert_true(real_image_has(in.leaf_path, "qcow2", one, 2));
        assert_true(real_qemu_has(f->q, "xvda", three, 2));
        if (!round) {
            DO(revert_undo, &in);
            DO(revert_undo, &in);
            after = real_dir_digest(f->dir);
            assert_string_equal(before, after);
            free(after);
        }
    }
    scene_stop(f);
    DO(revert_switch, &in);
    snap_set(&in.drop_path, over.active_path);
    DO(revert_finish, &in);
    DO(revert_finish, &in);
    assert_int_equal(lstat(over.active_path, &st), -1);
    assert_true(real_image_has(in.leaf_path, "qcow2", one, 2));
    /* The other snapshot is as good as it was. */
    DO(verify, &over);
    assert_true(real_image_has(over.frozen_path, "qcow2", two, 2));

    /* The copy is ours to drop; a file of the user's is not. */
    f->c.op_id = "op4";
    copy.drop_path = snap_strdup(in.leaf_path);
    DO(verify, &in);
    DO(revert_prepare, &in);
    DO(revert_switch, &in);
    snap_set(&in.drop_path, copy.drop_path);
    DO(revert_finish, &in);
    assert_int_equal(lstat(copy.drop_path, &st), -1);
    snap_set(&in.drop_path, base);
    assert_int_equal(in.drv->revert_finish(&f->c, &in, &e), SNAP_REFUSED);
    assert_int_equal(lstat(base, &st), 0);

    snap_image_unprotect(path, NULL);
    snap_part_dispose(&in);
    snap_part_dispose(&over);
    snap_part_dispose(&copy);
    free(before);
    free(path);
    free(base);
}

static uint64_t size_of(const char *path)
{
    struct snap_qcow2 h = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    uint64_t size;

    scene_ok(snap_qcow2_read(path, &h, &e), &e);
    size = h.size;
    snap_qcow2_dispose(&h);
    return size;
}

/* Grown or shrunk since: what it held and how large it was comes back, in the
 * image itself; what could only be copied is refused. */
static void resized_since(void **state)
{
    static const char *const sizes[] = { "2M", "512K" };
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    unsigned char was[16] = { 1, [15] = 2 };
    struct snap_err e = SNAP_ERR_INIT;
    size_t i;

    real_image_write(path, "qcow2", 0, 1);
    real_image_write(path, "qcow2", 15, 2);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    for (i = 0; i < 2; i++) {
        assert_int_equal(real_run("qemu-img", "resize", "-q", "--shrink", path,
                                  sizes[i], NULL),
                         0);
        real_image_write(path, "qcow2", 0, 9);
        f->c.op_id = i ? "op3" : "op2";
        DO(verify, &p);
        assert_string_equal(p.leaf_path, path);
        DO(revert_prepare, &p);
        DO(revert_switch, &p);
        assert_int_equal(size_of(path), 1 << 20);
        assert_true(real_image_has(path, "qcow2", was, 16));
        DO(revert_undo, &p);
        assert_int_equal(size_of(path), i ? 512 << 10 : 2 << 20);
        DO(revert_switch, &p);
        DO(revert_finish, &p);
        assert_true(real_image_has(path, "qcow2", was, 16));
    }
    assert_int_equal(real_run("qemu-img", "resize", "-q", path, "2M", NULL),
                     0);
    p.shared = true;
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "delete the external snapshots"));
    snap_part_dispose(&p);
    free(path);
}

/* Brought back, and somebody ran on it before anybody recovered: that is not
 * lost but by the word of its user.  size: of an image's cluster. */
static void written_to_before_the_undo(void **state)
{
    static const char *const sizes[] = { "cluster_size=64K",
                                         "cluster_size=512",
                                         "extended_l2=on" };
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_path(f, "a.qcow2");
    unsigned char was[16] = { 1 }, now[16] = { 7 },
                  since[16] = { 7, [15] = 8 };
    struct snap_err e = SNAP_ERR_INIT;
    size_t i;

    for (i = 0; i < 3; i++) {
        assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2",
                                  "-o", sizes[i], path, "1M", NULL),
                         0);
        real_image_write(path, "qcow2", 0, 1);
        f->c.op_id = "op1";
        scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
        scene_take(f, &p);
        real_image_write(path, "qcow2", 0, 7);
        f->c.op_id = "op2";
        DO(verify, &p);
        DO(revert_switch, &p);
        assert_true(real_image_has(path, "qcow2", was, 16));
        /* Nobody has written, at whatever point we died. */
        DO(revert_undo, &p);
        assert_true(real_image_has(path, "qcow2", now, 16));
        DO(revert_switch, &p);
        real_image_write(path, "qcow2", 0, 7);
        real_image_write(path, "qcow2", 15, 8);
        assert_int_equal(p.drv->revert_undo(&f->c, &p, &e), SNAP_RECOVER);
        assert_non_null(strstr(e.msg, "was written to since snapshot s1"));
        assert_true(real_image_has(path, "qcow2", since, 16));
        f->c.discard = true;
        DO(revert_undo, &p);
        f->c.discard = false;
        assert_true(real_image_has(path, "qcow2", now, 16));
        snap_part_dispose(&p);
        snap_err_clear(&e);
        unlink(path);
    }
    free(path);
}

/* A cluster is counted once for the image, for each snapshot inside, and for
 * the one that a revert makes to go back. */
static void room_to_come_back(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_path(f, "two.qcow2");
    unsigned char then[1] = { 1 }, now[1] = { 2 };

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              "refcount_bits=2", path, "1M", NULL),
                     0);
    real_image_write(path, "qcow2", 0, 1);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    real_image_write(path, "qcow2", 0, 2);
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    assert_true(real_image_has(path, "qcow2", then, 1));
    DO(revert_undo, &p);
    assert_true(real_image_has(path, "qcow2", now, 1));
    /* A second could be taken, and neither be brought back. */
    snap_part_dispose(&p);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&p.tag, "s2");
    scene_refuses(f, &p, SNAP_UNSUPPORTED, "type=external");
    /* Its user has taken one. */
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "user", path, NULL), 0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&p.frozen_path, path);
    assert_int_equal(p.drv->verify(&f->c, &p, &e), SNAP_REFUSED);
    if (!strstr(e.msg, "delete another snapshot"))
        fail_msg("%s", e.msg);
    /* A copy needs no room in it. */
    p.leaf_dir = snap_strdup(f->dir);
    p.stem = snap_strdup("copy");
    DO(verify, &p);
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(internal_refusals),
        SCENE_TEST(a_clock_that_was_put_back),
        SCENE_TEST(a_snapshot_from_before),
        SCENE_TEST(a_tag_of_digits_is_not_an_id),
        SCENE_TEST(differencing_vhd),
        SCENE_TEST(target_refusals),
        SCENE_TEST(a_target_of_the_users),
        SCENE_TEST(no_space_to_grow),
        SCENE_TEST(depth_is_warned_of_and_bounded),
        SCENE_TEST(a_frozen_image_is_copied),
        SCENE_TEST(resized_since),
        SCENE_TEST(room_to_come_back),
        SCENE_TEST(written_to_before_the_undo),
    };

    return SCENE_MAIN("images that must be refused", tests);
}
