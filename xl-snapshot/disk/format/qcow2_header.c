/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qcow2_header.h; the format is docs/interop/qcow2.txt of QEMU.  The
 * image is hostile: every offset and length is bounded before it is used.
 * Never writes.
 */
#include "disk/format/qcow2_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/format/qcow2_bytes.h"
#include "lib/fault.h"
#include "lib/mem.h"

#define HEADER_V2   72
#define HEADER_V3   104
#define HEADER_MAX  (64u * 1024) /* extensions end before this */
#define HEADER_SOON 4096u /* and mostly before this */

#define EXT_END            0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_BITMAPS        0x23852875u

enum {
    INCOMPAT_DIRTY = 1,
    INCOMPAT_CORRUPT = 2,
    INCOMPAT_DATA_FILE = 4,
};

/* A name in the image: bytes without NUL and control characters. */
static char *take_string(const unsigned char *b, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (b[i] < 0x20 || b[i] == 0x7f)
            return NULL;
    return snap_strndup((const char *)b, len);
}

static int parse_extensions(const unsigned char *b, size_t at, size_t end,
                            struct snap_qcow2 *h, bool *ended_r)
{
    *ended_r = false;
    while (at + 8 <= end) {
        uint32_t type = snap_qcow2_get32(b, at),
                 len = snap_qcow2_get32(b, at + 4);

        at += 8;
        if (type == EXT_END) {
            *ended_r = true;
            return 0;
        }
        if (len > end - at)
            return -1;
        if (type == EXT_BACKING_FORMAT && !h->backing_format) {
            h->backing_format = take_string(b + at, len);
            if (!h->backing_format)
                return -1;
        } else if (type == EXT_BITMAPS) {
            h->bitmaps = true;
        }
        at += (len + 7u) & ~7u;
    }
    return 0;
}

/* True if the active table refers to no second-level table at all. */
static bool l1_is_empty(int fd, uint64_t off, uint64_t bytes)
{
    unsigned char chunk[4096];
    size_t i, want;

    if (!bytes)
        return true;
    if (bytes > SNAP_QCOW2_L1_MAX)
        return false;
    while (bytes) {
        want = bytes < sizeof(chunk) ? bytes : sizeof(chunk);
        if (snap_qcow2_read_at(fd, chunk, want, off) != (ssize_t)want)
            return false;
        for (i = 0; i < want; i++)
            if (chunk[i])
                return false;
        off += want;
        bytes -= want;
    }
    return true;
}

static int qcow2_header_parse(int fd, const unsigned char *b, size_t len,
                              const char *path, struct snap_qcow2 *h,
                              struct snap_err *err)
{
    uint64_t incompat = 0, backing_off;
    uint32_t backing_len, header_len = HEADER_V2;
    size_t end = len;
    bool ended;

    h->begins = len >= HEADER_V2 && snap_qcow2_get32(b, 0) == SNAP_QCOW2_MAGIC;
    if (!h->begins)
        return snap_fail(err, SNAP_CORRUPT, "%s is not a qcow2 image", path);
    h->version = snap_qcow2_get32(b, 4);
    if (h->version != 2 && h->version != 3)
        return snap_fail(err, SNAP_CORRUPT,
                         "%s is of qcow version %u, which is not supported",
                         path, h->version);
    backing_off = snap_qcow2_get64(b, 8);
    backing_len = snap_qcow2_get32(b, 16);
    h->size = snap_qcow2_get64(b, 24);
    h->encrypted = snap_qcow2_get32(b, 32) != 0;
    h->snapshots = snap_qcow2_get32(b, 60);
    h->refcount_bits = 16;
    if (h->version == 3) {
        if (len < HEADER_V3)
            goto damaged;
        incompat = snap_qcow2_get64(b, 72);
        h->refcount_bits = 1u << (snap_qcow2_get32(b, 96) & 7);
        header_len = snap_qcow2_get32(b, 100);
        if (header_len < HEADER_V3 || header_len > len)
            goto damaged;
    }
    h->dirty = incompat & INCOMPAT_DIRTY;
    h->corrupt = incompat & INCOMPAT_CORRUPT;
    h->data_file = incompat & INCOMPAT_DATA_FILE;

    if (backing_off) {
        if (!backing_len || backing_len > SNAP_QCOW2_BACKING_MAX ||
            backing_off < header_len || backing_off > len ||
            backing_len > len - backing_off)
            goto damaged;
        h->backing = take_string(b + backing_off, backing_len);
        if (!h->backing)
            goto damaged;
        end = backing_off;
    }
    if (parse_extensions(b, header_len, end, h, &ended))
        goto damaged;
    /* There is more of it than was read. */
    if (!ended && !h->backing && len == HEADER_SOON)
        goto damaged;
    h->unwritten = !h->snapshots &&
                   l1_is_empty(fd, snap_qcow2_get64(b, 40),
                               (uint64_t)snap_qcow2_get32(b, 36) * 8);
    return 0;

damaged:
    return snap_fail(err, SNAP_CORRUPT, "%s: its qcow2 header is damaged",
                     path);
}

static int read_header(int fd, unsigned char *buf, size_t want,
                       const char *path, struct snap_qcow2 *h_r,
                       struct snap_err *err)
{
    int rc;
    bool begins;
    ssize_t len = snap_qcow2_read_at(fd, buf, want, 0);

    if (len < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "reading %s", path);
    rc = qcow2_header_parse(fd, buf, (size_t)len, path, h_r, err);
    if (!rc)
        return 0;
    begins = h_r->begins;
    snap_qcow2_dispose(h_r);
    h_r->begins = begins;
    return rc;
}

int snap_qcow2_read(const char *path, struct snap_qcow2 *h_r,
                    struct snap_err *err)
{
    int rc, fd = -1, e;
    struct stat st;
    unsigned char *buf = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    e = snap_fault("file", "open header");
    /* Not blocking: the path may name a FIFO. */
    if (!e && (fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        e = errno;
    if (e) {
        rc = snap_fail_errno(err, e == ENOENT ? SNAP_NOTFOUND : SNAP_IO, e,
                             "%s", path);
        goto out;
    }
    if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s is neither a file nor a block device", path);
        goto out;
    }
    buf = snap_zalloc(HEADER_SOON);
    rc = read_header(fd, buf, HEADER_SOON, path, h_r, &why);
    if (rc == SNAP_CORRUPT && h_r->begins) {
        buf = snap_realloc(buf, HEADER_MAX, 1);
        rc = read_header(fd, buf, HEADER_MAX, path, h_r, err);
    } else if (rc)
        snap_fail(err, rc, "%s", why.msg);

out:
    free(buf);
    if (fd >= 0)
        close(fd);
    return rc;
}

bool snap_qcow2_has_room(const struct snap_qcow2 *h, unsigned n)
{
    return h->refcount_bits >= 32 ||
           1 + (uint64_t)h->snapshots + n < UINT64_C(1) << h->refcount_bits;
}

void snap_qcow2_dispose(struct snap_qcow2 *h)
{
    free(h->backing);
    free(h->backing_format);
    memset(h, 0, sizeof(*h));
}
