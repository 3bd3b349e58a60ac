/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See vhd_footer.h.  A dynamic VHD has a copy of its footer at its head; a
 * fixed one only the footer; either may be the one that is damaged, so both
 * are read and one that says "differencing" is enough to refuse.
 */
#include "disk/format/vhd_footer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOOTER            512
#define TYPE_AT           60
#define TYPE_FIXED        2
#define TYPE_DYNAMIC      3
#define TYPE_DIFFERENCING 4

/* The disk type at this offset, 0 if no footer is there. */
static unsigned type_at(int fd, off_t off)
{
    unsigned char b[FOOTER];

    if (off < 0 || pread(fd, b, sizeof(b), off) != (ssize_t)sizeof(b) ||
        memcmp(b, "conectix", 8) != 0)
        return 0;
    return (unsigned)b[TYPE_AT] << 24 | (unsigned)b[TYPE_AT + 1] << 16 |
           (unsigned)b[TYPE_AT + 2] << 8 | b[TYPE_AT + 3];
}

int snap_vhd_check(const char *path, struct snap_err *err)
{
    int rc, fd;
    unsigned head, foot;
    off_t end;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "%s", path);
    end = lseek(fd, 0, SEEK_END);
    head = type_at(fd, 0);
    foot = type_at(fd, end - FOOTER);
    if (head == TYPE_DIFFERENCING || foot == TYPE_DIFFERENCING)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is a differencing VHD; QEMU would read its parent's data as zeros.  Merge it with its parent first",
                       path);
    else if (head != TYPE_DYNAMIC && foot != TYPE_DYNAMIC &&
             foot != TYPE_FIXED)
        rc = snap_fail(err, SNAP_CORRUPT, "%s is not a fixed or dynamic VHD",
                       path);
    else
        rc = 0;
    close(fd);
    return rc;
}
