/* SPDX-License-Identifier: LGPL-2.1-only */
/* See boot_id.h. */
#include "lib/boot_id.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/mem.h"

char *snap_boot_id(void)
{
    char buf[37] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

    if (fd >= 0)
        close(fd);
    buf[n == 36 ? 36 : 0] = '\0';
    return snap_strdup(buf);
}

int64_t snap_host_started(void)
{
    struct timespec now = { 0 }, up = { 0 };

    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return now.tv_sec - up.tv_sec;
}
