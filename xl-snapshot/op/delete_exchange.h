/* SPDX-License-Identifier: LGPL-2.1-only */
/* A disk changes over to the image below it, while the domain runs. */
#ifndef SNAP_OP_DELETE_EXCHANGE_H
#define SNAP_OP_DELETE_EXCHANGE_H

#include "op/delete_view.h"

/* What the domain has, by Xen. */
enum snap_deletion_has {
    SNAP_HAS_NOT, /* it was plugged out since, and perhaps another one in */
    SNAP_HAS_LEAF,
    SNAP_HAS_BASE,
};
/* dom NULL: it is not there. */
int snap_deletion_has(const struct snap_deletion *x,
                      const struct snap_domain *dom, const char *vdev,
                      const struct snap_delete *d,
                      enum snap_deletion_has *has_r, struct snap_err *err);
/* Xen gets to know which image the disk is. */
int snap_deletion_tell(const struct snap_deletion *x,
                       const struct snap_domain *dom, const char *vdev,
                       struct snap_object o, struct snap_err *err);
/* The one below, or the leaf. */
int snap_deletion_tell_which(const struct snap_deletion *x,
                             const struct snap_domain *dom, const char *vdev,
                             const struct snap_delete *d, bool base,
                             struct snap_err *err);
/* The merge has caught up, guest running or paused by its user; so it is again
 * on return, unless x->stands.  0: QEMU writes to the image below, which is
 * noted. */
int snap_deletion_exchange(struct snap_deletion *x,
                           struct snap_deletion_now *now, struct snap_part *p,
                           struct snap_delete *d, struct snap_err *err);
/* May QEMU write to the image below, and nobody has written that down? */
bool snap_deletion_may_be_over(const struct snap_deletion *x,
                               const struct snap_deletion_now *now,
                               const struct snap_part *p,
                               struct snap_delete *d);
/*
 * Before a guest goes on that stands in the exchange of this disk, whose process
 * died, or hangs with QEMU's ear: it may reboot at once, so Xen gets to know the
 * image that QEMU writes to.  What QEMU was told it is made to finish.
 * SNAP_RECOVER: that is not known; of a process that hangs never.  Success if
 * there is nothing to tell.  Leaves the store alone.  Slow if QEMU hangs
 * (some 10 s): a caller in a hurry sets a limit.
 */
int snap_deletion_known(const struct snap_deletion *x,
                        const struct snap_domain *dom, const char *vdev,
                        bool hangs, struct snap_err *err);
/*
 * Later, with the guest going on again, and before anything that may refuse to
 * finish: of each disk that was in its exchange, in this domain, Xen gets to
 * know what QEMU writes to, and if that is the image below, the journal does:
 * once the domain is off, little else tells that the old overlay is not its
 * disk.  A failure leaves that to be found out by whoever finishes.
 */
int snap_deletion_note_over(struct snap_deletion *x, struct snap_err *err);

#endif /* SNAP_OP_DELETE_EXCHANGE_H */
