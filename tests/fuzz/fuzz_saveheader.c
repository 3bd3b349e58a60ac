/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory images from anywhere.  What is accepted must be what we would write.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hyp/saveheader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { 0 };
    char *json = NULL;
    bool poisoned;
    int fd;

    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
        lseek(fd, 0, SEEK_SET))
        abort();
    if (!snap_saveheader_read(fd, &json, &poisoned, &err)) {
        snap_saveheader_write(&b, json, poisoned);
        if (b.len > size || memcmp(b.data, data, b.len) ||
            lseek(fd, 0, SEEK_CUR) != (off_t)b.len)
            abort();
    } else if (!err.rc || json) {
        abort();
    }
    snap_buf_dispose(&b);
    free(json);
    close(fd);
    return 0;
}
