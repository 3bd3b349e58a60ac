/* SPDX-License-Identifier: LGPL-2.1-only */
/* Footers of VHD images.  A differencing one must never pass. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/format/vhd_footer.h"

#define FOOTER  512 /* bytes, at the end; a dynamic disk has a copy in front */
#define KIND_AT 60 /* big endian, 32 bits; 4 is differencing */

static int differencing(const uint8_t *f)
{
    static const uint8_t kind[4] = { 0, 0, 0, 4 };

    return !memcmp(f, "conectix", 8) && !memcmp(f + KIND_AT, kind, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    char path[32];
    int fd, rc;

    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = snap_vhd_check(path, &err);
    if (rc ? !err.rc || !err.msg[0]
           : size < FOOTER || differencing(data) ||
                 (memcmp(data, "conectix", 8) &&
                  differencing(data + size - FOOTER)))
        abort();
    close(fd);
    return 0;
}
