/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See recover.h.  What was begun is read from the journal, and what becomes of
 * it the operation's row of the table does (op/op.h).  Everything there may have
 * been done already, by the command that died or by a recovery that died, so
 * each step looks first.  The guest comes before all else.
 */
#include "op/recover.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/intent.h"
#include "op/recovery.h"
#include "store/journal.h"
#include "store/leftovers.h"
#include "store/lock.h"
#include "store/state.h"

/* What is saved since goes on with the disks as they are now. */
static int check_saved(struct snap_rescue *r, struct snap_err *err)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    int rc = 0;

    if (!snap_rescue_keep(r))
        rc = snap_absent_saved(r->ses.env, r->in.uuid, snap_rescue_name(r),
                               r->path, err);
    /* What else may be wrong is said by who works with it. */
    if (rc && (snap_rescue_look(r, &ignored) || r->ses.there)) {
        snap_err_clear(err);
        rc = 0;
    }
    return rc;
}

static int load_plan(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    const struct snap_journal_entry *e = &r->e[0];
    const struct snap_op *op = snap_op_find(e->op);

    if (!op)
        return snap_fail(err, SNAP_CORRUPT, "%s: unknown operation %s",
                         r->path, e->op);
    if (!snap_streq(e->step, "plan") || !e->data)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal of %s does not begin with a plan",
                         r->ses.store.dir);
    rc = snap_intent_read(r->ses.env, &r->ses.store, op, e->data, &r->in, err);
    memcpy(r->ses.uuid, r->in.uuid, sizeof(r->ses.uuid));
    memcpy(r->ses.op_id, r->in.op_id, sizeof(r->ses.op_id));
    return rc ? rc : snap_state_load(&r->ses.store, &r->ses.state, err);
}

/* The store is one that several machines see.  What runs there cannot be seen
 * from here, so the command may not even have died. */
static int check_machine(const struct snap_rescue *r, struct snap_err *err)
{
    const char *there = snap_intent_elsewhere(&r->in),
               *name = snap_rescue_name(r);

    if (!there || (r->how && r->how->take_over))
        return 0;
    return snap_fail(err, SNAP_RECOVER,
                     "it ran, or still runs, on another machine (its /etc/machine-id or, if that is the same here, the UUID of its hardware is %s); nothing was done.  Run xl snapshot-recover there.  If that machine is gone, or has got another ID or mainboard, and %s runs nowhere else, run xl snapshot-recover --take-over %s here",
                     there, name, name);
}

static void recover_begin(struct snap_rescue *r, struct snap_env *env,
                          const struct snap_store *s)
{
    memset(r, 0, sizeof(*r));
    snap_session_lend(&r->ses, env, s);
    r->path = snap_store_journal_path(s);
}

static void dispose(struct snap_rescue *r)
{
    snap_buf_dispose(&r->stale);
    snap_intent_dispose(&r->in);
    snap_session_dispose(&r->ses);
    snap_journal_entries_free(r->e, r->n);
    free(r->path);
}

/* With the journal read, which is not empty. */
static int work(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    struct snap_env *env = r->ses.env;

    if (env->before_change)
        env->before_change();
    rc = load_plan(r, err);
    if (!rc)
        rc = check_machine(r, err);
    if (!rc)
        rc = snap_absent_wait(env, r->in.uuid, snap_rescue_name(r), false,
                              err);
    if (!rc)
        rc = check_saved(r, err);
    if (!rc)
        rc = r->in.op->recover(r, err);
    if (!rc)
        rc = snap_file_remove(r->path, err);
    return rc;
}

/* What waits, and nothing is done to it. */
static char *recover_look(const struct snap_journal_entry *e)
{
    return snap_printf(snap_intent_plan_elsewhere(e->data)
                           ? "a snapshot-%s is under way on another machine, or waits to be recovered there"
                           : "an interrupted snapshot-%s waits to be recovered",
                       e->op);
}

/* There is a journal. */
static int go(struct snap_rescue *r, bool dry_run, struct snap_err *err)
{
    int rc = 0;
    /* Without the lock it may be the journal of one who lives. */
    char *worker = dry_run ? snap_store_worker(&r->ses.store) : NULL;

    if (worker) {
        r->what = snap_printf("%s is at work and needs no recovery", worker);
        goto out;
    }
    rc = snap_journal_read(r->path, &r->e, &r->n, err);
    if (rc)
        goto out;
    if (!r->n) {
        /* Torn before it was whole: nothing had been done. */
        r->what = snap_strdup("an operation that had not begun was forgotten");
        rc = dry_run ? 0 : snap_file_remove(r->path, err);
    } else if (dry_run) {
        r->what = recover_look(&r->e[0]);
    } else {
        rc = work(r, err);
    }

out:
    free(worker);
    return rc;
}

static int recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                   struct snap_recovery *how, char **what_r,
                   struct snap_err *err)
{
    int rc;
    struct snap_rescue r;

    *what_r = NULL;
    if (!dry_run)
        snap_store_sweep(s);
    recover_begin(&r, env, s);
    r.how = how;
    rc = snap_file_exists(r.path) ? go(&r, dry_run, err) : 0;
    if (rc) {
        if (how)
            how->why = rc;
        snap_err_prefix(err,
                        "recovering what an interrupted command left (%s)",
                        r.path);
        if (err)
            err->rc = SNAP_RECOVER;
        rc = SNAP_RECOVER;
        free(r.what);
    } else {
        *what_r = r.what;
        if (r.gone)
            snap_store_remove_empty(s);
        if (how && how->tell)
            how->stale = snap_strdup(r.stale.data);
    }
    dispose(&r);
    return rc;
}

/* ---- before the guardian lets it go on ---- */

/* With the journal read. */
static int recover_known(struct snap_rescue *r, uint32_t domid, bool hangs,
                         struct snap_err *err)
{
    int rc;
    struct snap_domain *dom = &r->ses.dom;
    const struct snap_op *op = r->n ? snap_op_find(r->e[0].op) : NULL;

    if (!op || !op->stands || !op->stands(r))
        return 0;
    rc = load_plan(r, err);
    if (!rc)
        rc = r->ses.env->ops->find_uuid(r->ses.env->hyp, r->in.uuid, dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    r->ses.there = !rc;
    if (rc || dom->domid != domid || snap_rescue_other_boot(r))
        return rc;
    return op->known(r, hangs, err);
}

int snap_recover_known(struct snap_env *env, struct snap_store *s,
                       uint32_t domid, bool hangs, struct snap_err *err)
{
    int rc;
    struct snap_rescue r;

    recover_begin(&r, env, s);
    rc = snap_journal_read(r.path, &r.e, &r.n, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    } else if (!rc) {
        rc = recover_known(&r, domid, hangs, err);
    }
    dispose(&r);
    return rc;
}

int snap_recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                 char **what_r, struct snap_err *err)
{
    return recover(env, s, dry_run, NULL, what_r, err);
}

int snap_recover_how(struct snap_env *env, struct snap_store *s,
                     struct snap_recovery *how, bool dry_run, char **what_r,
                     struct snap_err *err)
{
    how->why = 0;
    how->stale = NULL;
    return recover(env, s, dry_run, how, what_r, err);
}

void snap_recover_say_stale(const struct snap_env *env,
                            struct snap_recovery *how)
{
    char *at, *next;

    for (at = how->stale; at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        snap_say(env->log, SNAP_LOG_NOTE, "%s", at);
    }
    snap_free(&how->stale);
}
