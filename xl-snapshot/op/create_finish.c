/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See create_finish.h.  Before its commit point a snapshot is undone if nothing
 * was taken, and finished if it was.
 */
#include "op/create_finish.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/create_commit.h"
#include "op/parts.h"
#include "op/recovery.h"
#include "op/saver.h"
#include "op/stale.h"
#include "op/uses.h"
#include "store/memfile.h"
#include "store/state.h"

void snap_create_intent(struct snap_create_plan *p,
                        const struct snap_create_req *req,
                        struct snap_intent *in)
{
    snap_intent_init(in, &snap_op_create, p->ses.op_id, p->ses.uuid, &p->rec);
    snap_intent_before(in, &p->ses);
    in->after.paused = req->paused;
    in->after.no_metadata = req->no_metadata;
    if (req->no_metadata)
        snap_set(&in->after.output, req->output);
}

static int create_uses(struct snap_intent *in, struct snap_uses *u,
                       struct snap_err *err)
{
    size_t i;

    (void)err;
    for (i = 0; i < in->rec->n_parts; i++) {
        const struct snap_part *p = &in->rec->parts[i];

        snap_uses_add(u, snap_part_before(p), SNAP_USE_CHANGE);
        snap_uses_add(u, snap_part_frozen(p), SNAP_USE_CHANGE);
        snap_uses_add(u, snap_part_active(p), SNAP_USE_CHANGE);
    }
    return 0;
}

/* ---- recovery ---- */

static int tell_active(struct snap_rescue *r, const void *arg,
                       struct snap_err *err)
{
    (void)arg;
    return snap_parts_set_active(r->ses.env, &r->ses.dom, r->in.rec->parts,
                                 r->in.rec->n_parts, err);
}

/* If it cannot be told now, it is told with all else that is left. */
static int create_finish_make_known(struct snap_rescue *r)
{
    if (snap_rescue_runs(r) || !r->stood || !snap_rescue_has(r, "taken"))
        return 0;
    return snap_rescue_tell(r, tell_active, NULL);
}

/* A create stops the guest after "window", and notes when it runs again.  What
 * its user did to it since is not ours. */
static int rescue_create(struct snap_rescue *r, struct snap_err *err)
{
    int rc, untold;
    bool torn, memory = r->in.rec->has_memory;
    const struct snap_journal_entry *window = snap_journal_find(r->e, r->n,
                                                                "window");
    const struct snap_by_pause by = {
        .step = "paused",
        .e = snap_journal_find(r->e, r->n, "paused"),
    };
    struct snap_held held = {
        .domid = r->in.before.domid,
        .monitor_pid = r->in.before.monitor_pid,
        .suspend = memory,
        .pause = !memory,
        .was_paused = r->in.before.paused ||
                      (snap_rescue_has(r, "taken") && r->in.after.paused),
    };

    if (!window || snap_rescue_has(r, "resumed"))
        return 0;
    held.was_paused |= snap_json_get_bool(window->data, "was_paused", false);
    rc = snap_rescue_stood(r, &held, &by, err);
    if (rc)
        return rc;
    untold = create_finish_make_known(r);
    rc = snap_rescue_go_on(r, &held, err);
    if (rc)
        return rc;
    snap_rescue_say_untold(r, untold);
    /* Somebody else let it go on, or we did and died before the note. */
    torn = memory && !r->stood;
    snap_rescue_note(r, torn ? "void" : NULL, "resumed");
    return 0;
}

/* Was it a snapshot of a domain that did not run? */
static bool was_off(const struct snap_rescue *r)
{
    return !r->in.before.there;
}

/* Was every disk taken (roll forward), or must all be put back?  Each group of
 * disks knows of its own. */
static int was_taken(struct snap_rescue *r, struct snap_disk_ctx *ctx,
                     bool *taken_r, struct snap_err *err)
{
    struct snap_record *rec = r->in.rec;
    size_t i, present = 0;
    enum snap_taken how;
    int rc = snap_parts_taken(ctx, rec->parts, rec->n_parts, &how, err);

    *taken_r = how == SNAP_TAKEN_ALL;
    if (rc || how != SNAP_TAKEN_HALF)
        return rc;
    for (i = 0; i < rec->n_parts; i++)
        present += rec->parts[i].taken;
    return snap_fail(err, SNAP_RECOVER,
                     "only %zu of %zu disks of %s are snapshotted; look at the images before anything else",
                     present, rec->n_parts, rec->domain_name);
}

/* The memory image counts only if it was whole when its writer died, which
 * nobody can say after a reboot of the host, and if the guest stood from then
 * until the disks were known to be taken and it was let go on by us. */
static bool memory_is_whole(const struct snap_rescue *r)
{
    return snap_rescue_has(r, "saved") && snap_rescue_has(r, "taken") &&
           !snap_rescue_has(r, "void") && !snap_rescue_other_boot(r) &&
           (snap_rescue_has(r, "resumed") || r->stood) && r->in.boot_id;
}

/* The file that the command made for its memory. */
static void find_memory(const struct snap_rescue *r, struct snap_memfile *mem,
                        bool open)
{
    const struct snap_journal_entry *e = snap_journal_find(r->e, r->n,
                                                           "window");

    snap_memfile_find(mem, r->in.rec->mem_path, r->in.op_id,
                      e ? snap_json_get_int(e->data, "memory_file", 0) : 0,
                      open);
}

/* Without the journal nobody would know any more whose it is. */
static int drop_memory(struct snap_memfile *mem, struct snap_err *err)
{
    int rc = mem->part ? snap_file_remove(mem->part, err) : 0;

    snap_memfile_abort(mem);
    return rc;
}

static int adopt_memory(struct snap_rescue *r, struct snap_memfile *mem,
                        struct snap_err *err)
{
    int rc;
    struct snap_err ignored = SNAP_ERR_INIT;
    char *header = NULL;

    find_memory(r, mem, memory_is_whole(r));
    if (mem->fd >= 0 && r->ses.env->ops->image_check(r->ses.env->hyp, mem->fd,
                                                     &header, &ignored)) {
        close(mem->fd);
        mem->fd = -1;
    }
    free(header);
    if (mem->fd >= 0)
        return 0;
    rc = drop_memory(mem, err);
    if (!rc)
        snap_commit_drop_memory(r->in.rec, mem);
    return rc;
}

static int create_forward(struct snap_rescue *r, struct snap_disk_ctx *ctx,
                          struct snap_err *err)
{
    int rc;
    bool wanted_memory = r->in.rec->has_memory;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;
    const char *output = r->in.after.output;

    if (r->ses.there && !was_off(r)) {
        rc = snap_parts_set_active(r->ses.env, &r->ses.dom, r->in.rec->parts,
                                   r->in.rec->n_parts, err);
        if (rc)
            goto out;
    }
    if (!output && snap_store_has(&r->ses.store, r->in.rec->name)) {
        r->what = snap_printf("snapshot %s was complete; tidied up",
                              r->in.rec->name);
    } else if (output && snap_file_exists(output)) {
        r->what = snap_printf("%s was complete; tidied up", output);
    } else {
        rc = wanted_memory ? adopt_memory(r, &mem, err) : 0;
        if (!rc)
            rc = snap_parts_secure(ctx, r->in.rec->parts, r->in.rec->n_parts,
                                   err);
        if (!rc)
            rc = snap_commit(r->ses.env, &r->ses.store, r->in.rec, &mem,
                             output, err);
        if (rc)
            goto out;
        r->what = wanted_memory && !r->in.rec->has_memory
                      ? snap_printf("snapshot %s was finished without its memory image, which was not whole: it is a disk-only one, crash consistent",
                                    r->in.rec->name)
                      : snap_printf("snapshot %s was finished",
                                    r->in.rec->name);
    }
    snap_parts_finish(r->ses.env, ctx, r->in.rec->parts, r->in.rec->n_parts);
    snap_state_after_create(&r->ses.state, r->in.rec);
    rc = snap_state_save(&r->ses.store, &r->ses.state, err);
    if (!rc)
        snap_rescue_stale(r, snap_stale_created(r->in.rec, NULL));

out:
    snap_memfile_dispose(&mem);
    return rc;
}

static int create_back(struct snap_rescue *r, struct snap_disk_ctx *ctx,
                       struct snap_err *err)
{
    int rc;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;

    if (r->ses.there && !was_off(r)) {
        rc = snap_commit_set_old(r->ses.env, &r->ses.dom, r->in.rec, err);
        if (rc)
            return rc;
    }
    rc = snap_parts_undo(ctx, r->in.rec->parts, r->in.rec->n_parts, err);
    if (rc)
        return rc;
    if (r->in.rec->has_memory) {
        find_memory(r, &mem, false);
        rc = drop_memory(&mem, err);
        if (rc)
            return rc;
    }
    r->what = snap_printf("unfinished snapshot %s was undone",
                          r->in.rec->name);
    return 0;
}

/* A domain that was started since, and on an image that goes now: what Xen is
 * to have instead. */
static int name_old(struct snap_rescue *r, struct snap_disk_ctx *ctx,
                    struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && r->ses.there && i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];
        const struct snap_active old = { p->vdev, p->path, p->format };
        enum snap_part_state st = SNAP_PART_ABSENT;

        if (!snap_part_moves(p))
            continue;
        rc = p->drv->inspect(ctx, p, &st, err);
        if (!rc && st == SNAP_PART_PRESENT)
            rc = r->ses.env->ops->set_active(r->ses.env->hyp, &r->ses.dom,
                                             &old, 1, err);
    }
    return rc;
}

/* Nothing ran on the new images while the command lived: the record alone says
 * whether the snapshot is one. */
static int recover_create_off(struct snap_rescue *r, struct snap_disk_ctx *ctx,
                              struct snap_err *err)
{
    int rc;
    size_t i;
    const char *output = r->in.after.output;
    bool done = output ? snap_file_exists(output)
                       : snap_store_has(&r->ses.store, r->in.rec->name);

    for (i = 0; i < r->in.rec->n_parts; i++)
        r->in.rec->parts[i].taken = done;
    if (done)
        return create_forward(r, ctx, err);
    rc = name_old(r, ctx, err);
    return rc ? rc : create_back(r, ctx, err);
}

static int recover_create(struct snap_rescue *r, struct snap_err *err)
{
    int rc;
    size_t i;
    bool taken = false;
    struct snap_disk_ctx ctx;
    struct snap_saver saver = { .env = r->ses.env, .dom = &r->ses.dom };

    if (!was_off(r)) {
        rc = rescue_create(r, err);
        if (rc)
            return rc;
    }
    rc = snap_rescue_mounts(r, err);
    if (!rc)
        rc = snap_rescue_look(r, err);
    if (rc)
        return rc;
    if (r->ses.there && !r->ses.dom.shutdown) {
        rc = snap_saver_look(&saver, err);
        if (!rc)
            rc = snap_domain_qmp(r->ses.env, &r->ses.dom, &r->ses.qmp,
                                 &r->qemu, err);
        if (rc)
            return rc;
    }
    snap_ctx_init(&ctx, r->ses.env,
                  r->ses.there ? r->ses.dom.domid : UINT32_MAX, r->ses.qmp,
                  r->in.op_id);
    if (was_off(r))
        return recover_create_off(r, &ctx, err);

    if (snap_rescue_has(r, "window")) {
        rc = was_taken(r, &ctx, &taken, err);
        if (rc)
            return rc;
    }
    for (i = 0; taken && i < r->in.rec->n_parts; i++)
        r->in.rec->parts[i].taken = true;
    /* A snapshot of memory alone is taken once its image is whole. */
    if (!r->in.rec->n_parts && memory_is_whole(r))
        taken = true;
    return taken ? create_forward(r, &ctx, err) : create_back(r, &ctx, err);
}

/* Do QEMU's disks write to the new images?  A command that lives says so; after
 * its death QEMU is asked as well, for it may have died before it said it. */
static int is_taken(struct snap_rescue *r, bool hangs, bool *taken_r,
                    struct snap_err *err)
{
    int rc;
    struct snap_disk_ctx ctx;

    *taken_r = snap_rescue_has(r, "taken");
    if (*taken_r || hangs)
        return 0;
    rc = snap_domain_qmp(r->ses.env, &r->ses.dom, &r->ses.qmp, &r->qemu, err);
    if (rc)
        return rc;
    snap_ctx_init(&ctx, r->ses.env, r->ses.dom.domid, r->ses.qmp, r->in.op_id);
    return was_taken(r, &ctx, taken_r, err);
}

static int create_finish_tell(struct snap_rescue *r, bool hangs,
                              struct snap_err *err)
{
    int rc;
    size_t n;
    struct snap_active *a;
    const struct snap_hyp_ops *ops = r->ses.env->ops;

    snap_parts_active(r->in.rec->parts, r->in.rec->n_parts, &a, &n);
    rc = n && hangs
             ? ops->window_borrow(r->ses.env->hyp, &r->ses.dom, a, n, err)
             : 0;
    if (!rc && n)
        rc = ops->set_active(r->ses.env->hyp, &r->ses.dom, a, n, err);
    if (hangs)
        ops->window_close(r->ses.env->hyp);
    free(a);
    return rc;
}

static int create_known(struct snap_rescue *r, bool hangs,
                        struct snap_err *err)
{
    bool taken;
    int rc = is_taken(r, hangs, &taken, err);

    return rc || !taken ? rc : create_finish_tell(r, hangs, err);
}

static bool create_finish_stands(const struct snap_rescue *r)
{
    return snap_rescue_has(r, "window") && !snap_rescue_has(r, "resumed");
}

const struct snap_op snap_op_create = {
    .name = "create",
    .makes_files = true,
    .uses = create_uses,
    .recover = recover_create,
    .stands = create_finish_stands,
    .known = create_known,
};
