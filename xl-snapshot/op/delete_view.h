/* SPDX-License-Identifier: LGPL-2.1-only */
/* One deletion under way, and its domain as it is this moment. */
#ifndef SNAP_OP_DELETE_VIEW_H
#define SNAP_OP_DELETE_VIEW_H

#include "op/delete.h"
#include "op/saver.h"
#include "store/journal.h"

/* One deletion under way. */
struct snap_deletion {
    struct snap_session *ses; /* of the domain, its state loaded */
    struct snap_record *rec;
    struct snap_delete *del; /* one a part of rec */
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

/* The domain as its drivers are to see it. */
struct snap_deletion_now {
    struct snap_disk_ctx ctx; /* first: it is what a tick is given */
    struct snap_domain dom;
    bool there;
    bool qemu; /* and its QEMU answers */
    struct snap_qmp *qmp;
    struct snap_saver saver;
};

/* Looks for it; one that is not there is success.  Whatever comes of it, close
 * it. */
int snap_deletion_look(const struct snap_deletion *x,
                       struct snap_deletion_now *now, struct snap_err *err);
/* It may have gone down meanwhile, and be built again: then that is waited for,
 * and looked for anew. */
int snap_deletion_refresh(const struct snap_deletion *x,
                          struct snap_deletion_now *now, struct snap_err *err);
/* As if the domain were off, for what nobody has. */
void snap_deletion_off(const struct snap_deletion *x,
                       struct snap_deletion_now *now);
void snap_deletion_close(struct snap_deletion_now *now);
/* NULL: it is not there. */
const struct snap_domain *
snap_deletion_dom(const struct snap_deletion_now *now);
/* As it was called last. */
const char *snap_deletion_domain(const struct snap_deletion *x);

/* The note "WHAT-VDEV" of the journal as it was found, or NULL; and a new one,
 * durable, which takes data, that may be NULL. */
const struct snap_journal_entry *
snap_deletion_step(const struct snap_deletion *x, const char *what,
                   const char *vdev);
int snap_deletion_mark(const struct snap_deletion *x, const char *what,
                       const char *vdev, struct snap_json *data,
                       struct snap_err *err);
/* What failed with r in a recovery is never tried again after it: true, and e
 * cleared, if it is to be tried once more now. */
bool snap_deletion_again(const struct snap_deletion *x, int r,
                         struct snap_err *e);

#endif /* SNAP_OP_DELETE_VIEW_H */
