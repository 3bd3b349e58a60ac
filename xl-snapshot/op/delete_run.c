/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a deletion, one snapshot at a time.
 *
 *   journal "plan"   durable: what is moved where, what goes
 *   pull             what stands on the snapshot takes what it reads there;
 *                    nothing is lost by stopping here
 *   records          of those whose frozen image changed, brought up to date
 *   record removed   COMMIT: the snapshot does not exist any more
 *   merge            where the active image goes down into the frozen one
 *   remove           images, memory file
 *   records, state   those that came after it come after its parent
 *
 * A merge destroys the snapshot with the first byte, hence after the commit;
 * a pull destroys nothing, hence before.
 */
#include "op/delete.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "op/begin.h"
#include "op/delete_ends.h"
#include "op/delete_finish.h"
#include "op/delete_records.h"
#include "op/parts.h"
#include "op/saver.h"
#include "op/settle.h"
#include "store/journal.h"
#include "store/state.h"

struct run {
    struct snap_env *env;
    struct snap_delete_plan *p;
    struct snap_deletion x;
    struct snap_journal journal;
};

static int delete_run_interrupted(const struct run *r, struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR, "interrupted");
    return 0;
}

struct pulling {
    struct snap_disk_ctx ctx; /* first: it is what a tick is given */
    struct snap_saver saver;
};

static int delete_run_on_tick(void *opaque, uint64_t done, uint64_t total)
{
    struct pulling *w = opaque;
    const struct snap_env *env = w->ctx.opaque2;

    if (env->progress && total)
        env->progress->fn(env->progress->opaque, "moving data", done, total);
    return (env->interrupted && env->interrupted()) ||
           snap_saver_tick(&w->saver);
}

static int delete_run_ask_again(void *plan, struct snap_err *err)
{
    struct snap_delete_plan *p = plan;
    int rc = snap_delete_plan_others(p, err);

    if (rc)
        snap_err_prefix(err, "deleting %s", p->rec.name);
    return rc;
}

static int delete_run_begin(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_intent in;

    snap_deletion_intent(r->p, &in);
    rc = snap_begin(r->env, &r->p->ses.store, &in, delete_run_ask_again, r->p,
                    &r->journal, err);
    snap_intent_dispose(&in);
    return rc;
}

/* Nobody but us is at work on it, and nobody wants us to stop. */
static int may_go_on(const struct run *r, struct pulling *w,
                     struct snap_err *err)
{
    int rc = delete_run_interrupted(r, err);

    return rc ? rc : snap_saver_look(&w->saver, err);
}

static int pull(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i, k;
    struct snap_delete_plan *p = r->p;
    struct pulling w = {
        .saver = { .env = r->env, .dom = p->ses.there ? &p->ses.dom : NULL },
    };

    snap_session_ctx(&p->ses, &w.ctx);
    w.ctx.tick = delete_run_on_tick;
    for (i = 0; i < p->rec.n_parts; i++) {
        struct snap_part *part = &p->rec.parts[i];

        if (p->del[i].how != SNAP_DELETE_PULL)
            continue;
        for (k = 0; k < p->del[i].n_child; k++) {
            rc = may_go_on(r, &w, err);
            if (!rc)
                rc = part->drv->pull(&w.ctx, part, &p->del[i], k, err);
            rc = snap_saver_verdict(&w.saver, rc, err);
            if (rc) {
                snap_err_prefix(err, "%s", part->vdev);
                return rc;
            }
        }
    }
    rc = snap_deletion_refreeze(&r->x, false, err);
    return rc ? rc : may_go_on(r, &w, err);
}

/* The snapshot stays.  Always returns an error code. */
static int delete_run_go_back(struct run *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;

    /* One connection at a time: QEMU serves no second one. */
    snap_qmp_close(r->p->ses.qmp);
    r->p->ses.qmp = NULL;
    if (snap_deletion_undo(&r->x, &e) || snap_journal_end(&r->journal, &e)) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "tidying up also failed: %s; the next snapshot command for %s tries again",
                        e.msg, r->p->ses.name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    if (err->rc == SNAP_RECOVER)
        err->rc = SNAP_FAIL;
    snap_err_append(err, "snapshot %s is kept", r->p->rec.name);
    return err->rc;
}

/* QEMU answers late, perhaps: it is finished then, and that is all. */
static bool settled(struct run *r)
{
    int rc;
    char *what = NULL;
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = snap_settle(r->env, &r->p->ses.store, r->p->ses.name, &what,
                     &ignored);
    if (!rc && what)
        snap_say(r->env->log, SNAP_LOG_NOTE, "%s", what);
    free(what);
    return !rc;
}

static void drop_notes(struct snap_delete_plan *p, const char *vdev)
{
    size_t i, n = 0, len = strlen(vdev);

    for (i = 0; i < p->ses.n_notes; i++)
        if (!strncmp(p->ses.notes[i], vdev, len) &&
            p->ses.notes[i][len] == ':')
            free(p->ses.notes[i]);
        else
            p->ses.notes[n++] = p->ses.notes[i];
    p->ses.n_notes = n;
}

/* A disk that was to change over and has not: started on what the note names,
 * the domain would run on an image that is half merged. */
static void keep_true_notes(struct snap_delete_plan *p)
{
    size_t i;
    const struct snap_leaf *leaf;
    struct snap_state st = { 0 };
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_state_load(&p->ses.store, &st, &ignored);
    for (i = 0; i < p->rec.n_parts; i++) {
        leaf = snap_state_leaf(&st, p->rec.parts[i].vdev);
        if (p->del[i].how == SNAP_DELETE_MERGE &&
            !(leaf && snap_streq(leaf->path, p->del[i].active_path)))
            drop_notes(p, p->rec.parts[i].vdev);
    }
    snap_state_dispose(&st);
}

static int run_one(struct snap_env *env, struct snap_delete_plan *p,
                   bool *left_r, struct snap_err *err)
{
    int rc;
    struct run r = { .env = env, .p = p, .journal = SNAP_JOURNAL_INIT };

    r.x = (struct snap_deletion){
        .ses = &p->ses,
        .rec = &p->rec,
        .del = p->del,
        .journal = &r.journal,
        .ran = p->ses.there,
    };
    rc = delete_run_interrupted(&r, err);
    if (!rc)
        rc = delete_run_begin(&r, err);
    if (rc)
        return rc;
    rc = pull(&r, err);
    if (rc)
        return delete_run_go_back(&r, err);
    snap_qmp_close(p->ses.qmp);
    p->ses.qmp = NULL;
    rc = snap_store_drop(&p->ses.store, p->rec.name, err);
    if (rc && snap_store_has(&p->ses.store, p->rec.name))
        return delete_run_go_back(&r, err);
    if (!rc)
        rc = snap_deletion_finish(&r.x, err);
    if (!rc)
        rc = snap_journal_end(&r.journal, err);
    if (rc) {
        snap_journal_dispose(&r.journal);
        if (err->rc == SNAP_RECOVER && !r.x.stands && settled(&r)) {
            snap_err_clear(err);
            return 0;
        }
        snap_err_append(err,
                        "snapshot %s is deleted; the next snapshot command for %s tidies up what it left",
                        p->rec.name, p->ses.name);
        err->rc = rc = SNAP_RECOVER;
        keep_true_notes(p);
        *left_r = true;
    }
    return rc;
}

int snap_delete_run(struct snap_env *env, struct snap_delete_plan *p,
                    struct snap_delete_result *res, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    double started = snap_now_ms();

    res->n_done = 0;
    res->left = false;
    for (i = 0; i < p->n_names; i++) {
        if (i)
            rc = snap_delete_plan_next(env, p, i, err);
        if (!rc)
            rc = run_one(env, p, &res->left, err);
        if (rc)
            break;
        res->n_done++;
        if (res->done)
            res->done(res->opaque, p);
    }
    if (rc && res->n_done)
        snap_err_append(err, "%zu of %zu were deleted before, %s the last",
                        res->n_done, p->n_names, p->names[res->n_done - 1]);
    res->total_ms = snap_now_ms() - started;
    return rc;
}
