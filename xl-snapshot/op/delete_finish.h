/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The two ends of a deletion, shared by delete and recover: finish it after
 * its commit point, which is the removal of the record, or undo it before.
 */
#ifndef SNAP_OP_DELETE_FINISH_H
#define SNAP_OP_DELETE_FINISH_H

#include "op/delete.h"
#include "op/op.h"
#include "store/journal.h"

extern const struct snap_op snap_op_delete;

/* One deletion under way. */
struct snap_deletion {
    struct snap_env *env;
    struct snap_store *s;
    struct snap_record *rec;
    struct snap_delete *del; /* one a part of rec */
    struct snap_state *state;
    const char *op_id;
    struct snap_journal *journal;
    const struct snap_journal_entry *e; /* what it had, in recover */
    size_t n_e;
    const char *boot_id; /* of its plan, in recover */
    /* recover: what cannot be removed or merged is left, with a warning */
    bool last_try;
    bool ran; /* the domain, when it was planned */
    bool stands; /* out: the guest could not be let go on */
    bool over; /* within: the disk in hand may have changed over */
};

/* Records that freeze an image which was changed are brought up to date:
 * what a pull wrote to, or, with inside, what had a snapshot removed. */
int snap_deleted_refreeze(const struct snap_deletion *x, bool inside,
                          struct snap_err *err);
/* The record is there: stop what works, protect again.  Idempotent. */
int snap_deleted_undo(const struct snap_deletion *x, struct snap_err *err);
/* The record is gone: everything else.  Idempotent. */
int snap_deleted_finish(struct snap_deletion *x, struct snap_err *err);
/*
 * Before a guest goes on that stands in the exchange of this disk, whose process
 * died, or hangs with QEMU's ear: it may reboot at once, so Xen gets to know the
 * image that QEMU writes to.  What QEMU was told it is made to finish.
 * SNAP_RECOVER: that is not known; of a process that hangs never.  Success if
 * there is nothing to tell.  Leaves the store alone.  Slow if QEMU hangs
 * (some 10 s): a caller in a hurry sets a limit.
 */
int snap_deleted_known(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev,
                       bool hangs, struct snap_err *err);
/*
 * Later, with the guest going on again, and before anything that may refuse to
 * finish: of each disk that was in its exchange, in this domain, Xen gets to
 * know what QEMU writes to, and if that is the image below, the journal does:
 * once the domain is off, little else tells that the old overlay is not its
 * disk.  A failure leaves that to be found out by whoever finishes.
 */
int snap_deleted_note_over(struct snap_deletion *x, struct snap_err *err);
/* Or: nothing more, whatever is half done.  No job goes on, the state names
 * what the domain has, and every image stays. */
int snap_deleted_keep(struct snap_deletion *x, struct snap_err *err);

/* For delete_plan(): images that may be over the one that goes. */
void snap_deleted_know_path(struct snap_delete *d, const char *path,
                            const char *format, bool frozen);
void snap_deleted_know(struct snap_delete *d, const struct snap_record *rs,
                       size_t n);
void snap_deleted_know_state(struct snap_delete *d,
                             const struct snap_state *state);

#endif /* SNAP_OP_DELETE_FINISH_H */
