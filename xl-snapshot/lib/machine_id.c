/* SPDX-License-Identifier: LGPL-2.1-only */
/* See machine_id.h. */
#include "lib/machine_id.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"

const char *snap_machine_id_file = "/etc/machine-id";
const char *snap_hardware_id_file = "/sys/class/dmi/id/product_uuid";

/* A system that can keep none has a new one mounted there at each boot. */
static bool is_mounted(const char *path)
{
    struct stat folder, file;
    char *dir = snap_dirname(path);
    bool same = !stat(dir, &folder) && !stat(path, &file) &&
                folder.st_dev == file.st_dev;

    free(dir);
    return !same;
}

char *snap_machine_id(void)
{
    char buf[34] = "";
    const char *path = snap_machine_id_file;
    int fd = is_mounted(path) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    if (strlen(buf) != 32 || strspn(buf, "0123456789abcdef") != 32)
        buf[0] = '\0';
    return snap_strdup(buf);
}

char *snap_hardware_id(void)
{
    char buf[38] = "";
    int fd = open(snap_hardware_id_file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
    size_t i, same = 0;

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    for (i = 0; buf[i]; i++) {
        buf[i] = (char)tolower((unsigned char)buf[i]);
        same += buf[i] == buf[0] || buf[i] == '-';
    }
    /* Firmware that was given none has nothing but 0 or f. */
    if (i != 36 || strspn(buf, "0123456789abcdef-") != 36 || same == 36)
        buf[0] = '\0';
    return snap_strdup(buf);
}
