/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Files that survive a crash.  A file is written under another name, synced,
 * renamed, and its folder synced: a reader sees the old one or the new one.
 * The other name is "<path>.tmp-<pid>"; only a sudden death leaves one.
 * No function follows a symbolic link at the last component of a path that
 * it creates.  All ask snap_fault("file", …) first.
 */
#ifndef SNAP_LIB_FILE_H
#define SNAP_LIB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/rc.h"

/* Write path atomically and durably with this mode (whatever the umask); an
 * existing file is replaced unless excl is set (then SNAP_EXISTS).  If only
 * the last step, syncing the folder, fails, the new file is there already;
 * with excl it is taken away again. */
int snap_file_write(const char *path, const void *data, size_t len,
                    mode_t mode, bool excl, struct snap_err *err);
/* Read at most max bytes; a larger file is SNAP_CORRUPT, a missing one
 * SNAP_NOTFOUND, anything but a regular file (a symbolic link too)
 * SNAP_REFUSED.  The buffer has a NUL behind its end; caller frees. */
int snap_file_read(const char *path, size_t max, char **data_r, size_t *len_r,
                   struct snap_err *err);
/* rename(2) and fsync of the folder(s). */
int snap_file_rename(const char *from, const char *to, struct snap_err *err);
/* rename(2) alone, where nothing may be waited for: the folder is still to be
 * synced. */
int snap_file_rename_only(const char *from, const char *to,
                          struct snap_err *err);
/* The same within a folder, and SNAP_EXISTS if there is a `to`.  A death in it
 * may leave both names. */
int snap_file_rename_new(const char *from, const char *to,
                         struct snap_err *err);
/* unlink(2) and fsync of the folder; a missing file is success. */
int snap_file_remove(const char *path, struct snap_err *err);
/* mkdir -p with this mode for every folder it makes, each synced.  What is
 * there already may be a link to a folder. */
int snap_dir_make(const char *path, mode_t mode, struct snap_err *err);
int snap_dir_sync(const char *path, struct snap_err *err);
/* Create a new file (O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC), SNAP_EXISTS if it
 * is there. */
int snap_file_create(const char *path, mode_t mode, int *fd_r,
                     struct snap_err *err);
int snap_file_sync(int fd, const char *path_for_message, struct snap_err *err);
/* What lies there now, and its time stamp, is on the disk on return.  An error
 * from before the call may have been told to somebody else. */
int snap_path_sync(const char *path, struct snap_err *err);
bool snap_file_exists(const char *path); /* lstat, any type */
/* The first line of a small file of the kernel's, without its end, cut where
 * buf is full. */
bool snap_line_read(int dirfd, const char *name, char *buf, size_t size);
/* The same file, or for device nodes the same device, by whatever name; two
 * paths are the same also where there is nothing. */
bool snap_same_stat(const struct stat *a, const struct stat *b);
bool snap_same_file(const char *a, const char *b);
/* Write all of it; EINTR and short writes handled. */
int snap_write_all(int fd, const void *data, size_t len, const char *what,
                   struct snap_err *err);
/* Bytes an unprivileged writer could still put on the file system of path
 * (or of its nearest existing parent); which file system that is in dev_r,
 * unless NULL. */
int snap_free_bytes(const char *path, uint64_t *bytes_r, dev_t *dev_r,
                    struct snap_err *err);
/* XXH3-128 of the rest of fd from offset 0 to its end, as 32 hex digits in
 * hex_r[33].  tick (may be NULL) is called with the bytes done; returning
 * non-zero stops with SNAP_INTR. */
int snap_file_hash(int fd, const char *what, char hex_r[33],
                   int (*tick)(void *opaque, uint64_t done), void *opaque,
                   struct snap_err *err);
/* The same, of a file that is still being written to its end, bit by bit. */
struct snap_hash;
struct snap_hash *snap_hash_new(void);
void snap_hash_free(struct snap_hash *h);
/* Bytes that are in it. */
uint64_t snap_hash_done(const struct snap_hash *h);
/* Reads on, max bytes at most; fewer only at the end of the file.  0 or
 * SNAP_IO. */
int snap_hash_read(struct snap_hash *h, int fd, const char *what, size_t max,
                   struct snap_err *err);
/* All that is left, and the end; tick as for snap_file_hash(). */
int snap_hash_rest(struct snap_hash *h, int fd, const char *what,
                   char hex_r[33], int (*tick)(void *opaque, uint64_t done),
                   void *opaque, struct snap_err *err);
/* "a/b" of "a/b/c" and of "a/b/c/"; caller frees. */
char *snap_dirname(const char *path);
/* What stands behind the last slash. */
const char *snap_basename(const char *path);
/* True if path is absolute, below PATH_MAX, is UTF-8 without control
 * characters and has no "." or ".." component. */
bool snap_path_ok(const char *path);

#endif /* SNAP_LIB_FILE_H */
