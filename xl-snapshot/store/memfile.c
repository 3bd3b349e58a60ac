/* SPDX-License-Identifier: LGPL-2.1-only */
/* See memfile.h.  Knows nothing of what is in the file. */
#include "store/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"

/* Page headers, QEMU's device state, xenstore records: seen 1.5 MB at most
 * for 512 MB guests; one part in 64 more for the per-batch PFN lists. */
uint64_t snap_memfile_overhead = 16u << 20;

uint64_t snap_memfile_need(uint64_t mem_kb, bool live, size_t config_len)
{
    uint64_t bytes = mem_kb * 1024;

    bytes += bytes / 64;
    if (live)
        bytes += bytes / 2;
    return bytes + snap_memfile_overhead + config_len;
}

static void set_names(struct snap_memfile *m, const char *path,
                      const char *op_id)
{
    m->fd = -1;
    m->path = snap_strdup(path);
    m->part = snap_printf("%s.part-%s", path, op_id);
}

int snap_memfile_create(struct snap_memfile *m, const char *path,
                        const char *op_id, uint64_t need, struct snap_err *err)
{
    int rc, fault;

    set_names(m, path, op_id);
    m->tail = snap_hash_new();

    if (snap_file_exists(path)) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "memory image %s exists already; choose another name or remove it",
                       path);
        goto out;
    }
    rc = snap_file_create(m->part, 0600, &m->fd, err);
    if (rc)
        goto out;
    fault = snap_fault("file", "fallocate");
    if (!fault && fallocate(m->fd, FALLOC_FL_KEEP_SIZE, 0, need))
        fault = errno;
    if (fault && fault != EOPNOTSUPP && fault != ENOSYS) {
        rc = snap_fail_errno(err, SNAP_IO, fault,
                             "%s: setting aside %llu MB for the memory image",
                             m->part, (unsigned long long)need >> 20);
        goto out;
    }
    rc = 0;

out:
    if (rc)
        snap_memfile_abort(m);
    return rc;
}

int64_t snap_memfile_id(const struct snap_memfile *m)
{
    struct stat st;

    return m->fd < 0 || fstat(m->fd, &st) ? 0 : (int64_t)st.st_ino;
}

static bool is_ours(const char *path, int64_t id)
{
    struct stat st;

    return id && !lstat(path, &st) && S_ISREG(st.st_mode) &&
           (int64_t)st.st_ino == id;
}

void snap_memfile_find(struct snap_memfile *m, const char *path,
                       const char *op_id, int64_t id, bool open_it)
{
    struct snap_err ignored = SNAP_ERR_INIT;

    set_names(m, path, op_id);
    /* Died between naming the file and putting the record. */
    if (!snap_file_exists(m->part) && is_ours(m->path, id))
        snap_file_rename(m->path, m->part, &ignored);
    if (open_it && is_ours(m->part, id))
        m->fd = open(m->part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

struct tick {
    struct snap_env *env;
    const char *what;
    uint64_t total;
    double next;
};

static int tick(void *opaque, uint64_t done)
{
    struct tick *t = opaque;
    const struct snap_progress *p = t->env->progress;
    double now = snap_now_ms();

    if (p && p->fn && (now >= t->next || done >= t->total)) {
        p->fn(p->opaque, t->what, done, t->total);
        t->next = now + 250;
    }
    return 0;
}

/* h: what was read of it already. */
static int hash_rest(struct snap_env *env, struct snap_hash *h, int fd,
                     const char *path, uint64_t size, char hash_r[33],
                     struct snap_err *err)
{
    struct tick t = {
        .env = env,
        .what = "checking the memory image",
        .total = size,
        .next = snap_now_ms() + 1000,
    };

    return snap_hash_rest(h, fd, path, hash_r, tick, &t, err);
}

int snap_memfile_hash(struct snap_env *env, int fd, const char *path,
                      uint64_t size, char hash_r[33], struct snap_err *err)
{
    struct snap_hash *h = snap_hash_new();
    int rc = hash_rest(env, h, fd, path, size, hash_r, err);

    snap_hash_free(h);
    return rc;
}

/* The name that it was asked for. */
static int name_it(struct snap_memfile *m, const struct stat *st,
                   struct snap_err *err)
{
    int rc;
    struct stat now;
    struct snap_err why = SNAP_ERR_INIT;

    if (lstat(m->part, &now))
        return snap_fail_errno(err, SNAP_IO, errno, "%s", m->part);
    if (!snap_same_stat(st, &now))
        return snap_fail(err, SNAP_IO,
                         "%s is another file than the one that the memory was written to",
                         m->part);
    /* A recovery after a death between two names. */
    if (!lstat(m->path, &now) && snap_same_stat(st, &now))
        return snap_file_remove(m->part, err);
    rc = snap_file_rename_new(m->part, m->path, &why);
    if (rc == SNAP_EXISTS)
        return snap_fail(err, rc,
                         "somebody made a file %s while the memory was saved, which is kept, and so is the memory, in %s; move it away first",
                         m->path, m->part);
    return rc ? snap_fail(err, rc, "%s", why.msg) : 0;
}

int snap_memfile_commit(struct snap_memfile *m, struct snap_env *env,
                        uint64_t *size_r, char hash_r[33],
                        struct snap_err *err)
{
    int rc;
    struct stat st;

    if (fstat(m->fd, &st)) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", m->part);
        goto out;
    }
    /* Gives back what was set aside and not used. */
    if (ftruncate(m->fd, st.st_size)) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s: truncate", m->part);
        goto out;
    }
    if (!m->tail)
        m->tail = snap_hash_new();
    rc = hash_rest(env, m->tail, m->fd, m->part, st.st_size, hash_r, err);
    if (!rc && snap_hash_done(m->tail) != (uint64_t)st.st_size)
        rc = snap_fail(err, SNAP_IO, "%s changed while it was read", m->part);
    if (rc)
        goto out;
    rc = snap_file_sync(m->fd, m->part, err);
    if (rc)
        goto out;
    rc = name_it(m, &st, err);
    if (rc)
        goto out;
    *size_r = st.st_size;

out:
    return rc;
}

void snap_memfile_abort(struct snap_memfile *m)
{
    struct snap_err ignored = SNAP_ERR_INIT;

    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    if (m->part)
        snap_file_remove(m->part, &ignored);
    snap_memfile_dispose(m);
}

void snap_memfile_dispose(struct snap_memfile *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    snap_hash_free(m->tail);
    m->tail = NULL;
    snap_free(&m->path);
    snap_free(&m->part);
}

int snap_memfile_open(struct snap_env *env, const char *path, uint64_t *size,
                      int *fd_r, char **header_r, struct snap_err *err)
{
    struct stat st;
    int rc, fd;

    /* O_NONBLOCK: a FIFO somebody put there must not hang us. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "memory image %s", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "memory image %s is not a regular file", path);
        goto out;
    }
    if (*size && (uint64_t)st.st_size != *size) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "memory image %s has %llu bytes and was recorded with %llu; it is damaged: put it back, or go without the memory (--disk-only)",
                       path, (unsigned long long)st.st_size,
                       (unsigned long long)*size);
        goto out;
    }
    *size = st.st_size;
    rc = env->ops->image_check(env->hyp, fd, header_r, err);
    if (rc) {
        snap_err_prefix(err, "memory image %s", path);
        goto out;
    }
    *fd_r = fd;
    fd = -1;

out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int snap_memfile_is_of(struct snap_env *env, const struct snap_record *rec,
                       struct snap_err *err)
{
    int rc, fd = -1;
    uint64_t size = 0;
    char *header = NULL, uuid[37] = "";
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_memfile_open(env, rec->mem_path, &size, &fd, &header, &ignored) ||
        snap_domain_json_identity(header, NULL, uuid, NULL, NULL, &ignored))
        rc = snap_fail(err, SNAP_REFUSED, "it is not a memory image now");
    else if (size != rec->mem_size)
        rc = snap_fail(err, SNAP_REFUSED,
                       "it has %llu bytes now, and that of %s had %llu",
                       (unsigned long long)size, rec->name,
                       (unsigned long long)rec->mem_size);
    else if (!snap_streq(uuid, rec->domain_uuid))
        rc = snap_fail(err, SNAP_REFUSED, "it is of domain %s now", uuid);
    else
        rc = 0;
    free(header);
    if (fd >= 0)
        close(fd);
    return rc;
}

int snap_memfile_verify(struct snap_env *env, int fd, const char *path,
                        uint64_t size, const char *hash, struct snap_err *err)
{
    char now[33];
    int rc;

    rc = snap_memfile_hash(env, fd, path, size, now, err);
    if (!rc && strcmp(now, hash))
        rc = snap_fail(err, SNAP_CORRUPT,
                       "memory image %s does not have the checksum it was recorded with (%s, now %s); it is damaged: put it back, or go without the memory (--disk-only)",
                       path, hash, now);
    return rc;
}
