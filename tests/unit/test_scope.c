/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A scope of systemd's (lib/scope.h): what is asked for, and that only a move
 * that was seen is believed.  "busctl" is a script here that is systemd as well:
 * it notes its words, and moves who asked by writing to the file that stands
 * for /proc/PID/cgroup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cgroup.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "lib/scope.h"
#include "op/shelter.h"

#define LIMIT_MS 400 /* of those that have to run out of it */
#define LONG_MS  20000

static char dir[] = "/tmp/test-scope-XXXXXX";
static char mounts[64], proc[64];
static struct snap_buf said;
static struct snap_err err;

static void to_buf(void *opaque, enum snap_level level, const char *msg)
{
    (void)opaque;
    if (level > SNAP_LOG_DEBUG)
        snap_buf_addf(&said, "%s\n", msg);
}

static const struct snap_log log_to_buf = { .fn = to_buf };

static void put(const char *name, const char *text, mode_t mode)
{
    char *path = snap_printf("%s/%s", dir, name);

    assert_int_equal(
        snap_file_write(path, text, strlen(text), mode, false, &err), 0);
    free(path);
}

static void folder(const char *name)
{
    char *path = snap_printf("%s/%s", dir, name);

    assert_int_equal(snap_dir_make(path, 0755, &err), 0);
    free(path);
}

static char *get(const char *name)
{
    char *text = NULL, *path = snap_printf("%s/%s", dir, name);
    size_t len;

    assert_int_equal(snap_file_read(path, 8192, &text, &len, &err), 0);
    free(path);
    return text;
}

static void contains(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        print_error("\"%s\" does not say \"%s\"\n", text ? text : "", words);
    assert_true(text && strstr(text, words));
}

static void in_unit(void)
{
    char name[64];

    snprintf(name, sizeof(name), "proc/%ld/cgroup", (long)getpid());
    put(name, "0::/system.slice/backup.service\n", 0644);
}

/* busctl notes its words, then does this: $cgroup is the file, $unit the name
 * that was asked for. */
static void systemd_does(const char *what)
{
    char *script = snap_printf("#!/bin/sh\n"
                               "echo \"$*\" >>%s/args\n"
                               "cgroup=%s/%ld/cgroup unit=$7\n"
                               "%s\n",
                               dir, proc, (long)getpid(), what);

    put("busctl", script, 0755);
    free(script);
}

/* The plain group, which is there or not. */
static void plain_group(bool there)
{
    char *line = snap_printf("cgroup2 %s/%s cgroup2 rw 0 0\n", dir,
                             there ? "v2" : "gone");

    folder("v2/" SNAP_CGROUP_NAME);
    put("v2/" SNAP_CGROUP_NAME "/cgroup.procs", "", 0644);
    put("mounts", line, 0644);
    free(line);
}

static void moved_plainly(bool want)
{
    char *text = get("v2/" SNAP_CGROUP_NAME "/cgroup.procs");

    assert_int_equal(*text != '\0', want);
    free(text);
}

static int begin(void **state)
{
    char name[64];

    (void)state;
    snprintf(dir + strlen(dir) - 6, 7, "XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(mounts, sizeof(mounts), "%s/mounts", dir);
    snprintf(proc, sizeof(proc), "%s/proc", dir);
    snprintf(name, sizeof(name), "proc/%ld", (long)getpid());
    folder("proc");
    folder(name);
    in_unit();
    plain_group(false);
    snap_cgroup_mounts = mounts;
    snap_cgroup_proc = proc;
    snap_scope_systemd = dir;
    snap_run_path_first = dir;
    return 0;
}

static int end(void **state)
{
    char *cmd = snap_printf("rm -rf %s", dir);
    int rc = system(cmd);

    (void)state;
    snap_run_path_first = NULL;
    snap_buf_dispose(&said);
    snap_err_clear(&err);
    free(cmd);
    return rc;
}

static int enter(int limit_ms)
{
    return snap_scope_enter(&log_to_buf, "a test", limit_ms, &err);
}

static void test_no_systemd(void **state)
{
    char *path = snap_printf("%s/args", dir);

    (void)state;
    systemd_does("exit 0");
    snap_scope_systemd = "/nowhere/systemd";
    assert_int_equal(enter(LONG_MS), SNAP_NOTFOUND);
    assert_int_equal(access(path, F_OK), -1); /* nobody was asked */
    free(path);
}

/* Method, signature and properties as org.freedesktop.systemd1(5) has them. */
static void test_granted(void **state)
{
    char *args, *want;

    (void)state;
    systemd_does("echo \"0::/system.slice/$unit\" >\"$cgroup\"");
    assert_int_equal(enter(LONG_MS), 0);
    args = get("args");
    contains(args, "call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
                   "org.freedesktop.systemd1.Manager StartTransientUnit "
                   "ssa(sv)a(sa(sv)) xl-snapshot-");
    want = snap_printf(".scope fail 3 Description s a test "
                       "DefaultDependencies b false PIDs au 1 %ld 0\n",
                       (long)getpid());
    contains(args, want);
    assert_int_equal(said.len, 0);
    free(want);
    free(args);
}

/* Two of one process have two names. */
static void test_twice(void **state)
{
    char *args, *second;

    (void)state;
    systemd_does("echo \"0::/system.slice/$unit\" >\"$cgroup\"");
    assert_int_equal(enter(LONG_MS), 0);
    in_unit();
    usleep(2000);
    assert_int_equal(enter(LONG_MS), 0);
    args = get("args");
    second = strchr(args, '\n');
    assert_non_null(second);
    *second++ = '\0';
    assert_string_not_equal(args, strtok(second, "\n"));
    free(args);
}

/* systemd answers with the number of a job, and moves us when that runs. */
static void test_granted_later(void **state)
{
    (void)state;
    systemd_does("(sleep 0.3; echo \"0::/system.slice/$unit\" >\"$cgroup\") "
                 ">/dev/null 2>&1 &");
    assert_int_equal(enter(LONG_MS), 0);
    assert_int_equal(said.len, 0);
}

static void test_refused(void **state)
{
    (void)state;
    systemd_does("echo 'Call failed: Access denied' >&2; exit 1");
    assert_int_equal(enter(LONG_MS), SNAP_FAIL);
    contains(err.msg, "Access denied");
}

static void test_no_answer(void **state)
{
    double from = snap_now_ms();

    (void)state;
    systemd_does("exec sleep 60");
    assert_int_equal(enter(LIMIT_MS), SNAP_TIMEOUT);
    assert_true(snap_now_ms() - from < LONG_MS);
}

static void test_not_moved(void **state)
{
    double from = snap_now_ms();

    (void)state;
    systemd_does("exit 0");
    assert_int_equal(enter(LIMIT_MS), SNAP_TIMEOUT);
    contains(err.msg, "systemd did not move us into xl-snapshot-");
    assert_true(snap_now_ms() - from >= LIMIT_MS);
    assert_true(snap_now_ms() - from < LONG_MS);
}

/* A move by somebody else is no scope of ours. */
static void test_moved_elsewhere(void **state)
{
    (void)state;
    systemd_does("echo \"0::/system.slice/other.service\" >\"$cgroup\"");
    assert_int_equal(enter(LIMIT_MS), SNAP_TIMEOUT);
}

/* --- who uses it: the guardian ------------------------------------------ */

/* By itself, which takes no time: systemd is not asked. */
static void test_shelter_plain(void **state)
{
    char *path = snap_printf("%s/args", dir);

    (void)state;
    plain_group(true);
    systemd_does("exit 0");
    assert_true(snap_shelter(&log_to_buf));
    moved_plainly(true);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(said.len, 0);
    free(path);
}

/* Nobody may write to a group (ProtectControlGroups=): systemd does it. */
static void test_shelter_scope(void **state)
{
    char *args;

    (void)state;
    systemd_does("echo \"0::/system.slice/$unit\" >\"$cgroup\"");
    assert_true(snap_shelter(&log_to_buf));
    args = get("args");
    contains(args, "guardian of a guest");
    free(args);
    assert_int_equal(said.len, 0);
}

/* Both reasons are told. */
static void test_shelter_exposed(void **state)
{
    (void)state;
    systemd_does("echo 'Call failed: Access denied' >&2; exit 1");
    assert_false(snap_shelter(&log_to_buf));
    contains(said.data, "/gone/" SNAP_CGROUP_NAME);
    contains(said.data, "Access denied");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_no_systemd),    T(test_granted),         T(test_twice),
        T(test_granted_later), T(test_refused),         T(test_no_answer),
        T(test_not_moved),     T(test_moved_elsewhere), T(test_shelter_plain),
        T(test_shelter_scope), T(test_shelter_exposed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
