/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * From a memory image to a domain, through an `xl restore` that is this program
 * again (play_xl()): one that works, is slow, hangs, waits for its lock, dies,
 * or leaves something behind.  The domain it makes is in the fakes' Xen.
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "fakes/xen/xen_scene.h"
#include "hyp/limits.h"
#include "hyp/restore.h"
#include "hyp/saveheader.h"
#include "lib/file.h"
#include "lib/run.h"

#define MARK        "m1"
#define MEMORY_SIZE (6 << 20) /* six times what the pipe takes */
#define CHUNK       (256 << 10)
#define LIVES_S     30 /* an xl that hangs */

/* What this xl does, in the environment: */
#define XL_DOES "TEST_XL_DOES" /* words, see below */
#define XL_DIR  "TEST_XL_DIR"

static bool does(const char *word)
{
    return strstr(getenv(XL_DOES), word) != NULL;
}

/* --- xl ---------------------------------------------------------------- */

static void take_lock(void)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char *path = snap_printf("%s/xl-lock", getenv(XL_DIR));
    int fd = open(path, O_WRONLY | O_CREAT, 0200);

    if (fd < 0 || fcntl(fd, F_SETLKW, &fl))
        _exit(9);
    free(path);
}

/* All of its input, into a file; its descriptor, at the begin. */
static int keep_stream(void)
{
    char *path = snap_printf("%s/stream", getenv(XL_DIR));
    static char chunk[CHUNK];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t n, k;

    do {
        /* Whole chunks, so that a slow one is slow. */
        for (n = 0; n < CHUNK; n += k) {
            k = read(0, chunk + n, CHUNK - n);
            if (k <= 0)
                break;
        }
        if (write(fd, chunk, n) != n)
            _exit(9);
        if (does("slow"))
            usleep(100000);
    } while (n == CHUNK);
    free(path);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* What libxl does with the configuration in the header: c_info.xsdata goes
 * below the domain in xenstore, and all into the stored configuration. */
static void make_domain(const char *json, const char *mark)
{
    char *path, number[64];
    uint32_t domid = fake_guest_add("g", SCENE_UUID, json);

    snprintf(number, sizeof(number), "/local/domain/%u/xl-snapshot", domid);
    if (mark)
        fake_xs_put(number, mark);
    path = snap_printf("%s/userdata-d.%u." SCENE_UUID ".libxl-json",
                       getenv(XL_DIR), domid);
    if (snap_file_write(path, json, strlen(json) + 1, 0600, false, NULL))
        _exit(9);
    free(path);
    fake_guest(domid)->pauses = 1;
    fake_guest(domid)->cpu_time = does("let-run") ? 5 : 0;
}

static void build(void)
{
    struct snap_json *root = NULL;
    bool poisoned = true;
    char *json = NULL;
    int fd = keep_stream();

    if (snap_saveheader_read(fd, &json, &poisoned, NULL) || poisoned ||
        snap_json_parse(json, strlen(json), &root, NULL))
        _exit(9);
    if (!does("no-domain"))
        make_domain(json, does("theirs")
                              ? "theirs"
                              : snap_json_get_str(
                                    snap_json_path(root, "c_info.xsdata"),
                                    "xl-snapshot"));
    snap_json_free(root);
    free(json);
}

static int play_xl(int argc, char **argv)
{
    sigset_t blocked;

    alarm(LIVES_S);
    fake_xen_join();
    /* Ctrl-C is ours to hear, not xl's. */
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    if (argc != 4 || strcmp(argv[2], "-p") || strcmp(argv[3], "/dev/stdin") ||
        getpgrp() != getpid() || sigismember(&blocked, SIGPIPE) ||
        sigismember(&blocked, SIGTERM))
        return 8;
    if (does("lock"))
        take_lock();
    if (does("early"))
        make_domain("{}", MARK);
    if (does("deaf"))
        pause();
    if (does("quits")) {
        fprintf(stderr, "xl: error: no such thing\n");
        return 1;
    }
    build();
    if (does("busy"))
        usleep(300000);
    if (does("hangs"))
        pause();
    if (does("dies"))
        raise(SIGKILL);
    if (does("fails")) {
        fprintf(stderr, "libxl: error: cannot add disk\n");
        return 1;
    }
    return 0;
}

/* --- the scene --------------------------------------------------------- */

static char memory[MEMORY_SIZE];
static int image = -1; /* of the memory */

/* The domain itself is off. */
static int begin(void **state)
{
    int rc = xen_scene_begin(state);
    struct xen_scene *s = *state;
    struct snap_buf head = { 0 };
    char *xl = xen_scene_path(s, "xl"), exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    size_t i;

    assert_true(n > 0);
    exe[n] = '\0';
    assert_int_equal(symlink(exe, xl), 0);
    free(xl);
    snap_run_path_first = s->dir;
    setenv(XL_DIR, s->dir, 1);
    fake_guest_end(s->dom.domid);
    memset(&s->dom, 0, sizeof(s->dom));

    for (i = 0; i < sizeof(memory); i++)
        memory[i] = (char)(i * 7 + (i >> 12));
    image = memfd_create("image", MFD_CLOEXEC);
    snap_saveheader_write(&head, "{\"stored\":1}", true);
    assert_int_equal(snap_write_all(image, head.data, head.len, "image", NULL),
                     0);
    assert_int_equal(
        snap_write_all(image, memory, sizeof(memory), "image", NULL), 0);
    snap_buf_dispose(&head);
    return rc;
}

static int end(void **state)
{
    struct xen_scene *s = *state;

    snap_domain_dispose(&s->dom);
    memset(&s->dom, 0, sizeof(s->dom));
    close(image);
    return xen_scene_end(state);
}

/* With an xl that does this; how long it took in *ms_r (or NULL). */
static int restore(struct xen_scene *s, const char *what, int *ms_r)
{
    char *config = xen_scene_config(",\"device_model\":\"new\"");
    double begun = snap_now_ms();
    int rc;

    setenv(XL_DOES, what, 1);
    snap_err_clear(&s->err);
    rc = hyp_restore(&s->h, image, config, MARK, &s->dom, &s->err);
    if (ms_r)
        *ms_r = (int)(snap_now_ms() - begun);
    free(config);
    /* Whatever came of it, there is no xl of ours left. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return rc;
}

static void is_made(struct xen_scene *s, int rc)
{
    if (rc)
        print_error("%s\n", s->err.msg);
    assert_int_equal(rc, 0);
    assert_int_equal(s->dom.domid, fake_guest_named("g"));
    assert_string_equal(s->dom.uuid, SCENE_UUID);
    assert_true(s->dom.paused);
    assert_int_equal(fake_xen->destroys, 0);
}

static void is_cleared(struct xen_scene *s, int rc, int want,
                       const char *words)
{
    assert_int_equal(rc, want);
    xen_scene_says(s->err.msg, words);
    assert_int_equal(fake_guest_named("g"), 0);
    assert_int_equal(s->dom.domid, 0);
    assert_null(s->dom.name);
}

/* --- it comes back ----------------------------------------------------- */

static void test_restored(void **state)
{
    struct xen_scene *s = *state;
    char *path = xen_scene_path(s, "stream"), *text = NULL, *json = NULL;
    bool poisoned = true;
    size_t len;
    int fd;

    is_made(s, restore(s, "", NULL));
    /* xl got the configuration that we asked for, and all the memory. */
    fd = open(path, O_RDONLY);
    assert_int_equal(snap_saveheader_read(fd, &json, &poisoned, &s->err), 0);
    assert_false(poisoned);
    xen_scene_says(json, "\"device_model\": \"new\"");
    assert_int_equal(snap_file_read(path, 2 * MEMORY_SIZE, &text, &len, NULL),
                     0);
    len -= lseek(fd, 0, SEEK_CUR);
    assert_int_equal(len, MEMORY_SIZE);
    assert_memory_equal(text + lseek(fd, 0, SEEK_CUR), memory, MEMORY_SIZE);
    close(fd);
    free(path);
    free(text);
    free(json);
    /* A reboot of the guest will not have the mark. */
    path = snap_printf("%s/userdata-d.%u." SCENE_UUID ".libxl-json", s->dir,
                       s->dom.domid);
    assert_int_equal(snap_file_read(path, 65536, &text, &len, NULL), 0);
    assert_null(strstr(text, "xl-snapshot"));
    free(path);
    free(text);
}

/* --- the stall clock --------------------------------------------------- */

/* For longer than the limit, in small steps; and a while without a byte. */
static void test_slow(void **state)
{
    struct xen_scene *s = *state;
    int ms;

    hyp_limits.restore_stall_ms = 2000; /* the pipe's end takes 500 */
    is_made(s, restore(s, "slow", &ms));
    assert_true(ms > hyp_limits.restore_stall_ms);
    fake_guest_end(s->dom.domid);
    snap_domain_dispose(&s->dom);
    is_made(s, restore(s, "busy", NULL));
}

static void ended_at_the_limit(struct xen_scene *s, const char *what)
{
    int ms, rc;

    hyp_limits.restore_stall_ms = 1000;
    rc = restore(s, what, &ms);
    is_cleared(s, rc, SNAP_TIMEOUT, "made no progress");
    assert_true(ms > hyp_limits.restore_stall_ms);
    assert_true(ms < LIVES_S * 1000 / 2);
}

static void test_hangs(void **state)
{
    struct xen_scene *s = *state;

    ended_at_the_limit(s, "deaf");
    /* With a domain half built: it goes. */
    ended_at_the_limit(s, "deaf early");
    ended_at_the_limit(s, "hangs");
    assert_int_equal(fake_xen->destroys, 2);
}

/* --- xl's lock --------------------------------------------------------- */

static pid_t hold_lock(int ms)
{
    int p[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        alarm(LIVES_S);
        take_lock();
        if (write(p[1], "", 1) != 1)
            _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    return pid;
}

/* Another domain is built for longer than the limit: xl waits, and so do we,
 * and say for whom. */
static void test_waits_for_lock(void **state)
{
    struct xen_scene *s = *state;
    int ms, status = -1;
    pid_t user, pid = 0;
    char *words;

    /* Nobody's child of this process: restore() looks. */
    int p[2];

    hyp_limits.restore_stall_ms = 800;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    user = fork();
    assert_true(user >= 0);
    if (!user) {
        pid = hold_lock(3 * hyp_limits.restore_stall_ms);
        _exit(write(p[1], &pid, sizeof(pid)) != sizeof(pid));
    }
    assert_int_equal(waitpid(user, &status, 0), user);
    assert_int_equal(status, 0);
    assert_int_equal(read(p[0], &pid, sizeof(pid)), sizeof(pid));
    close(p[0]);
    close(p[1]);
    is_made(s, restore(s, "lock", &ms));
    assert_true(ms > 2 * hyp_limits.restore_stall_ms);
    words = snap_printf("g: waiting for process %d (", (int)pid);
    xen_scene_says(s->said.data, words);
    free(words);
}

/* What xl itself holds is no reason to wait for it. */
static void test_hangs_with_lock(void **state)
{
    struct xen_scene *s = *state;

    ended_at_the_limit(s, "lock deaf");
    assert_null(s->said.data ? strstr(s->said.data, "waiting for") : NULL);
}

/* --- it fails ---------------------------------------------------------- */

static void test_fails(void **state)
{
    struct xen_scene *s = *state;

    is_cleared(s, restore(s, "fails", NULL), SNAP_FAIL,
               "g: xl restore failed: libxl: error: cannot add disk");
    assert_int_equal(fake_xen->destroys, 1);
    is_cleared(s, restore(s, "dies", NULL), SNAP_FAIL, "it said nothing");
    assert_int_equal(fake_xen->destroys, 2);
    /* Before it has read all: a write to it must not end us. */
    is_cleared(s, restore(s, "quits", NULL), SNAP_FAIL,
               "xl: error: no such thing");
    is_cleared(s, restore(s, "no-domain", NULL), SNAP_FAIL,
               "made no domain, and said nothing of it");
    assert_int_equal(fake_xen->destroys, 2);
}

/* What somebody has let run is his, and so is what has no mark of ours. */
static void test_theirs(void **state)
{
    static const char *const ways[] = { "fails let-run", "fails theirs",
                                        "theirs" };
    struct xen_scene *s = *state;
    uint32_t domid;
    size_t i;

    for (i = 0; i < 3; i++) {
        assert_int_equal(restore(s, ways[i], NULL), SNAP_FAIL);
        domid = fake_guest_named("g");
        assert_int_not_equal(domid, 0);
        assert_int_equal(fake_xen->destroys, 0);
        assert_int_equal(fake_guest(domid)->pauses, 1);
        if (!i)
            xen_scene_says(s->err.msg, "somebody has let domain");
        fake_guest_end(domid);
    }
}

/* Nothing is begun beside a domain that has the uuid or the name. */
static void test_clash(void **state)
{
    struct xen_scene *s = *state;
    uint32_t domid = fake_guest_add("other", SCENE_UUID, "{}");

    assert_int_equal(restore(s, "", NULL), SNAP_EXISTS);
    fake_guest_end(domid);
    domid = fake_guest_add("g", SCENE_OTHER, "{}");
    assert_int_equal(restore(s, "", NULL), SNAP_EXISTS);
    fake_xen->list_fails = true;
    assert_int_equal(restore(s, "", NULL), SNAP_FAIL);
    fake_xen->list_fails = false;
    assert_int_equal(fake_xen->destroys, 0);
    assert_non_null(fake_guest(domid));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_restored),        TEST(test_slow),
        TEST(test_hangs),           TEST(test_waits_for_lock),
        TEST(test_hangs_with_lock), TEST(test_fails),
        TEST(test_theirs),          TEST(test_clash),
    };

    if (argc > 1 && !strcmp(argv[1], "restore"))
        return play_xl(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
