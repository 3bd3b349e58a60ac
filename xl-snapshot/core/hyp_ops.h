/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The hypervisor table: all that the core may ask of Xen, in plain C types.
 * hyp/ implements it over libxl; tests/fakes/ implements it in memory.  The
 * loader (hyp/load.c) finds the implementation built for the running Xen.
 *
 * Contract for every op: synchronous; returns 0 or an enum snap_rc; sets err
 * on failure; never prints, never exits; all strings returned are the
 * caller's to free.  Slots are never NULL.
 */
#ifndef SNAP_CORE_HYP_OPS_H
#define SNAP_CORE_HYP_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/log.h"
#include "lib/qmp.h"
#include "lib/rc.h"

struct snap_hyp; /* a connection to the hypervisor */

enum snap_guest_type { SNAP_GUEST_PV, SNAP_GUEST_PVH, SNAP_GUEST_HVM };
const char *snap_guest_type_name(enum snap_guest_type t); /* core/model.c */

/* What there is to know about a domain before touching it. */
struct snap_domain {
    uint32_t domid;
    char *name;
    char uuid[37]; /* lower case, with dashes */
    enum snap_guest_type type;
    bool paused; /* by the toolstack */
    bool suspended; /* shut down with reason suspend */
    bool shutdown; /* shut down for any other reason */
    bool dying;
    uint64_t mem_kb; /* memory it holds now: size of a save */
    bool can_suspend; /* else why_no_suspend says why */
    char *why_no_suspend;
    bool can_live; /* else why_no_live says why */
    char *why_no_live;
    bool passthrough; /* has PCI devices assigned */
    bool stubdom; /* its device model is a stub domain */
    pid_t qemu_pid; /* 0: none known */
    pid_t monitor_pid; /* the xl daemon watching it; 0: none */
};
void snap_domain_dispose(struct snap_domain *d); /* core/model.c */
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
void snap_vbd_dispose(struct snap_vbd *v); /* core/model.c */

struct snap_active { /* a disk's new active image */
    const char *vdev;
    const char *path;
    const char *format; /* libxl's word */
};

/* What save() calls once when the guest has stopped and its images can be
 * snapshotted.  That may be in another thread, while the rest of the memory
 * is being written: fn must not call an op of this table. */
struct snap_at_stop {
    void (*fn)(void *opaque);
    void *opaque;
};

struct snap_save_result {
    double stopped_ms; /* snap_now_ms() when the guest stopped */
    uint64_t bytes; /* file size afterwards */
};

struct snap_hyp_ops {
    const char *name; /* "libxl 4.17", "fake" */

    int (*open)(const struct snap_log *log, struct snap_hyp **h_r,
                struct snap_err *err);
    void (*close)(struct snap_hyp *h);
    /* "Xen 4.17.7, QEMU 7.2.22"; for the record. */
    int (*version)(struct snap_hyp *h, char **text_r, struct snap_err *err);

    /* By name, or by number when no domain has that name.  SNAP_NOTFOUND.
     * dom_r must be zeroed; fills everything, reading only. */
    int (*find)(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
                struct snap_err *err);
    int (*find_uuid)(struct snap_hyp *h, const char *uuid,
                     struct snap_domain *dom_r, struct snap_err *err);
    /* libxl's JSON of the domain as it is now (libxl_domain_config), with
     * c_info.domid removed.  Never called in the window. */
    int (*config)(struct snap_hyp *h, const struct snap_domain *dom,
                  char **json_r, struct snap_err *err);
    int (*disks)(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_vbd **vbds_r, size_t *n_r, struct snap_err *err);
    /* What `xl create` would make of this xl.cfg (absolute path), in libxl's
     * JSON; nothing is made.  A disk may lack its backend.  *has_uuid_r: the
     * file has a uuid; if not, the one in *json_r is a random one. */
    int (*config_file)(struct snap_hyp *h, const char *path, char **json_r,
                       bool *has_uuid_r, struct snap_err *err);
    /* A domain other than except_domid (UINT32_MAX: none) whose backend has
     * this file (same path, or same inode); *who_r "NAME (xvda)" or NULL. */
    int (*image_user)(struct snap_hyp *h, const char *path,
                      uint32_t except_domid, char **who_r,
                      struct snap_err *err);
    /* Memory in kB that a new domain could get. */
    int (*free_mem)(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err);

    /*
     * Suspend the guest and write its memory to fd (a regular file, empty)
     * behind a header that holds config_json and that a plain `xl restore`
     * refuses.  On success at_stop was called and the guest is suspended;
     * resume() must follow.  On failure without a call of at_stop it runs as
     * before; after a call resume() must follow as well, so that the caller
     * can undo what at_stop did while the guest stands still.
     * Holds back the domain's monitor until resume().
     */
    int (*save)(struct snap_hyp *h, const struct snap_domain *dom,
                const char *config_json, int fd, bool live,
                const struct snap_at_stop *at_stop,
                struct snap_save_result *res_r, struct snap_err *err);
    /* Let a guest go on after save(); with paused set it stays stopped as by
     * `xl pause`.  Releases the monitor. */
    int (*resume)(struct snap_hyp *h, const struct snap_domain *dom,
                  bool paused, struct snap_err *err);
    int (*pause)(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_err *err);
    int (*unpause)(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err);
    /*
     * For the guardian and recover, with a fresh connection: if this domain
     * still exists and is suspended by us, resume it; if it is paused and
     * was_paused is not set, unpause it; continue its monitor.  Idempotent;
     * a domain that is gone is success.
     */
    int (*rescue)(struct snap_hyp *h, const char *uuid, pid_t monitor_pid,
                  bool was_paused, struct snap_err *err);

    /* A QMP connection that may stay open while other ops are called.
     * SNAP_NOTFOUND: the domain's QEMU is gone. */
    int (*qmp_open)(struct snap_hyp *h, const struct snap_domain *dom,
                    struct snap_qmp **q_r, struct snap_err *err);
    /* Make new active images known: libxl's stored configuration (durably),
     * then both xenstore nodes of each disk.  Idempotent.  In the window. */
    int (*set_active)(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, size_t n,
                      struct snap_err *err);

    /* Destroy it, and return when the domain and its QEMU are really gone. */
    int (*destroy)(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err);
    /* Read and check the header of a memory image; *config_r is its JSON. */
    int (*image_check)(struct snap_hyp *h, int fd, char **config_r,
                       struct snap_err *err);
    /* Build a domain from a memory image with another configuration.  It is
     * paused, and watched by a monitor, on success; wholly gone on failure.
     * dom_r (zeroed) describes it. */
    int (*restore)(struct snap_hyp *h, int fd, const char *config_json,
                   struct snap_domain *dom_r, struct snap_err *err);
    /* Boot a domain from a configuration; likewise paused and watched. */
    int (*create)(struct snap_hyp *h, const char *config_json,
                  struct snap_domain *dom_r, struct snap_err *err);
};

#endif /* SNAP_CORE_HYP_OPS_H */
