/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The window of a snapshot: see create_run.h.  The guest stands between
 * stop_and_take() and let_go_on(), so nothing here waits without a deadline of
 * its own, and nothing is tidied up that can be tidied up later.
 *
 * Notes in the journal, for whoever comes after our death: "paused" (by us,
 * op/paused.h), "saved" (the memory image is whole), "taken" (the disks are,
 * while the guest stood), "void" (the image does not fit), "resumed" (the guest
 * was let go on, and what happens to it since is not ours).
 */
#include <stdlib.h>

#include "lib/mem.h"
#include "op/create_commit.h"
#include "op/create_run.h"
#include "op/parts.h"
#include "op/paused.h"

/* For putting an image back in the window: with nothing written since, the
 * time of some commands to QEMU. */
#define UNDO_MS 5000

static bool suspends(const struct snap_create_run *r)
{
    return r->p->rec.has_memory;
}

/* ---- stop and take ---- */

static void note(struct snap_create_run *r, const char *step)
{
    snap_journal_note(&r->journal, step);
    snap_guardian_beat(&r->guardian);
}

/* Once the guest stands still.  Perhaps in another thread, while its memory is
 * still being saved; nothing else touches the parts, the journal or the QMP
 * connection then. */
static void create_window_take(void *opaque)
{
    struct snap_create_run *r = opaque;
    struct snap_env *env = r->env;

    r->stood = true;
    snap_guardian_beat(&r->guardian);
    r->take_rc = snap_create_interrupted(r, &r->take_err);
    if (!r->take_rc)
        r->take_rc = env->ops->stands(env->hyp, &r->p->ses.dom, suspends(r),
                                      &r->take_err);
    if (!r->take_rc)
        snap_create_take(r);
    if (!r->take_rc)
        note(r, "taken");
    if (!r->take_rc && r->req->paused)
        snap_guardian_stays(&r->guardian);
    /* Late, and with the guest running, it may be taken after all. */
    if (r->take_rc == SNAP_RECOVER)
        note(r, "void");
}

static void grew(void *opaque)
{
    snap_guardian_beat(opaque);
}

static int save(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_create_plan *p = r->p;
    struct snap_save_result res = { 0 };
    const struct snap_at_stop at_stop = { .fn = create_window_take,
                                          .opaque = r };
    const struct snap_watched what = {
        .progress = r->env->progress,
        .what = "saving memory",
        .fd = r->mem.fd,
        .total = p->ses.dom.mem_kb * 1024,
        .tail = r->mem.tail,
        .grew = grew,
        .opaque = &r->guardian,
    };

    snap_save_progress_start(&r->watch, &what);
    rc = r->env->ops->save(r->env->hyp, &p->ses.dom, p->rec.config_json,
                           r->mem.fd, p->rec.live, &at_stop, &res, err);
    r->stopped_ms = res.stopped_ms;
    r->saved_ms = snap_now_ms();
    if (!rc)
        note(r, "saved");
    return rc;
}

static int create_window_stop(struct snap_create_run *r, struct snap_err *err)
{
    int rc = 0;
    struct snap_create_plan *p = r->p;

    r->stopped_ms = snap_now_ms();
    if (!p->paused_before)
        rc = r->env->ops->pause(r->env->hyp, &p->ses.dom, err);
    r->saved_ms = snap_now_ms();
    if (!rc && !p->paused_before)
        snap_paused_note(r->env, &r->journal, &p->ses.dom, "paused");
    if (!rc)
        create_window_take(r);
    return rc;
}

/* Stop the guest and take memory and disks.  If that fails and r->stood is
 * not set, the guest runs as it did (SNAP_RECOVER: or may stand); else it
 * stands, and disks may have been switched. */
static int stop_and_take(struct snap_create_run *r, struct snap_err *err)
{
    int rc = suspends(r) ? save(r, err) : create_window_stop(r, err);

    if (!r->take_rc)
        return rc;
    /* What went wrong with the disks weighs more: it may need recovery. */
    if (rc)
        snap_err_append(&r->take_err, "and: %s", err->msg);
    snap_err_clear(err);
    return snap_fail(err, r->take_rc, "%s", r->take_err.msg);
}

/* ---- put back ---- */

/* What the guest would write to goes back now.  A snapshot inside an image and
 * an overlay that nobody has open can wait until it runs. */
static int untake(struct snap_create_run *r, struct snap_err *err)
{
    int rc = 0, one;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_record *rec = &r->p->rec;
    double deadline = snap_now_ms() + UNDO_MS;
    size_t i;

    for (i = rec->n_parts; i-- > 0;) {
        struct snap_part *p = &rec->parts[i];

        if (!p->taken || !snap_part_moves(p))
            continue;
        /* It has to be quick, and is: nothing was written since. */
        r->ctx.undo_ms = deadline > snap_now_ms() + 1
                             ? (unsigned)(deadline - snap_now_ms())
                             : 1;
        one = p->drv->undo(&r->ctx, p, &e);
        snap_guardian_beat(&r->guardian);
        rc = rc ? rc : one;
    }
    if (!rc)
        return 0;
    err->rc = SNAP_RECOVER;
    snap_err_append(err, "and the disks could not be put back: %s", e.msg);
    return SNAP_RECOVER;
}

/* Half of the new images may be known already: name the old ones again. */
static int unname(struct snap_create_run *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc = snap_commit_set_old(r->env, &r->p->ses.dom, &r->p->rec, &e);

    /* Nobody builds anything else with the old ones, though it is told late. */
    if (!rc || rc == SNAP_BUSY)
        return 0;
    err->rc = SNAP_RECOVER;
    snap_err_append(err, "and Xen still names new images: %s", e.msg);
    return SNAP_RECOVER;
}

/* ---- let go on ---- */

/* The way the guardian would. */
static int rescue(struct snap_create_run *r, bool paused, struct snap_err *err)
{
    const struct snap_held held = {
        .uuid = r->p->ses.dom.uuid,
        .domid = r->p->ses.dom.domid,
        .monitor_pid = r->p->ses.dom.monitor_pid,
        .suspend = suspends(r),
        .pause = !suspends(r),
        .was_paused = r->p->paused_before || paused,
    };

    return r->env->ops->rescue(r->env->hyp, &held, err);
}

static void tear(struct snap_create_run *r, const char *why)
{
    r->torn = true;
    snap_fail(&r->why_torn, SNAP_BUSY, "%s", why);
}

static int create_window_start(struct snap_create_run *r, bool paused,
                               struct snap_err *err)
{
    int rc;
    struct snap_env *env = r->env;
    const struct snap_domain *dom = &r->p->ses.dom;
    struct snap_err e = SNAP_ERR_INIT;

    if (!suspends(r))
        return paused || r->p->paused_before
                   ? 0
                   : env->ops->unpause(env->hyp, dom, err);
    rc = env->ops->resume(env->hyp, dom, paused, err);
    if (rc == SNAP_BUSY) {
        tear(r, err->msg);
        snap_err_clear(err);
        return 0;
    }
    /* Was it, or did a reply get lost?  Nobody can say later. */
    if (rc && env->ops->stands(env->hyp, dom, true, &e))
        tear(r, e.msg);
    return rc;
}

/* The guest goes on, paused if the user wants it so.  known: it stood, or else
 * may not even have stopped yet. */
static void create_window_let_go_on(struct snap_create_run *r, bool known,
                                    bool paused, struct snap_err *err)
{
    int rc = SNAP_RECOVER;
    struct snap_err e = SNAP_ERR_INIT, e2 = SNAP_ERR_INIT;

    r->ctx.undo_ms = 0;
    if (known)
        rc = create_window_start(r, paused, &e);
    if (rc)
        rc = rescue(r, paused, &e2);
    r->p->rec.window_ms = snap_now_ms() - r->stopped_ms;
    if (rc) {
        r->stands = true;
        snap_guardian_leave(&r->guardian);
        snap_fail(err, SNAP_RECOVER, "%s could not be resumed: %s",
                  r->p->ses.dom.name, e2.msg);
        snap_err_append(err,
                        "it stands still, and needs xl snapshot-recover %s",
                        r->p->ses.dom.name);
        err->rc = SNAP_RECOVER;
        return;
    }
    if (r->torn)
        snap_journal_note(&r->journal, "void");
    snap_journal_note(&r->journal, "resumed");
    snap_guardian_end(&r->guardian);
}

/* ---- all of it ---- */

static bool is_left_out(const struct snap_record *rec, const char *vdev)
{
    size_t i;

    for (i = 0; i < rec->n_left_out; i++)
        if (snap_streq(rec->left_out[i], vdev))
            return true;
    return false;
}

/* The plan was made minutes ago; with the window open no disk comes or goes
 * unnoticed any more. */
static int create_window_check_disks(struct snap_create_run *r,
                                     struct snap_err *err)
{
    int rc;
    size_t i, n = 0, k;
    struct snap_vbd *v = NULL;
    const struct snap_record *rec = &r->p->rec;

    rc = r->env->ops->disks(r->env->hyp, &r->p->ses.dom, &v, &n, err);
    for (i = 0; !rc && i < n; i++) {
        for (k = 0; k < rec->n_parts; k++)
            if (snap_streq(rec->parts[k].vdev, v[i].vdev))
                break;
        if (k < rec->n_parts ? !snap_streq(rec->parts[k].path, v[i].path)
                             : !is_left_out(rec, v[i].vdev))
            break;
    }
    if (!rc && (i < n || n != rec->n_parts + rec->n_left_out))
        rc = snap_fail(err, SNAP_BUSY,
                       "%s: a disk was plugged in or out, or changed, while its snapshot was prepared; nothing was changed: run it again",
                       r->p->ses.dom.name);
    snap_vbds_free(&v, &n);
    return rc;
}

/* Its user may have paused it since the plan was made.  Then it stays so: for
 * us, for the guardian and for recovery. */
static int mark_window(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_domain now = { 0 };
    struct snap_create_plan *p = r->p;
    struct snap_json *data = snap_json_object();

    rc = r->env->ops->find_uuid(r->env->hyp, p->ses.dom.uuid, &now, err);
    if (!rc && now.paused && !suspends(r))
        p->paused_before = true;
    if (!rc && p->paused_before)
        snap_guardian_stays(&r->guardian);
    snap_json_set_bool(data, "was_paused", p->paused_before);
    if (p->rec.has_memory)
        snap_json_set_int(data, "memory_file", snap_memfile_id(&r->mem));
    if (!rc)
        rc = snap_journal_mark(&r->journal, "window", data, err);
    snap_json_free(data);
    snap_domain_dispose(&now);
    return rc;
}

static int open_window(struct snap_create_run *r, struct snap_err *err)
{
    int rc;
    struct snap_active *a;
    size_t n;
    struct snap_create_plan *p = r->p;

    snap_parts_active(p->rec.parts, p->rec.n_parts, &a, &n);
    rc = r->env->ops->window_open(r->env->hyp, &p->ses.dom, a, n, err);
    free(a);
    if (!rc)
        rc = create_window_check_disks(r, err);
    if (!rc)
        rc = mark_window(r, err);
    if (!rc)
        rc = snap_create_interrupted(r, err);
    if (!rc)
        snap_guardian_window(&r->guardian);
    r->ctx.undo_ms = UNDO_MS;
    return rc;
}

static void say_times(const struct snap_create_run *r)
{
    snap_say(r->env->log, SNAP_LOG_DEBUG,
             "%s stood still for %.0f ms; since it stopped: memory written after %.0f, disks taken from %.0f to %.0f, new images known after %.0f",
             r->p->ses.dom.name, r->p->rec.window_ms,
             r->saved_ms - r->stopped_ms, r->take_begun_ms - r->stopped_ms,
             r->take_done_ms - r->stopped_ms, r->known_ms - r->stopped_ms);
}

/* The guest stands. */
static int create_window_make_known(struct snap_create_run *r,
                                    struct snap_err *err)
{
    int rc;
    struct snap_record *rec = &r->p->rec;

    rc = snap_parts_set_active(r->env, &r->p->ses.dom, rec->parts,
                               rec->n_parts, err);
    r->known_ms = snap_now_ms();
    snap_guardian_beat(&r->guardian);
    if (!rc) {
        r->taken = true;
        return 0;
    }
    snap_err_prefix(err, "telling Xen the new images");
    if (untake(r, err) || unname(r, err))
        return SNAP_RECOVER;
    return rc;
}

int snap_create_window(struct snap_create_run *r, struct snap_err *err)
{
    int rc;

    rc = open_window(r, err);
    if (rc)
        goto out;
    rc = stop_and_take(r, err);
    if (rc && !r->stood && rc != SNAP_RECOVER) {
        snap_journal_note(&r->journal, "resumed");
        goto out;
    }
    if (!rc)
        rc = create_window_make_known(r, err);
    else if (rc != SNAP_RECOVER && untake(r, err))
        rc = SNAP_RECOVER;
    create_window_let_go_on(r, r->stood || !suspends(r), !rc && r->req->paused,
                            err);
    if (!rc && !r->stands)
        say_times(r);

out:
    snap_save_progress_stop(&r->watch);
    r->env->ops->window_close(r->env->hyp);
    return r->stands ? SNAP_RECOVER : rc;
}
