/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A recovery under way, and what the operations share of it.  It knows none of
 * them: recover.c reads what was begun, and the operation's row (op/op.h) does
 * the rest.
 */
#ifndef SNAP_OP_RECOVERY_H
#define SNAP_OP_RECOVERY_H

#include "lib/mem.h"
#include "op/intent.h"
#include "op/recovery_how.h"
#include "op/session.h"
#include "store/state.h"

struct snap_rescue {
    struct snap_session ses; /* the store is the caller's; the domain as it was
                              * last looked at */
    struct snap_intent in;
    struct snap_journal_entry *e; /* all of the journal */
    size_t n;
    char *path; /* of it */
    bool qemu; /* its QEMU answers (ses.qmp) */
    struct snap_recovery *how; /* of the caller, or NULL */
    bool stood; /* the guest, until we let it go on */
    /* out: */
    bool gone; /* the domain is no more: nor is its folder, if it is empty */
    char *what; /* was done, in one sentence */
    struct snap_buf stale; /* what to change in its xl.cfg, once done */
};

/* Does the journal have this step? */
bool snap_rescue_has(const struct snap_rescue *r, const char *step);
/* As the domain was called last.  A clone's record is that of another. */
const char *snap_rescue_name(const struct snap_rescue *r);
/* Was the host booted since?  Then no domain that is there is the one that the
 * intent speaks of. */
bool snap_rescue_other_boot(const struct snap_rescue *r);
/* Its user wants the disks as they are (snapshot-recover --keep). */
bool snap_rescue_keep(const struct snap_rescue *r);
/* The session's domain, as it is now; one that is not there is success. */
int snap_rescue_look(struct snap_rescue *r, struct snap_err *err);
/* Down in the journal, so that no later recovery does it again: first, which
 * may be NULL, and second.  What a note cannot say is found out by the next. */
void snap_rescue_note(struct snap_rescue *r, const char *first,
                      const char *second);

/* ---- a guest that stands ---- */

/* How we paused it, if by pausing. */
struct snap_by_pause {
    const char *step; /* of the note */
    const struct snap_journal_entry *e; /* that note, or NULL */
};
/* Has somebody let it go on already, or is it not of this boot? */
bool snap_rescue_runs(const struct snap_rescue *r);
/* Does it stand as we left it: this boot, this number, and by that way?  Sets
 * r->stood, and what of held is its user's. */
int snap_rescue_stood(struct snap_rescue *r, struct snap_held *held,
                      const struct snap_by_pause *by, struct snap_err *err);
/* It stands, and may reboot as soon as it runs, from what Xen knows: fn tells Xen
 * what it has by now.  Whatever hangs in fn, it is waited for as long as a
 * guardian would wait.  fn runs in a process of its own: nothing that it changes
 * in r is seen.  Returns what snap_limited() does. */
int snap_rescue_tell(struct snap_rescue *r,
                     int (*fn)(struct snap_rescue *r, const void *arg,
                               struct snap_err *err),
                     const void *arg);
/* After the guest has been let go on, to its user; rc 0: nothing. */
void snap_rescue_say_untold(const struct snap_rescue *r, int rc);
/* It goes on. */
int snap_rescue_go_on(struct snap_rescue *r, const struct snap_held *held,
                      struct snap_err *err);
/* A domain that we built goes on, unless somebody has taken it over: then it is
 * as he wants it. */
int snap_rescue_let_run(struct snap_rescue *r, struct snap_err *err);

/* ---- its disks ---- */

/* The guest has been let go on.  SNAP_RECOVER: what is on a file system that is
 * not mounted now is not gone (op/mounts.h); with --keep its user has
 * decided. */
int snap_rescue_mounts(const struct snap_rescue *r, struct snap_err *err);
/* What the domain's disk is now, by the state; NULL: not known. */
const struct snap_leaf *snap_rescue_leaf(const struct snap_rescue *r,
                                         const struct snap_part *p);
bool snap_rescue_is_leaf(const struct snap_rescue *r,
                         const struct snap_part *p, struct snap_object o);
/* Which lines of its xl.cfg its user has to change; frees lines, which may be
 * NULL. */
void snap_rescue_stale(struct snap_rescue *r, char *lines);

#endif /* SNAP_OP_RECOVERY_H */
