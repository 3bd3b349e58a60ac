/* SPDX-License-Identifier: LGPL-2.1-only */
/* See begin.h. */
#include "op/begin.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/uses.h"
#include "store/lock.h"

/* Our operation, and what it has in hand. */
struct begin {
    struct snap_env *env;
    const char *uuid; /* of the domain in whose folder the journal will be */
    bool there; /* that domain */
    struct snap_uses uses;
};

/* ---- what others have in hand ---- */

static int refuse_clash(const struct snap_store *s,
                        const struct snap_intent *theirs, const char *object,
                        struct snap_err *err)
{
    char *who = snap_store_worker(s);
    const char *name = theirs->after.name ? theirs->after.name
                                          : theirs->rec->domain_name;

    if (snap_intent_elsewhere(theirs))
        snap_fail(err, SNAP_BUSY,
                  "%s is in the hands of a snapshot-%s of domain %s (UUID %s), which is under way on another machine, or waits to be recovered there; nothing was done",
                  object, theirs->op->name, name, theirs->uuid);
    else if (who)
        snap_fail(err, SNAP_BUSY,
                  "%s is in the hands of %s, which is at work on domain %s (UUID %s); nothing was done: wait until it has finished",
                  object, who, name, theirs->uuid);
    else
        snap_fail(err, SNAP_BUSY,
                  "%s is in the hands of an interrupted snapshot-%s of domain %s (UUID %s); nothing was done: run xl snapshot-recover %s first",
                  object, theirs->op->name, name, theirs->uuid, theirs->uuid);
    free(who);
    return SNAP_BUSY;
}

static int compare_with(const struct begin *b, const struct snap_store *s,
                        const struct snap_journal_entry *plan,
                        struct snap_err *err)
{
    int rc;
    const char *object = NULL;
    struct snap_intent theirs = { .op = snap_op_find(plan->op) };
    struct snap_uses uses = { .n = 0 };

    if (!theirs.op || !snap_streq(plan->step, "plan") || !plan->data)
        return snap_fail(err, SNAP_CORRUPT, "its journal has no plan");
    rc = snap_intent_read(b->env, s, theirs.op, plan->data, &theirs, err);
    /* The lock of the domain whose snapshot is cloned was theirs for as long
     * as they needed it, and is ours now. */
    if (!rc && !snap_streq(theirs.rec->domain_uuid, b->uuid))
        rc = theirs.op->uses(&theirs, &uses, err);
    if (!rc)
        object = snap_uses_clash(b->env, &b->uses, &uses);
    if (object)
        rc = refuse_clash(s, &theirs, object, err);
    snap_uses_dispose(&uses);
    snap_intent_dispose(&theirs);
    return rc;
}

static int begin_look_at(const struct begin *b, const char *uuid,
                         const char *journal, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    struct snap_journal_entry *e = NULL;
    struct snap_store s = SNAP_STORE_INIT;

    rc = snap_store_open(&s, b->env->store_root, uuid, false, err);
    if (!rc)
        rc = snap_journal_read(journal, &e, &n, err);
    if (!rc && n)
        rc = compare_with(b, &s, &e[0], err);
    snap_journal_entries_free(e, n);
    snap_store_close(&s);
    return rc;
}

static int begin_look_at_each(void *opaque, const char *uuid,
                              struct snap_err *err)
{
    int rc = 0;
    const struct begin *b = opaque;
    char *journal = snap_printf("%s/%s/journal", b->env->store_root, uuid);
    struct snap_err why = SNAP_ERR_INIT;

    if (snap_file_exists(journal))
        rc = begin_look_at(b, uuid, journal, &why);
    free(journal);
    if (rc == SNAP_BUSY)
        return snap_fail(err, rc, "%s", why.msg);
    if (!rc || rc == SNAP_NOTFOUND /* it has ended */ || b->there)
        return 0;
    return snap_fail(err, SNAP_REFUSED,
                     "what a command for domain %s has in hand cannot be told: %s; run xl snapshot-recover %s first",
                     uuid, why.msg, uuid);
}

/* ---- under the store's lock ---- */

#define BEGIN_MS 30000
#define LOOK_MS  5

/* It is held for moments, unless its owner hangs. */
static int lock_whole(const struct snap_env *env, const char *command,
                      struct snap_store *whole_r, struct snap_err *err)
{
    int rc;
    double until = snap_now_ms() + (env->begin_ms ? env->begin_ms : BEGIN_MS);

    for (;;) {
        rc = snap_store_lock_whole(whole_r, env->store_root, command, err);
        if (rc != SNAP_BUSY || snap_now_ms() > until)
            return rc;
        snap_err_clear(err);
        if (env->interrupted && env->interrupted())
            return snap_fail(err, SNAP_INTR,
                             "interrupted; nothing was changed");
        usleep(LOOK_MS * 1000);
    }
}

static int look(struct begin *b, struct snap_intent *in, struct snap_err *err)
{
    int rc = in->op->uses(in, &b->uses, err);

    return rc ? rc
              : snap_store_each(b->env->store_root, b->uuid,
                                begin_look_at_each, b, err);
}

int snap_begin(struct snap_env *env, const struct snap_store *s,
               struct snap_intent *in,
               int (*again)(void *opaque, struct snap_err *err), void *opaque,
               struct snap_journal *j, struct snap_err *err)
{
    int rc;
    struct begin b = { env, s->uuid, in->before.there, { .n = 0 } };
    struct snap_store whole = SNAP_STORE_INIT;
    char *command = snap_printf("snapshot-%s", in->op->name);

    rc = snap_intent_can_read(env, s, in, err);
    if (!rc)
        rc = lock_whole(env, command, &whole, err);
    if (!rc)
        rc = look(&b, in, err);
    if (!rc && again)
        rc = again(opaque, err);
    if (!rc)
        rc = snap_intent_begin(env, s, in, j, err);
    snap_store_close(&whole);
    snap_uses_dispose(&b.uses);
    free(command);
    return rc;
}
