/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a journal is about may be on file systems that are not mounted when it
 * is recovered: at boot, before they are, or never.  An image that is not there
 * then is not gone.
 */
#ifndef SNAP_OP_MOUNTS_H
#define SNAP_OP_MOUNTS_H

#include "op/op.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

/* Of a plan of op that is about to be written down: where the file system of
 * each file is mounted now that it names: of the record's disks, of op's own
 * part of it, and of its memory and output, if op makes them. */
struct snap_json *snap_mounts_of(const struct snap_op *op,
                                 const struct snap_json *plan);

/*
 * Guest in any state; reads only.  SNAP_RECOVER, naming the file and the mount
 * point, if one of those files is not there, nor what was mounted where it was;
 * likewise the image that one of the record's disks was left with, by the state.
 * mounts: as snap_mounts_of() gave it.  name: of the domain, as the operation
 * leaves it, or NULL: as it is.  Where the kernel does not say what is mounted
 * where (lib/mount.h), success.
 */
int snap_mounts_check(const struct snap_op *op, const struct snap_json *mounts,
                      const struct snap_record *rec, const char *name,
                      const struct snap_state *state, struct snap_err *err);

#endif /* SNAP_OP_MOUNTS_H */
