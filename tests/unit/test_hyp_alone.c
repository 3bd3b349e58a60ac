/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Is there a monitor that is about to build a domain which is not there?  By
 * processes of the test's own that write to logs as xl's daemon does, over the
 * fakes' Xen.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "fakes/xen/xen_scene.h"
#include "hyp/domain.h"
#include "hyp/proc.h"
#include "lib/file.h"

#define GONE 1u /* a number that no domain has */

static const char *const idle[] = { "xl", "--idle", NULL };

/* A monitor with this log, that says it watches this domain. */
static pid_t monitor(struct xen_scene *s, const char *log, uint32_t domid)
{
    pid_t pid = xen_scene_play(s, idle, log);
    char *path = xen_scene_path(s, log), line[128];
    int fd = open(path, O_WRONLY | O_APPEND);

    snprintf(line, sizeof(line),
             "Waiting for domain g (domid %u) to die [pid %d]\n", domid,
             (int)pid);
    assert_int_equal(snap_write_all(fd, line, strlen(line), path, &s->err), 0);
    close(fd);
    free(path);
    return pid;
}

static pid_t alone(struct xen_scene *s)
{
    return hyp_monitor_alone(&s->h, SCENE_UUID, "g");
}

static void test_builds(void **state)
{
    static const char *const logs[] = { "xl-g.log", "xl-g--incoming.log" };
    struct xen_scene *s = *state;
    uint32_t was = s->dom.domid;
    pid_t pid;
    size_t i;

    fake_guest_end(was);
    assert_int_equal(alone(s), 0);
    for (i = 0; i < 2; i++) {
        pid = monitor(s, logs[i], was);
        assert_int_equal(alone(s), pid);
        /* Xen that does not tell is no proof that it watches something. */
        fake_xen->list_fails = fake_xen->info_fails = true;
        assert_int_equal(alone(s), pid);
        fake_xen->list_fails = fake_xen->info_fails = false;
        /* What was stopped builds nothing. */
        kill(pid, SIGSTOP);
        assert_true(hyp_wait_stopped(pid, 20000));
        assert_int_equal(alone(s), 0);
        kill(pid, SIGCONT);
        while (hyp_wait_stopped(pid, 0))
            usleep(1000);
        assert_int_equal(alone(s), pid);
        xen_scene_end_of(pid);
        assert_int_equal(alone(s), 0);
    }
}

/* Its log was emptied since. */
static void test_emptied_log(void **state)
{
    struct xen_scene *s = *state;
    char *path = xen_scene_path(s, "xl-g.log");
    pid_t pid;

    fake_guest_end(s->dom.domid);
    pid = monitor(s, "xl-g.log", GONE);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(alone(s), pid);
    xen_scene_end_of(pid);
    free(path);
}

/* The log is of that name, and the domain that it watches of another. */
static void test_watches_another(void **state)
{
    struct xen_scene *s = *state;
    uint32_t renamed = fake_guest_add("renamed", SCENE_OTHER, "{}");
    pid_t pid, next;

    fake_guest_end(s->dom.domid);
    pid = monitor(s, "xl-g.log", renamed);
    assert_int_equal(alone(s), 0);
    /* One beside it. */
    next = monitor(s, "xl-g.log", s->dom.domid);
    assert_int_equal(alone(s), next);
    xen_scene_end_of(next);
    assert_int_equal(alone(s), 0);
    fake_guest_end(renamed);
    assert_int_equal(alone(s), pid);
    xen_scene_end_of(pid);
}

/* Another domain has the name: whatever writes to its log watches that. */
static void test_namesake(void **state)
{
    struct xen_scene *s = *state;
    uint32_t domid;
    pid_t pid;

    fake_guest_end(s->dom.domid);
    pid = monitor(s, "xl-g.log", GONE);
    domid = fake_guest_add("g", SCENE_OTHER, "{}");
    assert_int_equal(alone(s), 0);
    fake_guest_end(domid);
    assert_int_equal(alone(s), pid);
    xen_scene_end_of(pid);
}

/* It came this moment: whoever built it is waited for. */
static void test_came(void **state)
{
    struct xen_scene *s = *state;
    pid_t pid;

    assert_int_equal(alone(s), 1);
    pid = monitor(s, "xl-g.log", s->dom.domid);
    assert_int_equal(alone(s), pid);
    xen_scene_end_of(pid);
}

/* What is no xl, has another log, or a file elsewhere, is none. */
static void test_none(void **state)
{
    static const char *const sleeps[] = { "xl", "60", NULL };
    static const char *const logs[] = { "xl-gg.log", "xl-g.log.1", "g.log",
                                        "qemu-dm-g.log" };
    struct xen_scene *s = *state;
    char *path = xen_scene_path(s, "xl-g.log");
    pid_t pid;
    size_t i;
    char c;
    int p[2];

    fake_guest_end(s->dom.domid);
    for (i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        pid = monitor(s, logs[i], GONE);
        assert_int_equal(alone(s), 0);
        xen_scene_end_of(pid);
    }
    /* Another program with that name and that output. */
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        dup2(open(path, O_WRONLY | O_CREAT, 0600), 1);
        execv("/bin/sleep", (char *const *)sleeps);
        _exit(127);
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 0);
    close(p[0]);
    assert_int_equal(alone(s), 0);
    xen_scene_end_of(pid);
    free(path);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, xen_scene_begin, xen_scene_end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_builds),
        TEST(test_emptied_log),
        TEST(test_watches_another),
        TEST(test_namesake),
        TEST(test_came),
        TEST(test_none),
    };
    int status;

    if (xen_scene_main(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
