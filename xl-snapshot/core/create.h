/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-create: plan it, then do it.  See docs/architecture.md, "Create",
 * for the steps and what each leaves behind when it is the last.
 */
#ifndef SNAP_CORE_CREATE_H
#define SNAP_CORE_CREATE_H

#include "core/env.h"
#include "core/offline.h"
#include "core/record.h"
#include "core/request.h"
#include "core/store.h"
#include "lib/space.h"

/* Everything decided, nothing done. */
struct snap_create_plan {
    struct snap_domain dom;
    bool off; /* it does not run; dom.domid is UINT32_MAX */
    struct snap_offline offline; /* then */
    struct snap_store store; /* locked */
    struct snap_record rec; /* parts probed; outcome planned */
    char **notes; /* "xvdc: CD-ROM, left out"; for people */
    size_t n_notes;
    uint64_t space_needed; /* bytes for the memory image */
    uint64_t space_free;
    struct snap_space space; /* that disks are to have, and the image */
    bool paused_before;
    struct snap_qmp *qmp; /* held open over the window, or NULL */
    char op_id[17];
    struct snap_state state;
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

#endif /* SNAP_CORE_CREATE_H */
