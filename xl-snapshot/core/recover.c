/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See recover.h.  Everything here may have been done already, by the command
 * that died or by a recovery that died, so each step looks first.  The guest
 * comes before all else.
 */
#include "core/recover.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/cloned.h"
#include "core/commit.h"
#include "core/deleted.h"
#include "core/journal.h"
#include "core/memfile.h"
#include "core/parts.h"
#include "core/reverted.h"
#include "core/sweep.h"
#include "lib/file.h"
#include "lib/mem.h"

struct rec {
    struct snap_env *env;
    struct snap_store *s;
    const struct snap_journal_entry *e;
    size_t n;
    const struct snap_json *plan;
    const char *uuid;
    const char *op_id;
    struct snap_record record;
    struct snap_state state;
    struct snap_domain dom; /* if there */
    bool there;
    bool qemu; /* and its QEMU answers */
    struct snap_qmp *qmp;
    char *what;
};

static bool has_step(const struct rec *r, const char *step)
{
    return snap_journal_find(r->e, r->n, step) != NULL;
}

static int look_for_domain(struct rec *r, struct snap_err *err)
{
    int rc;

    snap_domain_dispose(&r->dom);
    memset(&r->dom, 0, sizeof(r->dom));
    r->there = false;
    rc = r->env->ops->find_uuid(r->env->hyp, r->uuid, &r->dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        return 0;
    }
    r->there = !rc;
    return rc;
}

static int load_plan(struct rec *r, struct snap_err *err)
{
    int rc;
    const char *uuid;

    r->plan = r->e[0].data;
    if (!snap_streq(r->e[0].step, "plan") || !r->plan)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal of %s does not begin "
                         "with a plan",
                         r->s->dir);
    uuid = snap_json_get_str(r->plan, "uuid");
    r->op_id = snap_json_get_str(r->plan, "op_id");
    if (!snap_streq(uuid, r->s->uuid) || !r->op_id ||
        strspn(r->op_id, "abcdefghijklmnopqrstuvwxyz0123456789") !=
            strlen(r->op_id) ||
        strlen(r->op_id) > 16)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal of %s is not of this "
                         "domain",
                         r->s->dir);
    r->uuid = uuid;
    rc = snap_record_from_json(snap_json_get(r->plan, "record"),
                               "journal's plan", r->env->drivers, &r->record,
                               err);
    if (rc)
        return rc;
    return snap_state_load(r->s, &r->state, err);
}

static int can_read(const struct snap_json *plan,
                    const struct snap_disk_driver *const *drivers,
                    struct snap_err *err)
{
    struct snap_record r = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    int rc;

    rc = snap_record_from_json(snap_json_get(plan, "record"), "the plan",
                               drivers, &r, &why);
    snap_record_dispose(&r);
    return rc ? snap_fail(err, SNAP_FAIL,
                          "%s; no recovery could read that, so nothing was "
                          "done",
                          why.msg)
              : 0;
}

int snap_recover_plan(const struct snap_env *env, const struct snap_store *s,
                      const char *op, const struct snap_json *plan,
                      struct snap_journal *j, struct snap_err *err)
{
    int rc;
    char *path;

    rc = can_read(plan, env->drivers, err);
    if (rc)
        return rc;
    path = snap_store_journal_path(s);
    rc = snap_journal_begin(j, path, op, plan, err);
    free(path);
    return rc;
}

/* Was the host booted since?  Then no domain that is there is the one that
 * the plan speaks of. */
static bool other_boot(const struct rec *r)
{
    const char *then = snap_json_get_str(r->plan, "boot_id");
    char *now = snap_boot_id();
    bool other = then && strcmp(now, then) != 0;

    free(now);
    return other;
}

/* The guest goes on, if it is one that we stopped. */
static int rescue(struct rec *r, bool was_paused, struct snap_err *err)
{
    if (other_boot(r))
        return 0;
    return r->env->ops->rescue(
        r->env->hyp, r->uuid,
        (pid_t)snap_json_get_int(r->plan, "monitor_pid", 0), was_paused, err);
}

/* Was it a snapshot of a domain that did not run? */
static bool was_off(const struct rec *r)
{
    return snap_json_get_bool(r->plan, "offline", false);
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

    for (i = 0; i < r->record.n_parts; i++) {
        struct snap_part *p = &r->record.parts[i];
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
    if (!present || present == r->record.n_parts)
        return 0;
    if (!r->qemu && (!moved || !missing)) {
        *taken_r = moved > 0;
        return 0;
    }
    return snap_fail(err, SNAP_RECOVER,
                     "only %zu of %zu disks of %s are "
                     "snapshotted; look at the images before anything "
                     "else",
                     present, r->record.n_parts, r->record.domain_name);
}

/* The memory image counts only if it was whole when its writer died, which
 * nobody can say after a reboot of the host. */
static void adopt_memory(struct rec *r, struct snap_memfile *mem)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    char *header = NULL;
    bool whole = has_step(r, "saved") && !other_boot(r) &&
                 snap_json_get_str(r->plan, "boot_id");

    mem->fd = -1;
    mem->path = snap_strdup(r->record.mem_path);
    mem->part = snap_printf("%s.part", mem->path);
    if (snap_file_exists(mem->path) && !snap_file_exists(mem->part)) {
        /* Died between naming the file and putting the record. */
        snap_file_rename(mem->path, mem->part, &ignored);
    }
    if (whole)
        mem->fd = open(mem->part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (mem->fd >= 0 &&
        r->env->ops->image_check(r->env->hyp, mem->fd, &header, &ignored)) {
        close(mem->fd);
        mem->fd = -1;
    }
    free(header);
    if (mem->fd < 0) {
        snap_memfile_abort(mem);
        r->record.has_memory = false;
        r->record.live = false;
        snap_set(&r->record.consistency, "crash");
        snap_free(&r->record.mem_path);
    }
}

static int create_forward(struct rec *r, struct snap_disk_ctx *ctx,
                          struct snap_err *err)
{
    int rc;
    bool wanted_memory = r->record.has_memory;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;
    const char *output = snap_json_get_str(r->plan, "output");

    if (r->there && !was_off(r)) {
        rc = snap_parts_set_active(r->env, &r->dom, r->record.parts,
                                   r->record.n_parts, err);
        if (rc)
            goto out;
    }
    if (!output && snap_store_has(r->s, r->record.name)) {
        r->what = snap_printf("snapshot %s was complete; tidied up",
                              r->record.name);
    } else if (output && snap_file_exists(output)) {
        r->what = snap_printf("%s was complete; tidied up", output);
    } else {
        if (wanted_memory)
            adopt_memory(r, &mem);
        rc = snap_commit(r->env, r->s, &r->record, &mem, output, err);
        if (rc)
            goto out;
        r->what =
            wanted_memory && !r->record.has_memory
                ? snap_printf(
                      "snapshot %s was finished without its memory image, "
                      "which was not whole: it is a disk-only one, crash "
                      "consistent",
                      r->record.name)
                : snap_printf("snapshot %s was finished", r->record.name);
    }
    snap_parts_finish(r->env, ctx, r->record.parts, r->record.n_parts);
    snap_state_after_create(&r->state, &r->record);
    rc = snap_state_save(r->s, &r->state, err);

out:
    snap_memfile_dispose(&mem);
    return rc;
}

static int create_back(struct rec *r, struct snap_disk_ctx *ctx,
                       struct snap_err *err)
{
    int rc;
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_memfile mem = SNAP_MEMFILE_INIT;

    if (r->there && !was_off(r)) {
        rc = snap_commit_set_old(r->env, &r->dom, &r->record, err);
        if (rc)
            return rc;
    }
    rc = snap_parts_undo(ctx, r->record.parts, r->record.n_parts, err);
    if (rc)
        return rc;
    if (r->record.has_memory) {
        mem.path = snap_strdup(r->record.mem_path);
        mem.part = snap_printf("%s.part", mem.path);
        snap_file_remove(mem.part, &ignored);
        snap_memfile_dispose(&mem);
    }
    r->what = snap_printf("unfinished snapshot %s was undone", r->record.name);
    return 0;
}

/* A domain that was started since, and on an image that goes now: what Xen is
 * to have instead. */
static int name_old(struct rec *r, struct snap_disk_ctx *ctx,
                    struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && r->there && i < r->record.n_parts; i++) {
        const struct snap_part *p = &r->record.parts[i];
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
    const char *output = snap_json_get_str(r->plan, "output");
    bool done = output ? snap_file_exists(output)
                       : snap_store_has(r->s, r->record.name);

    for (i = 0; i < r->record.n_parts; i++)
        r->record.parts[i].taken = done;
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

    if (!was_off(r)) {
        rc = rescue(r, snap_json_get_bool(r->plan, "was_paused", false), err);
        if (rc)
            return rc;
    }
    rc = look_for_domain(r, err);
    if (rc)
        return rc;
    if (r->there && !r->dom.shutdown) {
        rc = snap_domain_qmp(r->env, &r->dom, &r->qmp, &r->qemu, err);
        if (rc)
            return rc;
    }
    snap_ctx_init(&ctx, r->env, r->there ? r->dom.domid : UINT32_MAX, r->qmp,
                  r->op_id);
    if (was_off(r))
        return recover_create_off(r, &ctx, err);

    if (has_step(r, "window")) {
        rc = was_taken(r, &ctx, &taken, err);
        if (rc)
            return rc;
    }
    for (i = 0; i < r->record.n_parts; i++)
        r->record.parts[i].taken = taken;
    /* A snapshot of memory alone is taken once its image is whole. */
    if (!r->record.n_parts && has_step(r, "saved"))
        taken = true;
    return taken ? create_forward(r, &ctx, err) : create_back(r, &ctx, err);
}

static int recover_revert(struct rec *r, struct snap_err *err)
{
    int rc;
    bool was_running = snap_json_get_bool(r->plan, "running", false), booted;
    bool rebooted = other_boot(r);
    struct snap_reverted_old old = { 0 };
    uint32_t old_domid = snap_json_get_int(r->plan, "domid", 0);

    rc = snap_reverted_plan_parts(r->plan, &r->record, err);
    if (rc)
        return rc;
    rc = look_for_domain(r, err);
    if (rc)
        return rc;

    if (has_step(r, "restored")) {
        if (r->there && r->dom.paused && !rebooted &&
            !snap_json_get_bool(r->plan, "paused_after", false)) {
            rc = r->env->ops->unpause(r->env->hyp, &r->dom, err);
            if (rc)
                return rc;
        }
        r->what = snap_printf("revert to %s was finished", r->record.name);
        return snap_reverted_finish(
            r->env, r->s, &r->record, &r->state,
            snap_json_get_bool(r->plan, "no_metadata", false), true, r->op_id,
            err);
    }
    /* A domain that was built but not committed has never run.  After a
     * reboot of the host it is one that somebody started, and stays; one that
     * is off is for whoever starts domains after a reboot. */
    if (has_step(r, "destroy") && r->there && !rebooted &&
        (!was_running || r->dom.domid != old_domid || r->dom.dying)) {
        rc = r->env->ops->destroy(r->env->hyp, &r->dom, err);
        if (rc)
            return rc;
    }
    old.uuid = r->uuid;
    old.other = rebooted;
    if (was_running && has_step(r, "destroy") && !rebooted)
        old.config = snap_json_get_str(r->plan, "old_config");
    old.paused = snap_json_get_bool(r->plan, "was_paused", false);
    rc = snap_reverted_undo(r->env, r->record.parts, r->record.n_parts, &old,
                            r->op_id, &booted, err);
    if (!rc)
        r->what = snap_printf(
            "unfinished revert to %s was undone%s", r->record.name,
            booted ? "; the domain was started again from its disks" : "");
    return rc;
}

/* The journal is the clone's: its record is another domain's. */
static int recover_clone(struct rec *r, bool *undone_r, struct snap_err *err)
{
    int rc;
    const char *name = snap_json_get_str(r->plan, "new_name");

    rc = snap_reverted_plan_parts(r->plan, &r->record, err);
    if (rc)
        return rc;
    if (!has_step(r, "built")) {
        *undone_r = true;
        r->what = snap_printf("unfinished clone %s was undone",
                              name ? name : r->uuid);
        return snap_cloned_undo(r->env, r->s, &r->record, r->op_id, err);
    }
    rc = look_for_domain(r, err);
    if (!rc && r->there && r->dom.paused && !other_boot(r) &&
        !snap_json_get_bool(r->plan, "paused_after", true))
        rc = r->env->ops->unpause(r->env->hyp, &r->dom, err);
    r->what = snap_printf("clone %s was finished", name ? name : r->uuid);
    return rc;
}

/* A guest that we paused for the exchange of images goes on. */
static int resume_paused(struct rec *r, struct snap_err *err)
{
    size_t i;
    bool paused = false;

    for (i = 0; i < r->n; i++) {
        if (snap_has_prefix(r->e[i].step, "pause-"))
            paused = true;
        else if (snap_has_prefix(r->e[i].step, "resumed-"))
            paused = false;
    }
    return paused ? rescue(r, false, err) : 0;
}

static int recover_delete(struct rec *r, const char *path,
                          struct snap_err *err)
{
    int rc;
    struct snap_delete *del = NULL;
    struct snap_journal journal = SNAP_JOURNAL_INIT;
    struct snap_deletion x = {
        .env = r->env,
        .s = r->s,
        .rec = &r->record,
        .state = &r->state,
        .op_id = r->op_id,
        .journal = &journal,
        .e = r->e,
        .n_e = r->n,
        .last_try = true,
    };

    rc = resume_paused(r, err);
    if (!rc)
        rc = snap_deleted_plan_parts(r->plan, &r->record, &del, err);
    if (!rc)
        rc = snap_journal_resume(&journal, path, "delete", err);
    if (rc)
        goto out;
    x.del = del;
    if (snap_store_has(r->s, r->record.name)) {
        r->what = snap_printf("unfinished deletion of %s was undone; the "
                              "snapshot is kept",
                              r->record.name);
        rc = snap_deleted_undo(&x, err);
    } else {
        r->what = snap_printf("deletion of %s was finished", r->record.name);
        rc = snap_deleted_finish(&x, err);
    }

out:
    snap_journal_dispose(&journal);
    snap_deleted_free(&del, r->record.n_parts);
    return rc;
}

int snap_recover(struct snap_env *env, struct snap_store *s, bool dry_run,
                 char **what_r, struct snap_err *err)
{
    int rc;
    char *path = snap_store_journal_path(s), *worker = NULL;
    struct snap_journal_entry *e = NULL;
    size_t n = 0;
    struct rec r = { .env = env, .s = s };
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
        r.what = snap_printf("an interrupted snapshot-%s waits to be "
                             "recovered",
                             e[0].op);
        rc = 0;
        goto out;
    }
    if (env->before_change)
        env->before_change();
    r.e = e;
    r.n = n;
    rc = load_plan(&r, err);
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
    else
        rc = snap_fail(err, SNAP_CORRUPT, "%s: unknown operation %s", path,
                       e[0].op);
    if (!rc)
        rc = snap_file_remove(path, err);
    if (!rc && undone)
        snap_store_remove_empty(s);

out:
    if (rc) {
        snap_err_prefix(err,
                        "recovering what an interrupted command left "
                        "(%s)",
                        path);
        if (err)
            err->rc = SNAP_RECOVER;
        rc = SNAP_RECOVER;
        free(r.what);
    } else {
        *what_r = r.what;
    }
    snap_qmp_close(r.qmp);
    snap_domain_dispose(&r.dom);
    snap_record_dispose(&r.record);
    snap_state_dispose(&r.state);
    snap_journal_entries_free(e, n);
    free(worker);
    free(path);
    return rc;
}

int snap_enter(struct snap_env *env, struct snap_store *s, const char *command,
               bool wait, bool dry_run, struct snap_err *err)
{
    int rc = 0;
    char *what = NULL;

    if (!dry_run)
        rc = snap_store_lock(s, wait, command, env->log, err);
    if (!rc)
        rc = snap_recover(env, s, dry_run, &what, err);
    if (!rc && what)
        snap_say(env->log, SNAP_LOG_NOTE, "%s%s",
                 dry_run ? "" : "an earlier command was interrupted: ", what);
    free(what);
    return rc;
}
