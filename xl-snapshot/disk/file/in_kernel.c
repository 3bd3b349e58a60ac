/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See in_kernel.h.  That somebody has it is asked of the kernel itself (a loop
 * device's inode, an exclusive open); who that is, for the message, is looked
 * up in sysfs and mountinfo, and may remain unknown, as with a mount in another
 * namespace.
 */
#include "disk/file/in_kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"

#define DEPTH_MAX 4 /* devices over one another that are told */

/* ---- who is on a device ---- */

static char *upon(const char *number, unsigned depth);

static bool in_kernel_is_device(const char *path, const char *number)
{
    char own[32];
    struct stat st;

    if (path[0] != '/' || stat(path, &st) || !S_ISBLK(st.st_mode))
        return false;
    snprintf(own, sizeof(own), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
    return !strcmp(own, number);
}

/* proc(5), mountinfo: "ID PARENT MAJ:MIN ROOT AT OPTIONS ... - TYPE SOURCE".
 * With btrfs the number is not the device's, but the source is. */
static char *mounted_at(const char *number)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, at[4096], dev[32], source[4096], *found = NULL;
    const char *rest;
    size_t size = 0;

    while (f && !found && getline(&line, &size, f) > 0) {
        if (sscanf(line, "%*s %*s %31s %*s %4095s", dev, at) != 2)
            continue;
        rest = strstr(line, " - ");
        if (!strcmp(dev, number) ||
            (rest && sscanf(rest, " - %*s %4095s", source) == 1 &&
             in_kernel_is_device(source, number)))
            found = snap_printf("mounted at %s", at);
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* The device mapper's own name for what sysfs calls dm-0. */
static char *device_name(int dir, const char *entry)
{
    char file[300], name[256];

    snprintf(file, sizeof(file), "%s/dm/name", entry);
    return snap_line_read(dir, file, name, sizeof(name))
               ? snap_printf("/dev/mapper/%s", name)
               : snap_printf("/dev/%s", entry);
}

/* A device over this one, or a part of it that somebody has. */
static char *one_of(int dir, const char *entry, bool part, unsigned depth)
{
    char file[300], number[32], *name, *rest, *found = NULL;

    snprintf(file, sizeof(file), "%s/partition", entry);
    if (part && faccessat(dir, file, F_OK, 0))
        return NULL;
    snprintf(file, sizeof(file), "%s/dev", entry);
    if (!snap_line_read(dir, file, number, sizeof(number)))
        return NULL;
    name = device_name(dir, entry);
    rest = upon(number, depth);
    if (rest || !part)
        found = snap_printf("%s %s%s%s", part ? "its part" : "under", name,
                            rest ? ", " : "", rest ? rest : "");
    free(name);
    free(rest);
    return found;
}

static char *first_of(const char *number, bool part, unsigned depth)
{
    char *folder = snap_printf("/sys/dev/block/%s%s", number,
                               part ? "" : "/holders");
    DIR *d = opendir(folder);
    const struct dirent *e;
    char *found = NULL;

    while (d && !found && (e = readdir(d)))
        if (e->d_name[0] != '.')
            found = one_of(dirfd(d), e->d_name, part, depth);
    if (d)
        closedir(d);
    free(folder);
    return found;
}

/* "under /dev/mapper/x, mounted at /mnt", or NULL. */
static char *upon(const char *number, unsigned depth)
{
    char *found = mounted_at(number);

    if (!found && depth)
        found = first_of(number, false, depth - 1);
    if (!found && depth)
        found = first_of(number, true, depth - 1);
    return found;
}

/* ---- loop devices ---- */

/* The kernel's own encoding of a device number, new_encode_dev(). */
static dev_t decoded(uint64_t dev)
{
    return makedev((dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

/* The device is asked what it has, by inode: the name in sysfs may be one of
 * another mount namespace, or stand for something else by now. */
static bool asked(const char *loop, const struct stat *file, bool *ro_r)
{
    char name[300];
    struct loop_info64 info = { 0 };
    int fd;
    bool is;

    snprintf(name, sizeof(name), "/dev/%s", loop);
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    is = !ioctl(fd, LOOP_GET_STATUS64, &info);
    close(fd);
    if (!is)
        return false;
    /* Not what sysfs says, which blockdev --setro changes under a mount. */
    *ro_r = info.lo_flags & LO_FLAGS_READ_ONLY;
    if (S_ISBLK(file->st_mode) && decoded(info.lo_rdevice) == file->st_rdev)
        return true;
    return info.lo_inode == file->st_ino &&
           decoded(info.lo_device) == file->st_dev;
}

static bool loop_has(int dir, const char *loop, const struct stat *file,
                     bool *ro_r)
{
    char name[300], path[4096], ro[8];
    struct stat st;

    if (asked(loop, file, ro_r))
        return true;
    snprintf(name, sizeof(name), "%s/loop/backing_file", loop);
    if (!snap_line_read(dir, name, path, sizeof(path)) || stat(path, &st) ||
        !snap_same_stat(&st, file))
        return false;
    snprintf(name, sizeof(name), "%s/ro", loop);
    *ro_r = snap_line_read(dir, name, ro, sizeof(ro)) && ro[0] == '1';
    return true;
}

static char *named_loop(int dir, const char *loop)
{
    char file[300], number[32], *rest = NULL, *who;

    snprintf(file, sizeof(file), "%s/dev", loop);
    if (snap_line_read(dir, file, number, sizeof(number)))
        rest = upon(number, DEPTH_MAX);
    who = rest ? snap_printf("/dev/%s (%s)", loop, rest)
               : snap_printf("/dev/%s", loop);
    free(rest);
    return who;
}

static char *using_loop(const struct stat *file, bool readers)
{
    DIR *d = opendir("/sys/block");
    const struct dirent *e;
    char *who = NULL;

    while (d && !who && (e = readdir(d))) {
        bool ro = false;

        if (snap_has_prefix(e->d_name, "loop") &&
            loop_has(dirfd(d), e->d_name, file, &ro) && (readers || !ro))
            who = named_loop(dirfd(d), e->d_name);
    }
    if (d)
        closedir(d);
    return who;
}

/* ---- devices ---- */

/* Whatever in the kernel has a device for itself keeps others from having it
 * so, and also the whole disk from whom a part is taken, and the other way. */
static char *using_device(const char *path, const struct stat *st)
{
    char number[32], *rest, *who;
    int fd;

    if (!S_ISBLK(st->st_mode))
        return NULL;
    fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        close(fd);
        return NULL;
    }
    if (errno != EBUSY)
        return NULL;
    snprintf(number, sizeof(number), "%u:%u", major(st->st_rdev),
             minor(st->st_rdev));
    rest = upon(number, DEPTH_MAX);
    who = snap_printf(
        "the kernel (%s)",
        rest
            ? rest
            : "it, or a part of it, is mounted, swapped to, or belongs to another device");
    free(rest);
    return who;
}

char *snap_kernel_user(const char *path, const struct stat *st, bool readers)
{
    char *who = using_loop(st, readers);

    if (!who)
        who = using_device(path, st);
    if (who)
        snap_clean(who);
    return who;
}
