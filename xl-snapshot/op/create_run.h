/* SPDX-License-Identifier: LGPL-2.1-only */
/* What the two files of a snapshot's run, create_run.c and create_window.c, share. */
#ifndef SNAP_OP_CREATE_RUN_H
#define SNAP_OP_CREATE_RUN_H

#include "op/create.h"
#include "op/guardian.h"
#include "store/journal.h"
#include "store/memfile.h"
#include "store/save_progress.h"

struct snap_create_run {
    struct snap_env *env;
    const struct snap_create_req *req;
    struct snap_create_plan *p;
    struct snap_disk_ctx ctx;
    struct snap_journal journal;
    struct snap_guardian guardian;
    struct snap_memfile mem;
    struct snap_save_progress watch;
    double stopped_ms; /* all of these in snap_now_ms() terms */
    double saved_ms, take_begun_ms, take_done_ms, known_ms;
    bool stood; /* the guest stood still, and taking was begun */
    int take_rc;
    struct snap_err take_err;
    bool taken; /* the disks are switched, and Xen knows */
    bool torn; /* the guest went on before the disks were taken */
    struct snap_err why_torn;
    bool stands; /* nobody could let it go on yet */
};

/* SNAP_INTR once the user asked us to stop. */
int snap_create_interrupted(const struct snap_create_run *r,
                            struct snap_err *err);
/* Guest stands, or the domain is off.  In r->take_rc and r->take_err, too. */
int snap_create_take(struct snap_create_run *r);

/*
 * From the running guest to the running guest (op/create_window.c).  0: taken, and
 * Xen knows; r->torn: the memory image does not fit.  SNAP_RECOVER: what became
 * of the disks is not known or not right; with r->stands the guest is left to
 * the guardian, else it runs.  Anything else: nothing is switched, and the
 * guest runs as before.
 */
int snap_create_window(struct snap_create_run *r, struct snap_err *err);

#endif /* SNAP_OP_CREATE_RUN_H */
