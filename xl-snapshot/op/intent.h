/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a command is about to do: all that its recovery is told.  It is typed
 * here, and on disk it is the plan with which a journal begins
 * (docs/formats.md).  Only this file writes it and reads it.
 *
 * Whoever fills one in: snap_intent_init(), snap_intent_before(), "after" and
 * disks, then snap_intent_begin().
 */
#ifndef SNAP_OP_INTENT_H
#define SNAP_OP_INTENT_H

#include "model/env.h"
#include "op/op.h"
#include "store/journal.h"
#include "store/record.h"
#include "store/store.h"

struct snap_session;

struct snap_intent {
    const struct snap_op *op;
    char op_id[17];
    char uuid[37]; /* of the domain in whose folder the journal is */
    /* Where it was begun, and in which boot of that; NULL: not known. */
    char *boot_id, *machine_id, *hardware;
    /* The snapshot that it is about: borrowed of who fills it in, or own. */
    struct snap_record *rec;
    struct snap_record *own; /* what was read */
    struct {
        bool there; /* the domain; without it the rest says nothing */
        bool paused;
        bool had_qemu;
        uint32_t domid; /* UINT32_MAX if it was not there */
        pid_t monitor_pid; /* 0: none */
        char *config; /* to boot it again, or NULL */
    } before;
    struct {
        bool paused; /* it stays so */
        bool no_metadata; /* the snapshot is not one of the store */
        char *name; /* a new domain's, or NULL */
        char *output; /* the file of --no-metadata, or NULL */
    } after;
    struct snap_json *disks; /* the operation's own (op->disks), or NULL */
    struct snap_json *mounts; /* op/mounts.h, or NULL */
};

/* Empty but for what this host and its boot are called.  Borrows rec.  Whatever
 * comes of it, dispose it. */
void snap_intent_init(struct snap_intent *in, const struct snap_op *op,
                      const char *op_id, const char *uuid,
                      struct snap_record *rec);
/* How the session's domain is by now. */
void snap_intent_before(struct snap_intent *in,
                        const struct snap_session *ses);
void snap_intent_dispose(struct snap_intent *in);

/*
 * A journal's plan of op, in the store's folder s.  All but what is the
 * operation's own is checked: SNAP_CORRUPT, as well if it is that of another
 * domain.  Whatever comes of it, dispose in_r.
 */
int snap_intent_read(const struct snap_env *env, const struct snap_store *s,
                     const struct snap_op *op, const struct snap_json *plan,
                     struct snap_intent *in_r, struct snap_err *err);

/* For who reads its own part: a path of one disk, checked; needed: it must be
 * there.  SNAP_CORRUPT. */
int snap_intent_path(const struct snap_json *disk, const char *key,
                     bool needed, char **out, struct snap_err *err);

/* The same of an object; whatever it is, its three are the caller's. */
int snap_intent_object(const struct snap_json *disk, const char *key,
                       bool needed, char **kind_r, char **id_r,
                       char **format_r, struct snap_err *err);

/* Could a recovery read it, whole, and would it read what is meant?  Changes
 * nothing.  SNAP_REFUSED or SNAP_FAIL if not: a name that a journal cannot
 * hold, or a defect of ours. */
int snap_intent_can_read(const struct snap_env *env,
                         const struct snap_store *s,
                         const struct snap_intent *in, struct snap_err *err);
/* Store locked: writes it down, durably, after snap_intent_can_read(), reads
 * it back in the way of a recovery, and compares.  On failure there is no
 * journal, and nothing has been done. */
int snap_intent_begin(const struct snap_env *env, const struct snap_store *s,
                      struct snap_intent *in, struct snap_journal *j,
                      struct snap_err *err);

/* Which other machine (its ID, or the UUID of its hardware) wrote this down?  Lives as long as
 * in.  NULL: none that is known. */
const char *snap_intent_elsewhere(const struct snap_intent *in);
/* The same of a plan that nobody has read yet, and that may be damaged. */
const char *snap_intent_plan_elsewhere(const struct snap_json *plan);

#endif /* SNAP_OP_INTENT_H */
