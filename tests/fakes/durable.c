/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See durable.h.  Beside the folder is another one, with a file for each inode
 * that was synced: "f<inode>" has a file's bytes, "d<inode>" a folder's names,
 * a line "<inode> <mode, octal> <name>" each, and of a symbolic link, after a
 * tab, where it leads to.  Inode numbers of a memory file system are not used
 * again.
 */
#include "fakes/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "lib/mem.h"

void (*durable_on_sync)(int fd);
void (*durable_before_sync)(int fd);
bool (*durable_keeps)(unsigned page);

static char *the_root, *beside;
static dev_t the_dev;

static char *note_path(char what, ino_t ino)
{
    return snap_printf("%s/%c%llu", beside, what, (unsigned long long)ino);
}

/* With its time stamp: what was synced is as old as it was then. */
static void copy(int from, const char *to, mode_t mode)
{
    char buf[1 << 16];
    off_t at = 0;
    ssize_t n;
    struct stat st;
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        abort();
    while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
        if (write(fd, buf, n) != n)
            abort();
        at += n;
    }
    if (n < 0 || fchmod(fd, mode) || fstat(from, &st) ||
        (S_ISREG(st.st_mode) &&
         futimens(fd, (struct timespec[2]){ st.st_mtim, st.st_mtim })))
        abort();
    close(fd);
}

static void note_name(FILE *f, int dirfd, const char *name,
                      const struct stat *st)
{
    char to[4096] = "";
    ssize_t n = -1;

    if (S_ISLNK(st->st_mode))
        n = readlinkat(dirfd, name, to, sizeof(to) - 1);
    to[n < 0 ? 0 : n] = '\0';
    fprintf(f, "%llu %o %s%s%s\n", (unsigned long long)st->st_ino, st->st_mode,
            name, to[0] ? "\t" : "", to);
}

/* The names that the folder has now. */
static void note_names(int dirfd, const char *to)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    FILE *f = fopen(to, "we");
    struct dirent *e;
    struct stat st;

    if (!d || !f)
        abort();
    while ((e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
            !fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            note_name(f, fd, e->d_name, &st);
    fclose(f);
    closedir(d);
}

/* It is on the disk now.  A file that was opened for writing only cannot be
 * read: it is opened again. */
static void note(int fd)
{
    struct stat st;
    char *to, *self;
    int again;

    if (durable_on_sync)
        durable_on_sync(fd);
    if (!the_root || fstat(fd, &st) || st.st_dev != the_dev)
        return;
    to = note_path(S_ISDIR(st.st_mode) ? 'd' : 'f', st.st_ino);
    self = snap_printf("/proc/self/fd/%d", fd);
    again = open(self, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        abort();
    if (S_ISDIR(st.st_mode))
        note_names(again, to);
    else
        copy(again, to, 0600);
    close(again);
    free(self);
    free(to);
}

int fsync(int fd)
{
    int r;

    if (durable_before_sync)
        durable_before_sync(fd);
    r = syscall(SYS_fsync, fd);
    if (!r)
        note(fd);
    return r;
}

int fdatasync(int fd)
{
    int r;

    if (durable_before_sync)
        durable_before_sync(fd);
    r = syscall(SYS_fdatasync, fd);
    if (!r)
        note(fd);
    return r;
}

static int note_one(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    int fd;

    (void)st;
    (void)ftw;
    if (type != FTW_F && type != FTW_D)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        note(fd);
        close(fd);
    }
    return 0;
}

/* A frozen image is immutable, which the disk does not keep either. */
static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)type;
    (void)ftw;
    if (S_ISREG(st->st_mode))
        snap_image_unprotect(path, NULL);
    return remove(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void durable_begin(const char *root)
{
    struct stat st;

    durable_end();
    beside = snap_printf("%s.disk", root);
    if (stat(root, &st) || mkdir(beside, 0700))
        abort();
    the_dev = st.st_dev;
    the_root = snap_strdup(root);
    nftw(root, note_one, 16, FTW_PHYS);
}

void durable_end(void)
{
    if (beside)
        remove_all(beside);
    snap_free(&the_root);
    snap_free(&beside);
}

/* ---- the cut ---- */

static char *found; /* where an inode has a name now */
static ino_t wanted;

static int find_one(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    (void)type;
    (void)ftw;
    if (st->st_ino != wanted)
        return 0;
    found = snap_strdup(path);
    return 1;
}

static char *name_of(ino_t ino)
{
    found = NULL;
    wanted = ino;
    nftw(the_root, find_one, 16, FTW_PHYS);
    return found;
}

/* Of what nobody synced, the pages that got there all the same. */
static void put_pages(const char *now, const char *path)
{
    char buf[4096];
    unsigned page;
    struct stat st;
    ssize_t n = 1;
    int from = open(now, O_RDONLY | O_CLOEXEC);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (from < 0 || fd < 0)
        abort();
    for (page = 0; n > 0; page++) {
        n = pread(from, buf, sizeof(buf), (off_t)page * sizeof(buf));
        if (n > 0 && durable_keeps(page) &&
            pwrite(fd, buf, n, (off_t)page * sizeof(buf)) != n)
            abort();
    }
    if (fstat(from, &st) ||
        futimens(fd, (struct timespec[2]){ st.st_mtim, st.st_mtim }))
        abort();
    close(fd);
    close(from);
}

/* A file with two names is one file. */
static struct {
    ino_t ino;
    char *path;
} placed[256];
static size_t n_placed;

static bool has_a_name(ino_t ino, const char *path)
{
    size_t i;

    for (i = 0; i < n_placed && placed[i].ino != ino; i++)
        ;
    if (i < n_placed && link(placed[i].path, path))
        abort();
    if (i < n_placed)
        return true;
    if (i == sizeof(placed) / sizeof(placed[0]))
        abort();
    placed[i].ino = ino;
    placed[i].path = snap_strdup(path);
    n_placed++;
    return false;
}

static void forget_placed(void)
{
    while (n_placed)
        free(placed[--n_placed].path);
}

/* What the disk has of a file: its bytes now, or those of its last sync, or
 * none at all. */
static void put_file(const char *path, ino_t ino, mode_t mode, bool data)
{
    char *synced, *now;
    int from;

    if (has_a_name(ino, path))
        return;
    synced = note_path('f', ino);
    now = data || durable_keeps ? name_of(ino) : NULL;
    from = open(data && now ? now : synced, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        from = open("/dev/null", O_RDONLY | O_CLOEXEC);
    copy(from, path, mode & 07777);
    close(from);
    if (!data && now && durable_keeps)
        put_pages(now, path);
    free(now);
    free(synced);
}

static void put_folder(const char *path, ino_t ino, mode_t mode, bool names,
                       bool data);

static void put_entries(const char *path, FILE *f, bool names, bool data)
{
    char line[8192], name[6144], *to;
    unsigned long long ino;
    unsigned mode;

    while (f && fgets(line, sizeof(line), f)) {
        char *sub;

        if (sscanf(line, "%llu %o %6143[^\n]", &ino, &mode, name) != 3)
            abort();
        to = S_ISLNK(mode) ? strchr(name, '\t') : NULL;
        if (to)
            *to++ = '\0';
        sub = snap_printf("%s/%s", path, name);
        if (to && symlink(to, sub))
            abort();
        if (S_ISDIR(mode))
            put_folder(sub, ino, mode, names, data);
        else if (S_ISREG(mode))
            put_file(sub, ino, mode, data);
        free(sub);
    }
}

static void put_folder(const char *path, ino_t ino, mode_t mode, bool names,
                       bool data)
{
    char *list = note_path('d', ino), *now = names ? name_of(ino) : NULL;
    int fd = now ? open(now, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    FILE *f;

    if (fd >= 0) {
        note_names(fd, list);
        close(fd);
    }
    f = fopen(list, "re");
    if (mkdir(path, 0700) || chmod(path, mode & 07777))
        abort();
    put_entries(path, f, names, data);
    if (f)
        fclose(f);
    free(now);
    free(list);
}

void durable_cut(bool names, bool data)
{
    char *root = snap_strdup(the_root), *fresh = snap_printf("%s.new", root);
    struct stat st;

    if (stat(root, &st))
        abort();
    put_folder(fresh, st.st_ino, st.st_mode, names, data);
    forget_placed();
    remove_all(root);
    if (rename(fresh, root))
        abort();
    durable_begin(root);
    free(fresh);
    free(root);
}
