/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Writing and reading the save header; see saveheader.h for the format and
 * its source.  The file may be damaged or somebody else's: every length is
 * checked before it is used, and nothing is allocated for a length that the
 * limits refuse.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/saveheader.h"

#define BYTE_ORDER_MARK 0x01020304u
#define FLAG_JSON       (1u << 0)
#define FLAG_STREAM_V2  (1u << 1)
#define FLAG_POISON     (1u << 31)

/* 32 bytes, of which one is a NUL; C's terminator is not one of them. */
static const char magic[] = "Xen saved domain, xl format\n \0 \r";
#define MAGIC_LEN 32
_Static_assert(sizeof(magic) == MAGIC_LEN + 1, "xl's magic is 32 bytes");

void snap_saveheader_write(struct snap_buf *b, const char *json, bool poisoned)
{
    uint32_t len = strlen(json) + 1;
    uint32_t words[5] = {
        BYTE_ORDER_MARK,
        FLAG_JSON | FLAG_STREAM_V2 | (poisoned ? FLAG_POISON : 0),
        0,
        sizeof(len) + len,
        len,
    };

    snap_buf_add(b, magic, MAGIC_LEN);
    snap_buf_add(b, words, sizeof(words));
    snap_buf_add(b, json, len);
}

static int read_exactly(int fd, void *to, size_t len, const char *what,
                        struct snap_err *err)
{
    size_t done = 0;
    ssize_t n;

    while (done < len) {
        n = read(fd, (char *)to + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return snap_fail_errno(err, SNAP_IO, errno,
                                   "cannot read the %s of a memory image",
                                   what);
        if (n == 0)
            return snap_fail(err, SNAP_CORRUPT,
                             "the memory image ends within its %s", what);
        done += n;
    }
    return 0;
}

int snap_saveheader_read(int fd, char **json_r, bool *poisoned_r,
                         struct snap_err *err)
{
    char fixed[SNAP_SAVEHEADER_SIZE], *json = NULL;
    uint32_t words[4], len;
    int rc;

    *json_r = NULL;
    *poisoned_r = false;
    rc = read_exactly(fd, fixed, sizeof(fixed), "header", err);
    if (rc)
        goto out;
    if (memcmp(fixed, magic, MAGIC_LEN)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "not a memory image: it does not begin as one");
        goto out;
    }
    memcpy(words, fixed + MAGIC_LEN, sizeof(words));
    if (words[0] != BYTE_ORDER_MARK) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image was written on a machine of another byte order");
        goto out;
    }
    if (words[1] & ~(FLAG_JSON | FLAG_STREAM_V2 | FLAG_POISON)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image has flags 0x%x that nobody knows",
                       words[1]);
        goto out;
    }
    if (!(words[1] & FLAG_JSON) || !(words[1] & FLAG_STREAM_V2)) {
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "the memory image is of a kind that Xen before 4.6 wrote");
        goto out;
    }
    if (words[2]) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image has optional flags 0x%x", words[2]);
        goto out;
    }
    if (words[3] > SNAP_SAVEHEADER_MAX || words[3] < sizeof(len) + 1) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image says its configuration is %u bytes long",
                       words[3]);
        goto out;
    }

    rc = read_exactly(fd, &len, sizeof(len), "header", err);
    if (rc)
        goto out;
    if (len != words[3] - sizeof(len)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the memory image's header contradicts itself: %u bytes of configuration, or %u",
                       len, words[3] - (unsigned)sizeof(len));
        goto out;
    }
    json = snap_zalloc(len + 1);
    rc = read_exactly(fd, json, len, "configuration", err);
    if (rc)
        goto out;
    if (strlen(json) != len - 1) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the configuration in the memory image does not end where its header says");
        goto out;
    }

    *json_r = json;
    json = NULL;
    *poisoned_r = words[1] & FLAG_POISON;
    rc = 0;

out:
    free(json);
    return rc;
}
