/* SPDX-License-Identifier: LGPL-2.1-only */
/* See qcow2_bytes.h. */
#include "disk/format/qcow2_bytes.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

uint16_t snap_qcow2_get16(const unsigned char *b, size_t at)
{
    uint16_t v;

    memcpy(&v, b + at, sizeof(v));
    return be16toh(v);
}

uint32_t snap_qcow2_get32(const unsigned char *b, size_t at)
{
    uint32_t v;

    memcpy(&v, b + at, sizeof(v));
    return be32toh(v);
}

uint64_t snap_qcow2_get64(const unsigned char *b, size_t at)
{
    uint64_t v;

    memcpy(&v, b + at, sizeof(v));
    return be64toh(v);
}

ssize_t snap_qcow2_read_at(int fd, void *buf, size_t len, uint64_t off)
{
    size_t done = 0;
    ssize_t n;

    if (off > INT64_MAX - len)
        return 0;
    while (done < len) {
        n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (!n)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}
