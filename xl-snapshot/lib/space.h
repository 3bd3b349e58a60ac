/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Free space that several disks and a memory image want of the same file
 * system, or of the same pool of a storage: what one was promised is not there
 * for the next.  Only counted; so it serves a plan, and whoever then writes may
 * still find the disk full.
 */
#ifndef SNAP_LIB_SPACE_H
#define SNAP_LIB_SPACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/rc.h"

#define SNAP_SPACE_MAX  16
#define SNAP_SPACE_NAME 128 /* bytes of a pool's name, with its end */

/* Of one plan; zeroed at first.  File systems and pools beyond the last are not
 * counted up.  Where one may be given it may be NULL: nothing is. */
struct snap_space {
    struct snap_space_fs {
        char pool[SNAP_SPACE_NAME]; /* "": it is a file system */
        dev_t dev;
        uint64_t taken; /* bytes */
        uint64_t kept; /* bytes that are to stay free */
    } fs[SNAP_SPACE_MAX];
    size_t n;
};

/* Bytes free where path is, or will be, less what was taken and is kept
 * there. */
int snap_space_left(struct snap_space *s, const char *path, uint64_t *bytes_r,
                    struct snap_err *err);
/* The same, but what is kept is there, for those it is kept for. */
int snap_space_to_grow(struct snap_space *s, const char *path,
                       uint64_t *bytes_r, struct snap_err *err);
void snap_space_take(struct snap_space *s, const char *path, uint64_t bytes);
/* At least so many stay free, once for all that grow on that file system. */
void snap_space_keep(struct snap_space *s, const char *path, uint64_t bytes);

/* Of a pool: all is what its storage says it has free now; what is left of it.
 * name tells the storage and what is counted, "lvm vg/thin data" for instance:
 * data and metadata are two.  One whose name is too long is not counted up. */
uint64_t snap_space_pool_left(const struct snap_space *s, const char *name,
                              uint64_t all);
void snap_space_pool_take(struct snap_space *s, const char *name,
                          uint64_t bytes);

#endif /* SNAP_LIB_SPACE_H */
