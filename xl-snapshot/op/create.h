/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-create: plan it, then do it.  See docs/architecture.md, "Create",
 * for the steps and what each leaves behind when it is the last.
 */
#ifndef SNAP_OP_CREATE_H
#define SNAP_OP_CREATE_H

#include "model/env.h"
#include "model/request.h"
#include "op/offline.h"
#include "op/session.h"
#include "store/record.h"

/* Everything decided, nothing done. */
struct snap_create_plan {
    struct snap_session ses; /* its qmp is held open over the window */
    struct snap_offline offline; /* if it does not run */
    struct snap_record rec; /* parts probed; outcome planned */
    uint64_t space_needed; /* bytes for the memory image */
    uint64_t space_free;
    bool paused_before;
    bool asked_qemu; /* ses.qmp was opened, or it failed */
};
void snap_create_plan_dispose(struct snap_create_plan *p);

/* Domain in any state; reads only.  Refuses all that can be foreseen.
 * dry_run: takes no lock and makes no folder. */
int snap_create_plan_make(struct snap_env *env,
                          const struct snap_create_req *req, bool dry_run,
                          struct snap_create_plan *p, struct snap_err *err);

struct snap_create_result {
    double window_ms; /* guest's standstill */
    double disks_ms; /* of that, taking the disks */
    double total_ms;
    char *stale_path_hint; /* which lines of xl.cfg go stale; NULL */
    char *monitor_note; /* no daemon watches this domain; NULL */
    char *output; /* file of --output that was written */
};
void snap_create_result_dispose(struct snap_create_result *r);

/* On failure everything is undone and the guest runs as before (SNAP_RECOVER:
 * not everything; snapshot-recover is needed).  p->rec is final on success. */
int snap_create_run(struct snap_env *env, const struct snap_create_req *req,
                    struct snap_create_plan *p, struct snap_create_result *r,
                    struct snap_err *err);

#endif /* SNAP_OP_CREATE_H */
