/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Leaving a control group, over a folder that looks like /sys/fs/cgroup, and
 * over the real one where this machine lets us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cgroup.h"
#include "lib/file.h"
#include "lib/mem.h"

static char top[] = "/tmp/test-cgroup-XXXXXX";
static char mounts[64];

static void put(const char *name, const char *text)
{
    char *path = snap_printf("%s/%s", top, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void folder(const char *name)
{
    char *path = snap_printf("%s/%s", top, name);

    assert_int_equal(snap_dir_make(path, 0755, NULL), 0);
    free(path);
}

static char *get(const char *name)
{
    char *text = NULL, *path = snap_printf("%s/%s", top, name);
    size_t len;

    snap_file_read(path, 4096, &text, &len, NULL);
    free(path);
    return text;
}

static void holds(const char *name, const char *want)
{
    char *text = get(name);

    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

/* The kernel makes a group's files with the group; here they are made before,
 * so that they can be written to. */
static int begin(void **state)
{
    static const char *const groups[] = { "v2", "systemd", "memory", "cpuset",
                                          "other" };
    size_t i;
    char name[64];

    (void)state;
    snprintf(top + strlen(top) - 6, 7, "XXXXXX");
    if (!mkdtemp(top))
        return -1;
    for (i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "%s/" SNAP_CGROUP_NAME, groups[i]);
        folder(name);
        snprintf(name, sizeof(name), "%s/" SNAP_CGROUP_NAME "/cgroup.procs",
                 groups[i]);
        put(name, "");
        snprintf(name, sizeof(name), "%s/unit", groups[i]);
        folder(name);
        snprintf(name, sizeof(name), "%s/unit/cgroup.procs", groups[i]);
        put(name, "");
    }
    snprintf(mounts, sizeof(mounts), "%s/mounts", top);
    snap_cgroup_mounts = mounts;
    return 0;
}

static int end(void **state)
{
    char *cmd = snap_printf("rm -rf %s", top);
    int rc = system(cmd);

    (void)state;
    free(cmd);
    return rc;
}

static void mounted(const char *fmt_lines)
{
    struct snap_buf b = { 0 };
    const char *p;

    for (p = fmt_lines; *p; p++)
        if (*p == '@')
            snap_buf_adds(&b, top);
        else
            snap_buf_add(&b, p, 1);
    put("mounts", b.data);
    snap_buf_dispose(&b);
}

static void test_every_hierarchy(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    mounted("proc /proc proc rw 0 0\n"
            "cgroup2 @/v2 cgroup2 rw,nosuid 0 0\n"
            "cgroup @/systemd cgroup rw,name=systemd 0 0\n"
            "cgroup @/memory cgroup rw,memory 0 0\n"
            "cgroup @/cpuset cgroup rw,cpuset 0 0\n"
            "tmpfs @/other tmpfs rw 0 0\n");
    assert_int_equal(snap_cgroup_leave(4711, &err), 0);
    holds("v2/" SNAP_CGROUP_NAME "/cgroup.procs", "4711\n");
    holds("systemd/" SNAP_CGROUP_NAME "/cgroup.procs", "4711\n");
    holds("memory/" SNAP_CGROUP_NAME "/cgroup.procs", "4711\n");
    holds("cpuset/" SNAP_CGROUP_NAME "/cgroup.procs", "");
    holds("other/" SNAP_CGROUP_NAME "/cgroup.procs", "");
}

static void test_no_hierarchy(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    mounted("proc /proc proc rw 0 0\n");
    assert_int_equal(snap_cgroup_leave(4711, &err), 0);
}

/* One that cannot be had is told, and the others are left all the same. */
static void test_one_fails(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    mounted("cgroup @/gone cgroup rw,name=systemd 0 0\n"
            "cgroup2 @/v2 cgroup2 rw,nosuid 0 0\n");
    assert_int_equal(snap_cgroup_leave(4711, &err), SNAP_FAIL);
    assert_non_null(strstr(err.msg, "/gone/" SNAP_CGROUP_NAME));
    holds("v2/" SNAP_CGROUP_NAME "/cgroup.procs", "4711\n");
}

static void test_back(void **state)
{
    (void)state;
    mounted("cgroup2 @/v2 cgroup2 rw,nosuid 0 0\n"
            "cgroup @/systemd cgroup rw,name=systemd 0 0\n"
            "cgroup @/memory cgroup rw,cpu,memory 0 0\n");
    snap_cgroup_return(4711, "3:cpu,memory:/unit\n1:name=systemd:/unit\n"
                             "0::/unit");
    holds("v2/unit/cgroup.procs", "4711\n");
    holds("systemd/unit/cgroup.procs", "4711\n");
    holds("memory/unit/cgroup.procs", "4711\n");
}

/* Nonsense, and groups that are gone, move nothing and end nobody. */
static void test_back_to_nowhere(void **state)
{
    (void)state;
    mounted("cgroup2 @/v2 cgroup2 rw,nosuid 0 0\n"
            "cgroup @/memory cgroup rw,memory 0 0\n");
    snap_cgroup_return(4711, "");
    snap_cgroup_return(4711, NULL);
    snap_cgroup_return(4711, "\n:\nx\n0::/gone (deleted)\n5:mem:/unit");
    holds("v2/unit/cgroup.procs", "");
    holds("memory/unit/cgroup.procs", "");
}

/* --- the real one ------------------------------------------------------- */

static bool in_group(const char *group)
{
    char *text = snap_cgroup_of(getpid());
    char *want = snap_printf("0::/%s\n", group);
    bool yes = text && strstr(text, want);

    free(want);
    free(text);
    return yes;
}

/* Linux 5.14 and later have the file. */
static void kill_group(const char *killer)
{
    FILE *f = fopen(killer, "w");

    if (!f)
        return;
    assert_true(fputs("1", f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* A process in a group that is killed; it left, so it lives. */
static void test_real_kill(void **state)
{
    static const char *const roots[] = { "/sys/fs/cgroup/unified",
                                         "/sys/fs/cgroup" };
    const char *root = NULL;
    char *group, *procs, *killer, *before;
    int up[2], down[2], status;
    char c = 0;
    pid_t pid;
    size_t i;

    (void)state;
    snap_cgroup_mounts = "/proc/self/mounts";
    for (i = 0; i < 2 && !root; i++) {
        group = snap_printf("%s/cgroup.procs", roots[i]);
        if (!access(group, W_OK))
            root = roots[i];
        free(group);
    }
    before = snap_cgroup_of(getpid());
    group = snap_printf("%s/test-cgroup-%d", root ? root : "", (int)getpid());
    if (!root || !before || mkdir(group, 0755)) {
        print_message(
            "# SKIP the unit's processes: no cgroup2 here that takes "
            "any\n");
        free(group);
        free(before);
        skip();
        return;
    }
    procs = snap_printf("%s/cgroup.procs", group);
    killer = snap_printf("%s/cgroup.kill", group);
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        FILE *f = fopen(procs, "w");
        bool ok = f && fprintf(f, "%d", (int)getpid()) > 0;
        char *mine;

        ok = f && !fclose(f) && ok && in_group(group + strlen(root) + 1);
        mine = snap_cgroup_of(getpid());
        ok = ok && !snap_cgroup_leave(getpid(), NULL) &&
             in_group(SNAP_CGROUP_NAME);
        /* And back, and out again. */
        snap_cgroup_return(getpid(), mine);
        ok = ok && in_group(group + strlen(root) + 1) &&
             !snap_cgroup_leave(getpid(), NULL);
        if (write(up[1], ok ? "y" : "n", 1) != 1 || read(down[0], &c, 1) != 1)
            _exit(2);
        _exit(c == 'q' ? 0 : 3);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    kill_group(killer);
    assert_int_equal(write(down[1], "q", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(rmdir(group), 0);
    free(before);
    free(killer);
    free(procs);
    free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_hierarchy, begin, end),
        cmocka_unit_test_setup_teardown(test_no_hierarchy, begin, end),
        cmocka_unit_test_setup_teardown(test_one_fails, begin, end),
        cmocka_unit_test_setup_teardown(test_back, begin, end),
        cmocka_unit_test_setup_teardown(test_back_to_nowhere, begin, end),
        cmocka_unit_test_setup_teardown(test_real_kill, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
