/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The table of operations: what recovery needs to know of each.  A row is in
 * the operation's own <verb>_finish.c, and table.c names it; nothing else
 * knows an operation by name.
 */
#ifndef SNAP_OP_OP_H
#define SNAP_OP_OP_H

#include <stdbool.h>

#include "lib/rc.h"

struct snap_intent;
struct snap_rescue;
struct snap_uses;

struct snap_op {
    const char *name; /* "create"; as the journal has it */
    /* What the plan keeps of each disk for this operation alone is under this
     * key.  NULL: nothing. */
    const char *disks;
    /* Of the files that the plan names, its memory image and output are made
     * by it, and are missed if what they are on is not mounted. */
    bool makes_files;
    /* For who may run snapshot-recover --keep: what else that does, after
     * "xl snapshot-recover --keep DOMAIN".  NULL: nothing. */
    const char *keep_means;
    /* Reads what is under disks, whole and checked, as recovery does, and puts
     * in its place what would be written of what was read. */
    int (*check)(struct snap_intent *in, struct snap_err *err);
    /* The objects that it has in hand (op/uses.h), of its own command or of
     * another's journal: in is read but for what is under disks, and u is
     * added to. */
    int (*uses)(struct snap_intent *in, struct snap_uses *u,
                struct snap_err *err);
    /*
     * Finishes or undoes what a command left, r read but for that part, and the
     * domain looked at by nobody yet: a guest that we left standing goes on
     * first.  Says in r->what what was done, in r->stale what is to be changed
     * in an xl.cfg.  Everything may have been done already.
     */
    int (*recover)(struct snap_rescue *r, struct snap_err *err);
    /* By the steps in the journal alone: does the guest stand, or may it, so
     * that it may run on images that Xen does not know?  NULL: never. */
    bool (*stands)(const struct snap_rescue *r);
    /* If so, the guest being r's domain: Xen gets to know what its QEMU writes
     * to.  hangs: see snap_recover_known(). */
    int (*known)(struct snap_rescue *r, bool hangs, struct snap_err *err);
};

/* Ends with NULL. */
extern const struct snap_op *const snap_ops[];
/* NULL: there is none of that name, which may be NULL. */
const struct snap_op *snap_op_find(const char *name);

#endif /* SNAP_OP_OP_H */
