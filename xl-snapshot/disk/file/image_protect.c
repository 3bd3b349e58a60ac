/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_protect.h. */
#include "disk/file/image_protect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fault.h"

static int change_flags(const char *path, int set, int clear,
                        struct snap_err *err)
{
    int rc, fd, flags = 0, wanted, e;

    e = snap_fault("file", "flags");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!e && (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags)))
        e = errno;
    wanted = (flags | set) & ~clear;
    if (!e && wanted != flags && ioctl(fd, FS_IOC_SETFLAGS, &wanted))
        e = errno;
    rc = e ? snap_fail_errno(err,
                             e == ENOTTY || e == EOPNOTSUPP ? SNAP_UNSUPPORTED
                                                            : SNAP_IO,
                             e, "immutable attribute of %s", path)
           : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int snap_image_protect(const char *path, struct snap_err *err)
{
    int rc;
    struct stat st;
    struct snap_err why = SNAP_ERR_INIT;

    if (!stat(path, &st) && S_ISBLK(st.st_mode))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s is a device and cannot be made immutable; do not start a configuration that names it",
                         path);
    rc = change_flags(path, FS_IMMUTABLE_FL, 0, &why);
    if (rc)
        snap_fail(err, rc,
                  "%s could not be made immutable (%s); do not start a configuration that names it",
                  path, why.msg);
    return rc;
}

int snap_image_unprotect(const char *path, struct snap_err *err)
{
    if (!snap_image_protected(path))
        return 0;
    return change_flags(path, 0, FS_IMMUTABLE_FL, err);
}

static bool get_flags(const char *path, int *flags_r)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool can = fd >= 0 && !ioctl(fd, FS_IOC_GETFLAGS, flags_r);

    if (fd >= 0)
        close(fd);
    return can;
}

bool snap_image_protected(const char *path)
{
    int flags = 0;

    return get_flags(path, &flags) && (flags & FS_IMMUTABLE_FL);
}

bool snap_image_can_protect(const char *path)
{
    int flags = 0;

    return get_flags(path, &flags);
}
