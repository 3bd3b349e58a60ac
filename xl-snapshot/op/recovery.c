/* SPDX-License-Identifier: LGPL-2.1-only */
/* See recovery.h. */
#include "op/recovery.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/boot_id.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/guardian.h"
#include "op/limited.h"
#include "op/mounts.h"
#include "op/paused.h"
#include "store/state.h"

bool snap_rescue_keep(const struct snap_rescue *r)
{
    return r->how && r->how->keep;
}

bool snap_rescue_has(const struct snap_rescue *r, const char *step)
{
    return snap_journal_find(r->e, r->n, step) != NULL;
}

const char *snap_rescue_name(const struct snap_rescue *r)
{
    const char *name = r->in.after.name;

    if (!name)
        name = r->ses.state.domain_name;
    return name ? name : r->in.rec->domain_name;
}

int snap_rescue_look(struct snap_rescue *r, struct snap_err *err)
{
    int rc;

    snap_domain_dispose(&r->ses.dom);
    memset(&r->ses.dom, 0, sizeof(r->ses.dom));
    r->ses.there = false;
    rc = snap_absent_find(r->ses.env, r->in.uuid, snap_rescue_name(r), false,
                          &r->ses.dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    r->ses.there = !rc;
    return rc;
}

bool snap_rescue_other_boot(const struct snap_rescue *r)
{
    const char *then = r->in.boot_id;
    char *now = snap_boot_id();
    bool other = then && strcmp(now, then) != 0;

    free(now);
    return other;
}

void snap_rescue_note(struct snap_rescue *r, const char *first,
                      const char *second)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_journal_resume(&j, r->path, r->in.op->name, &ignored))
        return;
    if (first)
        snap_journal_note(&j, first);
    snap_journal_note(&j, second);
    snap_journal_dispose(&j);
}

/* Down in the journal before it goes on, so that after a death of ours its
 * user's pause is told from this one. */
static void note_pause(struct snap_rescue *r, const char *step)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_journal_resume(&j, r->path, r->in.op->name, &ignored))
        return;
    snap_paused_note(r->ses.env, &j, &r->ses.dom, step);
    snap_journal_dispose(&j);
}

/* It is there, and it stands.  By us? */
static int look_at_pause(struct snap_rescue *r, const struct snap_by_pause *by,
                         bool *ours_r, struct snap_err *err)
{
    *ours_r = true;
    if (by->e)
        return snap_paused_since(r->ses.env, &r->ses.dom, by->e, ours_r, err);
    note_pause(r, by->step);
    return 0;
}

bool snap_rescue_runs(const struct snap_rescue *r)
{
    return snap_rescue_other_boot(r) || (r->how && r->how->rescued);
}

int snap_rescue_stood(struct snap_rescue *r, struct snap_held *held,
                      const struct snap_by_pause *by, struct snap_err *err)
{
    int rc;
    bool ours = true;

    held->uuid = r->in.uuid;
    if (snap_rescue_runs(r)) {
        r->stood = r->how && !snap_rescue_other_boot(r) && r->how->stood;
        return 0;
    }
    rc = snap_rescue_look(r, err);
    if (rc)
        return rc;
    r->stood = r->ses.there && r->ses.dom.domid == held->domid &&
               (held->suspend ? r->ses.dom.suspended
                              : r->ses.dom.paused && !held->was_paused);
    if (r->stood && held->pause)
        rc = look_at_pause(r, by, &ours, err);
    r->stood = r->stood && ours;
    held->was_paused = held->was_paused || !ours;
    return rc;
}

struct telling {
    struct snap_rescue *r;
    int (*fn)(struct snap_rescue *r, const void *arg, struct snap_err *err);
    const void *arg;
};

/* In a process of its own, which ends with this.  The lock is its parent's,
 * though this one may hang. */
static int recovery_tell(void *opaque)
{
    const struct telling *t = opaque;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_session *ses = &t->r->ses;
    int rc;

    close(ses->store.lock_fd);
    ses->store.lock_fd = -1;
    ses->env->hyp = NULL;
    rc = ses->env->ops->open(ses->env->log, &ses->env->hyp, &ignored);
    return rc ? rc : t->fn(t->r, t->arg, &ignored);
}

int snap_rescue_tell(struct snap_rescue *r,
                     int (*fn)(struct snap_rescue *r, const void *arg,
                               struct snap_err *err),
                     const void *arg)
{
    struct telling t = { .r = r, .fn = fn, .arg = arg };

    return snap_limited(snap_guard_tell_ms, recovery_tell, &t);
}

void snap_rescue_say_untold(const struct snap_rescue *r, int rc)
{
    if (rc)
        snap_say(r->ses.env->log, SNAP_LOG_WARN,
                 "%s goes on before Xen knows its images%s; until this recovery, or another one, has told Xen, a reboot may find such as it does not write to any more",
                 snap_rescue_name(r), snap_limited_why(rc));
}

int snap_rescue_go_on(struct snap_rescue *r, const struct snap_held *held,
                      struct snap_err *err)
{
    return snap_rescue_runs(r)
               ? 0
               : r->ses.env->ops->rescue(r->ses.env->hyp, held, err);
}

int snap_rescue_mounts(const struct snap_rescue *r, struct snap_err *err)
{
    const struct snap_intent *in = &r->in;

    return snap_rescue_keep(r)
               ? 0
               : snap_mounts_check(in->op, in->mounts, in->rec, in->after.name,
                                   &r->ses.state, err);
}

void snap_rescue_stale(struct snap_rescue *r, char *lines)
{
    if (lines)
        snap_buf_addf(&r->stale, "%s%s", r->stale.len ? "\n" : "", lines);
    free(lines);
}

const struct snap_leaf *snap_rescue_leaf(const struct snap_rescue *r,
                                         const struct snap_part *p)
{
    return snap_state_leaf(&r->ses.state, p->vdev);
}

bool snap_rescue_is_leaf(const struct snap_rescue *r,
                         const struct snap_part *p, struct snap_object o)
{
    const struct snap_leaf *l = snap_rescue_leaf(r, p);

    return l && snap_object_same(r->ses.env->drivers, snap_leaf_object(l), o);
}

int snap_rescue_let_run(struct snap_rescue *r, struct snap_err *err)
{
    int rc;

    rc = snap_rescue_look(r, err);
    if (rc || !r->ses.there || !r->ses.dom.paused || r->ses.dom.has_run ||
        snap_rescue_other_boot(r) ||
        !snap_streq(r->ses.dom.mark, r->in.op_id) || r->in.after.paused)
        return rc;
    return r->ses.env->ops->unpause(r->ses.env->hyp, &r->ses.dom, err);
}
