/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Carry out the plan of a snapshot.
 *
 *   journal "plan"      durable; from here on recover knows all there is to
 *                       know: every part, every path
 *   prepare             overlays and the memory file are made, guest running
 *   guardian            armed
 *   ┌ window            memory saved (or domain paused) and disks taken, at
 *   │                   once if the hypervisor can; the new active images
 *   │                   made known durably
 *   └ resume
 *   commit              memory file checksummed, synced and named, record put
 *   finish              frozen images protected, state moved, journal removed
 *
 * The commit is outside the window on purpose: syncing and checksumming half
 * a gigabyte would keep the guest standing.  It costs nothing in safety: what
 * must be known before the guest runs on, its active images, is in the
 * durable plan and in libxl's configuration; if we die after the resume,
 * recover completes the record (core/recover.c), and if power goes before the
 * memory file is whole, it completes it as a disk-only one.
 *
 * A domain that does not run has no window and no guardian; its disks are
 * taken at rest, one after the other.  Nothing writes to the new images before
 * we have ended, so the record is the commit: without it recover undoes.
 *
 * Whatever fails: the guest first, then the disks, then the files.
 */
#include "core/create.h"

#include <stdlib.h>
#include <string.h>

#include "core/commit.h"
#include "core/guardian.h"
#include "core/journal.h"
#include "core/memfile.h"
#include "core/parts.h"
#include "core/recover.h"
#include "core/watch.h"
#include "lib/file.h"
#include "lib/mem.h"

void snap_create_result_dispose(struct snap_create_result *r)
{
    snap_free(&r->stale_path_hint);
    snap_free(&r->monitor_note);
    snap_free(&r->output);
}

/* Everything that one run holds, so that the steps can be functions. */
struct run {
    struct snap_env *env;
    const struct snap_create_req *req;
    struct snap_create_plan *p;
    struct snap_disk_ctx ctx;
    struct snap_journal journal;
    struct snap_guardian guardian;
    struct snap_memfile mem;
    struct snap_watch watch;
    double stopped_ms; /* all of these in snap_now_ms() terms */
    double saved_ms, take_begun_ms, take_done_ms, known_ms;
    bool stood; /* the guest stood still, and taking was begun */
    int take_rc;
    struct snap_err take_err;
    bool taken; /* the disks are switched, and Xen knows */
};

static int interrupted(const struct run *r, struct snap_err *err)
{
    if (r->env->interrupted && r->env->interrupted())
        return snap_fail(err, SNAP_INTR,
                         "interrupted; %s%s nothing was changed",
                         r->p->off ? "" : r->p->dom.name,
                         r->p->off ? "" : " runs as before and");
    return 0;
}

/* A domain that neither runs nor was ever snapshotted is found by its name
 * after all, should we die: snapshot-recover is given that. */
static int remember_name(struct run *r, struct snap_err *err)
{
    struct snap_state *st = &r->p->state;

    if (!r->p->off || st->domain_name)
        return 0;
    snap_set(&st->domain_name, r->p->dom.name);
    return snap_state_save(&r->p->store, st, err);
}

static int begin(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_json *plan = snap_commit_plan_json(
        &r->p->rec, &r->p->dom, r->p->op_id,
        r->req->no_metadata ? r->req->output : NULL, r->req->paused);

    if (r->p->off)
        snap_json_set_bool(plan, "offline", true);
    rc = remember_name(r, err);
    if (!rc)
        rc = snap_recover_plan(r->env, &r->p->store, "create", plan,
                               &r->journal, err);
    snap_json_free(plan);
    return rc;
}

static int prepare(struct run *r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_record *rec = &r->p->rec;

    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];

        rc = interrupted(r, err);
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
        rc = snap_memfile_create(&r->mem, rec->mem_path, r->p->space_needed,
                                 err);
        if (rc)
            return rc;
    }
    rc = r->p->off
             ? 0
             : snap_guardian_start(r->env, &r->p->dom, &r->guardian, err);
    if (rc)
        return rc;
    rc = snap_journal_mark(&r->journal, "window", NULL, err);
    if (rc)
        return rc;
    return interrupted(r, err);
}

/* Take the disks, once the guest stands still.  Perhaps in another thread,
 * while its memory is still being saved; nothing else touches the parts or
 * the QMP connection then. */
static void take(void *opaque)
{
    struct run *r = opaque;

    r->stood = true;
    r->take_begun_ms = snap_now_ms();
    r->take_rc = snap_parts_take(&r->ctx, r->p->rec.parts, r->p->rec.n_parts,
                                 &r->take_err);
    r->take_done_ms = snap_now_ms();
}

/* Stop the guest and take memory and disks.  If that fails and r->stood is
 * not set, the guest runs as it did; else it stands, and disks may have been
 * switched. */
static int stop_and_take(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_create_plan *p = r->p;
    struct snap_save_result res = { 0 };
    const struct snap_at_stop at_stop = { .fn = take, .opaque = r };

    if (p->rec.has_memory) {
        snap_watch_start(&r->watch, r->env->progress, "saving memory",
                         r->mem.fd, p->dom.mem_kb * 1024);
        rc = r->env->ops->save(r->env->hyp, &p->dom, p->rec.config_json,
                               r->mem.fd, p->rec.live, &at_stop, &res, err);
        r->stopped_ms = res.stopped_ms;
        r->saved_ms = snap_now_ms();
        if (!rc)
            snap_journal_note(&r->journal, "saved");
    } else {
        r->stopped_ms = snap_now_ms();
        rc = p->paused_before ? 0
                              : r->env->ops->pause(r->env->hyp, &p->dom, err);
        r->saved_ms = snap_now_ms();
        if (!rc)
            take(r);
    }
    if (!r->take_rc)
        return rc;
    /* What went wrong with the disks weighs more: it may need recovery. */
    if (rc)
        snap_err_append(&r->take_err, "and: %s", err->msg);
    snap_err_clear(err);
    return snap_fail(err, r->take_rc, "%s", r->take_err.msg);
}

/* Let the guest go on, paused if the user wants it so. */
static int start_guest(struct run *r, bool paused, struct snap_err *err)
{
    int rc;
    struct snap_create_plan *p = r->p;

    if (p->rec.has_memory)
        rc = r->env->ops->resume(r->env->hyp, &p->dom, paused, err);
    else if (paused || p->paused_before)
        rc = 0;
    else
        rc = r->env->ops->unpause(r->env->hyp, &p->dom, err);
    p->rec.window_ms = snap_now_ms() - r->stopped_ms;
    if (!rc)
        snap_guardian_end(&r->guardian);
    return rc;
}

/* A take that was carried out but cannot be kept: put the old images back
 * while the guest still stands. */
static int untake(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_record *rec = &r->p->rec;

    rc = snap_parts_undo(&r->ctx, rec->parts, rec->n_parts, &e);
    if (rc) {
        err->rc = SNAP_RECOVER;
        snap_err_append(err, "and the disks could not be put back: %s", e.msg);
    }
    return rc ? SNAP_RECOVER : 0;
}

/* After a take that failed: if a reply got lost, undo must look at every disk,
 * and if it can, the doubt is gone. */
static int take_failed(struct run *r, int rc, struct snap_err *err)
{
    size_t i;

    for (i = 0; rc == SNAP_RECOVER && i < r->p->rec.n_parts; i++)
        r->p->rec.parts[i].taken = true;
    if (!untake(r, err) && rc == SNAP_RECOVER)
        err->rc = rc = SNAP_FAIL;
    return rc;
}

/* The domain does not run: take its disks, and make sure that it still does
 * not. */
static int take_at_rest(struct run *r, struct snap_err *err)
{
    int rc;
    struct snap_domain dom = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    take(r);
    if (r->take_rc) {
        rc = snap_fail(err, r->take_rc, "%s", r->take_err.msg);
        return take_failed(r, rc, err);
    }
    rc = r->env->ops->find_uuid(r->env->hyp, r->p->dom.uuid, &dom, &why);
    snap_domain_dispose(&dom);
    if (rc == SNAP_NOTFOUND) {
        r->taken = true;
        return 0;
    }
    rc = rc ? snap_fail(err, rc, "%s", why.msg)
            : snap_fail(err, SNAP_BUSY,
                        "%s was started while its disks were taken; the "
                        "snapshot is given up",
                        r->p->dom.name);
    return take_failed(r, rc, err);
}

static int window(struct run *r, struct snap_err *err)
{
    int rc, r2;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_create_plan *p = r->p;
    struct snap_record *rec = &p->rec;

    rc = stop_and_take(r, err);
    if (rc && !r->stood) {
        snap_watch_stop(&r->watch);
        return rc;
    }
    if (rc) {
        rc = take_failed(r, rc, err);
        goto out;
    }
    rc = snap_parts_set_active(r->env, &p->dom, rec->parts, rec->n_parts, err);
    if (rc) {
        snap_err_prefix(err, "telling Xen the new images");
        if (!untake(r, err)) {
            /* Half of them may be known already: name the old ones again. */
            struct snap_err e2 = SNAP_ERR_INIT;

            if (snap_commit_set_old(r->env, &p->dom, rec, &e2)) {
                err->rc = SNAP_RECOVER;
                snap_err_append(err, "and Xen still names new images: %s",
                                e2.msg);
            }
        }
        goto out;
    }
    r->known_ms = snap_now_ms();
    r->taken = true;

out:
    r2 = start_guest(r, !rc && r->req->paused, &e);
    if (r2) {
        /* Once more, the way the guardian would. */
        struct snap_err e2 = SNAP_ERR_INIT;

        if (r->env->ops->rescue(r->env->hyp, p->dom.uuid, p->dom.monitor_pid,
                                p->paused_before, &e2)) {
            snap_fail(err, SNAP_RECOVER, "%s could not be resumed: %s",
                      p->dom.name, e.msg);
            snap_err_append(err, "try xl unpause %s", p->dom.name);
            err->rc = SNAP_RECOVER;
            snap_watch_stop(&r->watch);
            return SNAP_RECOVER;
        }
        snap_guardian_end(&r->guardian);
        p->rec.window_ms = snap_now_ms() - r->stopped_ms;
    }
    snap_watch_stop(&r->watch);
    if (!rc && !r2)
        snap_say(r->env->log, SNAP_LOG_DEBUG,
                 "%s stood still for %.0f ms; since it stopped: "
                 "memory written after %.0f, disks taken from %.0f to %.0f, "
                 "new images known after %.0f",
                 p->dom.name, p->rec.window_ms, r->saved_ms - r->stopped_ms,
                 r->take_begun_ms - r->stopped_ms,
                 r->take_done_ms - r->stopped_ms, r->known_ms - r->stopped_ms);
    return rc ? (err->rc ? err->rc : rc) : 0;
}

/* "line 12 of /etc/xen/vm1.cfg", or "vm1's xl.cfg". */
static char *xl_cfg(const struct snap_create_plan *p, const char *image)
{
    unsigned line = snap_offline_line(&p->offline, image);

    if (line)
        return snap_printf("line %u of %s", line, p->offline.file);
    return p->offline.file ? snap_strdup(p->offline.file)
                           : snap_printf("%s's xl.cfg", p->dom.name);
}

static char *stale_hint(const struct snap_create_plan *plan)
{
    size_t i;
    struct snap_buf b = { 0 };
    const struct snap_record *rec = &plan->rec;

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];
        char *where;

        if (!snap_part_moves(p))
            continue;
        where = xl_cfg(plan, p->path);
        if (snap_streq(p->path, p->active_path))
            snap_buf_addf(&b,
                          "%s%s: in %s, change the format of %s "
                          "to %s",
                          b.len ? "\n" : "", p->vdev, where, p->path,
                          p->active_format);
        else
            snap_buf_addf(&b,
                          "%s%s: %s is frozen now; in %s, "
                          "change this disk to format=%s, target=%s "
                          "(--keep-path avoids this)",
                          b.len ? "\n" : "", p->vdev, p->path, where,
                          p->active_format, p->active_path);
        free(where);
    }
    return b.data;
}

/* Undo what prepare made; guest running, nothing taken. */
static int abandon(struct run *r, struct snap_err *err)
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
                        "tidying up also failed: %s; it is done by the "
                        "next snapshot command for %s",
                        e.msg, r->p->dom.name);
        err->rc = SNAP_RECOVER;
        return SNAP_RECOVER;
    }
    return err->rc;
}

/* Is there what says that there is a snapshot? */
static bool committed(const struct run *r)
{
    return r->req->no_metadata ? snap_file_exists(r->req->output)
                               : snap_store_has(&r->p->store, r->p->rec.name);
}

int snap_create_run(struct snap_env *env, const struct snap_create_req *req,
                    struct snap_create_plan *p, struct snap_create_result *res,
                    struct snap_err *err)
{
    int rc;
    double started = snap_now_ms();
    struct run r = {
        .env = env,
        .req = req,
        .p = p,
        .journal = SNAP_JOURNAL_INIT,
        .guardian = SNAP_GUARDIAN_INIT,
        .mem = SNAP_MEMFILE_INIT,
        .take_err = SNAP_ERR_INIT,
    };

    memset(res, 0, sizeof(*res));
    snap_ctx_init(&r.ctx, env, p->dom.domid, p->qmp, p->op_id);

    rc = begin(&r, err);
    if (rc)
        goto out;
    rc = prepare(&r, err);
    if (!rc)
        rc = p->off ? take_at_rest(&r, err) : window(&r, err);
    /* Taken, and the guest runs on the new images: nothing is undone any
     * more.  What cannot be finished here, recover finishes. */
    if (!rc)
        rc = snap_commit(env, &p->store, &p->rec, &r.mem,
                         req->no_metadata ? req->output : NULL, err);
    if (rc && (!r.taken || (p->off && !committed(&r)))) {
        rc = abandon(&r, err);
        goto out;
    }
    if (rc) {
        if (p->off)
            snap_err_append(err, "the snapshot is there; the next snapshot "
                                 "command for the domain tidies up");
        else
            snap_err_append(err,
                            "the disks of %s are snapshotted and it runs on "
                            "the new images; the next snapshot command for "
                            "it completes or repairs the record",
                            p->dom.name);
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r.journal);
        goto out;
    }

    snap_parts_finish(env, &r.ctx, p->rec.parts, p->rec.n_parts);
    snap_state_after_create(&p->state, &p->rec);
    rc = snap_state_save(&p->store, &p->state, err);
    if (!rc)
        rc = snap_journal_end(&r.journal, err);
    if (rc) {
        snap_err_append(err, "the snapshot itself is complete");
        err->rc = rc = SNAP_RECOVER;
        snap_journal_dispose(&r.journal);
        goto out;
    }

    res->window_ms = p->rec.window_ms;
    res->disks_ms = r.take_done_ms - r.take_begun_ms;
    res->stale_path_hint = stale_hint(p);
    if (!p->off && !p->dom.monitor_pid)
        res->monitor_note = snap_printf("%s has no xl daemon watching it "
                                        "(and had none before): a reboot or "
                                        "poweroff in the guest is not acted "
                                        "on",
                                        p->dom.name);
    if (req->no_metadata)
        res->output = snap_strdup(req->output);
    res->total_ms = snap_now_ms() - started;

out:
    snap_guardian_end(&r.guardian);
    snap_memfile_dispose(&r.mem);
    return rc;
}
