/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a snapshot.
 *
 *   journal "plan"      durable; from here on recover knows all there is to
 *                       know: every part, every path
 *   prepare             overlays and the memory file are made, guest running
 *   guardian            armed; libxl's locks taken
 *   ┌ window            memory saved (or domain paused) and disks taken, at
 *   │                   once if the hypervisor can; the new active images
 *   │                   made known (op/create_window.c)
 *   └ resume
 *   commit              memory file synced and named, record put
 *   finish              frozen images protected, state moved, journal removed
 *
 * The commit is outside the window on purpose: syncing half a gigabyte would
 * keep the guest standing.  It costs nothing in safety: what
 * must be known before the guest runs on, its active images, is in the
 * durable plan and in libxl's configuration; if we die after the resume,
 * recover completes the record (op/create_finish.c), and if power goes before the
 * memory file is whole, it completes it as a disk-only one.
 *
 * If the window ends and nobody knows what became of the disks, since QEMU did
 * not answer in time, the guest runs and we recover ourselves (op/settle.h).
 *
 * A domain that does not run has no window and no guardian; its disks are
 * taken at rest, one after the other.  Nothing writes to the new images before
 * we have ended, so the record is the commit: without it recover undoes.
 *
 * Whatever fails: the guest first, then the disks, then the files.
 */
#include "op/create.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/begin.h"
#include "op/create_commit.h"
#include "op/create_finish.h"
#include "op/create_run.h"
#include "op/parts.h"
#include "op/settle.h"
#include "op/stale.h"
#include "store/state.h"

void snap_create_result_dispose(struct snap_create_result *r)
{
    snap_free(&r->stale_path_hint);
    snap_free(&r->monitor_note);
    snap_free(&r->output);
}

int snap_create_interrupted(const struct snap_create_run *r,
                            struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR,
                         "interrupted; %s%s nothing was changed",
                         r->p->ses.there ? r->p->ses.dom.name : "",
                         r->p->ses.there ? " runs as before and" : "");
    return 0;
}

/* A domain that neither runs nor was ever snapshotted is found by its name
 * after all, should we die: snapshot-recover is given that. */
static int remember_name(struct snap_create_run *r, struct snap_err *err)
{
    struct snap_state *st = &r->p->ses.state;

    if (r->p->ses.there || st->domain_name)
        return 0;
    snap_set(&st->domain_name, r->p->ses.dom.name);
    return snap_state_save(&r->p->ses.store, st, err);
}

static int create_run_ask_again(void *run, struct snap_err *err)
{
    struct snap_create_run *r = run;
    struct snap_create_plan *p = r->p;
    int rc = p->ses.there ? 0
                          : snap_offline_look_again(r->env, &p->offline,
                                                    &p->ses.state, err);

    return rc ? rc : remember_name(r, err);
}

static int create_run_begin(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_intent in;

    snap_create_intent(r->p, r->req, &in);
    rc = snap_begin(r->env, &r->p->ses.store, &in, create_run_ask_again, r,
                    &r->journal, err);
    snap_intent_dispose(&in);
    return rc;
}

static int create_run_prepare(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_record *rec = &r->p->rec;

    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];

        rc = snap_create_interrupted(r, err);
        if (rc)
            return rc;
        /* Set first: undo must look at what a failed prepare left. */
        part->prepared = true;
        rc = part->drv->prepare(&r->ctx, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    if (rec->has_memory) {
        rc = snap_memfile_create(&r->mem, rec->mem_path, r->p->ses.op_id,
                                 r->p->space_needed, err);
        if (rc)
            return rc;
    }
    return snap_create_interrupted(r, err);
}

static int guard(struct snap_create_run *r, struct snap_err *err)
{
    const struct snap_guarded what = { .dom = &r->p->ses.dom,
                                       .suspend = r->p->rec.has_memory };

    return snap_guardian_start(r->env, &r->p->ses.store, &what, &r->guardian,
                               err);
}

static void group_taken(void *opaque)
{
    snap_guardian_beat(opaque);
}

int snap_create_take(struct snap_create_run *r)
{
    r->take_begun_ms = snap_now_ms();
    r->take_rc = snap_parts_take(&r->ctx, r->p->rec.parts, r->p->rec.n_parts,
                                 group_taken, &r->guardian, &r->take_err);
    r->take_done_ms = snap_now_ms();
    return r->take_rc;
}

/* The disks were taken by tools, or may have been: undo looks at each, and if
 * it can put all back there is no doubt left. */
static int take_failed(struct snap_create_run *r, int rc, struct snap_err *err)
{
    size_t i;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_record *rec = &r->p->rec;

    for (i = 0; rc == SNAP_RECOVER && i < rec->n_parts; i++)
        rec->parts[i].taken = true;
    if (!snap_parts_undo(&r->ctx, rec->parts, rec->n_parts, &e)) {
        if (rc == SNAP_RECOVER)
            err->rc = rc = SNAP_FAIL;
        return rc;
    }
    err->rc = SNAP_RECOVER;
    snap_err_append(err, "and the disks could not be put back: %s", e.msg);
    return rc;
}

/* The domain does not run: take its disks, and make sure that it still does
 * not. */
static int take_at_rest(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_domain dom = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    r->stood = true;
    if (snap_create_take(r)) {
        rc = snap_fail(err, r->take_rc, "%s", r->take_err.msg);
        return take_failed(r, rc, err);
    }
    rc = r->env->ops->find_uuid(r->env->hyp, r->p->ses.dom.uuid, &dom, &why);
    snap_domain_dispose(&dom);
    if (rc == SNAP_NOTFOUND) {
        r->taken = true;
        return 0;
    }
    rc = rc ? snap_fail(err, rc, "%s", why.msg)
            : snap_fail(err, SNAP_BUSY,
                        "%s was started while its disks were taken; the snapshot is given up",
                        r->p->ses.dom.name);
    return take_failed(r, rc, err);
}

/* Undo what was made; guest running. */
static int abandon(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_record *rec = &r->p->rec;

    snap_guardian_end(&r->guardian);
    snap_memfile_abort(&r->mem);
    if (err->rc == SNAP_RECOVER) {
        snap_journal_dispose(&r->journal);
        return SNAP_RECOVER;
    }
    rc = snap_parts_undo(&r->ctx, rec->parts, rec->n_parts, &e);
    if (!rc)
        rc = snap_journal_end(&r->journal, &e);
    if (rc) {
        snap_journal_dispose(&r->journal);
        snap_err_append(err,
                        "tidying up also failed: %s; it is done by the next snapshot command for %s",
                        e.msg, r->p->ses.dom.name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    return err->rc;
}

/* Is there what says that there is a snapshot? */
static bool committed(const struct snap_create_run *r)
{
    return r->req->no_metadata
               ? snap_file_exists(r->req->output)
               : snap_store_has(&r->p->ses.store, r->p->rec.name);
}

static bool any_moves(const struct snap_record *rec)
{
    size_t i;

    for (i = 0; i < rec->n_parts; i++)
        if (snap_part_moves(&rec->parts[i]))
            return true;
    return false;
}

/* Somebody let the guest go on while we worked.  Without a switched disk all
 * is undone; else what is left is a snapshot of the disks. */
static int drop_torn(struct snap_create_run *r, struct snap_err *err)
{
    if (any_moves(&r->p->rec)) {
        snap_commit_drop_memory(&r->p->rec, &r->mem);
        return 0;
    }
    r->taken = false;
    return snap_fail(err, SNAP_BUSY,
                     "%s, so its memory image fits no disks; nothing was kept",
                     r->why_torn.msg);
}

static int say_torn(const struct snap_create_run *r, struct snap_err *err)
{
    return snap_fail(err, SNAP_RECOVER,
                     "%s, so its memory image fits no disks: snapshot %s was finished without it, as a disk-only one, crash consistent; nothing is left to recover",
                     r->why_torn.msg, r->p->rec.name);
}

/* Recovery finished it: what p->rec says now is what is in the store. */
static int settled(struct snap_create_run *r, struct snap_err *err)
{
    int rc = 0;
    bool wanted_memory = r->p->rec.has_memory;
    struct snap_record *rec = &r->p->rec;
    char *name = snap_strdup(rec->name);

    if (!r->req->no_metadata) {
        snap_record_dispose(rec);
        memset(rec, 0, sizeof(*rec));
        rc = snap_store_get(&r->p->ses.store, name, r->env->drivers, rec, err);
    }
    if (!rc && wanted_memory && !r->req->no_metadata && !rec->has_memory)
        rc = snap_fail(err, SNAP_RECOVER, "%s has no memory image", name);
    free(name);
    return rc;
}

/* The guest runs; what became of its disks is not known, or half of it is not
 * as it should be. */
static int settle(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    char *what = NULL;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_create_plan *p = r->p;

    snap_guardian_end(&r->guardian);
    snap_memfile_dispose(&r->mem);
    snap_journal_dispose(&r->journal);
    /* QEMU serves no second connection. */
    snap_qmp_close(p->ses.qmp);
    p->ses.qmp = r->ctx.qmp = NULL;
    rc = snap_settle(r->env, &p->ses.store, p->ses.dom.name, &what, &e);
    if (rc) {
        snap_err_append(err, "%s; run xl snapshot-recover %s", e.msg,
                        p->ses.dom.name);
        err->rc = rc;
    } else if (!committed(r)) {
        snap_err_append(err, "%s", what ? what : "nothing is left of it");
        err->rc = rc = SNAP_FAIL;
    } else {
        if (what)
            snap_say(r->env->log, SNAP_LOG_NOTE, "%s: %s", err->msg, what);
        snap_err_clear(err);
        rc = settled(r, err);
    }
    free(what);
    return rc;
}

/* Record and memory are to be put, and all is to be tidied up. */
static int complete(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_create_plan *p = r->p;

    /* Taken, and the guest runs on the new images: nothing is undone any
     * more.  What cannot be finished here, recover finishes. */
    rc = snap_parts_secure(&r->ctx, p->rec.parts, p->rec.n_parts, err);
    if (!rc)
        rc = snap_commit(r->env, &p->ses.store, &p->rec, &r->mem,
                         r->req->no_metadata ? r->req->output : NULL, err);
    if (rc && !p->ses.there && !committed(r))
        return abandon(r, err);
    if (rc && !p->ses.there)
        snap_err_append(err,
                        "the snapshot is there; the next snapshot command for the domain tidies up");
    else if (rc)
        snap_err_append(err,
                        "the disks of %s are snapshotted and it runs on the new images; the next snapshot command for it completes or repairs the record",
                        p->ses.dom.name);
    if (rc)
        goto out;

    snap_parts_finish(r->env, &r->ctx, p->rec.parts, p->rec.n_parts);
    snap_state_after_create(&p->ses.state, &p->rec);
    rc = snap_state_save(&p->ses.store, &p->ses.state, err);
    if (!rc)
        rc = snap_journal_end(&r->journal, err);
    if (rc)
        snap_err_append(err, "the snapshot itself is complete");

out:
    if (rc) {
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r->journal);
    }
    return rc;
}

static int create_run_take(struct snap_create_run *r, struct snap_err *err)
{
    int rc;

    rc = create_run_prepare(r, err);
    if (!rc && !r->p->ses.there)
        return take_at_rest(r, err);
    if (!rc)
        rc = guard(r, err);
    return rc ? rc : snap_create_window(r, err);
}

static int create(struct snap_create_run *r, struct snap_err *err)
{
    int rc;

    rc = create_run_begin(r, err);
    if (rc)
        return rc;
    rc = create_run_take(r, err);
    if (r->stands) {
        /* For the guardian, or the recovery after it. */
        snap_journal_dispose(&r->journal);
        return SNAP_RECOVER;
    }
    if (rc == SNAP_RECOVER && r->p->ses.there)
        return settle(r, err);
    if (!rc && r->torn)
        rc = drop_torn(r, err);
    if (rc)
        return abandon(r, err);
    rc = complete(r, err);
    return !rc && r->torn ? say_torn(r, err) : rc;
}

/* It failed: is the snapshot there all the same, or will a recovery finish
 * it? */
static bool is_there(const struct snap_create_plan *p)
{
    size_t i;

    if (!p->ses.there)
        return snap_store_has(&p->ses.store, p->rec.name);
    for (i = 0; i < p->rec.n_parts; i++)
        if (!p->rec.parts[i].taken)
            return false;
    return true;
}

int snap_create_run(struct snap_env *env, const struct snap_create_req *req,
                    struct snap_create_plan *p, struct snap_create_result *res,
                    struct snap_err *err)
{
    int rc;
    double started = snap_now_ms();
    struct snap_create_run r = {
        .env = env,
        .req = req,
        .p = p,
        .journal = SNAP_JOURNAL_INIT,
        .guardian = SNAP_GUARDIAN_INIT,
        .mem = SNAP_MEMFILE_INIT,
    };

    memset(res, 0, sizeof(*res));
    snap_session_ctx(&p->ses, &r.ctx);
    rc = create(&r, err);
    if (rc == SNAP_RECOVER && is_there(p))
        res->stale_path_hint = snap_stale_created(&p->rec, &p->offline);
    if (rc)
        goto out;
    res->window_ms = p->rec.window_ms;
    res->disks_ms = r.take_done_ms - r.take_begun_ms;
    res->stale_path_hint = snap_stale_created(&p->rec, &p->offline);
    if (p->ses.there && !p->ses.dom.monitor_pid)
        res->monitor_note = snap_printf(
            "%s has no xl daemon watching it (and had none before): a reboot or poweroff in the guest is not acted on",
            p->ses.dom.name);
    if (req->no_metadata)
        res->output = snap_strdup(req->output);
    res->total_ms = snap_now_ms() - started;

out:
    snap_guardian_end(&r.guardian);
    snap_memfile_dispose(&r.mem);
    return rc;
}
