/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See image_attr.h.  The mode comes last: with an ACL its group bits are only
 * a mask, so without the ACL they would give more than the base's owner gave.
 */
#include "disk/file/image_attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"

#define LIST_MAX  65536 /* XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux */
#define VALUE_MAX 65536

int snap_image_own_like(int fd, const char *path, const char *base,
                        struct snap_err *err)
{
    struct stat st;

    if (stat(base, &st))
        return snap_fail_errno(err, SNAP_IO, errno, "%s", base);
    /* A disk device's group says nothing about an image. */
    if (S_ISREG(st.st_mode) && fchown(fd, st.st_uid, st.st_gid) &&
        (st.st_uid != geteuid() || st.st_gid != getegid()))
        return snap_fail_errno(err, SNAP_IO, errno, "owner of %s", path);
    return 0;
}

/* What says who may have it, or was put there by people.  Not what the kernel
 * keeps there about this one file: hashes, layers of overlayfs. */
static bool is_wanted(const char *name)
{
    return snap_has_prefix(name, "user.") ||
           !strcmp(name, "system.posix_acl_access") ||
           !strcmp(name, "security.selinux") ||
           !strcmp(name, "security.SMACK64");
}

/* False: a right that could not be had. */
static bool copy_one(const struct snap_log *log, const char *base, int fd,
                     const char *path, const char *name, char *value)
{
    ssize_t len = getxattr(base, name, value, VALUE_MAX);
    int e = snap_fault("file", "set attribute");

    if (len < 0 && errno == ENODATA)
        return true;
    if (!e && (len < 0 || fsetxattr(fd, name, value, (size_t)len, 0)))
        e = errno;
    if (!e || snap_has_prefix(name, "user."))
        return true;
    snap_say(log, SNAP_LOG_WARN,
             "%s does not have the attribute %s of %s (%s): who may have it was narrowed to its owner",
             path, name, base, strerror(e));
    return false;
}

static bool copy_all(const struct snap_log *log, const char *base, int fd,
                     const char *path)
{
    char *names = snap_zalloc(LIST_MAX), *value = snap_zalloc(VALUE_MAX);
    ssize_t len = listxattr(base, names, LIST_MAX), at;
    bool all = len >= 0 || errno == ENOTSUP;

    for (at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
        if (is_wanted(names + at) &&
            !copy_one(log, base, fd, path, names + at, value))
            all = false;
    free(names);
    free(value);
    return all;
}

int snap_image_attr_copy(const struct snap_log *log, const char *base, int fd,
                         const char *path, struct snap_err *err)
{
    struct stat from, now;
    mode_t mode;
    int e = snap_fault("file", "mode");

    if (stat(base, &from) || fstat(fd, &now))
        return snap_fail_errno(err, SNAP_IO, errno, "%s", base);
    if (!S_ISREG(from.st_mode))
        return 0;
    mode = (from.st_mode & 0666) | 0600;
    if (!copy_all(log, base, fd, path) || now.st_uid != from.st_uid ||
        now.st_gid != from.st_gid)
        mode = 0600;
    if (!e && fchmod(fd, mode))
        e = errno;
    return e ? snap_fail_errno(err, SNAP_IO, e, "mode of %s", path) : 0;
}
