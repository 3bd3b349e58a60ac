/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The commit of a snapshot, shared by create and its recovery.
 */
#ifndef SNAP_OP_CREATE_COMMIT_H
#define SNAP_OP_CREATE_COMMIT_H

#include "model/env.h"
#include "store/memfile.h"
#include "store/record.h"
#include "store/store.h"

/* Guest running.  Puts the memory file (mem, may hold none) in place and the
 * record into the store, or into output.  Durable on return. */
int snap_commit(struct snap_env *env, const struct snap_store *s,
                struct snap_record *rec, struct snap_memfile *mem,
                const char *output, struct snap_err *err);

/* The disks are taken, and the memory image does not fit them, or is not whole:
 * it goes, and what is left is a crash consistent snapshot of the disks. */
void snap_commit_drop_memory(struct snap_record *rec,
                             struct snap_memfile *mem);

/* Name the images of before the snapshot in Xen again. */
int snap_commit_set_old(struct snap_env *env, const struct snap_domain *dom,
                        const struct snap_record *rec, struct snap_err *err);

#endif /* SNAP_OP_CREATE_COMMIT_H */
