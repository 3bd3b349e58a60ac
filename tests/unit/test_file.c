/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Files survive: every call is made to fail in turn, and each time what was
 * there before is whole and nothing else is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define OLD "the old one"
#define NEW "the new and rather longer one"

static char *dir; /* of this test */

static char *in_dir(const char *name)
{
    static char path[4][PATH_MAX];
    static int i;

    i = (i + 1) % 4;
    snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
    return path[i];
}

/* Names in a folder, but "." and "..". */
static int count(const char *path)
{
    DIR *d;
    int n = -2;

    d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void put(const char *path, const char *text)
{
    int fd;

    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static char *get(const char *path)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *data;
    size_t len;

    if (snap_file_read(path, 1 << 20, &data, &len, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(strlen(data), len);
    return data;
}

static void holds(const char *path, const char *text)
{
    char *data;

    data = get(path);
    assert_string_equal(data, text);
    free(data);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    dir = snap_printf("%s/snap-file-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char *cmd;
    int r;

    (void)state;
    snap_fault_hook = NULL;
    cmd = snap_printf("rm -rf '%s'", dir);
    r = system(cmd);
    free(cmd);
    snap_free(&dir);
    return r;
}

/* --- faults ------------------------------------------------------------ */

static struct {
    int at; /* the call that fails, from 0; -1: none */
    int errnum;
    const char *only; /* fail calls that start so instead */
    bool die;
    int seen;
    bool hit;
    char last[PATH_MAX + 64];
} inject;

static int hook(const char *layer, const char *what)
{
    bool hit;

    assert_string_equal(layer, "file");
    snprintf(inject.last, sizeof(inject.last), "%s", what);
    hit = inject.only ? snap_has_prefix(what, inject.only)
                      : inject.seen == inject.at;
    inject.seen++;
    if (!hit)
        return 0;
    inject.hit = true;
    if (inject.die)
        _exit(99);
    return inject.errnum;
}

static void fail_at(int n, int errnum)
{
    memset(&inject, 0, sizeof(inject));
    inject.at = n;
    inject.errnum = errnum;
    snap_fault_hook = hook;
}

static void fail_only(const char *call, int errnum)
{
    fail_at(-1, errnum);
    inject.only = call;
}

static void no_faults(void)
{
    snap_fault_hook = NULL;
}

/* --- writing ----------------------------------------------------------- */

static void write_and_read(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *path = in_dir("f"), *data;
    static char big[300000];
    size_t len;

    (void)state;
    assert_int_equal(snap_file_write(path, "", 0, 0644, false, &err), 0);
    holds(path, "");
    assert_int_equal(
        snap_file_write(path, OLD, strlen(OLD), 0644, false, &err), 0);
    holds(path, OLD);
    memset(big, 'b', sizeof(big));
    big[5] = '\0';
    assert_int_equal(
        snap_file_write(path, big, sizeof(big), 0600, false, &err), 0);
    assert_int_equal(snap_file_read(path, sizeof(big), &data, &len, &err), 0);
    assert_int_equal(len, sizeof(big));
    assert_memory_equal(data, big, len);
    assert_int_equal(data[len], 0);
    free(data);
    assert_int_equal(count(dir), 1);
    assert_int_equal(err.rc, 0);
}

/* The mode of a file before it is given one: whoever opens it then has it. */
static mode_t born;

int fchmod(int fd, mode_t mode)
{
    struct stat st;

    if (!fstat(fd, &st))
        born = st.st_mode & 07777;
    return (int)syscall(SYS_fchmod, fd, mode);
}

static void nobody_elses_from_the_first_moment(void **state)
{
    char *path = snap_printf("%s/f", dir);
    mode_t old = umask(0);
    int fd;

    (void)state;
    born = 07777;
    assert_int_equal(snap_file_create(path, 0644, &fd, NULL), 0);
    umask(old);
    assert_int_equal(born, 0600);
    assert_int_equal(mode_of(path), 0644);
    close(fd);
    free(path);
}

static void mode_does_not_depend_on_umask(void **state)
{
    mode_t old;
    int fd;

    (void)state;
    old = umask(0777);
    assert_int_equal(snap_file_write(in_dir("a"), "x", 1, 0644, false, NULL),
                     0);
    assert_int_equal(snap_file_create(in_dir("b"), 0640, &fd, NULL), 0);
    close(fd);
    assert_int_equal(snap_dir_make(in_dir("d/e"), 0750, NULL), 0);
    umask(0);
    assert_int_equal(snap_file_write(in_dir("c"), "x", 1, 0600, true, NULL),
                     0);
    umask(old);
    assert_int_equal(mode_of(in_dir("a")), 0644);
    assert_int_equal(mode_of(in_dir("b")), 0640);
    assert_int_equal(mode_of(in_dir("c")), 0600);
    assert_int_equal(mode_of(in_dir("d")), 0750);
    assert_int_equal(mode_of(in_dir("d/e")), 0750);
}

static void exclusive_writes_replace_nothing(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *path = in_dir("f");

    (void)state;
    assert_int_equal(snap_file_write(path, OLD, strlen(OLD), 0600, true, &err),
                     0);
    assert_int_equal(snap_file_write(path, NEW, strlen(NEW), 0600, true, &err),
                     SNAP_EXISTS);
    assert_non_null(strstr(err.msg, path));
    holds(path, OLD);
    assert_int_equal(count(dir), 1);
    /* A dangling link is a name taken, too. */
    assert_int_equal(symlink("nowhere", in_dir("l")), 0);
    assert_int_equal(snap_file_write(in_dir("l"), NEW, 3, 0600, true, NULL),
                     SNAP_EXISTS);
    assert_false(snap_file_exists(in_dir("nowhere")));
    assert_int_equal(count(dir), 2);
}

/* The file system may not know RENAME_NOREPLACE. */
static void exclusive_writes_by_link(void **state)
{
    char *path = in_dir("f");

    (void)state;
    fail_only("rename", EINVAL);
    assert_int_equal(snap_file_write(path, NEW, strlen(NEW), 0600, true, NULL),
                     0);
    assert_true(inject.hit);
    assert_int_equal(snap_file_write(path, OLD, strlen(OLD), 0600, true, NULL),
                     SNAP_EXISTS);
    no_faults();
    holds(path, NEW);
    assert_int_equal(count(dir), 1);
}

static void a_left_over_of_the_dead_is_no_obstacle(void **state)
{
    char *path = in_dir("f"), *tmp;

    (void)state;
    tmp = snap_printf("%s.tmp-%ld", path, (long)getpid());
    put(in_dir("victim"), OLD);
    assert_int_equal(symlink(in_dir("victim"), tmp), 0);
    assert_int_equal(
        snap_file_write(path, NEW, strlen(NEW), 0600, false, NULL), 0);
    holds(path, NEW);
    holds(in_dir("victim"), OLD);
    assert_int_equal(count(dir), 2);
    free(tmp);
}

/* Fail each call in turn until one run makes no call that fails.  The folder
 * sync is last: after it the new file is allowed to be there. */
static void every_fault(int errnum, bool excl)
{
    struct snap_err err;
    char *path = in_dir("f"), *data;
    int i, rc;

    for (i = 0; i < 50; i++) {
        unlink(path);
        if (!excl)
            put(path, OLD);
        snap_err_clear(&err);
        fail_at(i, errnum);
        rc = snap_file_write(path, NEW, strlen(NEW), 0600, excl, &err);
        no_faults();
        if (!inject.hit) {
            assert_int_equal(rc, 0);
            holds(path, NEW);
            assert_true(i >= 7);
            return;
        }
        assert_int_equal(rc, errnum == EIO ? SNAP_IO : SNAP_NOSPACE);
        assert_int_equal(err.rc, rc);
        assert_non_null(strstr(err.msg, dir));
        assert_non_null(strstr(err.msg, strerror(errnum)));
        if (excl) {
            assert_int_equal(count(dir), 0);
            continue;
        }
        assert_int_equal(count(dir), 1);
        data = get(path);
        if (i < 5)
            assert_string_equal(data, OLD);
        else
            assert_string_equal(data, NEW);
        free(data);
    }
    fail();
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    every_fault(EIO, false);
    every_fault(ENOSPC, false);
    every_fault(EDQUOT, false);
}

static void a_failed_exclusive_write_leaves_nothing(void **state)
{
    (void)state;
    every_fault(EIO, true);
    every_fault(ENOSPC, true);
}

/* As above, but the process dies there. */
static void a_killed_write_leaves_old_or_new(void **state)
{
    char *path = in_dir("f"), *data;
    int i, status;
    pid_t pid;

    (void)state;
    for (i = 0; i < 50; i++) {
        put(path, OLD);
        pid = fork();
        if (pid == 0) {
            fail_at(i, EIO);
            inject.die = true;
            _exit(snap_file_write(path, NEW, strlen(NEW), 0600, false, NULL)
                      ? 1
                      : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        data = get(path);
        if (WEXITSTATUS(status) == 0) {
            assert_string_equal(data, NEW);
            free(data);
            assert_true(i >= 7);
            return;
        }
        assert_int_equal(WEXITSTATUS(status), 99);
        if (strcmp(data, NEW) != 0)
            assert_string_equal(data, OLD);
        free(data);
    }
    fail();
}

static void a_real_full_disk(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    int fd;

    (void)state;
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(snap_write_all(fd, "x", 1, "/dev/full", &err),
                     SNAP_NOSPACE);
    assert_string_equal(err.msg, "cannot write /dev/full: No space left on "
                                 "device");
    close(fd);
}

static void writes_where_none_can_be(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(
        snap_file_write(in_dir("no/f"), "x", 1, 0600, false, &err),
        SNAP_NOTFOUND);
    snap_err_clear(&err);
    assert_int_equal(mkdir(in_dir("d"), 0700), 0);
    assert_int_equal(snap_file_write(in_dir("d"), "x", 1, 0600, false, &err),
                     SNAP_IO);
    assert_int_equal(snap_file_write(in_dir("d"), "x", 1, 0600, true, NULL),
                     SNAP_EXISTS);
    assert_int_equal(count(dir), 1);
}

static void a_link_is_replaced_not_followed(void **state)
{
    (void)state;
    put(in_dir("victim"), OLD);
    assert_int_equal(symlink(in_dir("victim"), in_dir("l")), 0);
    assert_int_equal(
        snap_file_write(in_dir("l"), NEW, strlen(NEW), 0600, false, NULL), 0);
    holds(in_dir("l"), NEW);
    holds(in_dir("victim"), OLD);
}

static void a_pipe_takes_more_than_it_holds(void **state)
{
    static char big[1 << 20];
    struct snap_err err = SNAP_ERR_INIT;
    size_t got = 0;
    char chunk[4096];
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(snap_write_all(fds[1], big, sizeof(big), "pipe", NULL) != 0);
    }
    close(fds[1]);
    while ((n = read(fds[0], chunk, sizeof(chunk))) > 0)
        got += n;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(got, sizeof(big));
    assert_int_equal(snap_write_all(-1, "x", 1, "nothing", &err), SNAP_IO);
    assert_int_equal(snap_write_all(-1, NULL, 0, "nothing", NULL), 0);
}

/* --- creating ---------------------------------------------------------- */

static void create_is_exclusive(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    int fd, flags;

    (void)state;
    assert_int_equal(snap_file_create(in_dir("f"), 0600, &fd, &err), 0);
    flags = fcntl(fd, F_GETFD);
    assert_true(flags & FD_CLOEXEC);
    assert_int_equal(snap_write_all(fd, "x", 1, "f", &err), 0);
    assert_int_equal(snap_file_sync(fd, "f", &err), 0);
    close(fd);
    holds(in_dir("f"), "x");
    assert_int_equal(snap_file_create(in_dir("f"), 0600, &fd, &err),
                     SNAP_EXISTS);
    assert_int_equal(fd, -1);
    assert_int_equal(symlink("target", in_dir("l")), 0);
    assert_int_equal(snap_file_create(in_dir("l"), 0600, &fd, NULL),
                     SNAP_EXISTS);
    assert_false(snap_file_exists(in_dir("target")));
    assert_int_equal(snap_file_create(in_dir("no/f"), 0600, &fd, NULL),
                     SNAP_NOTFOUND);
    fail_only("open", EIO);
    assert_int_equal(snap_file_create(in_dir("g"), 0600, &fd, NULL), SNAP_IO);
    no_faults();
    assert_false(snap_file_exists(in_dir("g")));
    fail_only("fsync", EIO);
    assert_int_equal(snap_file_sync(0, "g", NULL), SNAP_IO);
}

static void folders(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(snap_dir_make(in_dir("a/b//c/"), 0700, &err), 0);
    assert_int_equal(mode_of(in_dir("a/b/c")), 0700);
    assert_int_equal(snap_dir_make(in_dir("a/b/c"), 0755, &err), 0);
    assert_int_equal(mode_of(in_dir("a/b/c")), 0700);
    assert_int_equal(snap_dir_make("/", 0755, &err), 0);
    assert_int_equal(snap_dir_make("", 0755, NULL), SNAP_INVAL);
    assert_int_equal(symlink("a", in_dir("l")), 0);
    assert_int_equal(snap_dir_make(in_dir("l"), 0755, &err), 0);
    assert_int_equal(snap_dir_make(in_dir("l/d"), 0755, &err), 0);
    assert_true(snap_file_exists(in_dir("a/d")));
    put(in_dir("f"), "x");
    assert_int_equal(err.rc, 0);
    assert_int_equal(snap_dir_make(in_dir("f"), 0755, &err), SNAP_EXISTS);
    assert_non_null(strstr(err.msg, in_dir("f")));
    assert_int_equal(snap_dir_make(in_dir("f/x"), 0755, NULL), SNAP_EXISTS);
    assert_int_equal(symlink("nowhere", in_dir("m")), 0);
    assert_int_equal(snap_dir_make(in_dir("m"), 0755, NULL), SNAP_EXISTS);
    assert_false(snap_file_exists(in_dir("nowhere")));
    fail_only("mkdir", ENOSPC);
    assert_int_equal(snap_dir_make(in_dir("n"), 0755, NULL), SNAP_NOSPACE);
    fail_only("fsync", EIO);
    assert_int_equal(snap_dir_make(in_dir("n"), 0755, NULL), SNAP_IO);
    no_faults();
    assert_int_equal(snap_dir_sync(in_dir("a"), NULL), 0);
    assert_int_equal(snap_dir_sync(in_dir("f"), NULL), SNAP_NOTFOUND);
    assert_int_equal(snap_dir_sync(in_dir("none"), NULL), SNAP_NOTFOUND);
}

/* --- reading ----------------------------------------------------------- */

static int read_rc(const char *path, size_t max, struct snap_err *err)
{
    char *data = (char *)1;
    size_t len = 1;
    int rc;

    rc = snap_file_read(path, max, &data, &len, err);
    if (rc) {
        assert_null(data);
        assert_int_equal(len, 0);
    }
    free(data);
    return rc;
}

static void read_is_bounded(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *path = in_dir("f"), *data;
    size_t len;

    (void)state;
    put(path, "12345");
    assert_int_equal(read_rc(path, 5, &err), 0);
    assert_int_equal(read_rc(path, SIZE_MAX, &err), 0);
    assert_int_equal(read_rc(path, 4, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(read_rc(path, 0, NULL), SNAP_CORRUPT);
    put(path, "");
    assert_int_equal(snap_file_read(path, 0, &data, &len, NULL), 0);
    assert_string_equal(data, "");
    free(data);
    /* Its size is said to be 0. */
    assert_int_equal(
        snap_file_read("/proc/self/status", 1 << 20, &data, &len, NULL), 0);
    assert_true(len > 100);
    free(data);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0); /* sparse */
    assert_int_equal(read_rc(path, 100000, NULL), SNAP_CORRUPT);
}

/* All of it and a NUL behind, around every size at which a buffer ends. */
static void read_takes_all(void **state)
{
    static const size_t sizes[] = { 1,    2,    4095, 4096,  4097, 8190,
                                    8191, 8192, 8193, 16384, 70001 };
    char *path = in_dir("f"), *text, *data;
    size_t i, k, len;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        text = malloc(sizes[i] + 1);
        for (k = 0; k < sizes[i]; k++)
            text[k] = (char)('a' + k % 23);
        text[sizes[i]] = '\0';
        put(path, text);
        assert_int_equal(snap_file_read(path, sizes[i], &data, &len, NULL), 0);
        assert_int_equal(len, sizes[i]);
        assert_string_equal(data, text);
        free(data);
        assert_int_equal(read_rc(path, sizes[i] - 1, NULL), SNAP_CORRUPT);
        free(text);
    }
}

static void read_takes_regular_files_only(void **state)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct snap_err err = SNAP_ERR_INIT;
    int fd;

    (void)state;
    assert_int_equal(read_rc(in_dir("none"), 10, &err), SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, in_dir("none")));
    snap_err_clear(&err);
    put(in_dir("f"), "x");
    assert_int_equal(read_rc(in_dir("f/x"), 10, NULL), SNAP_NOTFOUND);
    assert_int_equal(read_rc(dir, 10, &err), SNAP_REFUSED);
    assert_int_equal(symlink("f", in_dir("l")), 0);
    assert_int_equal(read_rc(in_dir("l"), 10, NULL), SNAP_REFUSED);
    assert_int_equal(mkfifo(in_dir("p"), 0600), 0);
    assert_int_equal(read_rc(in_dir("p"), 10, NULL), SNAP_REFUSED);
    assert_int_equal(read_rc("/dev/zero", 10, NULL), SNAP_REFUSED);
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", dir);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!bind(fd, (struct sockaddr *)&sun, sizeof(sun)))
        assert_int_equal(read_rc(in_dir("s"), 10, NULL), SNAP_REFUSED);
    close(fd);
    fail_only("open", EACCES);
    assert_int_equal(read_rc(in_dir("f"), 10, NULL), SNAP_IO);
    fail_only("read", EIO);
    assert_int_equal(read_rc(in_dir("f"), 10, NULL), SNAP_IO);
}

/* --- renaming, removing ------------------------------------------------ */

static void rename_moves(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    put(in_dir("a"), OLD);
    put(in_dir("b"), NEW);
    assert_int_equal(mkdir(in_dir("d"), 0700), 0);
    assert_int_equal(snap_file_rename(in_dir("a"), in_dir("b"), &err), 0);
    holds(in_dir("b"), OLD);
    assert_int_equal(snap_file_rename(in_dir("b"), in_dir("d/c"), &err), 0);
    holds(in_dir("d/c"), OLD);
    assert_int_equal(snap_file_rename(in_dir("a"), in_dir("b"), &err),
                     SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, in_dir("a")));
    assert_non_null(strstr(err.msg, in_dir("b")));
    fail_only("rename", EXDEV);
    assert_int_equal(snap_file_rename(in_dir("d/c"), in_dir("x"), NULL),
                     SNAP_IO);
    holds(in_dir("d/c"), OLD);
    /* Both folders are synced. */
    fail_only("fsync", EIO);
    assert_int_equal(snap_file_rename(in_dir("d/c"), in_dir("x"), NULL),
                     SNAP_IO);
    no_faults();
    holds(in_dir("x"), OLD);
    fail_at(-1, 0);
    assert_int_equal(snap_file_rename(in_dir("x"), in_dir("d/x"), NULL), 0);
    assert_int_equal(inject.seen, 5); /* rename, twice open and fsync */
    fail_at(-1, 0);
    assert_int_equal(snap_file_rename(in_dir("d/x"), in_dir("d/y"), NULL), 0);
    assert_int_equal(inject.seen, 3);
}

static void remove_removes(void **state)
{
    (void)state;
    put(in_dir("a"), OLD);
    assert_int_equal(snap_file_remove(in_dir("a"), NULL), 0);
    assert_int_equal(count(dir), 0);
    fail_at(-1, 0);
    assert_int_equal(snap_file_remove(in_dir("a"), NULL), 0);
    assert_true(snap_has_prefix(inject.last, "fsync")); /* even then */
    assert_int_equal(snap_file_remove(in_dir("no/a"), NULL), 0);
    put(in_dir("f"), OLD);
    assert_int_equal(snap_file_remove(in_dir("f/x/y"), NULL), 0);
    assert_int_equal(symlink("f", in_dir("l")), 0);
    assert_int_equal(snap_file_remove(in_dir("l"), NULL), 0);
    holds(in_dir("f"), OLD);
    fail_only("unlink", EPERM);
    assert_int_equal(snap_file_remove(in_dir("f"), NULL), SNAP_IO);
    fail_only("fsync", EIO);
    assert_int_equal(snap_file_remove(in_dir("f"), NULL), SNAP_IO);
    no_faults();
    assert_int_equal(mkdir(in_dir("d"), 0700), 0);
    assert_int_equal(snap_file_remove(in_dir("d"), NULL), SNAP_IO);
}

/* --- the rest ---------------------------------------------------------- */

static void free_space(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    uint64_t here, below;

    (void)state;
    assert_int_equal(snap_free_bytes(dir, &here, NULL, &err), 0);
    assert_true(here > 0);
    assert_int_equal(
        snap_free_bytes(in_dir("not/yet/there"), &below, NULL, &err), 0);
    assert_true(below > 0);
    assert_int_equal(snap_free_bytes("not/yet/there", &below, NULL, &err), 0);
    fail_only("statvfs", EIO);
    assert_int_equal(snap_free_bytes(dir, &here, NULL, &err), SNAP_IO);
    assert_int_equal(here, 0);
    fail_only("statvfs", ENOENT); /* for ever: must end at the root */
    assert_int_equal(snap_free_bytes(dir, &here, NULL, NULL), SNAP_NOTFOUND);
    assert_int_equal(snap_free_bytes("a/b", &here, NULL, NULL), SNAP_NOTFOUND);
}

static int stop_after(void *opaque, uint64_t done)
{
    uint64_t *limit = opaque;

    return done >= *limit;
}

static int watch(void *opaque, uint64_t done)
{
    uint64_t *last = opaque;

    assert_true(done > *last);
    *last = done;
    return 0;
}

static void hashes(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char hex[33], other[33];
    uint64_t n;
    int fd;

    (void)state;
    put(in_dir("f"), "");
    fd = open(in_dir("f"), O_RDWR);
    assert_int_equal(snap_file_hash(fd, "f", hex, NULL, NULL, &err), 0);
    /* The published value for no input, seed 0. */
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");

    assert_int_equal(write(fd, "abc", 3), 3);
    assert_int_equal(snap_file_hash(fd, "f", hex, NULL, NULL, &err), 0);
    assert_string_equal(hex, "06b05ab6733a618578af5f94892f3950");
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 3); /* left alone */

    assert_int_equal(ftruncate(fd, 5 << 20), 0);
    n = 0;
    assert_int_equal(snap_file_hash(fd, "f", hex, watch, &n, &err), 0);
    assert_int_equal(n, 5 << 20);
    assert_int_equal(pwrite(fd, "x", 1, (5 << 20) - 1), 1);
    assert_int_equal(snap_file_hash(fd, "f", other, NULL, NULL, &err), 0);
    assert_string_not_equal(hex, other);
    n = 2 << 20;
    assert_int_equal(snap_file_hash(fd, "f", hex, stop_after, &n, &err),
                     SNAP_INTR);
    assert_string_equal(hex, "");
    fail_only("hash f", EIO);
    assert_int_equal(snap_file_hash(fd, "f", hex, NULL, NULL, NULL), SNAP_IO);
    no_faults();
    close(fd);
    assert_int_equal(snap_file_hash(-1, "f", hex, NULL, NULL, NULL), SNAP_IO);
}

static void names(void **state)
{
    static const struct {
        const char *path, *up, *base;
    } t[] = {
        { "a/b/c", "a/b", "c" }, { "/a", "/", "a" },    { "/", "/", "" },
        { "//", "/", "" },       { "//a", "/", "a" },   { "a", ".", "a" },
        { "", ".", "" },         { "a//b", "a", "b" },  { "a/b/", "a", "" },
        { "a/", ".", "" },       { "/a/b", "/a", "b" },
    };
    char *s, longest[PATH_MAX + 1];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        s = snap_dirname(t[i].path);
        assert_string_equal(s, t[i].up);
        assert_string_equal(snap_basename(t[i].path), t[i].base);
        free(s);
    }
    assert_true(snap_path_ok("/"));
    assert_true(snap_path_ok("/a/b c/..d/.e/f./…"));
    assert_true(snap_path_ok("//a//"));
    assert_false(snap_path_ok(NULL));
    assert_false(snap_path_ok(""));
    assert_false(snap_path_ok("a"));
    assert_false(snap_path_ok("/a/../b"));
    assert_false(snap_path_ok("/.."));
    assert_false(snap_path_ok("/."));
    assert_false(snap_path_ok("/a/./b"));
    assert_false(snap_path_ok("/a\nb"));
    assert_false(snap_path_ok("/a\033"));
    assert_false(snap_path_ok("/a\x7f"));
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[PATH_MAX] = '\0';
    assert_false(snap_path_ok(longest));
    longest[PATH_MAX - 1] = '\0';
    assert_true(snap_path_ok(longest));

    assert_false(snap_file_exists(in_dir("l")));
    assert_int_equal(symlink("nowhere", in_dir("l")), 0);
    assert_true(snap_file_exists(in_dir("l")));
}

static void the_same_file(void **state)
{
    char *a = snap_strdup(in_dir("a")), *b = snap_strdup(in_dir("b"));
    char *none = snap_strdup(in_dir("none"));

    (void)state;
    assert_int_equal(snap_file_write(a, "x", 1, 0600, false, NULL), 0);
    assert_int_equal(snap_file_write(b, "x", 1, 0600, false, NULL), 0);
    assert_true(snap_same_file(a, a));
    assert_false(snap_same_file(a, b));
    assert_int_equal(unlink(b), 0);
    assert_int_equal(symlink(a, b), 0);
    assert_true(snap_same_file(a, b));
    assert_int_equal(unlink(b), 0);
    assert_int_equal(link(a, b), 0);
    assert_true(snap_same_file(a, b));
    /* One name is one file, there or not; no name is none. */
    assert_true(snap_same_file(none, none));
    assert_false(snap_same_file(a, none));
    assert_false(snap_same_file(none, b));
    assert_false(snap_same_file(NULL, a));
    assert_false(snap_same_file(a, NULL));
    assert_false(snap_same_file("/dev/null", "/dev/zero"));
    free(a);
    free(b);
    free(none);
}

static void no_descriptor_is_left(void **state)
{
    int before, i, fd;
    uint64_t n;

    (void)state;
    before = count("/proc/self/fd");
    for (i = 0; i < 12; i++) {
        fail_at(i, EIO);
        snap_file_write(in_dir("f"), "x", 1, 0600, false, NULL);
        inject.seen = 0;
        snap_file_write(in_dir("g"), "x", 1, 0600, true, NULL);
        inject.seen = 0;
        snap_dir_make(in_dir("d/e"), 0700, NULL);
        inject.seen = 0;
        snap_file_rename(in_dir("f"), in_dir("d/f"), NULL);
        inject.seen = 0;
        snap_file_remove(in_dir("d/f"), NULL);
        inject.seen = 0;
        read_rc(in_dir("f"), 10, NULL);
        inject.seen = 0;
        snap_free_bytes(dir, &n, NULL, NULL);
        if (!snap_file_create(in_dir("c"), 0600, &fd, NULL))
            close(fd);
        unlink(in_dir("c"));
    }
    no_faults();
    assert_int_equal(count("/proc/self/fd"), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(write_and_read),
        T(nobody_elses_from_the_first_moment),
        T(mode_does_not_depend_on_umask),
        T(exclusive_writes_replace_nothing),
        T(exclusive_writes_by_link),
        T(a_left_over_of_the_dead_is_no_obstacle),
        T(a_failed_write_leaves_the_old_file),
        T(a_failed_exclusive_write_leaves_nothing),
        T(a_killed_write_leaves_old_or_new),
        T(a_real_full_disk),
        T(writes_where_none_can_be),
        T(a_link_is_replaced_not_followed),
        T(a_pipe_takes_more_than_it_holds),
        T(create_is_exclusive),
        T(folders),
        T(read_is_bounded),
        T(read_takes_all),
        T(read_takes_regular_files_only),
        T(rename_moves),
        T(remove_removes),
        T(free_space),
        T(hashes),
        T(names),
        T(the_same_file),
        T(no_descriptor_is_left),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
