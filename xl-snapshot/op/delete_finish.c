/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See delete_finish.h.  A deletion whose record is there is undone, and finished
 * if it is gone: that was its commit point.
 */
#include "op/delete_finish.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "op/delete_ends.h"
#include "op/delete_exchange.h"
#include "op/delete_intent.h"
#include "op/parts.h"
#include "op/recovery.h"
#include "op/stale.h"

/* The pause that nobody has ended, as far as the journal says, or NULL; and
 * its note, if there is one. */
static const struct snap_journal_entry *
open_pause(const struct snap_rescue *r,
           const struct snap_journal_entry **note_r)
{
    size_t i;
    const struct snap_journal_entry *at = NULL;

    *note_r = NULL;
    for (i = 0; i < r->n; i++) {
        const struct snap_journal_entry *e = &r->e[i];

        if (snap_has_prefix(e->step, "paused-"))
            *note_r = e;
        else if (snap_has_prefix(e->step, "pause-"))
            at = e;
        else if (snap_has_prefix(e->step, "resumed-"))
            at = *note_r = NULL;
    }
    return at;
}

static struct snap_deletion deletion(struct snap_rescue *r,
                                     struct snap_delete *del,
                                     struct snap_journal *journal)
{
    return (struct snap_deletion){
        .ses = &r->ses,
        .rec = r->in.rec,
        .del = del,
        .journal = journal,
        .e = r->e,
        .n_e = r->n,
        .boot_id = r->in.boot_id,
        .last_try = true,
    };
}

/* The guest, which is r->dom, stands in the exchange of a disk, since this
 * "pause-VDEV". */
static int exchange_known(struct snap_rescue *r, const char *pause, bool hangs,
                          struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_deletion x;

    rc = snap_deletion_read(&r->in, &del, err);
    if (!rc) {
        x = deletion(r, del, NULL);
        rc = snap_deletion_known(&x, &r->ses.dom, pause + strlen("pause-"),
                                 hangs, err);
    }
    snap_deletion_free(&del, r->in.rec->n_parts);
    return rc;
}

/* at: the note "pause-VDEV". */
static int tell_exchange(struct snap_rescue *r, const void *at,
                         struct snap_err *err)
{
    const struct snap_journal_entry *e = at;

    return exchange_known(r, e->step, false, err);
}

/* A guest that we paused for the exchange of images goes on. */
static int resume_paused(struct snap_rescue *r, struct snap_err *err)
{
    int rc, untold = 0;
    char *step;
    struct snap_by_pause by = { .step = NULL };
    const struct snap_journal_entry *at = open_pause(r, &by.e);
    struct snap_held held = { .pause = true };

    if (!at)
        return 0;
    /* As it was then: it may have been rebooted since the plan. */
    held.domid = snap_json_get_int(at->data, "domid", 0);
    held.monitor_pid = snap_json_get_int(at->data, "monitor_pid", 0);
    step = snap_printf("paused-%s", at->step + strlen("pause-"));
    by.step = step;
    rc = snap_rescue_stood(r, &held, &by, err);
    if (!rc && !snap_rescue_runs(r) && r->stood)
        untold = snap_rescue_tell(r, tell_exchange, at);
    if (!rc)
        rc = snap_rescue_go_on(r, &held, err);
    free(step);
    if (rc)
        return rc;
    snap_rescue_say_untold(r, untold);
    step = snap_printf("resumed-%s", at->step + strlen("pause-"));
    snap_rescue_note(r, NULL, step);
    free(step);
    return 0;
}

/* Has the frozen image gone?  --keep removes none; one that could not be
 * removed, or that is somebody's by now, has had its warning.  What cannot be
 * seen, with all mounted, is gone. */
static bool is_gone(const struct snap_rescue *r, const struct snap_part *p)
{
    enum snap_stand how = SNAP_STAND_GONE;
    struct snap_disk_ctx off;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_object frozen = snap_part_frozen(p);

    if (snap_rescue_keep(r))
        return false;
    frozen.format = NULL; /* whatever is in it */
    snap_ctx_init(&off, r->ses.env, UINT32_MAX, NULL, r->in.op_id);
    return p->drv->stands_on(&off, p, frozen, &how, &ignored) ||
           how == SNAP_STAND_GONE;
}

/* The snapshot is gone: what was merged, and what no xl.cfg may name any
 * more. */
static void note_deleted(struct snap_rescue *r, const struct snap_delete *del)
{
    size_t i;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];
        const struct snap_delete *d = &del[i];

        if (d->how == SNAP_DELETE_MERGE &&
            snap_rescue_is_leaf(r, p, snap_delete_active(d)))
            snap_rescue_stale(r,
                              snap_stale_merged(p->vdev, snap_rescue_name(r),
                                                d->active_path,
                                                d->active_format));
        else if (d->how == SNAP_DELETE_MERGE)
            snap_rescue_stale(r, snap_stale_now(snap_rescue_leaf(r, p),
                                                snap_rescue_name(r)));
        else if (p->drv->moves_active && !p->frozen_made && !d->keep_image &&
                 d->how != SNAP_DELETE_STAY && d->leaf && is_gone(r, p))
            snap_rescue_stale(r, snap_stale_gone(p->vdev, p->frozen_path,
                                                 d->leaf));
    }
}

static int recover_delete(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_journal journal = SNAP_JOURNAL_INIT;
    struct snap_deletion x;
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = resume_paused(r, err);
    if (!rc)
        rc = snap_deletion_read(&r->in, &del, err);
    if (!rc)
        rc = snap_journal_resume(&journal, r->path, r->in.op->name, err);
    if (rc)
        goto out;
    x = deletion(r, del, &journal);
    /* What gives it up asks QEMU itself, and works on with nothing. */
    if (!snap_rescue_keep(r))
        snap_deletion_note_over(&x, &ignored);
    rc = snap_rescue_mounts(r, err);
    if (rc)
        goto out;
    if (snap_store_has(&r->ses.store, r->in.rec->name)) {
        r->what = snap_printf("unfinished deletion of %s was undone; the snapshot is kept",
                              r->in.rec->name);
        rc = snap_deletion_undo(&x, err);
    } else if (snap_rescue_keep(r)) {
        r->what = snap_printf("deletion of %s was given up; the images that it worked on are kept as they are",
                              r->in.rec->name);
        rc = snap_deletion_keep(&x, err);
    } else {
        r->what = snap_printf("deletion of %s was finished", r->in.rec->name);
        rc = snap_deletion_finish(&x, err);
    }
    if (!rc && !snap_store_has(&r->ses.store, r->in.rec->name))
        note_deleted(r, del);

out:
    snap_journal_dispose(&journal);
    snap_deletion_free(&del, r->in.rec->n_parts);
    return rc;
}

static bool delete_finish_stands(const struct snap_rescue *r)
{
    const struct snap_journal_entry *note_of;

    return open_pause(r, &note_of) != NULL;
}

static int delete_finish_known(struct snap_rescue *r, bool hangs,
                               struct snap_err *err)
{
    const struct snap_journal_entry *note_of, *pause = open_pause(r, &note_of);

    return r->ses.dom.paused ? exchange_known(r, pause->step, hangs, err) : 0;
}

void snap_deletion_intent(struct snap_delete_plan *p, struct snap_intent *in)
{
    snap_intent_init(in, &snap_op_delete, p->ses.op_id, p->ses.uuid, &p->rec);
    snap_intent_before(in, &p->ses);
    in->disks = snap_deletion_disks(&p->rec, p->del);
}

const struct snap_op snap_op_delete = {
    .name = "delete",
    .disks = "disks",
    .check = snap_deletion_check,
    .uses = snap_deletion_uses,
    .recover = recover_delete,
    .stands = delete_finish_stands,
    .known = delete_finish_known,
};
