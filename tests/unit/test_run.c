/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Tools that succeed, fail, talk too much, hang, and leave things behind.
 * The test program is its own tool: run with a first argument it plays it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"
#include "lib/run.h"

#define SLACK_MS 20000 /* a loaded machine */

static char *self;

/* --- the tool ---------------------------------------------------------- */

static int play_fds(void)
{
    struct dirent *e;
    DIR *d;

    d = opendir("/proc/self/fd");
    while ((e = readdir(d)))
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
            printf("%s\n", e->d_name);
    closedir(d);
    return 0;
}

static int play_signals(void)
{
    struct sigaction sa;
    sigset_t mask;
    int sig;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (sig = 1; sig < NSIG; sig++) {
        if (sigismember(&mask, sig) == 1)
            printf("%d is blocked\n", sig);
        /* A handler cannot survive exec; being ignored does. */
        if (!sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN)
            printf("%d is ignored\n", sig);
    }
    return 0;
}

/* Print what until killed, or n bytes. */
static int play_yes(int fd, long n)
{
    char block[4096];

    memset(block, 'y', sizeof(block));
    while (n > 0) {
        n -= sizeof(block);
        if (write(fd, block, sizeof(block)) < 0)
            return 1;
    }
    return 0;
}

/* A child in our group, whose pid we tell, that ignores SIGTERM. */
static void __attribute__((noreturn)) play_stubborn(void)
{
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0)
        for (;;)
            pause();
    printf("%d\n", getpid());
    fflush(stdout);
    for (;;)
        pause();
}

/* A daemon that keeps our stdout open for a while. */
static int play_daemon(void)
{
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        setsid();
        sleep(30);
        _exit(0);
    }
    printf("%d\n", pid);
    return 0;
}

static int play_cat(void)
{
    char chunk[4096];
    ssize_t n;

    while ((n = read(0, chunk, sizeof(chunk))) > 0)
        if (write(1, chunk, n) != n)
            return 1;
    return n != 0;
}

static int play(int argc, char **argv)
{
    const char *what = argv[1];

    if (!strcmp(what, "exit")) {
        if (argc > 3)
            fputs(argv[3], stderr);
        return atoi(argv[2]);
    }
    if (!strcmp(what, "echo")) {
        fputs(argv[2], stdout);
        return 0;
    }
    if (!strcmp(what, "env")) {
        puts(getenv(argv[2]) ? getenv(argv[2]) : "(unset)");
        return 0;
    }
    if (!strcmp(what, "kill")) {
        struct rlimit none = { 0, 0 };

        setrlimit(RLIMIT_CORE, &none);
        fputs("about to die", stderr);
        fflush(stderr);
        raise(atoi(argv[2]));
    }
    if (!strcmp(what, "both")) {
        /* More than a pipe holds, on both at once. */
        return play_yes(1, 300000) || play_yes(2, 300000);
    }
    if (!strcmp(what, "nul")) {
        fwrite("a\0b", 1, 3, stdout);
        return 0;
    }
    if (!strcmp(what, "mute")) {
        close(1);
        close(2);
        usleep(300000);
        return 7;
    }
    if (!strcmp(what, "fds"))
        return play_fds();
    if (!strcmp(what, "signals"))
        return play_signals();
    if (!strcmp(what, "yes"))
        return play_yes(atoi(argv[2]), 1L << 40);
    if (!strcmp(what, "stubborn"))
        play_stubborn();
    if (!strcmp(what, "daemon"))
        return play_daemon();
    if (!strcmp(what, "cat"))
        return play_cat();
    if (!strcmp(what, "pgrp")) {
        printf("%d\n", getpgrp() == getpid());
        return 0;
    }
    if (!strcmp(what, "sleep")) {
        fputs("sleeping", stderr);
        fflush(stderr);
        sleep(atoi(argv[2]));
        return 0;
    }
    return 99;
}

/* --- helpers ----------------------------------------------------------- */

static int count_fds(void)
{
    DIR *d;
    int n = 0;

    d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int fds_before;

static int set_up(void **state)
{
    (void)state;
    fds_before = count_fds();
    return 0;
}

/* Each test must leave neither descriptor nor child. */
static int tear_down(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    snap_run_path_first = NULL;
    if (count_fds() != fds_before) {
        print_error("%d descriptors leaked\n", count_fds() - fds_before);
        return -1;
    }
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
        print_error("a child was left\n");
        return -1;
    }
    return 0;
}

/* Run ourselves as a tool and expect rc. */
static struct snap_run go(int rc, struct snap_err *err, const char *a,
                          const char *b, const char *c)
{
    const char *argv[] = { self, a, b, c, NULL };
    struct snap_run r = SNAP_RUN_INIT;
    int got;

    snap_err_clear(err);
    r.argv = argv;
    got = snap_run(&r, err);
    if (got != rc)
        fail_msg("%s: %d: %s", a, got, err->msg);
    assert_int_equal(err->rc, rc);
    assert_non_null(r.out);
    assert_non_null(r.err_text);
    assert_int_equal(r.out[r.out_len], 0);
    r.argv = NULL;
    return r;
}

static void prints(const char *want, const char *a, const char *b)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    r = go(0, &err, a, b, NULL);
    assert_string_equal(r.out, want);
    assert_int_equal(r.out_len, strlen(want));
    assert_string_equal(r.err_text, "");
    snap_run_dispose(&r);
    assert_null(r.out);
}

static void says(const char *want, const char *status, const char *stderr_text)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    r = go(SNAP_FAIL, &err, "exit", status, stderr_text);
    assert_int_equal(r.status, atoi(status));
    assert_string_equal(r.err_text, stderr_text ? stderr_text : "");
    assert_string_equal(err.msg, want);
    snap_run_dispose(&r);
}

static bool lives(pid_t pid)
{
    char state = 'Z', *path;
    FILE *f;

    path = snap_printf("/proc/%d/stat", pid);
    f = fopen(path, "re");
    free(path);
    if (!f)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(f);
    return state != 'Z' && state != 'X';
}

/* --- tests ------------------------------------------------------------- */

static void success(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    (void)state;
    prints("", "exit", "0");
    prints("a line\n", "echo", "a line\n");
    prints("no shell: $HOME `id` ; | > *", "echo",
           "no shell: $HOME `id` ; | > *");
    r = go(0, &err, "exit", "0", "only a warning");
    assert_string_equal(r.err_text, "only a warning");
    snap_run_dispose(&r);
    r = go(0, &err, "nul", NULL, NULL);
    assert_int_equal(r.out_len, 3);
    assert_memory_equal(r.out, "a\0b", 4);
    snap_run_dispose(&r);
}

static void failure_quotes_the_last_line(void **state)
{
    (void)state;
    says("test_run: no such pool (exit 5)", "5",
         "WARNING: something\n  no such pool\n");
    says("test_run: no such pool (exit 5)", "5",
         "x\ntest_run: no such pool  \n\n \n");
    says("test_run: test_running (exit 1)", "1", "test_running");
    says("test_run: failed without a message (exit 3)", "3", NULL);
    says("test_run: failed without a message (exit 3)", "3", " \n\n");
    says("test_run: a?[2Jb? (exit 255)", "255", "a\033[2Jb\x9b\n");
}

static void a_long_last_line_is_cut(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;
    char *big;

    (void)state;
    big = snap_zalloc(5001);
    memset(big, 'm', 5000);
    r = go(SNAP_FAIL, &err, "exit", "2", big);
    assert_int_equal(strlen(r.err_text), 5000);
    assert_true(strlen(err.msg) < 400);
    assert_true(snap_has_suffix(err.msg, "m... (exit 2)"));
    snap_run_dispose(&r);
    free(big);
}

static void death_by_signal(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    (void)state;
    r = go(SNAP_FAIL, &err, "kill", "9", NULL);
    assert_int_equal(r.status, 128 + 9);
    assert_string_equal(err.msg,
                        "test_run: about to die (killed by signal 9)");
    snap_run_dispose(&r);
    r = go(SNAP_FAIL, &err, "kill", "15", NULL);
    assert_int_equal(r.status, 128 + 15);
    snap_run_dispose(&r);
}

static void missing(const char *tool, const char *want)
{
    const char *argv[] = { tool, "--version", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    r.argv = argv;
    assert_int_equal(snap_run(&r, &err), SNAP_NOTFOUND);
    assert_string_equal(err.msg, want);
    assert_null(r.out);
    snap_run_dispose(&r);
}

static int no_such(const char *layer, const char *what)
{
    assert_string_equal(layer, "tool");
    return strchr(what, '/') ? 0 : ENOENT;
}

static void a_missing_tool_names_its_package(void **state)
{
    (void)state;
    missing("snap-no-such-tool", "snap-no-such-tool is not installed");
    missing("/nowhere/x", "/nowhere/x is not installed");
    snap_fault_hook = no_such;
    missing("qemu-img", "qemu-img is not installed (Debian package "
                        "qemu-utils)");
    missing("lvs", "lvs is not installed (Debian package lvm2)");
    missing("lvcreate", "lvcreate is not installed (Debian package lvm2)");
    missing("vgs", "vgs is not installed (Debian package lvm2)");
    missing("zfs", "zfs is not installed (Debian package zfsutils-linux)");
    missing("zfsx", "zfsx is not installed");
}

static int injected;

static int inject(const char *layer, const char *what)
{
    assert_string_equal(layer, "tool");
    assert_string_equal(what, self);
    return injected;
}

static void faults(void **state)
{
    const char *argv[] = { self, "exit", "0", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    r.argv = argv;
    snap_fault_hook = inject;
    injected = EIO;
    assert_int_equal(snap_run(&r, &err), SNAP_FAIL);
    assert_non_null(strstr(err.msg, "Input/output error"));
    assert_null(r.out);
    injected = ETIMEDOUT;
    assert_int_equal(snap_run(&r, NULL), SNAP_TIMEOUT);
    injected = 0;
    assert_int_equal(snap_run(&r, NULL), 0);
    snap_run_dispose(&r);
}

static void what_cannot_be_executed(void **state)
{
    const char *argv[] = { "/etc/passwd", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    r.argv = argv;
    assert_int_equal(snap_run(&r, &err), SNAP_FAIL);
    assert_string_equal(err.msg, "cannot run /etc/passwd: Permission denied");
    argv[0] = "/";
    assert_int_equal(snap_run(&r, NULL), SNAP_FAIL);
    snap_run_dispose(&r);
}

/* path_first wins; relative and empty parts of PATH do not count. */
static void where_tools_are_found(void **state)
{
    char dir[] = "/tmp/snap-run-XXXXXX", *tool, *old, *here;
    const char *argv[] = { "sh", "-c", "echo $PATH", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    tool = snap_printf("%s/sh", dir);
    f = fopen(tool, "we");
    fputs("#!/bin/sh\necho mine \"$PATH\"\n", f);
    fclose(f);
    old = snap_strdup(getenv("PATH"));
    here = get_current_dir_name();
    r.argv = argv;

    assert_int_equal(chdir(dir), 0);
    assert_int_equal(chmod(tool, 0755), 0);
    setenv("PATH", ":.::snap:", 1);
    assert_int_equal(snap_run(&r, &err), 0);
    assert_string_equal(r.out, "/usr/sbin:/usr/bin:/sbin:/bin\n");
    unsetenv("PATH");
    assert_int_equal(snap_run(&r, &err), 0);
    assert_string_equal(r.out, "/usr/sbin:/usr/bin:/sbin:/bin\n");
    setenv("PATH", "/opt/x", 1);
    snap_run_path_first = dir;
    assert_int_equal(snap_run(&r, &err), 0);
    assert_true(snap_has_prefix(r.out, "mine /tmp/snap-run-"));
    assert_true(snap_has_suffix(r.out, ":/opt/x:/usr/sbin:/usr/bin:/sbin:"
                                       "/bin\n"));
    /* One that may not be executed is passed over. */
    assert_int_equal(chmod(tool, 0644), 0);
    assert_int_equal(snap_run(&r, &err), 0);
    assert_false(snap_has_prefix(r.out, "mine"));

    snap_run_dispose(&r);
    setenv("PATH", old, 1);
    assert_int_equal(chdir(here), 0);
    free(here);
    free(old);
    unlink(tool);
    free(tool);
    rmdir(dir);
}

static void the_environment(void **state)
{
    (void)state;
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    setenv("LANGUAGE", "de", 1);
    setenv("SNAP_TEST", "kept", 1);
    prints("C\n", "env", "LC_ALL");
    prints("(unset)\n", "env", "LANGUAGE");
    prints("kept\n", "env", "SNAP_TEST");
    prints("1\n", "pgrp", NULL);
    unsetenv("LC_ALL");
    unsetenv("LANGUAGE");
    unsetenv("SNAP_TEST");
}

static void only_three_descriptors(void **state)
{
    int fd, high;

    (void)state;
    fd = open("/dev/null", O_RDWR); /* not O_CLOEXEC */
    high = fcntl(fd, F_DUPFD, 900);
    prints("0\n1\n2\n", "fds", NULL);
    close(fd);
    close(high);
}

/* Even when our own 0, 1 and 2 are closed, and pipes take their place. */
static void without_standard_descriptors(void **state)
{
    const char *argv[] = { self, "fds", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    int status, i;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        for (i = 0; i < 3; i++)
            close(i);
        r.argv = argv;
        if (snap_run(&r, NULL))
            _exit(1);
        _exit(strcmp(r.out, "0\n1\n2\n") ? 2 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void on_signal(int sig)
{
    (void)sig;
}

static void signals_are_as_at_birth(void **state)
{
    sigset_t some, old, now;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, on_signal);
    sigemptyset(&some);
    sigaddset(&some, SIGINT);
    sigaddset(&some, SIGUSR2);
    sigprocmask(SIG_BLOCK, &some, &old);
    prints("", "signals", NULL);
    sigprocmask(SIG_SETMASK, &old, &now);
    assert_true(sigismember(&now, SIGINT)); /* ours is as before */
    assert_true(sigismember(&now, SIGUSR2));
    assert_false(sigismember(&now, SIGTERM));
    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
}

static void standard_input(void **state)
{
    const char *argv[] = { self, "cat", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    int fds[2];

    (void)state;
    prints("", "cat", NULL); /* /dev/null */
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], "input", 5), 5);
    close(fds[1]);
    r.argv = argv;
    r.stdin_fd = fds[0];
    assert_int_equal(snap_run(&r, NULL), 0);
    assert_string_equal(r.out, "input");
    assert_true(fcntl(fds[0], F_GETFD) >= 0); /* still the caller's */
    close(fds[0]);
    snap_run_dispose(&r);
}

static void both_streams_at_once(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    (void)state;
    r = go(0, &err, "both", NULL, NULL);
    assert_true(r.out_len >= 300000);
    assert_true(strlen(r.err_text) >= 300000);
    snap_run_dispose(&r);
}

static void too_much_output_is_refused(void **state)
{
    static const char *const fd[] = { "1", "2" };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;
    double start;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        start = snap_now_ms();
        r = go(SNAP_PROTO, &err, "yes", fd[i], NULL);
        assert_true(snap_now_ms() - start < SLACK_MS);
        assert_true(r.out_len <= SNAP_RUN_OUT_MAX);
        assert_true(strlen(r.err_text) <= SNAP_RUN_OUT_MAX);
        assert_true(snap_has_prefix(err.msg, "test_run: printed more than"));
        snap_run_dispose(&r);
    }
}

/* Who reads on has no deadline; who does not is ended. */
static void a_stall_ends_it(void **state)
{
    const char *busy[] = { "sh", "-c",
                           "for i in 1 2 3 4 5 6 7 8 9 10; do "
                           "read x </proc/version; sleep 0.4; done",
                           NULL };
    const char *idle[] = { self, "sleep", "1000", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    r.argv = idle;
    r.stall_ms = 500;
    assert_int_equal(snap_run(&r, &err), SNAP_TIMEOUT);
    assert_non_null(strstr(err.msg, "read nothing"));
    snap_run_dispose(&r);
    r.argv = busy;
    r.stall_ms = 3000;
    assert_int_equal(snap_run(&r, NULL), 0);
    snap_run_dispose(&r);
}

static void a_deadline_ends_it(void **state)
{
    const char *argv[] = { self, "sleep", "1000", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    double start;

    (void)state;
    r.argv = argv;
    r.timeout_ms = 300;
    start = snap_now_ms();
    assert_int_equal(snap_run(&r, &err), SNAP_TIMEOUT);
    assert_true(snap_now_ms() - start >= 300);
    assert_true(snap_now_ms() - start < 300 + SLACK_MS);
    assert_int_equal(r.status, 128 + SIGTERM);
    assert_string_equal(err.msg, "test_run: not done after 300 ms; it was "
                                 "stopped");
    snap_run_dispose(&r);
}

static int third_time(void *opaque)
{
    return ++*(int *)opaque >= 3;
}

static void a_tick_ends_it(void **state)
{
    const char *argv[] = { self, "sleep", "1000", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    int ticks = 0;

    (void)state;
    r.argv = argv;
    r.tick = third_time;
    r.opaque = &ticks;
    assert_int_equal(snap_run(&r, &err), SNAP_INTR);
    assert_int_equal(ticks, 3);
    assert_int_equal(r.status, 128 + SIGTERM);
    assert_string_equal(err.msg, "test_run: interrupted; it was stopped");
    snap_run_dispose(&r);
}

/* The child of a process, once it is the tool; -1: not yet. */
static pid_t tool_of(pid_t pid)
{
    char name[64], line[64] = "";
    int tool = -1;
    FILE *f;

    snprintf(name, sizeof(name), "/proc/%d/task/%d/children", pid, pid);
    f = fopen(name, "r");
    if (!f || fscanf(f, "%d", &tool) != 1)
        tool = -1;
    if (f)
        fclose(f);
    snprintf(name, sizeof(name), "/proc/%d/cmdline", tool);
    f = tool < 0 ? NULL : fopen(name, "r");
    /* Its first argument comes behind a NUL. */
    while (f && !feof(f) && strcmp(line, "sleep") != 0) {
        size_t i = 0;
        int c;

        while ((c = fgetc(f)) > 0)
            if (i + 1 < sizeof(line))
                line[i++] = (char)c;
        line[i] = '\0';
    }
    if (f)
        fclose(f);
    return strcmp(line, "sleep") ? -1 : tool;
}

/* Nobody else is kept from what it writes to when we are gone: it must not go
 * on, whatever it is. */
static void it_ends_when_we_are_killed(void **state)
{
    const char *argv[] = { self, "sleep", "30000", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    double until = snap_now_ms() + SLACK_MS;
    pid_t us, tool, got = 0;
    int status = 0;

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    us = fork();
    if (!us) {
        r.argv = argv;
        snap_run(&r, NULL);
        _exit(0);
    }
    while ((tool = tool_of(us)) < 0 && snap_now_ms() < until)
        usleep(10000);
    assert_true(tool > 0);
    kill(us, SIGKILL);
    assert_int_equal(waitpid(us, NULL, 0), us);
    until = snap_now_ms() + 5000;
    while (!(got = waitpid(tool, &status, WNOHANG)) && snap_now_ms() < until)
        usleep(10000);
    if (!got)
        kill(tool, SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    assert_int_equal(got, tool);
    assert_true(WIFSIGNALED(status));
}

/* Neither it nor its child heeds SIGTERM: SIGKILL takes both. */
static void a_deadline_ends_the_whole_group(void **state)
{
    const char *argv[] = { self, "stubborn", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    double start;
    pid_t group;
    int i;

    (void)state;
    r.argv = argv;
    r.timeout_ms = 500;
    do { /* until it has had time to start */
        r.timeout_ms *= 2;
        assert_true(r.timeout_ms < SLACK_MS);
        start = snap_now_ms();
        assert_int_equal(snap_run(&r, NULL), SNAP_TIMEOUT);
        assert_true(snap_now_ms() - start < 2000 + r.timeout_ms + SLACK_MS);
    } while (!r.out_len);
    assert_true(snap_now_ms() - start >= r.timeout_ms);
    assert_int_equal(r.status, 128 + SIGKILL);
    group = atoi(r.out);
    assert_true(group > 1);
    assert_false(lives(group));
    for (i = 0; i < 500 && !kill(-group, 0); i++)
        usleep(10000);
    assert_true(kill(-group, 0) < 0 && errno == ESRCH);
    snap_run_dispose(&r);
}

/* What it leaves behind with our pipe open does not hold us. */
static void a_daemon_does_not_hold_us(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;
    double start;
    pid_t pid;

    (void)state;
    start = snap_now_ms();
    r = go(0, &err, "daemon", NULL, NULL);
    assert_true(snap_now_ms() - start < SLACK_MS);
    pid = atoi(r.out);
    assert_true(pid > 1);
    assert_true(lives(pid)); /* and is left alone */
    kill(pid, SIGKILL);
    snap_run_dispose(&r);
}

/* The end of its output is not its end. */
static void a_mute_tool_is_waited_for(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_run r;

    (void)state;
    r = go(SNAP_FAIL, &err, "mute", NULL, NULL);
    assert_int_equal(r.status, 7);
    snap_run_dispose(&r);
}

/* Somebody else's child is none of our business. */
static void other_children_are_left(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0)
        _exit(42);
    usleep(50000);
    prints("x", "echo", "x");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void an_ignored_sigchld_is_no_success(void **state)
{
    const char *argv[] = { self, "exit", "0", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    r.argv = argv;
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(snap_run(&r, &err), SNAP_FAIL);
    signal(SIGCHLD, SIG_DFL);
    assert_non_null(strstr(err.msg, "lost sight"));
    snap_run_dispose(&r);
}

static void out_of_descriptors(void **state)
{
    const char *argv[] = { self, "exit", "0", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    struct rlimit old, few;
    int n;

    (void)state;
    r.argv = argv;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (n = 0; n < 12; n++) {
        few = old;
        few.rlim_cur = n;
        setrlimit(RLIMIT_NOFILE, &few);
        snap_err_clear(&err);
        if (snap_run(&r, &err))
            assert_int_equal(err.rc, SNAP_FAIL);
        setrlimit(RLIMIT_NOFILE, &old);
        assert_int_equal(count_fds(), fds_before);
    }
    snap_run_dispose(&r);
}

static void collect(void *opaque, enum snap_level level, const char *msg)
{
    struct snap_buf *b = opaque;

    assert_int_equal(level, SNAP_LOG_DEBUG);
    snap_buf_addf(b, "%s\n", msg);
}

static void it_is_logged(void **state)
{
    const char *argv[] = { self, "echo", "a b", "", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_buf b = { 0 };
    struct snap_log log = { collect, &b };
    char *want;

    (void)state;
    r.argv = argv;
    r.log = &log;
    assert_int_equal(snap_run(&r, NULL), 0);
    want = snap_printf("run: %s echo 'a b' ''\ntest_run: exit 0 after ", self);
    assert_true(snap_has_prefix(b.data, want));
    free(want);
    snap_buf_dispose(&b);
    snap_run_dispose(&r);
}

static void it_can_be_run_again(void **state)
{
    const char *argv[] = { self, "echo", "once", NULL };
    struct snap_run r = SNAP_RUN_INIT;
    int i;

    (void)state;
    r.argv = argv;
    for (i = 0; i < 50; i++) {
        assert_int_equal(snap_run(&r, NULL), 0);
        assert_string_equal(r.out, "once");
    }
    snap_run_dispose(&r);
    snap_run_dispose(&r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(success),
        T(failure_quotes_the_last_line),
        T(a_long_last_line_is_cut),
        T(death_by_signal),
        T(a_missing_tool_names_its_package),
        T(faults),
        T(what_cannot_be_executed),
        T(where_tools_are_found),
        T(the_environment),
        T(only_three_descriptors),
        T(without_standard_descriptors),
        T(signals_are_as_at_birth),
        T(standard_input),
        T(both_streams_at_once),
        T(too_much_output_is_refused),
        T(a_stall_ends_it),
        T(a_deadline_ends_it),
        T(a_tick_ends_it),
        T(it_ends_when_we_are_killed),
        T(a_deadline_ends_the_whole_group),
        T(a_daemon_does_not_hold_us),
        T(a_mute_tool_is_waited_for),
        T(other_children_are_left),
        T(an_ignored_sigchld_is_no_success),
        T(out_of_descriptors),
        T(it_is_logged),
        T(it_can_be_run_again),
    };

    if (argc > 1)
        return play(argc, argv);
    self = realpath("/proc/self/exe", NULL);
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
