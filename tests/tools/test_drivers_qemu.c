/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the suite does not ask, since it is about QEMU and real images: what
 * must be refused and how it is said, disks that differ taken together, a
 * QEMU that stops answering or dies, and the one fact about QEMU on which the
 * names of files rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/drivers.h"
#include "disk/in_use.h"
#include "disk/overlay_files.h"
#include "disk/overlay_link.h"
#include "disk/qcow2_header.h"
#include "disk/qcow2_tag.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/real_dir.h"
#include "tools/real_qemu.h"

struct fix {
    char *dir;
    struct real_qemu *q;
    struct snap_disk_ctx c;
    char who[64]; /* what image_user says */
    char who_path[512]; /* of this path */
    char warned[1024];
};

static int image_user(void *opaque, const char *path, char **who_r,
                      struct snap_err *err)
{
    struct fix *f = opaque;

    (void)err;
    *who_r = f->who[0] && !strcmp(path, f->who_path) ? snap_strdup(f->who)
                                                     : NULL;
    return 0;
}

static void log_fn(void *opaque, enum snap_level level, const char *msg)
{
    struct fix *f = opaque;

    if (level == SNAP_LOG_WARN)
        snprintf(f->warned, sizeof(f->warned), "%s", msg);
}

static struct snap_log collector = { .fn = log_fn };

static int set_up(void **state)
{
    struct fix *f = snap_zalloc(sizeof(*f));

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

static int tear_down(void **state)
{
    struct fix *f = *state;

    real_qemu_stop(f->q);
    real_dir_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static void start(struct fix *f)
{
    f->q = real_qemu_start(f->dir);
    f->c.qmp = real_qemu_qmp(f->q);
    f->c.domid = 7;
}

static void stop(struct fix *f)
{
    real_qemu_stop(f->q);
    f->q = NULL;
    f->c.qmp = NULL;
    f->c.domid = UINT32_MAX;
}

static char *in_dir(struct fix *f, const char *name)
{
    return snap_printf("%s/%s", f->dir, name);
}

static char *image(struct fix *f, const char *name, const char *format)
{
    char *path = in_dir(f, name);

    assert_int_equal(
        real_run("qemu-img", "create", "-q", "-f", format, path, "1M", NULL),
        0);
    return path;
}

/* A part as core asks for it.  vdev is kept, the rest copied. */
static void ask(struct snap_part *p, const char *vdev, const char *path,
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

/* Probe must refuse with this code, and the message must have this in it. */
static void refuses(struct fix *f, struct snap_part *p, int rc,
                    const char *words)
{
    struct snap_err e = SNAP_ERR_INIT;
    int got = p->drv->probe(&f->c, p, &e);

    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    snap_part_dispose(p);
}

static void ok(int rc, const struct snap_err *e)
{
    if (rc)
        fail_msg("%d %s", rc, e->msg);
}

#define DO(slot, p)                               \
    do {                                          \
        struct snap_err e_ = SNAP_ERR_INIT;       \
        ok((p)->drv->slot(&f->c, (p), &e_), &e_); \
    } while (0)

static void take(struct fix *f, struct snap_part *p)
{
    struct snap_err e = SNAP_ERR_INIT;

    DO(probe, p);
    DO(prepare, p);
    ok(p->drv->take(&f->c, &p, 1, &e), &e);
}

/* ---- the fact ---- */

/*
 * QEMU opens a base again, by its name, when an overlay makes it read-only.
 * Were base and overlay exchanged under that name before, it would go on
 * with the overlay as its own base, and the guest would read zeros.  If this
 * test ever fails, QEMU has changed, and --keep-path may rename.
 */
static void qemu_opens_a_base_again_by_name(void **state)
{
    struct fix *f = *state;
    char *path = image(f, "a.qcow2", "qcow2"), *over = in_dir(f, "o.qcow2");
    char *tmp = in_dir(f, "t.qcow2"), *args;
    unsigned char want[2] = { 11, 22 };

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    real_qemu_write(f->q, "xvda", 0, 11);
    real_qemu_write(f->q, "xvda", 1, 22);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", over, "-F", "qcow2", tmp, "1M", NULL),
                     0);
    assert_int_equal(rename(tmp, over), 0);
    assert_true(real_qemu_has(f->q, "xvda", want, 2));
    assert_int_equal(
        renameat2(AT_FDCWD, path, AT_FDCWD, over, RENAME_EXCHANGE), 0);
    args = snap_printf("{\"node-name\":\"xvda-qcow2\",\"snapshot-file\":"
                       "\"%s\",\"snapshot-node-name\":\"top\",\"format\":"
                       "\"qcow2\",\"mode\":\"existing\"}",
                       path);
    real_qemu_command(f->q, "blockdev-snapshot-sync", args);
    assert_false(real_qemu_has(f->q, "xvda", want, 2));
    free(args);
    free(tmp);
    free(over);
    free(path);
}

/* ---- together ---- */

static void different_disks_in_one_transaction(void **state)
{
    struct fix *f = *state;
    struct snap_part part[4], *parts[4];
    struct snap_err e = SNAP_ERR_INIT;
    static const char *const vdev[] = { "xvda", "xvdb", "xvdc", "xvdd" };
    static const char *const fmt[] = { "qcow2", "raw", "vhd", "qcow2" };
    static const char *const qfmt[] = { "qcow2", "raw", "vpc", "qcow2" };
    char *path[4];
    unsigned char was[2] = { 1, 0 }, is[2] = { 1, 2 };
    int i;

    start(f);
    for (i = 0; i < 4; i++) {
        path[i] = image(f, vdev[i], qfmt[i]);
        real_qemu_add(f->q, vdev[i], path[i], qfmt[i]);
        real_qemu_write(f->q, vdev[i], 0, 1);
        parts[i] = &part[i];
        ask(parts[i], vdev[i], path[i], fmt[i],
            i == 3 ? SNAP_DISK_EXTERNAL : SNAP_DISK_AUTO);
        DO(probe, parts[i]);
        DO(prepare, parts[i]);
    }
    assert_int_equal(part[0].type, SNAP_DISK_INTERNAL);
    ok(part[0].drv->take(&f->c, parts, 4, &e), &e);
    for (i = 0; i < 4; i++)
        real_qemu_write(f->q, vdev[i], 1, 2);
    for (i = 0; i < 4; i++)
        assert_true(real_qemu_has(f->q, vdev[i], is, 2));
    stop(f);
    for (i = 0; i < 4; i++) {
        f->c.op_id = "op2";
        DO(verify, parts[i]);
        DO(revert_prepare, parts[i]);
        DO(revert_switch, parts[i]);
        assert_true(real_image_has(part[i].leaf_path, "qcow2", was, 2));
        DO(revert_undo, parts[i]);
        assert_true(real_image_has(part[i].active_path, "qcow2", is, 2));
        snap_part_dispose(parts[i]);
        free(path[i]);
    }
}

/* ---- what the image is ---- */

static void internal_refusals(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path, *data = in_dir(f, "data"), *opt;
    int fd;
    unsigned char flag;

    path = image(f, "bitmap.qcow2", "qcow2");
    assert_int_equal(real_run("qemu-img", "bitmap", "--add", path, "b0", NULL),
                     0);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_REFUSED, "use type=external");
    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_REFUSED, "use type=external");
    stop(f);
    free(path);

    path = in_dir(f, "datafile.qcow2");
    opt = snap_printf("data_file=%s", data);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                              opt, path, "1M", NULL),
                     0);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_UNSUPPORTED, "another file");
    free(opt);
    free(path);

    path = image(f, "flag.qcow2", "qcow2");
    for (flag = 1; flag < 3; flag++) {
        fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, &flag, 1, 79), 1);
        close(fd);
        ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
        refuses(f, &p, SNAP_REFUSED, "qemu-img check -r all");
    }
    free(path);

    /* Not LUKS: to make a key, it measures the processor, and gives up when
     * others use it. */
    path = in_dir(f, "enc.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2",
                              "--object", "secret,id=s,data=pw", "-o",
                              "encrypt.format=aes,encrypt.key-secret=s", path,
                              "1M", NULL),
                     0);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_UNSUPPORTED, "encrypted");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    refuses(f, &p, SNAP_UNSUPPORTED, "encrypted");
    free(path);

    path = image(f, "israw", "raw");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_CORRUPT, "not a qcow2 image");
    free(path);
    free(data);
}

/* qemu-img takes a name of digits for an ID first. */
static void a_tag_of_digits_is_not_an_id(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.qcow2", "qcow2");
    unsigned char first[1] = { 1 }, now[1] = { 3 };

    real_image_write(path, "qcow2", 0, 2);
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "user", path, NULL),
        0); /* ID 1 */
    real_image_write(path, "qcow2", 0, 1);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&p.tag, "1");
    take(f, &p);
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
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.vhd", "vpc");
    struct stat st;
    int fd;

    ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    DO(probe, &p);
    snap_part_dispose(&p);
    /* The type in the copy at the head, then in the footer alone. */
    fd = open(path, O_WRONLY);
    fstat(fd, &st);
    assert_int_equal(pwrite(fd, "\0\0\0\4", 4, 60), 4);
    ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    refuses(f, &p, SNAP_REFUSED, "differencing");
    assert_int_equal(pwrite(fd, "\0\0\0\3", 4, 60), 4);
    assert_int_equal(pwrite(fd, "\0\0\0\4", 4, st.st_size - 512 + 60), 4);
    ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    refuses(f, &p, SNAP_REFUSED, "differencing");
    assert_int_equal(pwrite(fd, "xxxxxxxx", 8, 0), 8);
    assert_int_equal(pwrite(fd, "xxxxxxxx", 8, st.st_size - 512), 8);
    close(fd);
    ask(&p, "xvda", path, "vhd", SNAP_DISK_AUTO);
    refuses(f, &p, SNAP_CORRUPT, "not a fixed or dynamic VHD");
    free(path);
}

/* ---- targets ---- */

static void target_refusals(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "raw"), *other = image(f, "b", "raw");
    char *s;

#define ASK(t)                                            \
    do {                                                  \
        ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL); \
        snap_set(&p.target, t);                           \
    } while (0)
    ASK(other);
    refuses(f, &p, SNAP_EXISTS, "exists already");
    ASK("relative.qcow2");
    refuses(f, &p, SNAP_INVAL, "absolute");
    ASK("nbd:localhost:10809");
    refuses(f, &p, SNAP_INVAL, "absolute");
    ASK("/nonexistent/a.qcow2");
    refuses(f, &p, SNAP_NOTFOUND, "folder /nonexistent");
    ASK(path);
    p.reuse_target = true;
    refuses(f, &p, SNAP_INVAL, "image itself");
    ASK(other);
    p.reuse_target = true;
    refuses(f, &p, SNAP_CORRUPT, "not a qcow2 image");
    s = image(f, "over-nothing", "qcow2");
    ASK(s);
    p.reuse_target = true;
    refuses(f, &p, SNAP_REFUSED, "is not over");
    free(s);
    s = in_dir(f, "c.qcow2");
    ASK(s);
    p.reuse_target = true;
    refuses(f, &p, SNAP_NOTFOUND, "does not exist");
    ASK(s);
    snprintf(f->who, sizeof(f->who), "web (xvdb)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", s);
    refuses(f, &p, SNAP_REFUSED, "used by web (xvdb)");
    f->who[0] = '\0';
    free(s);
    s = snap_printf("%s/%0250d", f->dir, 1);
    ASK(s);
    refuses(f, &p, SNAP_REFUSED, "too long");
    free(s);

    s = in_dir(f, "r.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", s, "2M", NULL),
                     0);
    ASK(s);
    p.reuse_target = true;
    refuses(f, &p, SNAP_REFUSED, "bytes");
    real_image_write(s, "qcow2", 0, 9);
    ASK(s);
    p.reuse_target = true;
    refuses(f, &p, SNAP_REFUSED, "not empty");
    free(s);
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    refuses(f, &p, SNAP_REFUSED, "--keep-path");
#undef ASK
    free(path);
    free(other);
}

static void a_target_of_the_users(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "raw"), *target = in_dir(f, "mine.qcow2");
    unsigned char was[1] = { 1 };

    real_image_write(path, "raw", 0, 1);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", target, NULL),
                     0);
    start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    snap_set(&p.target, target);
    p.reuse_target = true;
    take(f, &p);
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

static void depth_is_warned_of_and_bounded(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *base = image(f, "0.qcow2", "qcow2"), *next = NULL;
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
    ask(&p, "xvda", base, "qcow2", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    assert_non_null(strstr(f->warned, "32 images"));
    snap_part_dispose(&p);
    /* A circle, which qemu-img itself would follow. */
    next = in_dir(f, "0.qcow2");
    assert_int_equal(unlink(next), 0);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", base, "-F", "qcow2", next, "1M", NULL),
                     0);
    ask(&p, "xvda", base, "qcow2", SNAP_DISK_EXTERNAL);
    refuses(f, &p, SNAP_REFUSED, "circle");
    free(next);
    free(base);
}

/* ---- keep_path ---- */

static void a_link_of_the_users(void **state)
{
    struct fix *f = *state;
    struct snap_part p, q;
    char *path = in_dir(f, "vm.qcow2"),
         *real = image(f, "real.qcow2", "qcow2");
    char link[256] = "";
    unsigned char one[1] = { 1 }, two[1] = { 2 }, three[1] = { 3 };

    assert_int_equal(symlink("real.qcow2", path), 0);
    real_image_write(path, "qcow2", 0, 1);
    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    take(f, &p);
    assert_string_equal(p.frozen_path, real);
    assert_string_equal(p.active_path, path);
    real_qemu_write(f->q, "xvda", 0, 2);

    /* The next one in the same QEMU, without keeping the path. */
    f->c.op_id = "op2";
    ask(&q, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    take(f, &q);
    assert_string_equal(q.frozen_path, snap_overlay_file(&p));
    real_qemu_write(f->q, "xvda", 0, 3);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    assert_true(real_image_has(real, "qcow2", one, 1));
    assert_true(real_image_has(q.frozen_path, "qcow2", two, 1));
    DO(undo, &q);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    f->c.op_id = "op1";
    DO(undo, &p);
    assert_true(real_qemu_has(f->q, "xvda", three, 1));
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, "real.qcow2");
    stop(f);
    assert_true(real_image_has(real, "qcow2", three, 1));
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
    free(real);
}

static void link_is(const char *path, const char *want)
{
    char link[256] = "";

    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_string_equal(link, snap_basename(want));
}

/* After a revert the path that was kept names the new leaf; an undo, at any
 * moment, puts the old link back. */
static void a_revert_keeps_the_path(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.qcow2", "qcow2"), *old, *waiting;
    unsigned char one[1] = { 1 }, two[1] = { 2 };
    struct stat st;
    int round;

    real_image_write(path, "qcow2", 0, 1);
    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    take(f, &p);
    real_qemu_write(f->q, "xvda", 0, 2);
    old = snap_strdup(snap_overlay_file(&p));
    stop(f);

    f->c.op_id = "op2";
    waiting = snap_printf("%s.xlsnap-op2-old", path);
    for (round = 0; round < 4; round++) {
        DO(verify, &p);
        assert_string_equal(p.leaf_path, path);
        DO(revert_prepare, &p);
        link_is(path, old);
        if (round == 1) /* died before the new link was there */
            assert_int_equal(symlink(snap_basename(old), waiting), 0);
        if (round > 1)
            DO(revert_switch, &p);
        if (round < 3) {
            DO(revert_undo, &p);
            link_is(path, old);
            DO(revert_undo, &p);
            assert_true(real_image_has(path, "qcow2", two, 1));
            assert_int_equal(lstat(waiting, &st), -1);
            assert_int_equal(lstat(snap_overlay_leaf(&p), &st), -1);
        }
    }
    assert_int_equal(lstat(waiting, &st), 0);
    snap_set(&p.drop_path, old);
    DO(revert_finish, &p);
    DO(revert_finish, &p);
    assert_int_equal(lstat(waiting, &st), -1);
    assert_int_equal(lstat(old, &st), -1);
    link_is(path, snap_overlay_leaf(&p));
    assert_true(real_image_has(path, "qcow2", one, 1));

    /* The user removed the link: the path comes back, and goes with undo. */
    assert_int_equal(unlink(path), 0);
    f->c.op_id = "op3";
    snap_set(&p.drop_path, NULL);
    DO(verify, &p);
    DO(revert_prepare, &p);
    DO(revert_switch, &p);
    link_is(path, snap_overlay_leaf(&p));
    DO(revert_undo, &p);
    assert_int_equal(lstat(path, &st), -1);

    /* And put a file of his own there: that is not ours to replace. */
    free(image(f, "a.qcow2", "qcow2"));
    DO(verify, &p);
    assert_string_not_equal(p.leaf_path, path);
    snap_part_dispose(&p);
    free(waiting);
    free(path);
    free(old);
}

/* Died between the transaction and the link: finish() makes it. */
static void recover_makes_the_link(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct stat st;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    char *path = image(f, "a.qcow2", "qcow2"), *args;
    unsigned char want[1] = { 5 };

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    DO(prepare, &p);
    args = snap_printf("{\"node-name\":\"%s\",\"snapshot-file\":\"%s\","
                       "\"snapshot-node-name\":\"%s\",\"format\":\"qcow2\","
                       "\"mode\":\"existing\"}",
                       p.node, snap_overlay_file(&p), snap_overlay_node(&p));
    assert_int_equal(real_qemu_command(f->q, "blockdev-snapshot-sync", args),
                     0);
    free(args);
    real_qemu_write(f->q, "xvda", 0, 5);
    ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_int_equal(s, SNAP_PART_PRESENT);
    p.drv->finish(&f->c, &p, &e);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    stop(f);
    assert_true(real_image_has(path, "qcow2", want, 1));
    snap_part_dispose(&p);
    free(path);
}

/* ---- an internal snapshot in an image that others need ---- */

static void a_frozen_image_is_copied(void **state)
{
    struct fix *f = *state;
    struct snap_part in, over, copy = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    unsigned char one[2] = { 1, 7 }, two[2] = { 2, 7 }, three[2] = { 3, 7 };
    char *base = image(f, "base.qcow2", "qcow2");
    char *path = in_dir(f, "a.qcow2"), *before, *after;
    struct stat st;
    int round;

    /* Its second block comes from below. */
    real_image_write(base, "qcow2", 1, 7);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              base, "-F", "qcow2", path, NULL),
                     0);
    real_image_write(path, "qcow2", 0, 1);
    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    ask(&in, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    take(f, &in);
    real_qemu_write(f->q, "xvda", 0, 2);
    f->c.op_id = "op2";
    ask(&over, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&over.tag, "s2");
    take(f, &over);
    assert_int_equal(over.drv->finish(&f->c, &over, &e), 0);
    real_qemu_write(f->q, "xvda", 0, 3);

    f->c.op_id = "op3";
    before = real_dir_digest(f->dir);
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
    stop(f);
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

/* ---- what QEMU has ---- */

static void no_device_is_refused(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "raw"), *args;

    start(f);
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    refuses(f, &p, SNAP_NOTFOUND, "does not have");
    args = snap_printf("{\"driver\":\"raw\",\"node-name\":\"xvda-raw\","
                       "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
                       path);
    assert_int_equal(real_qemu_command(f->q, "blockdev-add", args), 0);
    free(args);
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    refuses(f, &p, SNAP_REFUSED, "no device uses it");
    free(path);
}

static void another_format_is_refused(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "qcow2");

    start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    refuses(f, &p, SNAP_REFUSED, "open as raw");
    free(path);
}

static void a_stale_path_is_refused(void **state)
{
    struct fix *f = *state;
    struct snap_part p, q;
    char *path = image(f, "a.img", "raw");

    start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
    ask(&q, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    refuses(f, &q, SNAP_REFUSED, "snapshot-recover");
    snap_part_dispose(&p);
    free(path);
}

/* As an HVM guest has it before its PV drivers take over. */
static void hvm_double_open(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.qcow2", "qcow2"), *args;

    start(f);
    real_qemu_add(f->q, "hda", path, "qcow2");
    args = snap_printf("{\"command-line\":\"drive_add 0 if=none,id=ide0-hd0,"
                       "format=qcow2,file.locking=off,file.filename=%s\"}",
                       path);
    assert_int_equal(real_qemu_command(f->q, "human-monitor-command", args),
                     0);
    free(args);
    ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    refuses(f, &p, SNAP_REFUSED,
            "emulated disk ide0-hd0 and as the PV disk hda, and both are "
            "live");
    ask(&p, "hda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.hvm = true;
    p.frontend_state = 1;
    refuses(f, &p, SNAP_REFUSED,
            "still uses the emulated disk ide0-hd0: it is booting, or has no "
            "PV drivers");
    /* Unplugged. */
    assert_int_equal(real_qemu_command(f->q, "human-monitor-command",
                                       "{\"command-line\":\"drive_del "
                                       "ide0-hd0\"}"),
                     0);
    ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    p.frontend_state = 1;
    refuses(f, &p, SNAP_REFUSED, "not connected (state 1)");
    ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    take(f, &p);
    snap_part_dispose(&p);
    free(path);
}

/* ---- others at work ---- */

static void a_frozen_base_that_is_open(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.img", "raw"), *who = NULL;
    int fd;

    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
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

static void a_changed_base_is_seen(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.img", "raw"), *cmd;

    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
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
    snap_part_dispose(&p);
    free(path);
}

static void a_loop_device_is_a_user(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "raw"), *who = NULL;
    char dev[32];
    int i;

    for (i = 7; i >= 0; i--) {
        snprintf(dev, sizeof(dev), "/dev/loop%d", i);
        if (!real_run("losetup", dev, path, NULL))
            break;
    }
    if (i < 0) {
        printf("skip - images behind loop devices: losetup does not work "
               "here\n");
        free(path);
        return;
    }
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    assert_int_equal(snap_image_writer(path, &who, NULL), 0);
    /* A device as the base: it is called raw, and says where it goes. */
    snap_part_dispose(&p);
    ask(&p, "xvda", dev, "raw", SNAP_DISK_EXTERNAL);
    refuses(f, &p, SNAP_REFUSED, "target=");
    ask(&p, "xvda", dev, "raw", SNAP_DISK_EXTERNAL);
    p.target = in_dir(f, "over.qcow2");
    take(f, &p);
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
    struct fix *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.img", "raw");
    unsigned char over[2] = { 0, 2 }, base[2] = { 3, 0 };

    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
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
    struct fix *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    char *path = image(f, "a.qcow2", "qcow2"), *tmp, *before, *after;
    int fd;

    before = real_dir_digest(f->dir);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.keep_path = true;
    DO(probe, &p);
    tmp = snap_printf("%s.xlsnap-op1", snap_overlay_file(&p));
    fd = open(tmp, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
    close(fd);
    assert_int_equal(link(path, p.frozen_path), 0);
    ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
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
    struct fix *f = *state;
    struct snap_part p;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.img", "raw"), *copy;
    int fd;

    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
    if (p.drv->finish(&f->c, &p, &e)) {
        assert_non_null(strstr(e.msg, "could not be made immutable"));
        printf("skip - the immutable attribute: %s\n", e.msg);
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

/* ---- giving it up ---- */

static void ask_delete(struct snap_delete *d, const char *leaf, bool merge)
{
    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(leaf);
    d->may_merge = merge;
}

/* delete_plan() must refuse with this code and words, and change nothing. */
static void keeps(struct fix *f, struct snap_part *p, const char *leaf, int rc,
                  const char *words)
{
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *before = real_dir_digest(f->dir), *after;
    int got;

    ask_delete(&d, leaf, true);
    got = p->drv->delete_plan(&f->c, p, &d, &e);
    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
    snap_delete_dispose(&d);
}

/* What is inside an image reads through its backing file: neither a stream
 * nor a rebase would take care of that. */
static void snapshots_inside_a_child(void **state)
{
    struct fix *f = *state;
    struct snap_part p, q;
    char *path = image(f, "a.qcow2", "qcow2");

    real_image_write(path, "qcow2", 0, 1);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    take(f, &p);
    ask(&q, "xvda", p.active_path, "qcow2", SNAP_DISK_INTERNAL);
    snap_set(&q.tag, "inner");
    take(f, &q);
    keeps(f, &p, p.active_path, SNAP_REFUSED, "snapshots inside (inner)");
    start(f);
    real_qemu_add(f->q, "xvda", p.active_path, "qcow2");
    keeps(f, &p, p.active_path, SNAP_REFUSED, "delete those first");
    /* The one inside can go, and then the other. */
    DO(remove, &q);
    stop(f);
    {
        struct snap_delete d;

        ask_delete(&d, p.active_path, true);
        ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
        assert_int_equal(d.how, SNAP_DELETE_MERGE);
        assert_string_equal(d.active_path, path);
        snap_delete_dispose(&d);
    }
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

static void somebody_elses_child(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    char *path = image(f, "a.img", "raw"), *clone = in_dir(f, "clone.qcow2");
    int fd;

    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    take(f, &p);
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              path, "-F", "raw", clone, NULL),
                     0);
    snprintf(f->who, sizeof(f->who), "web (xvda)");
    snprintf(f->who_path, sizeof(f->who_path), "%s", clone);
    keeps(f, &p, p.active_path, SNAP_BUSY, "in use by web (xvda)");
    f->who[0] = '\0';
    /* Somebody reads it: what he has cached of it must not change. */
    fd = open(clone, O_RDONLY);
    keeps(f, &p, p.active_path, SNAP_BUSY, "test_drivers");
    close(fd);
    snap_part_dispose(&p);
    free(clone);
    free(path);
}

/* A pull into the middle of a running chain: the image is unprotected for it
 * and protected again, and the header names the file and not what QEMU calls
 * it, which after --keep-path is another one. */
static void a_pull_under_kept_paths(void **state)
{
    struct fix *f = *state;
    struct snap_part p[3];
    struct snap_delete d;
    struct snap_qcow2 h = { 0 };
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.qcow2", "qcow2");
    char *op[] = { (char *)"op1", (char *)"op2", (char *)"op3" };
    unsigned char want[4] = { 1, 2, 3, 4 }, second[3] = { 1, 2, 3 };
    bool protected;
    int i;

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    for (i = 0; i < 3; i++) {
        char tag[8];

        real_qemu_write(f->q, "xvda", i, i + 1);
        f->c.op_id = op[i];
        ask(&p[i], "xvda", i ? p[i - 1].active_path : path, "qcow2",
            SNAP_DISK_EXTERNAL);
        snprintf(tag, sizeof(tag), "s%d", i + 1);
        snap_set(&p[i].tag, tag);
        snap_set(&p[i].stem, "a");
        p[i].keep_path = !i;
        take(f, &p[i]);
        p[i].drv->finish(&f->c, &p[i], &e);
        snap_err_clear(&e);
    }
    real_qemu_write(f->q, "xvda", 3, 4);
    protected = snap_image_protected(p[2].frozen_path);

    f->c.op_id = "op4";
    ask_delete(&d, p[2].active_path, true);
    ok(p[1].drv->delete_plan(&f->c, &p[1], &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    assert_int_equal(d.n_child, 1);
    ok(p[1].drv->pull(&f->c, &p[1], &d, 0, &e), &e);
    snap_delete_dispose(&d);
    assert_int_equal(protected, snap_image_protected(p[2].frozen_path));
    assert_int_equal(snap_qcow2_read(p[2].frozen_path, &h, NULL), 0);
    assert_string_equal(h.backing, p[0].frozen_path);
    snap_qcow2_dispose(&h);
    DO(remove, &p[1]);
    assert_false(snap_file_exists(p[1].frozen_path));
    assert_true(real_qemu_has(f->q, "xvda", want, 4));
    /* Its record must follow, or it looks damaged. */
    assert_int_equal(p[2].drv->verify(&f->c, &p[2], NULL), SNAP_CORRUPT);
    DO(refreeze, &p[2]);
    DO(verify, &p[2]);
    stop(f);
    assert_true(real_image_has(p[2].frozen_path, "qcow2", second, 3));
    assert_true(real_image_has(p[2].active_path, "qcow2", want, 4));
    assert_int_equal(
        real_run("qemu-img", "check", "-q", p[2].frozen_path, NULL), 0);
    for (i = 0; i < 3; i++)
        snap_part_dispose(&p[i]);
    free(path);
}

/* A pull that is done is on the disk: with the QEMU that did it killed (or the
 * power gone) right after it, nothing is missing. */
static void killed_after_a_pull(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.qcow2", "qcow2");
    unsigned char want[4] = { 1, 2, 3, 4 };
    unsigned int i;

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    for (i = 0; i < 4; i++)
        real_qemu_write(f->q, "xvda", i, i + 1);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    take(f, &p);
    ask_delete(&d, p.active_path, false);
    ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    ok(p.drv->pull(&f->c, &p, &d, 0, &e), &e);
    snap_delete_dispose(&d);
    real_qemu_kill(f->q);
    f->q = NULL;
    stop(f);
    assert_int_equal(real_run("qemu-img", "check", "-q", p.active_path, NULL),
                     0);
    assert_true(real_image_has(p.active_path, "qcow2", want, 4));
    snap_part_dispose(&p);
    free(path);
}

/* And a merge. */
static void killed_after_a_merge(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.qcow2", "qcow2");
    unsigned char want[4] = { 1, 2, 3, 9 };
    unsigned int i;

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    for (i = 0; i < 3; i++)
        real_qemu_write(f->q, "xvda", i, i + 1);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    take(f, &p);
    real_qemu_write(f->q, "xvda", 3, 9);
    ask_delete(&d, p.active_path, true);
    ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    real_qemu_kill(f->q);
    f->q = NULL;
    stop(f);
    assert_int_equal(real_run("qemu-img", "check", "-q", d.active_path, NULL),
                     0);
    assert_true(real_image_has(d.active_path, "qcow2", want, 4));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* QEMU would have to open an image again by a name that is another's. */
static void a_name_that_is_anothers(void **state)
{
    struct fix *f = *state;
    struct snap_part p, q;
    char *path = image(f, "a.qcow2", "qcow2");

    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    take(f, &p);
    start(f);
    real_qemu_add(f->q, "xvda", p.active_path, "qcow2");
    f->c.op_id = "op2";
    ask(&q, "xvda", p.active_path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    q.keep_path = true;
    take(f, &q);
    f->c.op_id = "op3";
    keeps(f, &p, q.active_path, SNAP_REFUSED, "another file's now");
    stop(f);
    {
        struct snap_delete d;

        ask_delete(&d, q.active_path, true);
        ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
        assert_int_equal(d.how, SNAP_DELETE_PULL);
        snap_delete_dispose(&d);
    }
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

/* Inside an image that the domain only reads: not through QEMU, and not
 * behind its back. */
static void inside_what_is_below(void **state)
{
    struct fix *f = *state;
    struct snap_part p, q;
    struct snap_delete d = { 0 };
    char *path = image(f, "a.qcow2", "qcow2");
    struct snap_err e = SNAP_ERR_INIT;
    bool protected;

    ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    take(f, &p);
    ask(&q, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    take(f, &q);
    q.drv->finish(&f->c, &q, &e);
    protected = snap_image_protected(path);
    start(f);
    real_qemu_add(f->q, "xvda", q.active_path, "qcow2");
    keeps(f, &p, q.active_path, SNAP_REFUSED, "to which the domain writes");
    f->c.qmp = NULL;
    keeps(f, &p, q.active_path, SNAP_BUSY, "in use by");
    stop(f);
    ok(p.drv->delete_plan(&f->c, &p, &d, NULL), NULL);
    DO(remove, &p);
    assert_int_equal(protected, snap_image_protected(path));
    DO(refreeze, &q);
    DO(verify, &q);
    snap_part_dispose(&p);
    snap_part_dispose(&q);
    free(path);
}

/* The process died with the job at work; the next one goes on with it. */
static void a_merge_is_gone_on_with(void **state)
{
    struct fix *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = image(f, "a.qcow2", "qcow2");
    unsigned char want[2] = { 1, 3 };

    start(f);
    real_qemu_add(f->q, "xvda", path, "qcow2");
    real_qemu_write(f->q, "xvda", 0, 1);
    real_qemu_write(f->q, "xvda", 1, 2);
    ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    take(f, &p);
    f->c.op_id = "op2";
    ask_delete(&d, p.active_path, true);
    ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_MERGE);
    ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    real_qemu_write(f->q, "xvda", 1, 3);
    ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    /* Given up, and begun anew. */
    ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    ok(p.drv->merge(&f->c, &p, &d, &e), &e);
    ok(p.drv->merge_switch(&f->c, &p, &d, &e), &e);
    ok(p.drv->delete_stop(&f->c, &p, &d, &e), &e);
    assert_false(snap_image_protected(path));
    ok(p.drv->merge_finish(&f->c, &p, &d, &e), &e);
    assert_false(snap_file_exists(p.active_path));
    assert_true(real_qemu_has(f->q, "xvda", want, 2));
    stop(f);
    assert_true(real_image_has(path, "qcow2", want, 2));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(path);
}

/* ---- a QEMU in trouble ---- */

static void a_silent_qemu(void **state)
{
    struct fix *f = *state;
    struct snap_part p, *pp = &p;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    struct snap_qmp *again = NULL;
    char *path = image(f, "a.img", "raw"), *sock = in_dir(f, "qmp");
    unsigned char want[1] = { 1 };
    double began;

    start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    DO(prepare, &p);
    kill(real_qemu_pid(f->q), SIGSTOP);
    began = snap_now_ms();
    assert_int_equal(p.drv->take(&f->c, &pp, 1, &e), SNAP_RECOVER);
    assert_true(snap_now_ms() - began < 13000);
    assert_non_null(strstr(e.msg, "xvda: not switched yet"));
    assert_non_null(strstr(e.msg, "snapshot-recover"));
    /* It wakes up, and has read the command or not; recover, with a
     * connection of its own, sees which. */
    kill(real_qemu_pid(f->q), SIGCONT);
    ok(snap_qmp_connect(sock, 20000, NULL, &again, &e), &e);
    snap_err_clear(&e);
    f->c.qmp = again;
    ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_true(s == SNAP_PART_PRESENT || s == SNAP_PART_PARTIAL);
    real_qemu_write(f->q, "xvda", 0, 1);
    DO(undo, &p);
    ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_int_equal(s, SNAP_PART_ABSENT);
    assert_true(real_qemu_has(f->q, "xvda", want, 1));
    snap_qmp_close(again);
    snap_part_dispose(&p);
    free(sock);
    free(path);
}

static void a_qemu_that_dies(void **state)
{
    struct fix *f = *state;
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_err e = SNAP_ERR_INIT;
    char *path[2];
    unsigned char want[2] = { 1, 2 };
    int i;

    start(f);
    for (i = 0; i < 2; i++) {
        path[i] = image(f, i ? "b.img" : "a.qcow2", i ? "raw" : "qcow2");
        real_qemu_add(f->q, i ? "xvdb" : "xvda", path[i], i ? "raw" : "qcow2");
        ask(pp[i], i ? "xvdb" : "xvda", path[i], i ? "raw" : "qcow2",
            SNAP_DISK_AUTO);
        DO(probe, pp[i]);
        DO(prepare, pp[i]);
        real_qemu_write(f->q, p[i].vdev, 0, 1);
    }
    ok(p[0].drv->take(&f->c, pp, 2, &e), &e);
    for (i = 0; i < 2; i++)
        real_qemu_write(f->q, p[i].vdev, 1, 2);
    real_qemu_kill(f->q);
    f->q = NULL;
    f->c.qmp = NULL;
    f->c.domid = UINT32_MAX;
    for (i = 1; i >= 0; i--) {
        p[i].prepared = p[i].taken = false; /* in another process */
        DO(undo, pp[i]);
        assert_true(real_image_has(path[i], i ? "raw" : "qcow2", want, 2));
        snap_part_dispose(pp[i]);
        free(path[i]);
    }
}

static void a_group_that_qemu_refuses(void **state)
{
    struct fix *f = *state;
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_err e = SNAP_ERR_INIT;
    char *path[2], *before, *after;
    int i;

    start(f);
    path[0] = image(f, "a.img", "raw");
    path[1] = image(f, "b.qcow2", "qcow2");
    for (i = 0; i < 2; i++)
        real_qemu_add(f->q, i ? "xvdb" : "xvda", path[i], i ? "qcow2" : "raw");
    for (i = 0; i < 2; i++) {
        ask(pp[i], i ? "xvdb" : "xvda", path[i], i ? "qcow2" : "raw",
            SNAP_DISK_AUTO);
        DO(probe, pp[i]);
        DO(prepare, pp[i]);
    }
    assert_int_equal(real_qemu_command(f->q, "blockdev-snapshot-internal-sync",
                                       "{\"device\":\"xvdb-qcow2\",\"name\":"
                                       "\"s1\"}"),
                     0);
    before = real_dir_digest(f->dir);
    assert_int_equal(p[0].drv->take(&f->c, pp, 2, &e), SNAP_FAIL);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    assert_false(p[0].taken || p[1].taken);
    for (i = 1; i >= 0; i--)
        DO(undo, pp[i]);
    real_qemu_write(f->q, "xvda", 0, 4);
    /* The other one's snapshot of that name is still there. */
    assert_int_equal(
        real_qemu_command(f->q, "blockdev-snapshot-delete-internal-sync",
                          "{\"device\":\"xvdb-"
                          "qcow2\",\"name\":\"s1\"}"),
        0);
    for (i = 0; i < 2; i++) {
        snap_part_dispose(pp[i]);
        free(path[i]);
    }
    free(before);
    free(after);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const char *missing = real_qemu_missing();
    const struct CMUnitTest tests[] = {
        T(qemu_opens_a_base_again_by_name),
        T(different_disks_in_one_transaction),
        T(internal_refusals),
        T(a_tag_of_digits_is_not_an_id),
        T(differencing_vhd),
        T(target_refusals),
        T(a_target_of_the_users),
        T(depth_is_warned_of_and_bounded),
        T(a_link_of_the_users),
        T(a_revert_keeps_the_path),
        T(recover_makes_the_link),
        T(a_frozen_image_is_copied),
        T(no_device_is_refused),
        T(another_format_is_refused),
        T(a_stale_path_is_refused),
        T(hvm_double_open),
        T(a_frozen_base_that_is_open),
        T(a_changed_base_is_seen),
        T(a_loop_device_is_a_user),
        T(undo_does_not_choose),
        T(what_a_dead_prepare_left),
        T(what_is_frozen_is_protected),
        T(snapshots_inside_a_child),
        T(somebody_elses_child),
        T(a_pull_under_kept_paths),
        T(killed_after_a_pull),
        T(killed_after_a_merge),
        T(a_name_that_is_anothers),
        T(inside_what_is_below),
        T(a_merge_is_gone_on_with),
        T(a_silent_qemu),
        T(a_qemu_that_dies),
        T(a_group_that_qemu_refuses),
    };

    if (missing) {
        printf("skip - special cases on a real QEMU: %s\n", missing);
        return 0;
    }
    cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests_name("special cases on a real QEMU", tests,
                                       NULL, NULL);
}
