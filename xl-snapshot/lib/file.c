/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Files that survive a crash: write elsewhere, fsync, rename, fsync the
 * folder.  Records and journals stand on this, so nothing here may report
 * success before the disk has it, follow a symbolic link where it creates,
 * or leave a temporary file behind when it fails.  A process killed in the
 * middle leaves at most "<path>.tmp-<pid>", which nobody ever reads.
 *
 * Assumes one thread, and a folder only we (root) may write to.
 *
 * Faults (lib/fault.h, layer "file"): "<call> <path>", call being one of
 * open, read, write, fsync, close, rename, link, unlink, mkdir, statvfs,
 * hash.  Clean-up after a failure asks no fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <xxhash.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define HASH_CHUNK (1u << 20)

/* True, with errno set, if a test wants this call to fail. */
static bool faulty(const char *call, const char *path)
{
    char *what;
    int e;

    if (!snap_fault_hook)
        return false;
    what = snap_printf("%s %s", call, path);
    e = snap_fault("file", what);
    free(what);
    if (e)
        errno = e;
    return e;
}

static bool is_missing(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

/* Report errno of a failed call on path. */
static int fail(struct snap_err *err, const char *verb, const char *path)
{
    int rc = SNAP_IO;

    if (is_missing(errno))
        rc = SNAP_NOTFOUND;
    else if (errno == EEXIST)
        rc = SNAP_EXISTS;
    return snap_fail_errno(err, rc, errno, "cannot %s %s", verb, path);
}

/* --- names ------------------------------------------------------------- */

const char *snap_basename(const char *path)
{
    const char *slash;

    slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *snap_dirname(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len && path[len - 1] != '/')
        len--;
    if (!len)
        return snap_strdup(".");
    while (len > 1 && path[len - 1] == '/')
        len--;
    return snap_strndup(path, len);
}

bool snap_path_ok(const char *path)
{
    const char *p;
    size_t n;

    if (!path || path[0] != '/' || strlen(path) >= PATH_MAX)
        return false;
    /* JSON holds only UTF-8: other bytes would come back as another path. */
    for (p = path; *p; p += n) {
        n = snap_utf8_seq(p, strlen(p));
        if (!n || snap_is_control(p, n))
            return false;
    }
    for (p = path; *p; p += n) {
        p += strspn(p, "/");
        n = strcspn(p, "/");
        if ((n == 1 && p[0] == '.') || (n == 2 && !memcmp(p, "..", 2)))
            return false;
    }
    return true;
}

bool snap_file_exists(const char *path)
{
    struct stat st;

    return !lstat(path, &st);
}

bool snap_line_read(int dirfd, const char *name, char *buf, size_t size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, buf, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

bool snap_same_stat(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
        return a->st_rdev == b->st_rdev;
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool snap_same_file(const char *a, const char *b)
{
    struct stat sa, sb;

    if (!a || !b)
        return false;
    return !strcmp(a, b) ||
           (!stat(a, &sa) && !stat(b, &sb) && snap_same_stat(&sa, &sb));
}

/* --- descriptors ------------------------------------------------------- */

int snap_file_create(const char *path, mode_t mode, int *fd_r,
                     struct snap_err *err)
{
    int fd = -1;
    int rc;

    *fd_r = -1;
    if (!faulty("open", path))
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  mode & 0600);
    if (fd < 0) {
        rc = fail(err, "create", path);
        goto out;
    }
    if (fchmod(fd, mode)) { /* whatever the umask is */
        rc = fail(err, "set the mode of", path);
        unlink(path);
        goto out;
    }
    *fd_r = fd;
    fd = -1;
    rc = 0;

out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int snap_write_all(int fd, const void *data, size_t len, const char *what,
                   struct snap_err *err)
{
    const char *p = data;
    ssize_t n;
    int e;

    if (faulty("write", what)) {
        /* As on a disk that is full: some of it is there. */
        e = errno;
        n = write(fd, p, len / 2);
        errno = n < 0 ? errno : e;
        return fail(err, "write", what);
    }
    while (len) {
        n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, "write", what);
        p += n;
        len -= n;
    }
    return 0;
}

int snap_file_sync(int fd, const char *path, struct snap_err *err)
{
    int r;

    if (faulty("fsync", path))
        return fail(err, "sync", path);
    /* A second fsync() after a failed one proves nothing: only EINTR is
     * tried again. */
    do
        r = fsync(fd);
    while (r && errno == EINTR);
    if (r)
        return fail(err, "sync", path);
    return 0;
}

int snap_path_sync(const char *path, struct snap_err *err)
{
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    rc = snap_file_sync(fd, path, err);
    close(fd);
    return rc;
}

/* close(2) whose failure counts: NFS and quotas report here. */
static int close_checked(int fd, const char *path, struct snap_err *err)
{
    bool f;
    int e;

    f = faulty("close", path);
    e = errno;
    if (close(fd) && errno != EINTR && !f) {
        f = true;
        e = errno;
    }
    if (!f)
        return 0;
    errno = e;
    return fail(err, "close", path);
}

/* --- folders ----------------------------------------------------------- */

int snap_dir_sync(const char *path, struct snap_err *err)
{
    int fd = -1;
    int rc;

    if (!faulty("open", path))
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        rc = fail(err, "open folder", path);
        goto out;
    }
    rc = snap_file_sync(fd, path, err);

out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static int sync_parent(const char *path, struct snap_err *err)
{
    char *dir;
    int rc;

    dir = snap_dirname(path);
    rc = snap_dir_sync(dir, err);
    free(dir);
    return rc;
}

/* One folder whose parent exists. */
static int make_one(const char *path, mode_t mode, struct snap_err *err)
{
    struct stat st;
    int rc;

    if (faulty("mkdir", path))
        return fail(err, "create folder", path);
    if (mkdir(path, mode)) {
        if (errno != EEXIST)
            return fail(err, "create folder", path);
        /* It may be a link that the administrator put there. */
        if (stat(path, &st) || !S_ISDIR(st.st_mode))
            return snap_fail(err, SNAP_EXISTS,
                             "cannot create folder %s: something else has this name",
                             path);
        return 0;
    }
    if (chmod(path, mode)) /* whatever the umask is */
        return fail(err, "set the mode of", path);
    rc = snap_dir_sync(path, err);
    if (rc)
        return rc;
    return sync_parent(path, err);
}

int snap_dir_make(const char *path, mode_t mode, struct snap_err *err)
{
    char *dir = NULL;
    size_t i;
    int rc;

    dir = snap_strdup(path);
    if (!path[0]) {
        rc = snap_fail(err, SNAP_INVAL, "a folder without a name");
        goto out;
    }
    for (i = 1; path[i]; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        dir[i] = '\0';
        rc = make_one(dir, mode, err);
        if (rc)
            goto out;
        dir[i] = '/';
    }
    rc = path[i - 1] == '/' ? 0 : make_one(dir, mode, err);

out:
    free(dir);
    return rc;
}

/* --- whole files ------------------------------------------------------- */

/*
 * Give the finished temporary file its name, without replacing anything.
 * Not every file system knows RENAME_NOREPLACE; link(2) has the same promise
 * and two steps, after the first of which the name is there for good.
 */
static int publish_new(const char *tmp, const char *path, struct snap_err *err)
{
    if (!faulty("rename", path) &&
        !renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return fail(err, "create", path);
    if (faulty("link", path) || link(tmp, path))
        return fail(err, "create", path);
    unlink(tmp);
    return 0;
}

static int publish(const char *tmp, const char *path, struct snap_err *err)
{
    if (faulty("rename", path) || rename(tmp, path))
        return fail(err, "replace", path);
    return 0;
}

int snap_file_write(const char *path, const void *data, size_t len,
                    mode_t mode, bool excl, struct snap_err *err)
{
    bool have_tmp = false, have_new = false;
    char *tmp = NULL;
    int fd = -1;
    int rc;

    tmp = snap_printf("%s.tmp-%ld", path, (long)getpid());
    /* Only a dead process that had our pid can have left one. */
    unlink(tmp);

    rc = snap_file_create(tmp, mode, &fd, err);
    if (rc)
        goto out;
    have_tmp = true;
    rc = snap_write_all(fd, data, len, tmp, err);
    if (rc)
        goto out;
    rc = snap_file_sync(fd, tmp, err);
    if (rc)
        goto out;
    rc = close_checked(fd, tmp, err);
    fd = -1;
    if (rc)
        goto out;

    rc = excl ? publish_new(tmp, path, err) : publish(tmp, path, err);
    if (rc)
        goto out;
    have_tmp = false;
    have_new = excl;
    rc = sync_parent(path, err);
    if (rc)
        goto out;
    have_new = false;

out:
    if (fd >= 0)
        close(fd);
    if (have_tmp)
        unlink(tmp);
    if (have_new) /* not known to last: better not there */
        unlink(path);
    free(tmp);
    return rc;
}

int snap_file_read(const char *path, size_t max, char **data_r, size_t *len_r,
                   struct snap_err *err)
{
    char *data = NULL;
    size_t len = 0, cap;
    struct stat st;
    int fd = -1;
    ssize_t n;
    int rc;

    *data_r = NULL;
    *len_r = 0;
    /* O_NONBLOCK: a FIFO somebody put there must not hang us. */
    if (!faulty("open", path))
        fd = open(path,
                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) {
        rc = snap_fail(err, SNAP_REFUSED, "%s is not a regular file", path);
        goto out;
    }
    if (fd < 0 || fstat(fd, &st)) {
        rc = fail(err, "open", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = snap_fail(err, SNAP_REFUSED, "%s is not a regular file", path);
        goto out;
    }

    if (faulty("read", path)) {
        rc = fail(err, "read", path);
        goto out;
    }
    /* Room for all of it, for one byte that should not be there, and for the
     * NUL.  A size of 0 says nothing: files of /proc have it. */
    cap = st.st_size > 0 && (uint64_t)st.st_size <= max ? st.st_size + 2
                                                        : 8192;
    data = snap_realloc(NULL, cap, 1);
    for (;;) {
        if (len + 1 == cap) {
            cap *= 2;
            data = snap_realloc(data, cap, 1);
        }
        n = read(fd, data + len, cap - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = fail(err, "read", path);
            goto out;
        }
        len += n;
        if (len > max) {
            rc = snap_fail(err, SNAP_CORRUPT, "%s is larger than %zu bytes",
                           path, max);
            goto out;
        }
        /* More was asked for, so its size is its end: no need to be told. */
        if (n == 0 || (st.st_size > 0 && len == (size_t)st.st_size))
            break;
    }
    data[len] = '\0';
    *data_r = data;
    *len_r = len;
    data = NULL;
    rc = 0;

out:
    if (fd >= 0)
        close(fd);
    free(data);
    return rc;
}

int snap_file_rename_only(const char *from, const char *to,
                          struct snap_err *err)
{
    int rc;

    if (!faulty("rename", to) && !rename(from, to))
        return 0;
    rc = fail(err, "rename", from);
    snap_err_append(err, "to %s", to);
    return rc;
}

int snap_file_rename(const char *from, const char *to, struct snap_err *err)
{
    char *dir_from = NULL, *dir_to = NULL;
    int rc;

    rc = snap_file_rename_only(from, to, err);
    if (rc)
        goto out;
    dir_from = snap_dirname(from);
    dir_to = snap_dirname(to);
    rc = snap_dir_sync(dir_to, err);
    if (rc)
        goto out;
    if (!snap_streq(dir_from, dir_to))
        rc = snap_dir_sync(dir_from, err);

out:
    free(dir_from);
    free(dir_to);
    return rc;
}

int snap_file_rename_new(const char *from, const char *to,
                         struct snap_err *err)
{
    int rc = publish_new(from, to, err);

    return rc ? rc : sync_parent(to, err);
}

int snap_file_remove(const char *path, struct snap_err *err)
{
    char *dir = NULL;
    int rc;

    if (faulty("unlink", path) || unlink(path)) {
        if (!is_missing(errno)) {
            rc = fail(err, "remove", path);
            goto out;
        }
        /* Whoever removed it may have died before the folder was synced. */
    }
    dir = snap_dirname(path);
    rc = snap_file_exists(dir) ? snap_dir_sync(dir, err) : 0;

out:
    free(dir);
    return rc;
}

int snap_free_bytes(const char *path, uint64_t *bytes_r, dev_t *dev_r,
                    struct snap_err *err)
{
    char *at = NULL, *up;
    struct statvfs vfs;
    struct stat st;
    int rc;

    *bytes_r = 0;
    at = snap_strdup(path);
    while (faulty("statvfs", at) || statvfs(at, &vfs)) {
        if (!is_missing(errno) || snap_streq(at, "/") || snap_streq(at, ".")) {
            rc = fail(err, "read the free space at", path);
            goto out;
        }
        up = snap_dirname(at);
        free(at);
        at = up;
    }
    if (dev_r) {
        if (stat(at, &st)) {
            rc = fail(err, "read the free space at", path);
            goto out;
        }
        *dev_r = st.st_dev;
    }
    if (__builtin_mul_overflow((uint64_t)vfs.f_bavail, (uint64_t)vfs.f_frsize,
                               bytes_r))
        *bytes_r = UINT64_MAX;
    rc = 0;

out:
    free(at);
    return rc;
}

struct snap_hash {
    XXH3_state_t *state;
    uint64_t done;
    char *buf;
};

struct snap_hash *snap_hash_new(void)
{
    struct snap_hash *h = snap_zalloc(sizeof(*h));

    h->state = XXH3_createState();
    if (!h->state)
        abort();
    XXH3_128bits_reset(h->state);
    h->buf = snap_realloc(NULL, HASH_CHUNK, 1);
    return h;
}

void snap_hash_free(struct snap_hash *h)
{
    if (!h)
        return;
    XXH3_freeState(h->state);
    free(h->buf);
    free(h);
}

uint64_t snap_hash_done(const struct snap_hash *h)
{
    return h->done;
}

int snap_hash_read(struct snap_hash *h, int fd, const char *what, size_t max,
                   struct snap_err *err)
{
    size_t want;
    ssize_t n;

    while (max) {
        want = max < HASH_CHUNK ? max : HASH_CHUNK;
        n = pread(fd, h->buf, want, h->done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, "read", what);
        if (n == 0)
            return 0;
        XXH3_128bits_update(h->state, h->buf, n);
        h->done += n;
        max -= n;
    }
    return 0;
}

static void hash_end(struct snap_hash *h, char hex_r[33])
{
    XXH128_canonical_t sum;
    size_t i;

    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(h->state));
    for (i = 0; i < sizeof(sum.digest); i++)
        snprintf(hex_r + 2 * i, 3, "%02x", sum.digest[i]);
}

int snap_hash_rest(struct snap_hash *h, int fd, const char *what,
                   char hex_r[33], int (*tick)(void *opaque, uint64_t done),
                   void *opaque, struct snap_err *err)
{
    uint64_t before;
    int rc;

    hex_r[0] = '\0';
    if (faulty("hash", what))
        return fail(err, "read", what);
    do {
        before = h->done;
        rc = snap_hash_read(h, fd, what, HASH_CHUNK, err);
        if (rc)
            return rc;
        if (h->done != before && tick && tick(opaque, h->done))
            return snap_fail(err, SNAP_INTR, "reading %s: stopped", what);
    } while (h->done != before);
    hash_end(h, hex_r);
    return 0;
}

int snap_file_hash(int fd, const char *what, char hex_r[33],
                   int (*tick)(void *opaque, uint64_t done), void *opaque,
                   struct snap_err *err)
{
    struct snap_hash *h = snap_hash_new();
    int rc = snap_hash_rest(h, fd, what, hex_r, tick, opaque, err);

    snap_hash_free(h);
    return rc;
}
