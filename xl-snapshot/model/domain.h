/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain and its disks, as the hypervisor knows them.
 */
#ifndef SNAP_MODEL_DOMAIN_H
#define SNAP_MODEL_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/rc.h"

enum snap_guest_type { SNAP_GUEST_PV, SNAP_GUEST_PVH, SNAP_GUEST_HVM };
const char *snap_guest_type_name(enum snap_guest_type t);

/* What there is to know about a domain before touching it. */
struct snap_domain {
    char *name;
    char *mark; /* who of us built it: the mark given to restore() or
                 * create(); NULL: not us, or it has been rebuilt since */
    char *why_no_suspend;
    char *why_no_live;
    uint64_t mem_kb; /* memory it holds now: size of a save */
    uint32_t domid;
    enum snap_guest_type type;
    pid_t qemu_pid; /* 0: none known */
    pid_t monitor_pid; /* the xl daemon watching it; 0: none */
    bool
        monitor_stopped; /* by SIGSTOP, ours for instance: it builds nothing */
    char uuid[37]; /* lower case, with dashes */
    bool paused; /* by the toolstack */
    bool has_run; /* since it was built or restored: it had processor time */
    bool suspended; /* shut down with reason suspend */
    bool shutdown; /* shut down for any other reason */
    bool dying;
    bool nameless; /* xenstore does not know it: half destroyed, or being made
                    * this moment */
    bool can_suspend; /* else why_no_suspend says why */
    bool can_live; /* else why_no_live says why */
    bool passthrough; /* has PCI devices assigned */
    bool stubdom; /* its device model is a stub domain */
};
void snap_domain_dispose(struct snap_domain *d);
/* SNAP_BUSY: d is dying.  who: what the user calls it, for it may have lost its
 * name. */
int snap_refuse_dying(const struct snap_domain *d, const char *who,
                      struct snap_err *err);

/* One virtual disk as its backend has it now. */
struct snap_vbd {
    char *vdev; /* "xvda", "hda" */
    char *path; /* image the backend has; "" if empty */
    char *format; /* libxl's word: raw qcow2 vhd qcow qed empty */
    char *backend; /* qdisk phy tap standalone */
    char *script; /* block script, or NULL */
    uint32_t backend_domid;
    int frontend_state; /* XenbusState; 4 is connected */
    bool readonly;
    bool cdrom;
    bool virtio;
};
void snap_vbd_dispose(struct snap_vbd *v);

#endif /* SNAP_MODEL_DOMAIN_H */
