/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What every operation works with: the two tables, the store's root, where to
 * talk, and the hooks of the command line.  main() fills it with the real
 * things, tests with fakes.
 */
#ifndef SNAP_MODEL_ENV_H
#define SNAP_MODEL_ENV_H

#include "lib/log.h"
#include "model/cfg.h"
#include "model/disk_ops.h"
#include "model/hyp_ops.h"

struct snap_progress {
    /* what: "saving memory", "checking the memory image"; total 0: unknown.
     * done == total ends the line.  May be called from another thread. */
    void (*fn)(void *opaque, const char *what, uint64_t done, uint64_t total);
    void *opaque;
};

struct snap_image_guard;

struct snap_env {
    const struct snap_hyp_ops *ops;
    struct snap_hyp *hyp; /* opened by the command */
    const struct snap_disk_driver *const *drivers;
    snap_cfg_parse_fn *cfg_parse;
    const struct snap_log *log;
    const struct snap_progress *progress; /* or NULL */
    const char *store_root;
    const char *self_exe; /* for the guardian; NULL: none started */
    /* In place of its execv(), for tests; does not return.  NULL: execv() */
    void (*exec)(void *opaque, char *const argv[]);
    void *exec_opaque;
    /* For how long a guest may stand with nothing getting on before its
     * guardian acts; 0: 30 s. */
    unsigned stall_ms;
    /* How long we wait, guest running, for a QEMU that answers late; 0: 5
     * minutes. */
    unsigned late_ms;
    /* How long another command may have the lock of the store itself, which it
     * needs for a moment; 0: 30 seconds. */
    unsigned begin_ms;
    /* How long a QEMU that was told to go may still answer. */
    unsigned settle_ms;
    /* How long the QEMU of a domain that was destroyed may keep its images. */
    unsigned gone_ms;
    /* How long a domain that ran may be absent and come back: a guest that
     * reboots is destroyed and built anew. */
    unsigned absent_ms;
    /* How long its monitor may take to build it anew, if there is one. */
    unsigned build_ms;
    /* Could anybody write to this image?  A driver's own check
     * (disk/file/in_use.h), so that tests have theirs. */
    int (*check_unused)(struct snap_disk_ctx *c, const char *path,
                        struct snap_err *err);
    /* The same, but the domain itself may.  Can anybody else write to it or,
     * with readers, read it? */
    int (*check_others)(struct snap_disk_ctx *c, const char *path,
                        bool readers, struct snap_err *err);
    /* When was it written to last?  A driver's own (disk/file/image_stamp.h). */
    void (*image_stamp)(const char *path, struct snap_stamp *now_r);
    /*
     * Keep everybody else from these images, whoever would open them, and
     * prove that nobody has one of those that change (SNAP_BUSY, naming who).
     * It does not outlive us, and it has to end before a domain is built that
     * opens them.  A driver's own guard (disk/file/image_guard.h).
     */
    int (*hold)(struct snap_disk_ctx *c, const struct snap_held_images *l,
                struct snap_image_guard **g_r, struct snap_err *err);
    void (*hold_end)(struct snap_image_guard **g); /* NULL in it is fine */
    /* non-zero once the user asked us to stop (Ctrl-C); looked at between
     * steps, before the commit point only.  May be NULL. */
    int (*interrupted)(void);
    /* Called before the first thing that must not be cut short, which may be
     * a recovery before the plan.  May be called twice.  May be NULL. */
    void (*before_change)(void);
};

#endif /* SNAP_MODEL_ENV_H */
