/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The hypervisor table: all that op/ may ask of Xen, in plain C types.
 * hyp/ implements it over libxl; tests/fakes/ implements it in memory.  The
 * loader (hyp/load.c) finds the implementation built for the running Xen.
 *
 * Contract for every op: synchronous; returns 0 or an enum snap_rc; sets err
 * on failure; never prints, never exits; all strings returned are the
 * caller's to free.  Slots are never NULL.
 */
#ifndef SNAP_MODEL_HYP_OPS_H
#define SNAP_MODEL_HYP_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/log.h"
#include "lib/qmp.h"
#include "lib/rc.h"
#include "model/domain.h"

struct snap_hyp; /* a connection to the hypervisor */

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

/*
 * What a command of ours may have done to a guest, by its journal.  A rescue
 * undoes that and no more: a suspend or a pause that is not in here is
 * somebody else's and stays.
 */
struct snap_held {
    const char *uuid;
    uint32_t domid; /* it had then: another number is another domain */
    pid_t monitor_pid; /* held back over the window; 0: none */
    bool suspend; /* save() may have been called: a suspend is ours */
    bool pause; /* pause() may have been called: a pause is ours */
    bool was_paused; /* its user had paused it before us */
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

    /* By name, by number when no domain has that name, or by UUID.
     * SNAP_NOTFOUND only if it is certain that there is none; SNAP_BUSY: two
     * that live have this UUID (a migration to this host).
     * dom_r must be zeroed; fills everything, reading only. */
    int (*find)(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
                struct snap_err *err);
    int (*find_uuid)(struct snap_hyp *h, const char *uuid,
                     struct snap_domain *dom_r, struct snap_err *err);
    /* The process that is to build this domain, which was not there a moment
     * ago, anew: it watches none that is there.  0: none. */
    pid_t (*monitor)(struct snap_hyp *h, const char *uuid, const char *name);
    /* Where the host's own service keeps the memory of this domain, which is
     * not there, to go on from it when the host is up again; NULL: nowhere.
     * Caller frees. */
    char *(*saved)(struct snap_hyp *h, const char *uuid);
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
     * Before the window, guest running.  Takes the locks of libxl for this
     * domain that set_active() needs, and finds its places of the n disks in
     * a, so that nothing is waited for or searched while the guest stands.
     * SNAP_BUSY: another command holds one, or an xl save or migrate of the
     * domain is under way.  window_close() must follow, whatever comes after;
     * it is idempotent, and fine if nothing is open.
     */
    int (*window_open)(struct snap_hyp *h, const struct snap_domain *dom,
                       const struct snap_active *a, size_t n,
                       struct snap_err *err);
    void (*window_close)(struct snap_hyp *h);
    /*
     * For the guardian, which acts for a command of ours that hangs with its
     * window open: as window_open(), but no lock is taken, since that command
     * holds them for what is done now.
     */
    int (*window_borrow)(struct snap_hyp *h, const struct snap_domain *dom,
                         const struct snap_active *a, size_t n,
                         struct snap_err *err);
    /* In the window; fast.  Does the guest stand still as save() (suspended)
     * or pause() left it, with the disks it had at window_open()?  SNAP_BUSY
     * says what somebody else did.  May be called by at_stop's fn. */
    int (*stands)(struct snap_hyp *h, const struct snap_domain *dom,
                  bool suspended, struct snap_err *err);

    /*
     * Suspend the guest and write its memory to fd (a regular file, empty)
     * behind a header that holds config_json and that a plain `xl restore`
     * refuses.  On success at_stop was called and the guest is still
     * suspended by us; resume() must follow.  On failure without a call of
     * at_stop it runs as before and is known not to follow our request any
     * more; SNAP_RECOVER if that is not known, or it could not be resumed:
     * rescue() must go on trying.  After a call resume() must follow as well,
     * so that the caller can undo what at_stop did while the guest stands
     * still.  Holds back the domain's monitor until resume().
     */
    int (*save)(struct snap_hyp *h, const struct snap_domain *dom,
                const char *config_json, int fd, bool live,
                const struct snap_at_stop *at_stop,
                struct snap_save_result *res_r, struct snap_err *err);
    /* Let a guest go on after save(); with paused set it stays stopped as by
     * `xl pause`.  Releases the monitor.  SNAP_BUSY: it was not suspended any
     * more, so somebody else had let it go on and its memory image is torn;
     * it runs, and nothing else is to be done for it. */
    int (*resume)(struct snap_hyp *h, const struct snap_domain *dom,
                  bool paused, struct snap_err *err);
    int (*pause)(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_err *err);
    int (*unpause)(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err);
    /* Does somebody else save or migrate it, perhaps while its guest runs yet?
     * SNAP_BUSY: yes, and who.  Fast. */
    int (*saver)(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_err *err);
    /* The processor time that it has had since it was built, in nanoseconds:
     * the same as before if it has stood since.  Fast. */
    int (*ran)(struct snap_hyp *h, const struct snap_domain *dom,
               uint64_t *ns_r, struct snap_err *err);
    /*
     * For the guardian and recover, with a fresh connection: undo what held
     * says, and let the monitor go on.  Withdraws a request to suspend of ours
     * and watches until the guest is known not to follow it.  Acts only on a
     * domain of this uuid and number, and not on one that another save or
     * migration is at work on.  Idempotent; a domain that is gone, or is not
     * that one any more, is success.
     */
    int (*rescue)(struct snap_hyp *h, const struct snap_held *held,
                  struct snap_err *err);

    /* A QMP connection that may stay open while other ops are called.
     * SNAP_NOTFOUND: the domain's QEMU is gone, or the domain half destroyed.
     * SNAP_UNSUPPORTED: it never has one of this host.  Any other error says
     * nothing of its QEMU. */
    int (*qmp_open)(struct snap_hyp *h, const struct snap_domain *dom,
                    struct snap_qmp **q_r, struct snap_err *err);
    /* Make new active images known: libxl's stored configuration (durably),
     * then both xenstore nodes of each disk.  Idempotent.  In the window.
     * What is not there any more because the domain is half destroyed needs
     * not be told, and is no failure. */
    int (*set_active)(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, size_t n,
                      struct snap_err *err);

    /* Destroy it, and return when the domain and its QEMU are really gone.
     * SNAP_BUSY: it is being saved or migrated, and was not touched. */
    int (*destroy)(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err);
    /*
     * Before a domain is destroyed: could one be built from this configuration
     * now?  Kernel, ramdisk, firmware, bootloader and xl are there, xl's lock
     * of creation is free, memory suffices when freed_kb more are free, and
     * what its devices need.  from_memory: by restore(), which needs no
     * kernel.  versions: what version() said when the image was made, or NULL.
     * Reads only.  SNAP_REFUSED or SNAP_BUSY with the reason and the way out;
     * what is only doubtful is said as a note.
     */
    int (*can_build)(struct snap_hyp *h, const char *config_json,
                     bool from_memory, const char *versions, uint64_t freed_kb,
                     struct snap_err *err);
    /* Read and check the header of a memory image; *config_r is its JSON. */
    int (*image_check)(struct snap_hyp *h, int fd, char **config_r,
                       struct snap_err *err);
    /* Build a domain from a memory image with another configuration.  It is
     * paused, and watched by a monitor, on success; wholly gone, with its
     * QEMU, on failure.  mark ([a-z0-9]{1,16}): as long as it is not rebuilt,
     * struct snap_domain tells that we built it.  What it started outlives
     * our systemd unit.  dom_r (zeroed) describes it. */
    int (*restore)(struct snap_hyp *h, int fd, const char *config_json,
                   const char *mark, struct snap_domain *dom_r,
                   struct snap_err *err);
    /* Boot a domain from a configuration; likewise paused and watched. */
    int (*create)(struct snap_hyp *h, const char *config_json,
                  const char *mark, struct snap_domain *dom_r,
                  struct snap_err *err);
};

#endif /* SNAP_MODEL_HYP_OPS_H */
