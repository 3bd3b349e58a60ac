/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the suite does not ask, since it is about QEMU: disks that differ taken
 * together, a graph that is not as it should be, a QEMU that stops answering
 * or dies, and the one fact about QEMU on which the names of files rest.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "tools/scene.h"

/* ---- the fact ---- */

/*
 * QEMU opens a base again, by its name, when an overlay makes it read-only.
 * Were base and overlay exchanged under that name before, it would go on
 * with the overlay as its own base, and the guest would read zeros.  If this
 * test ever fails, QEMU has changed, and --keep-path may rename.
 */
static void qemu_opens_a_base_again_by_name(void **state)
{
    struct scene *f = *state;
    char *path = scene_image(f, "a.qcow2", "qcow2"),
         *over = scene_path(f, "o.qcow2");
    char *tmp = scene_path(f, "t.qcow2"), *args;
    unsigned char want[2] = { 11, 22 };

    scene_start(f);
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
    struct scene *f = *state;
    struct snap_part part[4], *parts[4];
    struct snap_err e = SNAP_ERR_INIT;
    static const char *const vdev[] = { "xvda", "xvdb", "xvdc", "xvdd" };
    const char *fmt[] = { "qcow2", "raw", "vhd", "qcow2" };
    const char *qfmt[] = { "qcow2", "raw", "vpc", "qcow2" };
    char *path[4];
    unsigned char was[2] = { 1, 0 }, is[2] = { 1, 2 };
    int i;

    if (!real_qemu_serves("vpc")) {
        printf(
            "# SKIP a VHD in a transaction: Xen's QEMU has no such format here\n");
        fmt[2] = qfmt[2] = "raw";
    }
    scene_start(f);
    for (i = 0; i < 4; i++) {
        path[i] = scene_image(f, vdev[i], qfmt[i]);
        real_qemu_add(f->q, vdev[i], path[i], qfmt[i]);
        real_qemu_write(f->q, vdev[i], 0, 1);
        parts[i] = &part[i];
        scene_ask(parts[i], vdev[i], path[i], fmt[i],
                  i == 3 ? SNAP_DISK_EXTERNAL : SNAP_DISK_AUTO);
        DO(probe, parts[i]);
        DO(prepare, parts[i]);
    }
    assert_int_equal(part[0].type, SNAP_DISK_INTERNAL);
    scene_ok(part[0].drv->group->take(&f->c, parts, 4, &e), &e);
    for (i = 0; i < 4; i++)
        real_qemu_write(f->q, vdev[i], 1, 2);
    for (i = 0; i < 4; i++)
        assert_true(real_qemu_has(f->q, vdev[i], is, 2));
    scene_stop(f);
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

/* ---- what QEMU has ---- */

static void no_device_is_refused(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"), *args;

    scene_start(f);
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_NOTFOUND, "does not have");
    args = snap_printf("{\"driver\":\"raw\",\"node-name\":\"xvda-raw\","
                       "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
                       path);
    assert_int_equal(real_qemu_command(f->q, "blockdev-add", args), 0);
    free(args);
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "no device uses it");
    free(path);
}

static void another_format_is_refused(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "qcow2");

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "open as raw");
    free(path);
}

static void a_stale_path_is_refused(void **state)
{
    struct scene *f = *state;
    struct snap_part p, q;
    char *path = scene_image(f, "a.img", "raw");

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    scene_ask(&q, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    snap_set(&q.tag, "s2");
    scene_refuses(f, &q, SNAP_REFUSED, "snapshot-recover");
    snap_part_dispose(&p);
    free(path);
}

/* As an HVM guest has it before its PV drivers take over. */
static void hvm_double_open(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2"), *args;

    scene_start(f);
    real_qemu_add(f->q, "hda", path, "qcow2");
    args = snap_printf("{\"command-line\":\"drive_add 0 if=none,id=ide0-hd0,"
                       "format=qcow2,file.locking=off,file.filename=%s\"}",
                       path);
    assert_int_equal(real_qemu_command(f->q, "human-monitor-command", args),
                     0);
    free(args);
    scene_ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    scene_refuses(
        f, &p, SNAP_REFUSED,
        "emulated disk ide0-hd0 and as the PV disk hda, and both are "
        "live");
    scene_ask(&p, "hda", path, "qcow2", SNAP_DISK_EXTERNAL);
    p.hvm = true;
    p.frontend_state = 1;
    scene_refuses(
        f, &p, SNAP_REFUSED,
        "still uses the emulated disk ide0-hd0: it is booting, or has no "
        "PV drivers");
    /* Unplugged. */
    assert_int_equal(real_qemu_command(f->q, "human-monitor-command",
                                       "{\"command-line\":\"drive_del "
                                       "ide0-hd0\"}"),
                     0);
    scene_ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    p.frontend_state = 1;
    scene_refuses(f, &p, SNAP_REFUSED, "not connected (state 1)");
    scene_ask(&p, "hda", path, "qcow2", SNAP_DISK_INTERNAL);
    p.hvm = true;
    scene_take(f, &p);
    snap_part_dispose(&p);
    free(path);
}

/* ---- a QEMU in trouble ---- */

static void a_silent_qemu(void **state)
{
    struct scene *f = *state;
    struct snap_part p, *pp = &p;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state s;
    struct snap_qmp *again = NULL;
    char *path = scene_image(f, "a.img", "raw"), *sock = scene_path(f, "qmp");
    unsigned char want[1] = { 1 };
    double began;

    scene_start(f);
    real_qemu_add(f->q, "xvda", path, "raw");
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    DO(probe, &p);
    DO(prepare, &p);
    kill(real_qemu_pid(f->q), SIGSTOP);
    began = snap_now_ms();
    assert_int_equal(p.drv->group->take(&f->c, &pp, 1, &e), SNAP_RECOVER);
    assert_true(snap_now_ms() - began < 13000);
    assert_non_null(strstr(e.msg, "was not known then"));
    assert_non_null(strstr(e.msg, "xvda: not switched yet"));
    /* It wakes up, and has read the command or not; recover, with a
     * connection of its own, sees which. */
    kill(real_qemu_pid(f->q), SIGCONT);
    scene_ok(snap_qmp_connect(sock, 20000, NULL, &again, &e), &e);
    snap_err_clear(&e);
    f->c.qmp = again;
    scene_ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_true(s == SNAP_PART_PRESENT || s == SNAP_PART_PARTIAL);
    real_qemu_write(f->q, "xvda", 0, 1);
    DO(undo, &p);
    scene_ok(p.drv->inspect(&f->c, &p, &s, &e), &e);
    assert_int_equal(s, SNAP_PART_ABSENT);
    assert_true(real_qemu_has(f->q, "xvda", want, 1));
    snap_qmp_close(again);
    snap_part_dispose(&p);
    free(sock);
    free(path);
}

static void a_qemu_that_dies(void **state)
{
    struct scene *f = *state;
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_err e = SNAP_ERR_INIT;
    char *path[2];
    unsigned char want[2] = { 1, 2 };
    int i;

    scene_start(f);
    for (i = 0; i < 2; i++) {
        path[i] = scene_image(f, i ? "b.img" : "a.qcow2", i ? "raw" : "qcow2");
        real_qemu_add(f->q, i ? "xvdb" : "xvda", path[i], i ? "raw" : "qcow2");
        scene_ask(pp[i], i ? "xvdb" : "xvda", path[i], i ? "raw" : "qcow2",
                  SNAP_DISK_AUTO);
        DO(probe, pp[i]);
        DO(prepare, pp[i]);
        real_qemu_write(f->q, p[i].vdev, 0, 1);
    }
    scene_ok(p[0].drv->group->take(&f->c, pp, 2, &e), &e);
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
    struct scene *f = *state;
    struct snap_part p[2], *pp[2] = { &p[0], &p[1] };
    struct snap_err e = SNAP_ERR_INIT;
    char *path[2], *before, *after;
    int i;

    scene_start(f);
    path[0] = scene_image(f, "a.img", "raw");
    path[1] = scene_image(f, "b.qcow2", "qcow2");
    for (i = 0; i < 2; i++)
        real_qemu_add(f->q, i ? "xvdb" : "xvda", path[i], i ? "qcow2" : "raw");
    for (i = 0; i < 2; i++) {
        scene_ask(pp[i], i ? "xvdb" : "xvda", path[i], i ? "qcow2" : "raw",
                  SNAP_DISK_AUTO);
        DO(probe, pp[i]);
        DO(prepare, pp[i]);
    }
    assert_int_equal(real_qemu_command(f->q, "blockdev-snapshot-internal-sync",
                                       "{\"device\":\"xvdb-qcow2\",\"name\":"
                                       "\"s1\"}"),
                     0);
    before = real_dir_digest(f->dir);
    assert_int_equal(p[0].drv->group->take(&f->c, pp, 2, &e), SNAP_FAIL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(qemu_opens_a_base_again_by_name),
        SCENE_TEST(different_disks_in_one_transaction),
        SCENE_TEST(no_device_is_refused),
        SCENE_TEST(another_format_is_refused),
        SCENE_TEST(a_stale_path_is_refused),
        SCENE_TEST(hvm_double_open),
        SCENE_TEST(a_silent_qemu),
        SCENE_TEST(a_qemu_that_dies),
        SCENE_TEST(a_group_that_qemu_refuses),
    };

    return SCENE_MAIN("special cases on a real QEMU", tests);
}
