/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qcow2_written.h; the format is docs/interop/qcow2.txt of QEMU.
 *
 * "qemu-img snapshot -a" makes the first-level table of the snapshot the
 * active one (qcow2_snapshot_goto()).  All tables and clusters belong to both
 * then, so that the first write to any of them, and to what is not allocated,
 * makes a second-level table of its own: an entry of the active table that
 * the snapshot does not have.  So two tables that are alike tell that nothing
 * was written.  One that is torn has entries of both snapshots.
 *
 * The image is hostile: every offset and length is bounded before it is used.
 */
#include "disk/format/qcow2_written.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/format/qcow2_bytes.h"
#include "lib/fault.h"
#include "lib/mem.h"

#define HEADER_LEN    72
#define ENTRY_LEN     40 /* of a snapshot in the table, without its strings */
#define SNAPSHOTS_MAX 65536u /* QEMU's own limits */
#define EXTRA_MAX     1024u
#define OFFSET_MASK   0x00fffffffffffe00ull /* of an entry; the rest are flags */

struct table {
    uint64_t *entry; /* as in the file */
    size_t n;
};

/* All of it, or the image is not what it says. */
static int read_all(int fd, void *buf, size_t len, uint64_t off,
                    const char *path, struct snap_err *err)
{
    ssize_t n = snap_qcow2_read_at(fd, buf, len, off);

    if (n < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "reading %s", path);
    return (size_t)n == len ? 0
                            : snap_fail(err, SNAP_CORRUPT,
                                        "%s: its tables end too early", path);
}

static int read_table(int fd, uint64_t off, uint32_t n, struct table *t,
                      const char *path, struct snap_err *err)
{
    if (n > SNAP_QCOW2_L1_MAX / sizeof(uint64_t))
        return snap_fail(err, SNAP_CORRUPT, "%s: its tables are damaged",
                         path);
    free(t->entry);
    t->entry = snap_zalloc((n + 1) * sizeof(uint64_t));
    t->n = n;
    return read_all(fd, t->entry, n * sizeof(uint64_t), off, path, err);
}

/* The first-level table of the snapshot called tag. */
static int find_table(int fd, const unsigned char *header, const char *tag,
                      struct table *t, const char *path, struct snap_err *err)
{
    uint64_t at = snap_qcow2_get64(header, 64);
    uint32_t left = snap_qcow2_get32(header, 60), extra;
    unsigned char e[ENTRY_LEN] = { 0 };
    size_t id_len, name_len, want = strlen(tag);
    char name[UINT16_MAX + 1];
    int rc = 0;

    if (left > SNAPSHOTS_MAX)
        return snap_fail(err, SNAP_CORRUPT, "%s: its tables are damaged",
                         path);
    for (; left; left--) {
        rc = read_all(fd, e, sizeof(e), at, path, err);
        if (rc)
            return rc;
        id_len = snap_qcow2_get16(e, 12);
        name_len = snap_qcow2_get16(e, 14);
        extra = snap_qcow2_get32(e, 36);
        if (extra > EXTRA_MAX || at > INT64_MAX / 2)
            return snap_fail(err, SNAP_CORRUPT, "%s: its tables are damaged",
                             path);
        rc = read_all(fd, name, name_len, at + sizeof(e) + extra + id_len,
                      path, err);
        if (rc)
            return rc;
        if (name_len == want && !memcmp(name, tag, want))
            return read_table(fd, snap_qcow2_get64(e, 0),
                              snap_qcow2_get32(e, 8), t, path, err);
        at += (sizeof(e) + extra + id_len + name_len + 7) & ~UINT64_C(7);
    }
    return snap_fail(err, SNAP_NOTFOUND, "%s has no snapshot %s inside", path,
                     tag);
}

static uint64_t offset_of(const struct table *t, size_t i)
{
    return i < t->n ? be64toh(t->entry[i]) & OFFSET_MASK : 0;
}

static bool has_its_own(const struct table *active, const struct table *a,
                        const struct table *b)
{
    size_t i;

    for (i = 0; i < active->n; i++)
        if (offset_of(active, i) != offset_of(a, i) &&
            offset_of(active, i) != offset_of(b, i))
            return true;
    return false;
}

/* The active table, and those of two snapshots. */
static int read_tables(const char *path, const char *tag, const char *other,
                       struct table t[3], struct snap_err *err)
{
    int rc, fd = -1, e = snap_fault("file", "open tables");
    unsigned char header[HEADER_LEN] = { 0 };

    if (!e && (fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        e = errno;
    if (e)
        return snap_fail_errno(err, e == ENOENT ? SNAP_NOTFOUND : SNAP_IO, e,
                               "%s", path);
    rc = read_all(fd, header, sizeof(header), 0, path, err);
    if (!rc && snap_qcow2_get32(header, 0) != SNAP_QCOW2_MAGIC)
        rc = snap_fail(err, SNAP_CORRUPT, "%s is not a qcow2 image", path);
    if (!rc)
        rc = read_table(fd, snap_qcow2_get64(header, 40),
                        snap_qcow2_get32(header, 36), &t[0], path, err);
    if (!rc)
        rc = find_table(fd, header, tag, &t[1], path, err);
    if (!rc)
        rc = find_table(fd, header, other, &t[2], path, err);
    close(fd);
    return rc;
}

static void free_tables(struct table t[3])
{
    free(t[0].entry);
    free(t[1].entry);
    free(t[2].entry);
}

int snap_qcow2_written(const char *path, const char *tag, const char *other,
                       bool *written_r, struct snap_err *err)
{
    struct table t[3] = { { NULL, 0 } };
    int rc = read_tables(path, tag, other, t, err);

    *written_r = !rc && has_its_own(&t[0], &t[1], &t[2]);
    free_tables(t);
    return rc;
}

int snap_qcow2_active(const char *path, const char *tag, bool *active_r,
                      struct snap_err *err)
{
    struct table t[3] = { { NULL, 0 } };
    int rc = read_tables(path, tag, tag, t, err);
    size_t i, n = t[0].n > t[1].n ? t[0].n : t[1].n;

    *active_r = !rc;
    for (i = 0; !rc && i < n; i++)
        if (offset_of(&t[0], i) != offset_of(&t[1], i))
            *active_r = false;
    free_tables(t);
    return rc;
}
