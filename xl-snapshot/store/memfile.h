/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The file of a memory image: made under a name that says it is not done, and
 * whose it is (PATH.part-OPID), given its space before the guest is stopped,
 * and put in place durably, with its size and checksum taken, after the guest
 * runs again.  Two commands may have been asked for one PATH: only one gets
 * it, and neither touches the other's file.
 */
#ifndef SNAP_STORE_MEMFILE_H
#define SNAP_STORE_MEMFILE_H

#include "lib/file.h"
#include "model/env.h"
#include "store/record.h"

struct snap_memfile {
    int fd; /* -1 */
    char *path; /* final */
    char *part; /* while being written */
    struct snap_hash *tail; /* what is in its checksum already, or NULL */
};
#define SNAP_MEMFILE_INIT \
    {                     \
        .fd = -1          \
    }

/* Bytes in an image that are no pages.  Set by tests, whose guests have none:
 * to set them aside took a third of a sweep's time. */
extern uint64_t snap_memfile_overhead;
/* Bytes that saving mem_kb of guest memory takes at most, with live's pages
 * sent again. */
uint64_t snap_memfile_need(uint64_t mem_kb, bool live, size_t config_len);
/* Guest running.  0600; SNAP_EXISTS if path is taken; SNAP_NOSPACE if `need`
 * bytes cannot be set aside. */
int snap_memfile_create(struct snap_memfile *m, const char *path,
                        const char *op_id, uint64_t need,
                        struct snap_err *err);
/* Which file it is, for the journal: tells it from another one of its name. */
int64_t snap_memfile_id(const struct snap_memfile *m);
/* Recovery: the file that the dead command made, under either name; id: what
 * snap_memfile_id() said, or 0.  Back under the name that says it is not done.
 * open: m->fd is that file, or -1 if there is none. */
void snap_memfile_find(struct snap_memfile *m, const char *path,
                       const char *op_id, int64_t id, bool open);
/* Guest running again.  Trims, syncs, measures, renames; reads only what is
 * not in m->tail yet.  SNAP_EXISTS if somebody has made a file of that name:
 * both are kept. */
int snap_memfile_commit(struct snap_memfile *m, struct snap_env *env,
                        uint64_t *size_r, char hash_r[33],
                        struct snap_err *err);
/* Remove whatever there is of it.  Idempotent. */
void snap_memfile_abort(struct snap_memfile *m);
void snap_memfile_dispose(struct snap_memfile *m);

/* fd's checksum with progress "checking the memory image". */
int snap_memfile_hash(struct snap_env *env, int fd, const char *path,
                      uint64_t size, char hash_r[33], struct snap_err *err);

/*
 * Open a finished image to read it: a regular file of *size bytes (0: unknown,
 * found out) with a header that env->ops->image_check() takes; *header_r is
 * the configuration in it.  Its checksum is left for snap_memfile_verify(),
 * which reads all of it.
 */
int snap_memfile_open(struct snap_env *env, const char *path, uint64_t *size,
                      int *fd_r, char **header_r, struct snap_err *err);
/* A cheap look, before it is removed: is what lies there the image of this
 * snapshot, by its size and by the domain that its header names?  SNAP_REFUSED
 * with the reason if it is not, or cannot be told. */
int snap_memfile_is_of(struct snap_env *env, const struct snap_record *rec,
                       struct snap_err *err);
int snap_memfile_verify(struct snap_env *env, int fd, const char *path,
                        uint64_t size, const char *hash, struct snap_err *err);

#endif /* SNAP_STORE_MEMFILE_H */
