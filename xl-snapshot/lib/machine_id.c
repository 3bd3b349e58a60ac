/* SPDX-License-Identifier: LGPL-2.1-only */
/* See machine.h. */
#include "lib/machine_id.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"

#define UNNAMED "localhost"

const char *snap_machine_id_file = "/etc/machine-id";
const char *snap_machine_name_is;

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

char *snap_machine_name(void)
{
    struct utsname u = { .nodename = "" };
    const char *name = snap_machine_name_is;
    size_t len;

    if (!name)
        name = uname(&u) ? "" : u.nodename;
    len = strcspn(name, ".");
    /* The kernel's own word, and what systemd takes where nothing is set. */
    if (!strcmp(name, "(none)") ||
        (len == strlen(UNNAMED) && !strncmp(name, UNNAMED, len)))
        len = 0;
    return snap_strndup(name, len);
}
