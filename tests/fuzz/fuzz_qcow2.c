/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Headers of qcow2 images: guests do not write them, but images come from
 * anywhere.  What is accepted must be usable as it is.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/format/qcow2_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qcow2 h = { 0 };
    char path[32];
    int fd;

    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (!snap_qcow2_read(path, &h, &err)) {
        if (size < 72 || memcmp(data, "QFI\xfb", 4) ||
            (h.version != 2 && h.version != 3) ||
            (h.backing &&
             (!h.backing[0] || strlen(h.backing) > SNAP_QCOW2_BACKING_MAX)))
            abort();
    } else if (!err.rc || !err.msg[0]) {
        abort();
    }
    snap_qcow2_dispose(&h);
    close(fd);
    return 0;
}
