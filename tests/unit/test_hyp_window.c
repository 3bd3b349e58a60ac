/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The window: libxl's locks are in hand before the guest stands, and in it; a
 * lock that another holds is refused while the guest still runs; and stands()
 * tells whether it is still the same guest, standing, with the same disks.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "fakes/xen/xen_scene.h"
#include "hyp/limits.h"
#include "hyp/lockfile.h"
#include "hyp/savers.h"
#include "hyp/set_active.h"
#include "hyp/window.h"

#define FOREVER_MS 30000

static const struct snap_active disks[] = { { .vdev = (char *)"xvda" },
                                            { .vdev = (char *)"xvdb" } };

/* A disk of the guest's, in xenstore as libxl puts it there; vdev NULL: it is
 * plugged out. */
static void disk(const struct xen_scene *s, const char *kind, int devid,
                 const char *vdev)
{
    char path[128];
    int n = snprintf(path, sizeof(path), "/libxl/%u/device/%s/%d",
                     s->dom.domid, kind, devid);

    if (!vdev) {
        fake_xs_put(path, NULL);
        return;
    }
    snprintf(path + n, sizeof(path) - n, "/dev");
    fake_xs_put(path, vdev);
    snprintf(path + n, sizeof(path) - n, "/backend");
    fake_xs_put(path, "/local/domain/0/backend/qdisk/1/51712");
}

static int begin(void **state)
{
    int rc = xen_scene_begin(state);

    disk(*state, "vbd", 51712, "xvda");
    disk(*state, "vbd", 51728, "xvdb");
    return rc;
}

static int open_it(struct xen_scene *s)
{
    snap_err_clear(&s->err);
    return hyp_window_open(&s->h, &s->dom, disks, 2, &s->err);
}

static bool is_free(const struct xen_scene *s, const char *what)
{
    return hyp_lock_is_free(&s->dom, what);
}

/* Nobody's guest was touched, nothing is open and nothing held by us. */
static void is_refused(struct xen_scene *s, int rc, int want,
                       const char *words)
{
    assert_int_equal(rc, want);
    xen_scene_says(s->err.msg, words);
    assert_false(hyp_window_is_open(&s->h, &s->dom));
    assert_int_equal(fake_guest(s->dom.domid)->pauses, 0);
    snap_err_clear(&s->err);
}

/* --- locks ------------------------------------------------------------- */

static void test_held_in_it(void **state)
{
    struct xen_scene *s = *state;

    assert_int_equal(open_it(s), 0);
    assert_true(hyp_window_is_open(&s->h, &s->dom));
    assert_false(is_free(s, HYP_LOCK_DEVICES));
    assert_false(is_free(s, HYP_LOCK_DATA));
    assert_true(is_free(s, HYP_LOCK_QMP));
    /* Ours are no reason not to save. */
    assert_true(hyp_window_locks_free(&s->h, &s->dom));
    hyp_window_close(&s->h);
    assert_true(is_free(s, HYP_LOCK_DEVICES));
    assert_true(is_free(s, HYP_LOCK_DATA));
    hyp_window_close(&s->h);
}

static void test_of_another(void **state)
{
    static const char *const locks[] = { HYP_LOCK_DEVICES, HYP_LOCK_DATA,
                                         HYP_LOCK_QMP };
    struct xen_scene *s = *state;
    double begun;
    size_t i, k;
    pid_t pid;

    s->dom.type = SNAP_GUEST_HVM;
    for (i = 0; i < 3; i++) {
        pid = xen_scene_hold(s, locks[i], FOREVER_MS);
        begun = snap_now_ms();
        is_refused(s, open_it(s), SNAP_BUSY, locks[i]);
        assert_in_range((int)(snap_now_ms() - begun), hyp_limits.lock_ms,
                        FOREVER_MS / 2);
        for (k = 0; k < 3; k++)
            assert_int_equal(is_free(s, locks[k]), k != i);
        assert_false(hyp_window_locks_free(&s->h, &s->dom));
        xen_scene_end_of(pid);
    }
    assert_true(hyp_window_locks_free(&s->h, &s->dom));
    assert_int_equal(open_it(s), 0);
}

/* What is no HVM guest's has no such QEMU. */
static void test_qmp_of_a_pvh(void **state)
{
    struct xen_scene *s = *state;
    pid_t pid = xen_scene_hold(s, HYP_LOCK_QMP, FOREVER_MS);

    assert_int_equal(open_it(s), 0);
    assert_true(hyp_window_locks_free(&s->h, &s->dom));
    xen_scene_end_of(pid);
}

/* It lets go in time, and removes the file that we wait at. */
static void test_let_go_in_time(void **state)
{
    static const char *const locks[] = { HYP_LOCK_DEVICES, HYP_LOCK_DATA };
    struct xen_scene *s = *state;
    size_t i;
    pid_t pid;

    hyp_limits.lock_ms = FOREVER_MS;
    for (i = 0; i < 2; i++) {
        pid = xen_scene_hold(s, locks[i], 100);
        assert_int_equal(open_it(s), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_false(is_free(s, HYP_LOCK_DEVICES));
        assert_false(is_free(s, HYP_LOCK_DATA));
        hyp_window_close(&s->h);
    }
}

/* cd-insert: has QEMU's lock, and wants ours before it lets go. */
static void test_cross(void **state)
{
    struct xen_scene *s = *state;
    char *devices = snap_printf("%s/userdata-l.%u.%s.%s", s->dir, s->dom.domid,
                                s->dom.uuid, HYP_LOCK_DEVICES);
    pid_t pid, holder;
    int status;

    s->dom.type = SNAP_GUEST_HVM;
    hyp_limits.lock_ms = 5000;
    holder = xen_scene_hold(s, HYP_LOCK_QMP, FOREVER_MS);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        int fd = open(devices, O_RDWR | O_CREAT, 0666);

        alarm(20);
        usleep(100000); /* we have it by now */
        if (fd < 0 || flock(fd, LOCK_EX))
            _exit(1);
        kill(holder, SIGKILL);
        _exit(0);
    }
    assert_int_equal(open_it(s), 0);
    assert_false(is_free(s, HYP_LOCK_DEVICES));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    free(devices);
}

/* --- what else ends it ------------------------------------------------- */

static void all_free(const struct xen_scene *s)
{
    assert_true(is_free(s, HYP_LOCK_DEVICES));
    assert_true(is_free(s, HYP_LOCK_DATA));
}

static void test_refused(void **state)
{
    struct xen_scene *s = *state;
    struct fake_guest *d = fake_guest(s->dom.domid);
    char uuid[37];

    /* It went while we waited for the locks: another has its number. */
    memcpy(uuid, d->uuid, sizeof(uuid));
    memcpy(d->uuid, SCENE_OTHER, sizeof(d->uuid));
    is_refused(s, open_it(s), SNAP_NOTFOUND, "no such domain any more");
    all_free(s);
    memcpy(d->uuid, uuid, sizeof(uuid));
    fake_xen->info_fails = true;
    is_refused(s, open_it(s), SNAP_FAIL, "does not tell how it is");
    all_free(s);
    fake_xen->info_fails = false;
    fake_xs_break(true);
    is_refused(s, open_it(s), SNAP_FAIL, "xenstore does not tell its disks");
    all_free(s);
    fake_xs_break(false);
    disk(s, "vbd", 51728, NULL);
    is_refused(s, open_it(s), SNAP_NOTFOUND, "disk xvdb is not in xenstore");
    all_free(s);
}

/* Their helper has somebody else for its user. */
static pid_t others_save(const struct xen_scene *s, pid_t *helper_r)
{
    char number[16];
    const char *const argv[] = {
        "libxl-save-helper", "--save-domain", "-1", "-1", number, NULL
    };
    int p[2];
    pid_t user;

    snprintf(number, sizeof(number), "%u", s->dom.domid);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    user = fork();
    assert_true(user >= 0);
    if (!user) {
        pid_t helper;
        int in[2];

        alarm(60);
        if (pipe(in))
            _exit(1);
        dup2(in[0], 0);
        helper = xen_scene_play(s, argv, NULL);
        if (write(p[1], &helper, sizeof(helper)) != sizeof(helper))
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(p[0], helper_r, sizeof(*helper_r)),
                     sizeof(*helper_r));
    close(p[0]);
    close(p[1]);
    return user;
}

/* The command that hangs has the locks, and may be the one that saves: who
 * acts for it takes none, waits for none, and leaves them as they are. */
static void test_borrow(void **state)
{
    struct xen_scene *s = *state;
    pid_t helper = 0, user = others_save(s, &helper);
    pid_t devices = xen_scene_hold(s, HYP_LOCK_DEVICES, FOREVER_MS);
    pid_t data = xen_scene_hold(s, HYP_LOCK_DATA, FOREVER_MS);
    double begun = snap_now_ms();

    hyp_limits.lock_ms = FOREVER_MS;
    assert_int_equal(hyp_window_borrow(&s->h, &s->dom, disks, 2, &s->err), 0);
    assert_in_range((int)(snap_now_ms() - begun), 0, FOREVER_MS / 2);
    assert_true(hyp_window_is_open(&s->h, &s->dom));
    fake_guest(s->dom.domid)->pauses = 1;
    assert_int_equal(hyp_stands(&s->h, &s->dom, false, &s->err), 0);
    hyp_window_close(&s->h);
    assert_false(is_free(s, HYP_LOCK_DEVICES));
    assert_false(is_free(s, HYP_LOCK_DATA));
    xen_scene_end_of(devices);
    xen_scene_end_of(data);

    /* None is left behind either. */
    assert_int_equal(hyp_window_borrow(&s->h, &s->dom, disks, 2, &s->err), 0);
    all_free(s);
    /* Not of a domain that is gone, or has other disks. */
    disk(s, "vbd", 51712, NULL);
    assert_int_equal(hyp_window_borrow(&s->h, &s->dom, disks, 2, &s->err),
                     SNAP_NOTFOUND);
    snap_err_clear(&s->err);
    assert_false(hyp_window_is_open(&s->h, &s->dom));
    disk(s, "vbd", 51712, "xvda");
    /* One of one's own is not opened beside another's save. */
    fake_guest(s->dom.domid)->pauses = 0;
    is_refused(s, open_it(s), SNAP_BUSY, "test_hyp_window");
    all_free(s);
    kill(helper, SIGKILL);
    xen_scene_end_of(user);
    while (hyp_saver_find(s->dom.domid, &(struct hyp_saver){ 0 }))
        usleep(1000);
    assert_int_equal(open_it(s), 0);
    fake_guest_end(s->dom.domid);
    assert_int_equal(hyp_window_borrow(&s->h, &s->dom, disks, 2, &s->err),
                     SNAP_NOTFOUND);
}

/* --- stands ------------------------------------------------------------ */

/* Not what it was, and why. */
static void falls(struct xen_scene *s, bool suspended, int want,
                  const char *words)
{
    snap_err_clear(&s->err);
    assert_int_equal(hyp_stands(&s->h, &s->dom, suspended, &s->err), want);
    xen_scene_says(s->err.msg, words);
    snap_err_clear(&s->err);
}

static void holds(struct xen_scene *s, bool suspended)
{
    assert_int_equal(hyp_stands(&s->h, &s->dom, suspended, &s->err), 0);
}

static void test_standing(void **state)
{
    struct xen_scene *s = *state;
    struct fake_guest *d = fake_guest(s->dom.domid);

    falls(s, true, SNAP_FAIL, "its window is not open");
    assert_int_equal(open_it(s), 0);
    falls(s, false, SNAP_BUSY, "somebody let it go on");
    falls(s, true, SNAP_BUSY, "somebody let it go on");
    d->pauses = 1;
    holds(s, false);
    falls(s, true, SNAP_BUSY, "somebody let it go on");
    d->pauses = 0;
    d->shutdown = true;
    d->reason = LIBXL_SHUTDOWN_REASON_SUSPEND;
    holds(s, true);
    falls(s, false, SNAP_BUSY, "somebody let it go on");
    d->reason = LIBXL_SHUTDOWN_REASON_CRASH;
    falls(s, true, SNAP_BUSY, "somebody let it go on");
    d->reason = LIBXL_SHUTDOWN_REASON_SUSPEND;
    d->dying = true;
    falls(s, true, SNAP_BUSY, "destroyed, or rebooted");
    d->dying = false;
    /* Of another domain it says nothing. */
    s->dom.domid++;
    falls(s, true, SNAP_FAIL, "its window is not open");
    s->dom.domid--;
    holds(s, true);
}

static void test_reborn(void **state)
{
    struct xen_scene *s = *state;
    struct fake_guest *d = fake_guest(s->dom.domid);

    d->pauses = 1;
    assert_int_equal(open_it(s), 0);
    /* Its number is another's, which stands as well. */
    memcpy(d->uuid, SCENE_OTHER, sizeof(d->uuid));
    falls(s, false, SNAP_BUSY, "destroyed, or rebooted");
    memcpy(d->uuid, SCENE_UUID, sizeof(d->uuid));
    holds(s, false);
    fake_guest_end(s->dom.domid);
    falls(s, false, SNAP_BUSY, "destroyed, or rebooted");
    /* And it came back, paused, as another domain. */
    fake_guest(fake_guest_add("g", SCENE_UUID, "{}"))->pauses = 1;
    falls(s, false, SNAP_BUSY, "destroyed, or rebooted");
}

static void test_other_disks(void **state)
{
    static const struct {
        const char *kind;
        int devid;
    } in[] = { { "vbd", 51744 }, { "virtio_disk", 1 } };
    struct xen_scene *s = *state;
    size_t i;

    fake_guest(s->dom.domid)->pauses = 1;
    assert_int_equal(open_it(s), 0);
    for (i = 0; i < 2; i++) {
        disk(s, in[i].kind, in[i].devid, "xvdz");
        falls(s, false, SNAP_BUSY, "plugged in or out");
        disk(s, in[i].kind, in[i].devid, NULL);
        holds(s, false);
    }
    disk(s, "vbd", 51728, NULL);
    falls(s, false, SNAP_BUSY, "plugged in or out");
    /* As many as before are not the same. */
    disk(s, "vbd", 51760, "xvdb");
    falls(s, false, SNAP_BUSY, "plugged in or out");
}

static void test_nobody_tells(void **state)
{
    struct xen_scene *s = *state;

    fake_guest(s->dom.domid)->pauses = 1;
    assert_int_equal(open_it(s), 0);
    fake_xen->info_fails = true;
    falls(s, false, SNAP_FAIL, "Xen does not tell");
    fake_xen->info_fails = false;
    fake_xs_break(true);
    falls(s, false, SNAP_FAIL, "xenstore does not tell its disks");
    fake_xs_break(false);
    holds(s, false);
}

/* The main thread is in libxl meanwhile: its connections are not used. */
static void test_beside_a_save(void **state)
{
    struct xen_scene *s = *state;
    libxl_ctx *ctx = s->h.ctx;
    struct xs_handle *xsh = s->h.xsh;

    fake_guest(s->dom.domid)->pauses = 1;
    assert_int_equal(open_it(s), 0);
    s->h.ctx = NULL;
    s->h.xsh = NULL;
    holds(s, false);
    s->h.ctx = ctx;
    s->h.xsh = xsh;
}

/* --- telling Xen ------------------------------------------------------- */

/* What libxl has stored of it. */
static void store(const struct xen_scene *s)
{
    char *name = snap_printf("userdata-d.%u.%s.libxl-json", s->dom.domid,
                             s->dom.uuid);
    char *path = xen_scene_path(s, name);
    char *text = xen_scene_config(
        ",\"disks\":[{\"pdev_path\":\"/img/a.qcow2\",\"vdev\":\"xvda\","
        "\"backend\":\"qdisk\",\"format\":\"qcow2\"}]");
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, strlen(text) + 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    free(text);
    free(path);
    free(name);
}

static int tell(struct xen_scene *s)
{
    static const struct snap_active to = { .vdev = (char *)"xvda",
                                           .path = (char *)"/img/a.s1.qcow2",
                                           .format = (char *)"qcow2" };

    snap_err_clear(&s->err);
    return hyp_set_active(&s->h, &s->dom, &to, 1, &s->err);
}

/* Its monitor reads what it is to have next when it is down: before we tell, or
 * after.  Of one that is kept nobody builds anything. */
static void test_told_too_late(void **state)
{
    struct xen_scene *s = *state;
    pid_t monitor = xen_scene_hold(s, "nothing", FOREVER_MS);

    store(s);
    s->dom.monitor_pid = monitor;
    assert_int_equal(tell(s), 0);
    fake_guest(s->dom.domid)->pauses = 1;
    assert_int_equal(tell(s), 0);
    fake_guest_stop(s->dom.domid, LIBXL_SHUTDOWN_REASON_REBOOT);
    assert_int_equal(tell(s), SNAP_BUSY);
    xen_scene_says(s->err.msg, "went down before");
    assert_true(is_free(s, HYP_LOCK_DATA));
    s->dom.monitor_pid = 0;
    assert_int_equal(tell(s), 0);
    s->dom.monitor_pid = monitor;
    fake_xen->destroy_leaves = true; /* for a moment */
    fake_guest_end(s->dom.domid);
    assert_int_equal(tell(s), SNAP_BUSY);
    xen_scene_end_of(monitor);
    assert_int_equal(tell(s), 0);
    fake_guest(s->dom.domid)->used = false;
    assert_int_equal(tell(s), SNAP_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, xen_scene_end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_held_in_it),    TEST(test_of_another),
        TEST(test_qmp_of_a_pvh),  TEST(test_let_go_in_time),
        TEST(test_cross),         TEST(test_refused),
        TEST(test_borrow),        TEST(test_standing),
        TEST(test_reborn),        TEST(test_other_disks),
        TEST(test_nobody_tells),  TEST(test_beside_a_save),
        TEST(test_told_too_late),
    };

    if (argc > 1 && !strcmp(argv[1], "--save-domain")) {
        alarm(60);
        return (int)read(0, &argc, 1);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
