/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The plan of a snapshot: everything that can be found out, decided and
 * refused while the guest runs undisturbed.  Nothing here changes anything
 * but the store's own folders and lock.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "model/name.h"
#include "op/absent.h"
#include "op/create.h"
#include "op/parts.h"
#include "op/recover.h"
#include "op/resolve.h"
#include "op/session_open.h"
#include "store/memfile.h"
#include "store/state.h"

void snap_create_plan_dispose(struct snap_create_plan *p)
{
    snap_offline_dispose(&p->offline);
    snap_record_dispose(&p->rec);
    snap_session_dispose(&p->ses);
}

/* A domain that does not run has none, and nobody has to say so. */
static bool wants_memory(const struct snap_create_req *req,
                         const struct snap_create_plan *p)
{
    return req->memory != SNAP_MEM_NO && p->ses.there;
}

/* What only makes sense for a domain that runs. */
static int check_off(const struct snap_create_req *req, const char *name,
                     struct snap_err *err)
{
    if (req->memory == SNAP_MEM_YES)
        return snap_fail(err, SNAP_REFUSED,
                         "%s does not run, so it has no memory to save (%s); leave that out, or start it first",
                         name,
                         req->origin_memory ? req->origin_memory : "--memory");
    if (req->live == 1)
        return snap_fail(err, SNAP_REFUSED,
                         "%s does not run, so there is nothing to take live (%s); leave that out, or start it first",
                         name, req->origin_live ? req->origin_live : "--live");
    if (req->paused)
        return snap_fail(err, SNAP_REFUSED,
                         "%s does not run, so it cannot be left paused (--paused); leave that out, or start it first",
                         name);
    return 0;
}

/* Is the domain in a state in which it can be snapshotted at all? */
static int check_domain(const struct snap_create_req *req,
                        const struct snap_domain *d, struct snap_err *err)
{
    bool memory = req->memory != SNAP_MEM_NO;
    const char *n = d->name;

    if (req->domain_config)
        return snap_fail(err, SNAP_REFUSED,
                         "%s runs, so its configuration is known; --domain-config is for a domain that does not run, leave it out",
                         n);
    if (d->dying)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is being destroyed; there is nothing left to snapshot",
                         n);
    if (d->suspended)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is suspended; resume it first (another save or snapshot may be under way)",
                         n);
    if (d->shutdown)
        return snap_fail(err, SNAP_REFUSED,
                         "%s has shut down or crashed and is only kept by its on_poweroff/on_crash setting; destroy it first",
                         n);
    if (d->stubdom)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s has its device model in a stub domain, whose QEMU cannot be reached from here",
                         n);
    if (!memory)
        return 0;
    if (d->paused)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is paused, and a paused guest cannot save its memory; unpause it, or use --disk-only",
                         n);
    if (d->passthrough)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s has PCI devices passed through, whose state cannot be saved; use --disk-only",
                         n);
    if (!d->can_suspend)
        return snap_fail(err, SNAP_REFUSED,
                         "%s cannot be suspended: %s; try again later, or use --disk-only",
                         n,
                         d->why_no_suspend ? d->why_no_suspend
                                           : "it does not say why");
    if (req->live == 1 && !d->can_live)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s cannot be saved live: %s; leave --live out", n,
                         d->why_no_live ? d->why_no_live
                                        : "this hypervisor cannot do it");
    return 0;
}

static const struct snap_disk_choice *
choice_for(const struct snap_create_req *req, const char *vdev)
{
    size_t i;

    for (i = 0; i < req->n_disks; i++)
        if (snap_streq(req->disks[i].vdev, vdev))
            return &req->disks[i];
    return NULL;
}

/* Every disk that the user named must be one of the domain's. */
static int check_choices(const struct snap_create_req *req,
                         const struct snap_domain *dom,
                         const struct snap_vbd *vbds, size_t n,
                         struct snap_err *err)
{
    size_t i, k;

    for (i = 0; i < req->n_disks; i++) {
        const struct snap_disk_choice *c = &req->disks[i];
        struct snap_buf have = { 0 };
        const struct snap_vbd *v = snap_vbd_find(vbds, n, c->vdev);
        int rc = 0;

        if (!v) {
            for (k = 0; k < n; k++)
                snap_buf_addf(&have, "%s%s", k ? " " : "", vbds[k].vdev);
            rc = snap_fail(err, SNAP_INVAL,
                           "%s: %s has no disk %s; it has: %s", c->origin,
                           dom->name, c->vdev, have.len ? have.data : "none");
        } else if (!c->skip && v->cdrom) {
            rc = snap_fail(err, SNAP_INVAL,
                           "%s: %s is a CD-ROM and cannot be snapshotted",
                           c->origin, c->vdev);
        } else if (!c->skip && v->readonly) {
            rc = snap_fail(err, SNAP_INVAL,
                           "%s: %s is read-only and needs no snapshot",
                           c->origin, c->vdev);
        }
        snap_buf_dispose(&have);
        if (rc)
            return rc;
    }
    return 0;
}

static void leave_out(struct snap_create_plan *p, const char *vdev,
                      const char *why)
{
    struct snap_record *r = &p->rec;

    r->left_out = snap_realloc(r->left_out, r->n_left_out + 1,
                               sizeof(*r->left_out));
    r->left_out[r->n_left_out++] = snap_strdup(vdev);
    snap_note_add(&p->ses.notes, &p->ses.n_notes, "%s: %s, left out", vdev,
                  why);
}

/* Things about a disk that no driver of ours can do anything about. */
static int check_vbd(const struct snap_vbd *v, struct snap_err *err)
{
    if (v->backend_domid)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: its backend is in driver domain %u, whose QEMU cannot be reached from here; use --no-disk %s",
                         v->vdev, v->backend_domid, v->vdev);
    if (v->virtio)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: a virtio disk is not supported; use --no-disk %s",
                         v->vdev, v->vdev);
    return 0;
}

static int no_driver(const struct snap_part *p, enum snap_disk_type want,
                     struct snap_err *err)
{
    if (p->script)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: made by block script %s, which has no driver here; use --no-disk %s",
                         p->vdev, p->script, p->vdev);
    if (!snap_part_by_qemu(p))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: no driver for backend %s (%s); use --no-disk %s, or give the disk backendtype=qdisk",
                         p->vdev, p->backend, p->path, p->vdev);
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "%s: no driver for %s%ssnapshots of a %s image (%s); use another --type, or --no-disk %s",
                     p->vdev,
                     want == SNAP_DISK_AUTO ? "" : snap_disk_type_name(want),
                     want == SNAP_DISK_AUTO ? "" : " ", p->format, p->path,
                     p->vdev);
}

/* Asked of QEMU only for a disk whose driver needs that: a domain of which
 * others serve all disks may have none. */
static int open_qmp(struct snap_env *env, struct snap_create_plan *p,
                    struct snap_disk_ctx *ctx, struct snap_err *err)
{
    int rc;

    if (!p->ses.there || p->asked_qemu)
        return 0;
    p->asked_qemu = true;
    rc = env->ops->qmp_open(env->hyp, &p->ses.dom, &p->ses.qmp, err);
    ctx->qmp = p->ses.qmp;
    return rc;
}

/* Whose is it?  Nobody's is none of this one's failures. */
static int create_plan_choose(struct snap_env *env, struct snap_create_plan *p,
                              struct snap_disk_ctx *ctx,
                              struct snap_part *part, enum snap_disk_type want,
                              struct snap_err *err)
{
    if (want == SNAP_DISK_INTERNAL)
        part->keep_path = false; /* it keeps its path anyway */
    part->drv = snap_disk_match(env->drivers, part, want);
    return part->drv && part->drv->needs_qmp ? open_qmp(env, p, ctx, err) : 0;
}

static int probe(struct snap_disk_ctx *ctx, struct snap_part *part,
                 enum snap_disk_type want, struct snap_err *err)
{
    return part->drv ? part->drv->probe(ctx, part, err)
                     : no_driver(part, want, err);
}

/* Copy what was asked, so that a second probe starts clean. */
static void ask_part(struct snap_part *part, const struct snap_create_req *req,
                     const struct snap_disk_choice *c,
                     const struct snap_create_plan *p,
                     const struct snap_vbd *v)
{
    const struct snap_leaf *leaf = snap_state_leaf(&p->ses.state, v->vdev);

    memset(part, 0, sizeof(*part));
    part->vdev = snap_strdup(v->vdev);
    part->path = snap_strdup(v->path);
    part->format = snap_strdup(v->format);
    part->backend = snap_strdup(v->backend);
    if (v->script && v->script[0])
        part->script = snap_strdup(v->script);
    part->tag = snap_strdup(p->rec.name);
    part->target = snap_strdup(c ? c->target : NULL);
    if (leaf && snap_streq(leaf->path, v->path)) {
        part->stem = snap_strdup(leaf->stem);
        part->frozen_made = leaf->made;
    }
    part->reuse_target = req->reuse_external;
    part->keep_path = req->keep_path;
    part->frontend_state = v->frontend_state;
    part->hvm = p->ses.dom.type == SNAP_GUEST_HVM;
}

/* Why it is not internal, but for the advice to do what was done. */
static void note_external(struct snap_create_plan *p, const char *vdev,
                          const char *why)
{
    const char *advice = strstr(why, "; use type=external");
    size_t len = advice ? (size_t)(advice - why) : strlen(why);

    snap_note_add(&p->ses.notes, &p->ses.n_notes,
                  "%s: taken externally, since %.*s", vdev, (int)len, why);
}

static int plan_disk(struct snap_env *env, const struct snap_create_req *req,
                     struct snap_disk_ctx *ctx, struct snap_create_plan *p,
                     const struct snap_vbd *v, struct snap_err *err)
{
    int rc;
    const struct snap_disk_choice *c = choice_for(req, v->vdev);
    enum snap_disk_type want = req->type;
    struct snap_part part = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    char *who = NULL;

    if (c && c->type != SNAP_DISK_AUTO)
        want = c->type;
    else if (c && c->target)
        want = SNAP_DISK_EXTERNAL;

    rc = check_vbd(v, err);
    if (rc)
        goto out;
    rc = env->ops->image_user(env->hyp, v->path, p->ses.dom.domid, &who, err);
    if (rc)
        goto out;
    if (who) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s: %s is also used by %s; a shared image cannot be snapshotted, use --no-disk %s",
                       v->vdev, v->path, who, v->vdev);
        goto out;
    }

    ask_part(&part, req, c, p, v);
    rc = create_plan_choose(env, p, ctx, &part, want, err);
    if (rc)
        goto out;
    rc = probe(ctx, &part, want, &why);
    if (rc && want == SNAP_DISK_AUTO && part.drv && !part.drv->moves_active &&
        (rc == SNAP_REFUSED || rc == SNAP_UNSUPPORTED)) {
        /* Internal is only the default where it can. */
        struct snap_err why2 = SNAP_ERR_INIT;

        snap_part_dispose(&part);
        ask_part(&part, req, c, p, v);
        if (create_plan_choose(env, p, ctx, &part, SNAP_DISK_EXTERNAL, err)) {
            rc = err->rc;
            goto out;
        }
        if (!probe(ctx, &part, SNAP_DISK_EXTERNAL, &why2)) {
            note_external(p, v->vdev, why.msg);
            rc = 0;
        }
    }
    if (rc) {
        rc = snap_fail(err, rc, "%s%s%s",
                       snap_has_prefix(why.msg, v->vdev) ? "" : v->vdev,
                       snap_has_prefix(why.msg, v->vdev) ? "" : ": ", why.msg);
        goto out;
    }

    p->rec.parts = snap_realloc(p->rec.parts, p->rec.n_parts + 1,
                                sizeof(*p->rec.parts));
    p->rec.parts[p->rec.n_parts++] = part;
    memset(&part, 0, sizeof(part));
    rc = 0;

out:
    free(who);
    snap_part_dispose(&part);
    return rc;
}

/* Two disks with one image, or one target, would destroy each other. */
static int check_collisions(const struct snap_record *r, struct snap_err *err)
{
    size_t i, k;

    for (i = 0; i < r->n_parts; i++)
        for (k = 0; k < i; k++) {
            const struct snap_part *a = &r->parts[k], *b = &r->parts[i];

            if (snap_streq(a->path, b->path) ||
                snap_streq(a->active_path, b->active_path) ||
                snap_streq(a->active_path, b->path) ||
                snap_streq(a->path, b->active_path))
                return snap_fail(err, SNAP_REFUSED,
                                 "%s and %s would both use %s; give each its own target",
                                 a->vdev, b->vdev,
                                 snap_streq(a->path, b->path)
                                     ? a->path
                                     : b->active_path);
        }
    return 0;
}

/* --keep-path gives the path to another image.  A snapshot inside the one that
 * has it now is known by that path, and would not be found any more. */
static int check_kept_paths(struct snap_env *env,
                            const struct snap_create_plan *p,
                            struct snap_err *err)
{
    int rc;
    size_t i, k, m, n = 0;
    struct snap_record *all = NULL;

    rc = snap_store_brief(&p->ses.store, env->drivers, NULL, &all, &n, err);
    for (i = 0; !rc && i < n; i++)
        for (k = 0; !rc && k < all[i].n_parts; k++)
            for (m = 0; !rc && m < p->rec.n_parts; m++) {
                const struct snap_part *in = &all[i].parts[k];
                const struct snap_part *part = &p->rec.parts[m];

                if (part->keep_path && in->drv->inside &&
                    snap_streq(in->frozen_path, part->path))
                    rc = snap_fail(err, SNAP_REFUSED,
                                   "%s: snapshot %s is inside %s and known by that path, which --keep-path gives to another image; leave --keep-path out, or use --type internal instead",
                                   part->vdev, all[i].name, part->path);
            }
    snap_records_free(&all, &n);
    return rc;
}

static int plan_disks(struct snap_env *env, const struct snap_create_req *req,
                      struct snap_create_plan *p, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_vbd *vbds = NULL;
    struct snap_disk_ctx ctx;

    rc = p->ses.there
             ? env->ops->disks(env->hyp, &p->ses.dom, &vbds, &n, err)
             : snap_domain_json_disks(p->offline.config_json, &vbds, &n, err);
    if (rc)
        goto out;
    rc = check_choices(req, &p->ses.dom, vbds, n, err);
    if (rc)
        goto out;

    snap_session_ctx(&p->ses, &ctx);
    ctx.space = &p->ses.space;

    for (i = 0; i < n; i++) {
        const struct snap_vbd *v = &vbds[i];
        const struct snap_disk_choice *c = choice_for(req, v->vdev);

        if (c && c->skip) {
            leave_out(p, v->vdev, "not wanted");
            if (!v->readonly && !v->cdrom && wants_memory(req, p))
                snap_note_add(&p->ses.notes, &p->ses.n_notes,
                              "%s: after a revert the guest still believes what it knew of this disk when the snapshot was taken, and may damage its file system; --disk-only avoids that",
                              v->vdev);
        } else if (v->cdrom) {
            leave_out(p, v->vdev, "CD-ROM");
        } else if (v->readonly) {
            leave_out(p, v->vdev, "read-only");
        } else {
            rc = plan_disk(env, req, &ctx, p, v, err);
            if (rc)
                goto out;
        }
    }
    if (!p->rec.n_parts && !wants_memory(req, p)) {
        rc = snap_fail(err, SNAP_REFUSED, "%s has no disk to snapshot",
                       p->ses.dom.name);
        goto out;
    }
    rc = check_collisions(&p->rec, err);
    if (!rc && req->keep_path)
        rc = check_kept_paths(env, p, err);

out:
    snap_vbds_free(&vbds, &n);
    return rc;
}

static int plan_memory(const struct snap_create_req *req,
                       struct snap_create_plan *p, struct snap_err *err)
{
    int rc;
    struct snap_record *r = &p->rec;

    r->has_memory = wants_memory(req, p);
    snap_set(&r->consistency, r->has_memory  ? "memory"
                              : p->ses.there ? "crash"
                                             : "offline");
    if (!r->has_memory)
        return 0;

    r->live = req->live == 1;
    if (req->memory_file)
        snap_set(&r->mem_path, req->memory_file);
    else if (req->no_metadata)
        r->mem_path = snap_printf("%s.save", req->output);
    else
        r->mem_path = snap_store_memory_path(&p->ses.store, r->name);
    if (!snap_path_ok(r->mem_path))
        return snap_fail(err, SNAP_INVAL,
                         "memory image \"%s\": not an absolute path without . and ..",
                         r->mem_path);
    if (snap_file_exists(r->mem_path))
        return snap_fail(err, SNAP_EXISTS,
                         "memory image %s exists already; remove it or name another file",
                         r->mem_path);
    p->space_needed = snap_memfile_need(p->ses.dom.mem_kb, r->live,
                                        strlen(r->config_json));
    rc = snap_space_left(&p->ses.space, r->mem_path, &p->space_free, err);
    if (rc)
        return rc;
    if (p->space_free < p->space_needed)
        return snap_fail(err, SNAP_NOSPACE,
                         "%s: the memory image may take %llu MB and %llu MB are free; free some space, use --memory FILE on another file system, or --disk-only",
                         r->mem_path,
                         (unsigned long long)p->space_needed >> 20,
                         (unsigned long long)p->space_free >> 20);
    return 0;
}

static int plan_record(struct snap_env *env, const struct snap_create_req *req,
                       struct snap_create_plan *p, struct snap_err *err)
{
    int rc;
    struct snap_record *r = &p->rec;

    r->created = snap_epoch_seconds();
    if (req->name)
        snap_set(&r->name, req->name);
    else
        r->name = snap_printf("%lld", (long long)r->created);
    rc = snap_name_check(r->name, err);
    if (rc)
        return rc;
    rc = snap_record_id_make(&r->id, err);
    if (rc)
        return rc;
    snap_set(&r->description, req->description);
    snap_set(&r->parent, p->ses.state.current);
    snap_set(&r->domain_name, p->ses.dom.name);
    memcpy(r->domain_uuid, p->ses.dom.uuid, sizeof(r->domain_uuid));
    r->guest_type = p->ses.dom.type;
    r->mem_kb = p->ses.dom.mem_kb;
    rc = env->ops->version(env->hyp, &r->versions, err);
    if (rc)
        return rc;
    if (!p->ses.there) {
        snap_set(&r->config_json, p->offline.config_json);
        return 0;
    }
    return env->ops->config(env->hyp, &p->ses.dom, &r->config_json, err);
}

/* It is there, or it is off, and its xl.cfg or the store says who it is. */
static int create_plan_find(struct snap_env *env,
                            const struct snap_create_req *req,
                            struct snap_create_plan *p, struct snap_err *err)
{
    int rc = snap_session_find_there(&p->ses, req->domain, err);

    if (rc != SNAP_NOTFOUND)
        return rc;
    snap_err_clear(err);
    return snap_offline_find(env, req, &p->offline, p->ses.uuid, err);
}

/* It was there.  Is it still, or is another one called so by now? */
static int look_again(const struct snap_create_req *req,
                      struct snap_create_plan *p, struct snap_err *err)
{
    int rc, r;
    struct snap_domain dom = { 0 };
    struct snap_err why = SNAP_ERR_INIT;

    rc = snap_session_look(&p->ses, err);
    if (rc)
        return rc;
    r = snap_find_domain(p->ses.env, req->domain, &dom, &why);
    if (!r && strcmp(dom.uuid, p->ses.uuid) != 0)
        rc = snap_fail(err, SNAP_BUSY,
                       "%s was replaced by another domain while we waited",
                       req->domain);
    else if (!r && !p->ses.there) /* it came between the two looks */
        rc = snap_fail(err, SNAP_BUSY,
                       "%s was built anew while we waited; run it again",
                       req->domain);
    else if (r && !p->ses.there)
        rc = snap_fail(err, r, "%s", why.msg);
    snap_domain_dispose(&dom);
    return rc;
}

/* Its configuration and its disks' images, if it does not run. */
static int load_off(struct snap_env *env, const struct snap_create_req *req,
                    struct snap_create_plan *p, struct snap_err *err)
{
    int rc;
    char *note = NULL;

    rc = snap_offline_load(env, &p->ses.store, &p->ses.state, &p->offline,
                           &p->ses.dom, &note, err);
    if (!rc && note)
        snap_note_add(&p->ses.notes, &p->ses.n_notes, "%s", note);
    free(note);
    return rc ? rc : check_off(req, p->ses.dom.name, err);
}

/* The first snapshot of a domain that does not run: a plan that fails shall
 * not leave a folder for a domain that nobody has heard of. */
static int try_first(struct snap_env *env, const struct snap_create_req *req,
                     const char *uuid, struct snap_err *err)
{
    int rc;
    struct snap_env quiet = *env;
    struct snap_create_plan p;

    /* That it is waited for is said. */
    rc = snap_absent_wait(env, uuid, req->domain, true, err);
    if (rc)
        return rc;
    quiet.log = NULL;
    rc = snap_create_plan_make(&quiet, req, true, &p, err);
    if (!rc)
        snap_create_plan_dispose(&p);
    return rc;
}

int snap_create_plan_make(struct snap_env *env,
                          const struct snap_create_req *req, bool dry_run,
                          struct snap_create_plan *p, struct snap_err *err)
{
    int rc;
    bool there;
    char *dir = NULL;
    const struct snap_entry how = {
        .command = "snapshot-create",
        .wait = !req->no_wait,
        .dry_run = dry_run,
        .make = true,
    };

    memset(p, 0, sizeof(*p));
    rc = snap_session_init(&p->ses, env, err);
    if (!rc)
        rc = snap_create_req_check(req, err);
    if (!rc)
        rc = create_plan_find(env, req, p, err);
    if (rc)
        goto out;
    dir = snap_printf("%s/%s", env->store_root, p->ses.uuid);
    there = p->ses.there;
    if (!there && !dry_run && !snap_file_exists(dir)) {
        rc = try_first(env, req, p->ses.uuid, err);
        if (rc)
            goto out;
    }
    rc = snap_session_open(&p->ses, &how, err);
    if (!rc && (!dry_run || !there))
        rc = there ? look_again(req, p, err) : snap_session_look(&p->ses, err);
    if (rc)
        goto out;
    p->paused_before = p->ses.dom.paused;
    rc = p->ses.there ? check_domain(req, &p->ses.dom, err) : 0;
    if (rc)
        goto out;
    rc = snap_state_load(&p->ses.store, &p->ses.state, err);
    if (rc)
        goto out;
    rc = p->ses.there ? 0 : load_off(env, req, p, err);
    if (rc)
        goto out;
    rc = plan_record(env, req, p, err);
    if (rc)
        goto out;
    p->rec.paused = p->paused_before;
    if (!req->no_metadata && snap_store_has(&p->ses.store, p->rec.name)) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "%s has a snapshot named %s already; choose another name",
                       p->ses.dom.name, p->rec.name);
        goto out;
    }
    if (req->output && snap_file_exists(req->output)) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "%s exists already; choose another file for --output",
                       req->output);
        goto out;
    }
    rc = plan_memory(req, p, err);
    if (rc)
        goto out;
    rc = plan_disks(env, req, p, err);

out:
    free(dir);
    if (rc)
        snap_create_plan_dispose(p);
    return rc;
}
