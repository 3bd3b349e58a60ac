/* SPDX-License-Identifier: LGPL-2.1-only */
/* How a recovery is wanted, and what it says besides. */
#ifndef SNAP_OP_RECOVERY_HOW_H
#define SNAP_OP_RECOVERY_HOW_H

#include <stdbool.h>

/* What only the caller can know: a command that waits for the answer to its
 * own doings, the guardian, or the user. */
struct snap_recovery {
    bool rescued; /* the caller has let the guest go on */
    bool stood; /* until then, as the command had left it */
    /* What its user wants to become of disks that an unfinished revert has
     * changed, and that somebody has written to since: they stay as they are,
     * and the revert is given up; or they become what they were before it.
     * Without either, that is SNAP_RECOVER. */
    bool keep, discard;
    bool take_over; /* also what another machine left */
    bool tell; /* the caller wants "stale" */
    int why; /* out: the rc behind a SNAP_RECOVER; SNAP_RECOVER itself: it
              * has to be decided by hand, and does not pass */
    /* out, after success: what its user has to change in the domain's xl.cfg
     * now (op/stale.h), a line each, or NULL */
    char *stale;
};

#endif /* SNAP_OP_RECOVERY_HOW_H */
