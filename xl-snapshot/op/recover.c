/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See recover.h.  Everything here may have been done already, by the command
 * that died or by a recovery that died, so each step looks first.  The guest
 * comes before all else.
 */
#include "op/recover.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/absent.h"
#include "op/clone_finish.h"
#include "op/create_commit.h"
#include "op/delete_finish.h"
#include "op/delete_intent.h"
#include "op/guardian.h"
#include "op/intent.h"
#include "op/leaves.h"
#include "op/limited.h"
#include "op/mounts.h"
#include "op/parts.h"
#include "op/paused.h"
#include "op/revert_finish.h"
#include "op/saver.h"
#include "op/stale.h"
#include "store/journal.h"
#include "store/leftovers.h"
#include "store/memfile.h"

struct rec {
    struct snap_env *env;
    struct snap_store *s;
    const struct snap_journal_entry *e;
    size_t n;
    struct snap_intent in;
    struct snap_state state;
    struct snap_domain dom; /* if there */
    bool there;
    bool qemu; /* and its QEMU answers */
    struct snap_qmp *qmp;
    struct snap_recovery *how; /* of the caller, or NULL */
    const char *path; /* of the journal */
    bool stood; /* the guest, until we let it go on */
    char *what;
    struct snap_buf stale; /* what to change in its xl.cfg, once done */
};

static bool has_step(const struct rec *r, const char *step)
{
    return snap_journal_find(r->e, r->n, step) != NULL;
}

/* As it was called last.  A clone's record is that of another domain. */
static const char *name_of(const struct rec *r)
{
    const char *name = r->in.after.name;

    if (!name)
        name = r->state.domain_name;
    return name ? name : r->in.rec->domain_name;
}

static int look_for_domain(struct rec *r, struct snap_err *err)
{
    int rc;

    snap_domain_dispose(&r->dom);
    memset(&r->dom, 0, sizeof(r->dom));
    r->there = false;
    rc = snap_absent_find(r->env, r->in.uuid, name_of(r), false, &r->dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    r->there = !rc;
    return rc;
}

/* What is saved since goes on with the disks as they are now. */
static int check_saved(struct rec *r, struct snap_err *err)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    int rc = 0;

    if (!r->how || !r->how->keep)
        rc = snap_absent_saved(r->env, r->in.uuid, name_of(r), r->path, err);
    /* What else may be wrong is said by who works with it. */
    if (rc && (look_for_domain(r, &ignored) || r->there)) {
        snap_err_clear(err);
        rc = 0;
    }
    return rc;
}

static int load_plan(struct rec *r, struct snap_err *err)
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
                         r->s->dir);
    rc = snap_intent_read(r->env, r->s, op, e->data, &r->in, err);
    return rc ? rc : snap_state_load(r->s, &r->state, err);
}

/* The store is one that several machines see.  What runs there cannot be seen
 * from here, so the command may not even have died. */
static int check_machine(const struct rec *r, struct snap_err *err)
{
    const char *there = snap_intent_elsewhere(&r->in), *name = name_of(r);

    if (!there || (r->how && r->how->take_over))
        return 0;
    return snap_fail(err, SNAP_RECOVER,
                     "it ran, or still runs, on another machine (its /etc/machine-id or, if that is the same here, the UUID of its hardware is %s); nothing was done.  Run xl snapshot-recover there.  If that machine is gone, or has got another ID or mainboard, and %s runs nowhere else, run xl snapshot-recover --take-over %s here",
                     there, name, name);
}

/* Was the host booted since?  Then no domain that is there is the one that
 * the plan speaks of. */
static bool other_boot(const struct rec *r)
{
    const char *then = r->in.boot_id;
    char *now = snap_boot_id();
    bool other = then && strcmp(now, then) != 0;

    free(now);
    return other;
}

/* Down in the journal, so that no later recovery does it again.  What a note
 * cannot say is found out by the next. */
static void note(struct rec *r, const char *op, const char *first,
                 const char *second)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_journal_resume(&j, r->path, op, &ignored))
        return;
    if (first)
        snap_journal_note(&j, first);
    snap_journal_note(&j, second);
    snap_journal_dispose(&j);
}

/* Down in the journal before it goes on, so that after a death of ours its
 * user's pause is told from this one. */
static void note_pause(struct rec *r, const char *op, const char *step)
{
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (snap_journal_resume(&j, r->path, op, &ignored))
        return;
    snap_paused_note(r->env, &j, &r->dom, step);
    snap_journal_dispose(&j);
}

/* How we paused it, if by pausing. */
struct by_pause {
    const char *op, *step; /* of the note */
    const struct snap_journal_entry *e; /* that note, or NULL */
};

/* It is there, and it stands.  By us? */
static int look_at_pause(struct rec *r, const struct by_pause *by,
                         bool *ours_r, struct snap_err *err)
{
    *ours_r = true;
    if (by->e)
        return snap_paused_since(r->env, &r->dom, by->e, ours_r, err);
    note_pause(r, by->op, by->step);
    return 0;
}

/* Has somebody let it go on already, or is it not of this boot? */
static bool is_rescued(const struct rec *r)
{
    return other_boot(r) || (r->how && r->how->rescued);
}

/* Does it stand as we left it: this boot, this number, and by that way?  Sets
 * r->stood, and what of held is its user's. */
static int look_if_stood(struct rec *r, struct snap_held *held,
                         const struct by_pause *by, struct snap_err *err)
{
    int rc;
    bool ours = true;

    held->uuid = r->in.uuid;
    if (is_rescued(r)) {
        r->stood = r->how && !other_boot(r) && r->how->stood;
        return 0;
    }
    rc = look_for_domain(r, err);
    if (rc)
        return rc;
    r->stood = r->there && r->dom.domid == held->domid &&
               (held->suspend ? r->dom.suspended
                              : r->dom.paused && !held->was_paused);
    if (r->stood && held->pause)
        rc = look_at_pause(r, by, &ours, err);
    r->stood = r->stood && ours;
    held->was_paused = held->was_paused || !ours;
    return rc;
}

/* It goes on. */
static int rescue(struct rec *r, const struct snap_held *held,
                  struct snap_err *err)
{
    return is_rescued(r) ? 0 : r->env->ops->rescue(r->env->hyp, held, err);
}

/* It may reboot as soon as it runs, from what Xen knows.  If that cannot be
 * told it now, it is told with all else that is left. */
static void make_known(struct rec *r)
{
    struct snap_err ignored = SNAP_ERR_INIT;

    if (!is_rescued(r) && r->stood && has_step(r, "taken"))
        snap_parts_set_active(r->env, &r->dom, r->in.rec->parts,
                              r->in.rec->n_parts, &ignored);
}

/* What is on a file system that is not mounted now is not gone.  The guest has
 * been let go on; with --keep its user has decided. */
static int check_mounts(const struct rec *r, struct snap_err *err)
{
    return r->how && r->how->keep ? 0
                                  : snap_mounts_check(&r->in, &r->state, err);
}

/* Which lines of its xl.cfg its user has to change; frees lines. */
static void note_stale(struct rec *r, char *lines)
{
    if (lines)
        snap_buf_addf(&r->stale, "%s%s", r->stale.len ? "\n" : "", lines);
    free(lines);
}

/* What the domain's disk is now, by the state. */
static const struct snap_leaf *leaf_of(const struct rec *r,
                                       const struct snap_part *p)
{
    return snap_state_leaf(&r->state, p->vdev);
}

static bool is_leaf(const struct rec *r, const struct snap_part *p,
                    const char *path)
{
    const struct snap_leaf *l = leaf_of(r, p);

    return l && snap_streq(l->path, path);
}

/* A create stops the guest after "window", and notes when it runs again.  What
 * its user did to it since is not ours. */
static int rescue_create(struct rec *r, struct snap_err *err)
{
    int rc;
    bool torn, memory = r->in.rec->has_memory;
    const struct snap_journal_entry *window = snap_journal_find(r->e, r->n,
                                                                "window");
    const struct by_pause by = {
        .op = "create",
        .step = "paused",
        .e = snap_journal_find(r->e, r->n, "paused"),
    };
    struct snap_held held = {
        .domid = r->in.before.domid,
        .monitor_pid = r->in.before.monitor_pid,
        .suspend = memory,
        .pause = !memory,
        .was_paused = r->in.before.paused ||
                      (has_step(r, "taken") && r->in.after.paused),
    };

    if (!window || has_step(r, "resumed"))
        return 0;
    held.was_paused |= snap_json_get_bool(window->data, "was_paused", false);
    rc = look_if_stood(r, &held, &by, err);
    if (rc)
        return rc;
    make_known(r);
    rc = rescue(r, &held, err);
    if (rc)
        return rc;
    /* Somebody else let it go on, or we did and died before the note. */
    torn = memory && !r->stood;
    note(r, "create", torn ? "void" : NULL, "resumed");
    return 0;
}

/* Was it a snapshot of a domain that did not run? */
static bool was_off(const struct rec *r)
{
    return !r->in.before.there;
}

/*
 * Was every disk switched (roll forward), or none (undo)?  One transaction
 * takes all disks of a QEMU, so one answer serves for all.
 *
 * Only a QEMU that went in the middle of it (power cut, SIGKILL) leaves some
 * of each.  It makes the snapshots inside images first and changes over to
 * overlays last, so one overlay in use tells that all were taken: the others
 * were just not written to.  With none in use it did not come to its end, and
 * the guest has not run since.
 */
static int was_taken(struct rec *r, struct snap_disk_ctx *ctx, bool *taken_r,
                     struct snap_err *err)
{
    int rc;
    size_t i, present = 0, moved = 0, missing = 0;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        struct snap_part *p = &r->in.rec->parts[i];
        enum snap_part_state st = SNAP_PART_ABSENT;
        bool external = p->type == SNAP_DISK_EXTERNAL;

        rc = p->drv->inspect(ctx, p, &st, err);
        if (rc) {
            snap_err_prefix(err, "%s", p->vdev);
            return rc;
        }
        if (st == SNAP_PART_PRESENT) {
            present++;
            moved += external;
        } else if (!external || st != SNAP_PART_PARTIAL) {
            missing++;
        }
    }
    *taken_r = present > 0;
    if (!present || present == r->in.rec->n_parts)
        return 0;
    if (!r->qemu && (!moved || !missing)) {
        *taken_r = moved > 0;
        return 0;
    }
    return snap_fail(err, SNAP_RECOVER,
                     "only %zu of %zu disks of %s are snapshotted; look at the images before anything else",
                     present, r->in.rec->n_parts, r->in.rec->domain_name);
}

/* The memory image counts only if it was whole when its writer died, which
 * nobody can say after a reboot of the host, and if the guest stood from then
 * until the disks were known to be taken and it was let go on by us. */
static bool memory_is_whole(const struct rec *r)
{
    return has_step(r, "saved") && has_step(r, "taken") &&
           !has_step(r, "void") && !other_boot(r) &&
           (has_step(r, "resumed") || r->stood) && r->in.boot_id;
}

/* The file that the command made for its memory. */
static void find_memory(const struct rec *r, struct snap_memfile *mem,
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

static int adopt_memory(struct rec *r, struct snap_memfile *mem,
                        struct snap_err *err)
{
    int rc;
    struct snap_err ignored = SNAP_ERR_INIT;
    char *header = NULL;

    find_memory(r, mem, memory_is_whole(r));
    if (mem->fd >= 0 &&
        r->env->ops->image_check(r->env->hyp, mem->fd, &header, &ignored)) {
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

static int create_forward(struct rec *r, struct snap_disk_ctx *ctx,
                          struct snap_err *err)
{
    int rc;
    bool wanted_memory = r->in.rec->has_memory;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;
    const char *output = r->in.after.output;

    if (r->there && !was_off(r)) {
        rc = snap_parts_set_active(r->env, &r->dom, r->in.rec->parts,
                                   r->in.rec->n_parts, err);
        if (rc)
            goto out;
    }
    if (!output && snap_store_has(r->s, r->in.rec->name)) {
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
            rc = snap_commit(r->env, r->s, r->in.rec, &mem, output, err);
        if (rc)
            goto out;
        r->what =
            wanted_memory && !r->in.rec->has_memory
                ? snap_printf("snapshot %s was finished without its memory image, which was not whole: it is a disk-only one, crash consistent",
                              r->in.rec->name)
                : snap_printf("snapshot %s was finished", r->in.rec->name);
    }
    snap_parts_finish(r->env, ctx, r->in.rec->parts, r->in.rec->n_parts);
    snap_state_after_create(&r->state, r->in.rec);
    rc = snap_state_save(r->s, &r->state, err);
    if (!rc)
        note_stale(r, snap_stale_created(r->in.rec, NULL));

out:
    snap_memfile_dispose(&mem);
    return rc;
}

static int create_back(struct rec *r, struct snap_disk_ctx *ctx,
                       struct snap_err *err)
{
    int rc;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;

    if (r->there && !was_off(r)) {
        rc = snap_commit_set_old(r->env, &r->dom, r->in.rec, err);
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
static int name_old(struct rec *r, struct snap_disk_ctx *ctx,
                    struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && r->there && i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];
        const struct snap_active old = { p->vdev, p->path, p->format };
        enum snap_part_state st = SNAP_PART_ABSENT;

        if (!snap_part_moves(p))
            continue;
        rc = p->drv->inspect(ctx, p, &st, err);
        if (!rc && st == SNAP_PART_PRESENT)
            rc = r->env->ops->set_active(r->env->hyp, &r->dom, &old, 1, err);
    }
    return rc;
}

/* Nothing ran on the new images while the command lived: the record alone says
 * whether the snapshot is one. */
static int recover_create_off(struct rec *r, struct snap_disk_ctx *ctx,
                              struct snap_err *err)
{
    int rc;
    size_t i;
    const char *output = r->in.after.output;
    bool done = output ? snap_file_exists(output)
                       : snap_store_has(r->s, r->in.rec->name);

    for (i = 0; i < r->in.rec->n_parts; i++)
        r->in.rec->parts[i].taken = done;
    if (done)
        return create_forward(r, ctx, err);
    rc = name_old(r, ctx, err);
    return rc ? rc : create_back(r, ctx, err);
}

static int recover_create(struct rec *r, struct snap_err *err)
{
    int rc;
    size_t i;
    bool taken = false;
    struct snap_disk_ctx ctx;
    struct snap_saver saver = { .env = r->env, .dom = &r->dom };

    if (!was_off(r)) {
        rc = rescue_create(r, err);
        if (rc)
            return rc;
    }
    rc = check_mounts(r, err);
    if (!rc)
        rc = look_for_domain(r, err);
    if (rc)
        return rc;
    if (r->there && !r->dom.shutdown) {
        rc = snap_saver_look(&saver, err);
        if (!rc)
            rc = snap_domain_qmp(r->env, &r->dom, &r->qmp, &r->qemu, err);
        if (rc)
            return rc;
    }
    snap_ctx_init(&ctx, r->env, r->there ? r->dom.domid : UINT32_MAX, r->qmp,
                  r->in.op_id);
    if (was_off(r))
        return recover_create_off(r, &ctx, err);

    if (has_step(r, "window")) {
        rc = was_taken(r, &ctx, &taken, err);
        if (rc)
            return rc;
    }
    for (i = 0; i < r->in.rec->n_parts; i++)
        r->in.rec->parts[i].taken = taken;
    /* A snapshot of memory alone is taken once its image is whole. */
    if (!r->in.rec->n_parts && memory_is_whole(r))
        taken = true;
    return taken ? create_forward(r, &ctx, err) : create_back(r, &ctx, err);
}

/* The domain that a revert or a clone built goes on, unless somebody has taken
 * it over: then it is as he wants it. */
static int let_run(struct rec *r, struct snap_err *err)
{
    int rc;

    rc = look_for_domain(r, err);
    if (rc || !r->there || !r->dom.paused || r->dom.has_run || other_boot(r) ||
        !snap_streq(r->dom.mark, r->in.op_id) || r->in.after.paused)
        return rc;
    return r->env->ops->unpause(r->env->hyp, &r->dom, err);
}

static int revert_forward(struct rec *r, struct snap_err *err)
{
    r->what = snap_printf("revert to %s was finished", r->in.rec->name);
    return snap_reverted_finish(r->env, r->s, r->in.rec, &r->state,
                                r->in.after.no_metadata, true, r->in.op_id,
                                err);
}

static int revert_back(struct rec *r, const char *name, struct snap_err *err)
{
    static const char *const ends[] = {
        [SNAP_REVERTED_BACK] = "",
        [SNAP_REVERTED_BOOTED] =
            "; the domain was started again from its disks",
        [SNAP_REVERTED_OFF] = "; the domain is off, its disks as they were",
        [SNAP_REVERTED_LEFT] =
            "; the domain, which somebody has started since, was left alone",
    };
    int rc;
    enum snap_reverted_end end;
    bool running = r->in.before.there;
    bool boot = running && has_step(r, "destroy") && !other_boot(r);
    const struct snap_reverted_old old = {
        .name = name,
        .config = boot ? r->in.before.config : NULL,
        .domid = r->in.before.domid,
        .paused = r->in.before.paused,
        .had_qemu = r->in.before.had_qemu,
        .destroyed = has_step(r, "destroy"),
        .other_boot = other_boot(r),
        .keep = r->how && r->how->keep,
        .discard = r->how && r->how->discard,
        .last_try = true,
    };

    rc = snap_reverted_undo(r->env, r->in.rec, &old, r->in.op_id, &end, err);
    if (rc)
        return rc;
    if (end == SNAP_REVERTED_RUNS)
        return revert_forward(r, err);
    if (end == SNAP_REVERTED_KEEP) {
        r->what =
            snap_printf("unfinished revert to %s was given up; the disks are kept as they are",
                        r->in.rec->name);
        return snap_reverted_keep(r->env, r->s, r->in.rec, &r->state,
                                  r->in.op_id, err);
    }
    r->what = snap_printf("unfinished revert to %s was undone%s",
                          r->in.rec->name, ends[end]);
    return 0;
}

/* Its disks are those of the snapshot by now, or those of before. */
static void note_reverted(struct rec *r)
{
    size_t i;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];

        note_stale(r, is_leaf(r, p, p->leaf_path)
                          ? snap_stale_reverted(p, r->in.rec->domain_name)
                          : snap_stale_now(leaf_of(r, p), name_of(r)));
    }
}

static int go_on_with_revert(struct rec *r, struct snap_err *err)
{
    int rc;
    char *name = NULL;
    const struct snap_journal_entry *restored;

    rc = snap_leaves_read(&r->in, err);
    if (rc)
        return rc;
    restored = snap_journal_find(r->e, r->n, "restored");
    if (restored) {
        snap_reverted_left(restored->data, r->in.rec);
        rc = let_run(r, err);
        if (!rc)
            rc = check_mounts(r, err);
        return rc ? rc : revert_forward(r, err);
    }
    rc = check_mounts(r, err);
    if (!rc)
        rc = snap_domcfg_identity(r->in.rec->config_json, &name, NULL, NULL,
                                  NULL, err);
    if (!rc)
        rc = revert_back(r, name, err);
    free(name);
    return rc;
}

static int recover_revert(struct rec *r, struct snap_err *err)
{
    int rc = go_on_with_revert(r, err);

    if (!rc)
        note_reverted(r);
    return rc;
}

/* The journal is the clone's: its record is another domain's. */
static int recover_clone(struct rec *r, bool *undone_r, struct snap_err *err)
{
    int rc;
    bool there = false;
    const char *name = r->in.after.name;

    rc = snap_leaves_read(&r->in, err);
    if (rc)
        return rc;
    if (has_step(r, "built")) {
        r->what = snap_printf("clone %s was finished",
                              name ? name : r->in.uuid);
        return let_run(r, err);
    }
    rc = check_mounts(r, err);
    if (rc)
        return rc;
    rc = snap_cloned_undo(r->env, r->s, r->in.rec, name, r->in.op_id,
                          other_boot(r), &there, err);
    *undone_r = !there;
    if (there)
        r->what =
            snap_printf("clone %s was finished: somebody has let it run; its UUID is %s, and %s/state.json names its images",
                        name ? name : r->in.uuid, r->in.uuid, r->s->dir);
    else
        r->what = snap_printf("unfinished clone %s was undone",
                              name ? name : r->in.uuid);
    return rc;
}

/* The pause that nobody has ended, as far as the journal says, or NULL; and
 * its note, if there is one. */
static const struct snap_journal_entry *
open_pause(const struct rec *r, const struct snap_journal_entry **note_r)
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

static struct snap_deletion deletion(struct rec *r, struct snap_delete *del,
                                     struct snap_journal *journal)
{
    return (struct snap_deletion){
        .env = r->env,
        .s = r->s,
        .rec = r->in.rec,
        .del = del,
        .state = &r->state,
        .op_id = r->in.op_id,
        .journal = journal,
        .e = r->e,
        .n_e = r->n,
        .boot_id = r->in.boot_id,
        .last_try = true,
    };
}

/* The guest, which is r->dom, stands in the exchange of a disk, since this
 * "pause-VDEV". */
static int exchange_known(struct rec *r, const char *pause, bool hangs,
                          struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_deletion x;

    rc = snap_deleted_read(&r->in, &del, err);
    if (!rc) {
        x = deletion(r, del, NULL);
        rc = snap_deleted_known(&x, &r->dom, pause + strlen("pause-"), hangs,
                                err);
    }
    snap_deleted_free(&del, r->in.rec->n_parts);
    return rc;
}

struct exchange {
    struct rec *r;
    const char *pause; /* its "pause-VDEV" */
};

/* In a process of its own, which ends with this.  The lock is its parent's,
 * though this one may hang. */
static int exchange_child(void *opaque)
{
    const struct exchange *x = opaque;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct rec *r = x->r;
    int rc;

    close(r->s->lock_fd);
    r->s->lock_fd = -1;
    r->env->hyp = NULL;
    rc = r->env->ops->open(r->env->log, &r->env->hyp, &ignored);
    return rc ? rc : exchange_known(r, x->pause, false, &ignored);
}

/* It goes on soon, whatever hangs. */
static int tell_in_time(struct rec *r, const char *pause)
{
    struct exchange x = { .r = r, .pause = pause };

    return snap_limited(snap_guard_tell_ms, exchange_child, &x);
}

static void say_untold(const struct rec *r, int rc)
{
    if (rc)
        snap_say(r->env->log, SNAP_LOG_WARN,
                 "%s goes on before Xen knows its images%s; until this recovery, or another one, has told Xen, a reboot may find such as it does not write to any more",
                 name_of(r), snap_limited_why(rc));
}

/* A guest that we paused for the exchange of images goes on. */
static int resume_paused(struct rec *r, struct snap_err *err)
{
    int rc, untold = 0;
    char *step;
    struct by_pause by = { .op = "delete" };
    const struct snap_journal_entry *at = open_pause(r, &by.e);
    struct snap_held held = { .pause = true };

    if (!at)
        return 0;
    /* As it was then: it may have been rebooted since the plan. */
    held.domid = snap_json_get_int(at->data, "domid", 0);
    held.monitor_pid = snap_json_get_int(at->data, "monitor_pid", 0);
    step = snap_printf("paused-%s", at->step + strlen("pause-"));
    by.step = step;
    rc = look_if_stood(r, &held, &by, err);
    if (!rc && !is_rescued(r) && r->stood)
        untold = tell_in_time(r, at->step);
    if (!rc)
        rc = rescue(r, &held, err);
    free(step);
    if (rc)
        return rc;
    say_untold(r, untold);
    step = snap_printf("resumed-%s", at->step + strlen("pause-"));
    note(r, "delete", NULL, step);
    free(step);
    return 0;
}

/* Has the frozen image gone?  --keep removes none; one that could not be
 * removed, or that is somebody's by now, has had its warning.  What cannot be
 * seen, with all mounted, is gone. */
static bool is_gone(const struct rec *r, const struct snap_part *p)
{
    enum snap_stand how = SNAP_STAND_GONE;
    struct snap_disk_ctx off;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (r->how && r->how->keep)
        return false;
    snap_ctx_init(&off, r->env, UINT32_MAX, NULL, r->in.op_id);
    return p->drv->stands_on(&off, p, p->frozen_path, &how, &ignored) ||
           how == SNAP_STAND_GONE;
}

/* The snapshot is gone: what was merged, and what no xl.cfg may name any
 * more. */
static void note_deleted(struct rec *r, const struct snap_delete *del)
{
    size_t i;

    for (i = 0; i < r->in.rec->n_parts; i++) {
        const struct snap_part *p = &r->in.rec->parts[i];
        const struct snap_delete *d = &del[i];

        if (d->how == SNAP_DELETE_MERGE && is_leaf(r, p, d->active_path))
            note_stale(r, snap_stale_merged(p->vdev, name_of(r),
                                            d->active_path, d->active_format));
        else if (d->how == SNAP_DELETE_MERGE)
            note_stale(r, snap_stale_now(leaf_of(r, p), name_of(r)));
        else if (p->type == SNAP_DISK_EXTERNAL && !p->frozen_made &&
                 !d->keep_image && d->how != SNAP_DELETE_STAY && d->leaf &&
                 is_gone(r, p))
            note_stale(r, snap_stale_gone(p->vdev, p->frozen_path, d->leaf));
    }
}

static int recover_delete(struct rec *r, const char *path,
                          struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_journal journal = SNAP_JOURNAL_INIT;
    struct snap_deletion x;
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = resume_paused(r, err);
    if (!rc)
        rc = snap_deleted_read(&r->in, &del, err);
    if (!rc)
        rc = snap_journal_resume(&journal, path, "delete", err);
    if (rc)
        goto out;
    x = deletion(r, del, &journal);
    /* What gives it up asks QEMU itself, and works on with nothing. */
    if (!r->how || !r->how->keep)
        snap_deleted_note_over(&x, &ignored);
    rc = check_mounts(r, err);
    if (rc)
        goto out;
    if (snap_store_has(r->s, r->in.rec->name)) {
        r->what =
            snap_printf("unfinished deletion of %s was undone; the snapshot is kept",
                        r->in.rec->name);
        rc = snap_deleted_undo(&x, err);
    } else if (r->how && r->how->keep) {
        r->what =
            snap_printf("deletion of %s was given up; the images that it worked on are kept as they are",
                        r->in.rec->name);
        rc = snap_deleted_keep(&x, err);
    } else {
        r->what = snap_printf("deletion of %s was finished", r->in.rec->name);
        rc = snap_deleted_finish(&x, err);
    }
    if (!rc && !snap_store_has(r->s, r->in.rec->name))
        note_deleted(r, del);

out:
    snap_journal_dispose(&journal);
    snap_deleted_free(&del, r->in.rec->n_parts);
    return rc;
}

static void dispose(struct rec *r)
{
    snap_buf_dispose(&r->stale);
    snap_qmp_close(r->qmp);
    snap_domain_dispose(&r->dom);
    snap_intent_dispose(&r->in);
    snap_state_dispose(&r->state);
}

static int recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                   struct snap_recovery *how, char **what_r,
                   struct snap_err *err)
{
    int rc;
    char *path = snap_store_journal_path(s), *worker = NULL;
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    struct rec r = { .env = env, .s = s, .how = how, .path = path };
    bool undone = false;

    *what_r = NULL;
    if (!dry_run)
        snap_store_sweep(s);
    if (!snap_file_exists(path)) {
        rc = 0;
        goto out;
    }
    /* Without the lock it may be the journal of one who lives. */
    worker = dry_run ? snap_store_worker(s) : NULL;
    if (worker) {
        r.what = snap_printf("%s is at work and needs no recovery", worker);
        rc = 0;
        goto out;
    }
    rc = snap_journal_read(path, &e, &n, err);
    if (rc)
        goto out;
    if (!n) {
        /* Torn before it was whole: nothing had been done. */
        r.what = snap_strdup("an operation that had not begun was forgotten");
        rc = dry_run ? 0 : snap_file_remove(path, err);
        goto out;
    }
    if (dry_run) {
        r.what =
            snap_printf(snap_intent_plan_elsewhere(e[0].data)
                            ? "a snapshot-%s is under way on another machine, or waits to be recovered there"
                            : "an interrupted snapshot-%s waits to be recovered",
                        e[0].op);
        rc = 0;
        goto out;
    }
    if (env->before_change)
        env->before_change();
    r.e = e;
    r.n = n;
    rc = load_plan(&r, err);
    if (!rc)
        rc = check_machine(&r, err);
    if (!rc)
        rc = snap_absent_wait(env, r.in.uuid, name_of(&r), false, err);
    if (!rc)
        rc = check_saved(&r, err);
    if (rc)
        goto out;
    if (snap_streq(e[0].op, "create"))
        rc = recover_create(&r, err);
    else if (snap_streq(e[0].op, "revert"))
        rc = recover_revert(&r, err);
    else if (snap_streq(e[0].op, "delete"))
        rc = recover_delete(&r, path, err);
    else if (snap_streq(e[0].op, "clone"))
        rc = recover_clone(&r, &undone, err);
    if (!rc)
        rc = snap_file_remove(path, err);
    if (!rc && undone)
        snap_store_remove_empty(s);

out:
    if (rc) {
        if (how)
            how->why = rc;
        snap_err_prefix(err,
                        "recovering what an interrupted command left (%s)",
                        path);
        if (err)
            err->rc = SNAP_RECOVER;
        rc = SNAP_RECOVER;
        free(r.what);
    } else {
        *what_r = r.what;
        if (how && how->tell)
            how->stale = snap_strdup(r.stale.data);
    }
    dispose(&r);
    snap_journal_entries_free(e, n);
    free(worker);
    free(path);
    return rc;
}

/* ---- before the guardian lets it go on ---- */

/* Do QEMU's disks write to the new images?  A command that lives says so; after
 * its death QEMU is asked as well, for it may have died before it said it. */
static int is_taken(struct rec *r, bool hangs, bool *taken_r,
                    struct snap_err *err)
{
    int rc;
    struct snap_disk_ctx ctx;

    *taken_r = has_step(r, "taken");
    if (*taken_r || hangs)
        return 0;
    rc = snap_domain_qmp(r->env, &r->dom, &r->qmp, &r->qemu, err);
    if (rc)
        return rc;
    snap_ctx_init(&ctx, r->env, r->dom.domid, r->qmp, r->in.op_id);
    return was_taken(r, &ctx, taken_r, err);
}

static int tell(struct rec *r, bool hangs, struct snap_err *err)
{
    int rc;
    size_t n;
    struct snap_active *a;
    const struct snap_hyp_ops *ops = r->env->ops;

    snap_parts_active(r->in.rec->parts, r->in.rec->n_parts, &a, &n);
    rc = n && hangs ? ops->window_borrow(r->env->hyp, &r->dom, a, n, err) : 0;
    if (!rc && n)
        rc = ops->set_active(r->env->hyp, &r->dom, a, n, err);
    if (hangs)
        ops->window_close(r->env->hyp);
    free(a);
    return rc;
}

static int create_known(struct rec *r, bool hangs, struct snap_err *err)
{
    bool taken;
    int rc = is_taken(r, hangs, &taken, err);

    return rc || !taken ? rc : tell(r, hangs, err);
}

/* With the journal read. */
static int known(struct rec *r, uint32_t domid, bool hangs,
                 struct snap_err *err)
{
    int rc;
    const struct snap_journal_entry *pause = NULL, *note;
    const char *op = r->n ? r->e[0].op : "";
    bool create = snap_streq(op, "create") && has_step(r, "window") &&
                  !has_step(r, "resumed");

    if (snap_streq(op, "delete"))
        pause = open_pause(r, &note);
    if (!create && !pause)
        return 0;
    rc = load_plan(r, err);
    if (!rc)
        rc = r->env->ops->find_uuid(r->env->hyp, r->in.uuid, &r->dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    if (rc || r->dom.domid != domid || other_boot(r))
        return rc;
    if (create)
        return create_known(r, hangs, err);
    return r->dom.paused ? exchange_known(r, pause->step, hangs, err) : 0;
}

int snap_recover_known(struct snap_env *env, struct snap_store *s,
                       uint32_t domid, bool hangs, struct snap_err *err)
{
    int rc;
    char *path = snap_store_journal_path(s);
    struct snap_journal_entry *e = NULL;
    struct rec r = { .env = env, .s = s, .path = path };

    rc = snap_journal_read(path, &e, &r.n, err);
    r.e = e;
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    } else if (!rc) {
        rc = known(&r, domid, hangs, err);
    }
    dispose(&r);
    snap_journal_entries_free(e, r.n);
    free(path);
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
