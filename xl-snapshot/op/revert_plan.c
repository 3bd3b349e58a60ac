/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The plan of a revert: load the snapshot and prove, while the domain runs
 * undisturbed, that every part of it can be brought back.  Changes nothing
 * but the store's own folders and lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/absent.h"
#include "op/media.h"
#include "op/needed.h"
#include "op/parts.h"
#include "op/recover.h"
#include "op/resolve.h"
#include "op/revert.h"
#include "op/session_open.h"
#include "op/stale.h"
#include "store/memfile.h"
#include "store/record_cfg.h"
#include "store/state.h"

/* What libxl and the toolstack need beside the guest's own memory: shadow or
 * HAP tables, video memory; libxl's default is 1 MB a vCPU and 8 kB a MB. */
#define MEM_SLACK_KB (8u << 10)

void snap_revert_plan_dispose(struct snap_revert_plan *p)
{
    if (p->mem_fd >= 0)
        close(p->mem_fd);
    snap_record_dispose(&p->rec);
    snap_free(&p->config_json);
    snap_free(&p->old_config);
    snap_session_dispose(&p->ses);
    memset(p, 0, sizeof(*p));
    p->mem_fd = -1;
}

/* The record out of the user's file. */
static int load_config_file(struct snap_env *env, const char *file,
                            struct snap_record *rec, struct snap_err *err)
{
    int rc;
    char *text = NULL;
    size_t len;
    struct snap_cfg cfg = { 0 };

    rc = snap_file_read(file, SNAP_CFG_MAX, &text, &len, err);
    if (rc)
        goto out;
    rc = env->cfg_parse(file, text, len, &cfg, err);
    if (rc)
        goto out;
    rc = snap_record_from_cfg(&cfg, env->drivers, rec, err);

out:
    snap_cfg_dispose(&cfg);
    free(text);
    return rc;
}

/* What a plain V11 file leaves unsaid about its disks. */
static int complete_parts(struct snap_record *r, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_vbd *vbds = NULL;

    rc = snap_domain_json_disks(r->config_json, &vbds, &n, err);
    if (rc)
        goto out;
    for (i = 0; i < r->n_parts; i++) {
        struct snap_part *part = &r->parts[i];
        const struct snap_vbd *v = snap_vbd_find(vbds, n, part->vdev);

        snap_set(&part->tag, r->name);
        if (part->frozen_path)
            continue;
        /* An overlay knows its base: its driver finds it in verify(). */
        if (part->type == SNAP_DISK_EXTERNAL && part->active_path)
            continue;
        if (v) {
            snap_set(&part->frozen_path, v->path);
            snap_set(&part->frozen_format, v->format);
            snap_set(&part->active_path, v->path);
            snap_set(&part->active_format, v->format);
        } else {
            rc = snap_fail(err, SNAP_INVAL,
                           "%s: the file does not say which image holds its snapshot, and the domain has no such disk; add image=PATH",
                           part->vdev);
            goto out;
        }
        snap_set(&part->path, part->frozen_path);
        snap_set(&part->format, part->frozen_format);
    }
    rc = 0;

out:
    snap_vbds_free(&vbds, &n);
    return rc;
}

static int check_identity(struct snap_env *env, struct snap_revert_plan *p,
                          struct snap_err *err)
{
    int rc;
    char *name = NULL, uuid[37] = "";
    struct snap_domain other = { 0 };
    struct snap_record *r = &p->rec;

    rc = snap_domain_json_identity(r->config_json, &name, uuid, NULL, NULL,
                                   err);
    if (rc)
        goto out;
    if (r->domain_uuid[0] && !snap_streq(uuid, r->domain_uuid)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the configuration in snapshot %s is of domain %s, not of %s",
                       r->name, uuid, r->domain_uuid);
        goto out;
    }
    memcpy(r->domain_uuid, uuid, sizeof(uuid));
    if (!r->domain_name)
        snap_set(&r->domain_name, name);
    if (p->ses.there && !snap_streq(p->ses.dom.uuid, uuid)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "snapshot %s is of domain %s (UUID %s), but the running %s has UUID %s; destroy or rename it first",
                       r->name, name, uuid, p->ses.dom.name, p->ses.dom.uuid);
        goto out;
    }
    if (p->ses.there && !snap_streq(p->ses.dom.name, name))
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "the domain is called %s now, and will be %s again, as when the snapshot was taken; xl rename %s %s gives it back its name of now",
                      p->ses.dom.name, name, name, p->ses.dom.name);
    /* The name that the new domain will have must be free, but for us. */
    rc = env->ops->find(env->hyp, name, &other, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        rc = 0;
    } else if (!rc && !snap_streq(other.uuid, uuid) &&
               snap_streq(other.name, name)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "another domain (UUID %s) is named %s now; rename or destroy it first",
                       other.uuid, name);
    }

out:
    snap_domain_dispose(&other);
    free(name);
    return rc;
}

/* Disks that are not in the snapshot keep the image they have now. */
static int keep_left_out(struct snap_env *env, struct snap_revert_plan *p,
                         struct snap_err *err)
{
    int rc;
    size_t i, n_now = 0, n_cfg = 0, m = 0;
    struct snap_vbd *now = NULL, *cfg = NULL;
    struct snap_active *a = NULL;
    struct snap_record *r = &p->rec;

    rc = snap_domain_json_disks(r->config_json, &cfg, &n_cfg, err);
    if (rc)
        goto out;
    if (p->ses.there) {
        rc = env->ops->disks(env->hyp, &p->ses.dom, &now, &n_now, err);
        if (rc)
            goto out;
    }
    a = snap_realloc(NULL, n_cfg + 1, sizeof(*a));
    for (i = 0; i < n_cfg; i++) {
        size_t k;
        const struct snap_vbd *v;
        const struct snap_leaf *leaf;
        const char *path = cfg[i].path;

        for (k = 0; k < r->n_parts; k++)
            if (snap_streq(r->parts[k].vdev, cfg[i].vdev))
                break;
        if (k < r->n_parts)
            continue;
        v = snap_vbd_find(now, n_now, cfg[i].vdev);
        leaf = snap_state_leaf(&p->ses.state, cfg[i].vdev);
        if (!cfg[i].readonly && !cfg[i].cdrom && (v || leaf)) {
            a[m].vdev = cfg[i].vdev;
            a[m].path = path = v ? v->path : leaf->path;
            a[m].format = v ? v->format : leaf->format;
            m++;
            snap_note_add(&p->ses.notes, &p->ses.n_notes,
                          "%s: not in the snapshot, keeps what it has now%s",
                          cfg[i].vdev,
                          p->memory
                              ? ", which the memory that comes back does not know: look at its file system before anything is written"
                              : "");
        }
        if (path && path[0] == '/' && access(path, F_OK)) {
            rc = snap_media_refuse(&cfg[i], path, err);
            goto out;
        }
    }
    rc = snap_domain_json_set_disks(r->config_json, a, m, &p->config_json,
                                    err);

out:
    free(a);
    snap_vbds_free(&now, &n_now);
    snap_vbds_free(&cfg, &n_cfg);
    return rc;
}

/* Will the guest write to the old object again?  A leaf that is new may have the
 * name of a link that leads to the old one until the switch (--keep-path). */
static bool stays_leaf(const struct snap_env *env,
                       const struct snap_part *part, struct snap_object old)
{
    return snap_streq(part->leaf_path, old.id) ||
           (snap_object_same(env->drivers, snap_part_leaf(part),
                             snap_part_in_place(part)) &&
            snap_object_same(env->drivers, snap_part_leaf(part), old));
}

/* The leaf that the domain has now goes away if we made it and no snapshot
 * needs it.  While a record cannot be read, nobody knows what it needs. */
static int plan_drop(struct snap_env *env, struct snap_revert_plan *p,
                     struct snap_part *part, bool damaged,
                     struct snap_err *err)
{
    int rc = 0;
    bool need;
    const struct snap_leaf *leaf = snap_state_leaf(&p->ses.state, part->vdev);
    struct snap_object old;
    char *file = NULL;

    snap_free(&part->drop_path);
    snap_free(&part->drop_kind);
    snap_free(&part->drop_format);
    if (!leaf || !leaf->made)
        return 0;
    old = snap_leaf_object(leaf);
    /* With --keep-path it is a link to what we made. */
    if (snap_object_has_path(old))
        file = realpath(old.id, NULL);
    if (!file)
        file = snap_strdup(old.id);
    old.id = file;
    if (snap_object_same(env->drivers, old, snap_part_frozen(part)) ||
        stays_leaf(env, part, old) ||
        snap_records_need(env->drivers, p->ses.all, p->ses.n_all, old))
        goto out;
    if (damaged) {
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s: the image of before, %s, is kept, since a record that cannot be read may need it",
                      part->vdev, file);
        goto out;
    }
    rc = snap_others_need(env, p->rec.domain_uuid, old, &need, err);
    if (rc)
        goto out;
    if (need) {
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s: the image of before, %s, is kept, since a snapshot of another domain needs it or cannot be read",
                      part->vdev, file);
        goto out;
    }
    snap_set(&part->drop_path, file);
    snap_set(&part->drop_kind, old.kind);
    snap_set(&part->drop_format, old.format);

out:
    free(file);
    return rc;
}

/* A file that a user wrote names no driver, and perhaps no format. */
static int choose_driver(struct snap_env *env, struct snap_part *part,
                         struct snap_err *err)
{
    struct snap_part ask = {
        .path = part->path,
        .format = part->format,
    };

    if (part->drv)
        return 0;
    part->drv = snap_disk_match(env->drivers, &ask, part->type);
    return part->drv ? 0
                     : snap_fail(err, SNAP_UNSUPPORTED,
                                 "no driver for %s snapshots of a %s image",
                                 snap_disk_type_name(part->type),
                                 ask.format ? ask.format : "(unknown)");
}

/* What a revert writes to or removes: who else has it is asked while the
 * domain still runs.  A QEMU that does not answer is not known from others. */
static int check_users(struct snap_env *env, struct snap_revert_plan *p,
                       struct snap_err *err)
{
    int rc = 0;
    size_t i;
    struct snap_qmp *qmp = NULL;
    struct snap_disk_ctx ctx;

    if (p->ses.there && env->ops->qmp_open(env->hyp, &p->ses.dom, &qmp, NULL))
        qmp = NULL;
    snap_ctx_init(&ctx, env, p->ses.there ? p->ses.dom.domid : UINT32_MAX, qmp,
                  p->ses.op_id);
    for (i = 0; !rc && i < p->rec.n_parts; i++) {
        const struct snap_part *part = &p->rec.parts[i];

        /* Who has what is no file, verify() asks. */
        rc = snap_object_has_path(snap_part_frozen(part))
                 ? env->check_others(&ctx, part->frozen_path, false, err)
                 : 0;
        if (!rc && snap_object_has_path(snap_part_drop(part)))
            rc = env->check_others(&ctx, part->drop_path, true, err);
        if (rc) {
            snap_err_append(err, "end that first");
            snap_err_prefix(err, "%s", part->vdev);
        }
    }
    snap_qmp_close(qmp);
    return rc;
}

/* Where the guest writes to from then on, and why. */
static void note_leaf(const struct snap_env *env, struct snap_revert_plan *p,
                      const struct snap_part *part, const char *who_needs)
{
    struct snap_object in_place = snap_part_in_place(part);
    char *stale = snap_stale_reverted(part, p->rec.domain_name);

    if (stale)
        snap_note_add(&p->ses.notes, &p->ses.n_notes, "%s", stale);
    free(stale);
    if (in_place.id &&
        !snap_object_same(env->drivers, snap_part_leaf(part), in_place))
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s: %s %s as it is; what %s holds is copied to %s",
                      part->vdev, who_needs, in_place.id, p->rec.name,
                      part->leaf_path);
}

static int verify_parts(struct snap_env *env, struct snap_revert_plan *p,
                        struct snap_err *err)
{
    int rc;
    bool frozen = false;
    struct snap_object in_place;
    size_t i, damaged = 0;
    struct snap_disk_ctx ctx;

    rc = snap_store_damaged(&p->ses.store, env->drivers, &damaged, err);
    if (rc)
        return rc;
    snap_session_ctx(&p->ses, &ctx);
    for (i = 0; i < p->rec.n_parts; i++) {
        struct snap_part *part = &p->rec.parts[i];
        const struct snap_leaf *leaf = snap_state_leaf(&p->ses.state,
                                                       part->vdev);

        rc = choose_driver(env, part, err);
        if (!rc) {
            if (!part->stem && leaf && part->drv->moves_active)
                part->stem = snap_strdup(leaf->stem);
            in_place = snap_part_in_place(part);
            frozen = in_place.id &&
                     snap_records_freeze(env->drivers, p->ses.all,
                                         p->ses.n_all, in_place);
            if (in_place.id && !frozen)
                rc = snap_others_freeze(env, p->rec.domain_uuid, in_place,
                                        &frozen, err);
            /* One that cannot be read may have frozen it. */
            part->shared = in_place.id && (frozen || damaged > 0);
            if (!rc)
                rc = part->drv->verify(&ctx, part, err);
        }
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
        rc = plan_drop(env, p, part, damaged > 0, err);
        if (rc)
            return rc;
        note_leaf(env, p, part,
                  damaged && !frozen ? "a record that cannot be read may need"
                                     : "other snapshots need");
    }
    return 0;
}

static int revert_plan_check_memory(struct snap_env *env,
                                    struct snap_revert_plan *p,
                                    struct snap_err *err)
{
    int rc;
    uint64_t free_kb = 0, have, need;
    struct snap_record *r = &p->rec;

    need = r->mem_kb ? r->mem_kb + r->mem_kb / 100 + MEM_SLACK_KB : 0;
    rc = env->ops->free_mem(env->hyp, &free_kb, err);
    if (rc)
        return rc;
    have = free_kb + (p->ses.there ? p->ses.dom.mem_kb : 0);
    if (need >
        have + (p->ses.there ? MEM_SLACK_KB + p->ses.dom.mem_kb / 100 : 0))
        return snap_fail(err, SNAP_NOSPACE,
                         "%s needs %llu MB of memory and the host has %llu MB free%s",
                         r->domain_name, (unsigned long long)need >> 10,
                         (unsigned long long)have >> 10,
                         p->ses.there ? " once it is destroyed" : "");
    if (!p->memory || !r->mem_hash[0])
        return 0;
    return snap_memfile_verify(env, p->mem_fd, r->mem_path, r->mem_size,
                               r->mem_hash, err);
}

/* If what is built fails all the same, what runs now should come back. */
static int check_way_back(struct snap_env *env, bool eject,
                          struct snap_revert_plan *p, struct snap_err *err)
{
    int rc;
    char *lacks;
    struct snap_err why = SNAP_ERR_INIT;

    rc = eject ? snap_media_eject(&p->old_config, false, NULL, NULL, err) : 0;
    if (rc)
        return rc;
    lacks = snap_media_lacks(p->old_config);
    if (!lacks && env->ops->can_build(env->hyp, p->old_config, false, NULL,
                                      p->ses.dom.mem_kb, &why) == SNAP_REFUSED)
        lacks = snap_strdup(why.msg);
    if (lacks)
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "if the revert fails after %s is destroyed, it cannot be started again with what it has now: %s",
                      p->ses.dom.name, lacks);
    free(lacks);
    return 0;
}

/* Nothing is destroyed that could not be built. */
static int check_build(struct snap_env *env, const struct snap_revert_req *req,
                       bool wait, struct snap_revert_plan *p,
                       struct snap_err *err)
{
    int rc;
    char *fresh = NULL, *config = NULL;

    rc = snap_domain_json_new_genid(p->config_json, &fresh, err);
    if (!rc && fresh) {
        free(p->config_json);
        p->config_json = fresh;
    }
    if (!rc)
        rc = snap_revert_config(p, &config, err);
    if (!rc)
        rc = snap_revert_can_build(env, p, config, wait, err);
    if (!rc && p->ses.there)
        rc = check_way_back(env, req->eject_missing, p, err);
    free(config);
    return rc;
}

/* One that does not exist may be known by the file alone. */
static int revert_plan_find(const struct snap_revert_req *req,
                            struct snap_revert_plan *p, struct snap_err *err)
{
    int rc;

    if (!req->config_file || !p->rec.domain_uuid[0])
        return snap_session_find(&p->ses, req->domain, err);
    rc = snap_session_find_there(&p->ses, req->domain, err);
    if (rc != SNAP_NOTFOUND)
        return rc;
    snap_err_clear(err);
    memcpy(p->ses.uuid, p->rec.domain_uuid, sizeof(p->ses.uuid));
    return 0;
}

/* What the user does without: memory, or a CD. */
static int without(const struct snap_revert_req *req,
                   struct snap_revert_plan *p, struct snap_err *err)
{
    struct snap_record *r = &p->rec;

    if (!p->memory && !r->n_parts)
        return snap_fail(err, SNAP_REFUSED,
                         "%s holds no disk, only memory; there is nothing to boot from",
                         r->name ? r->name : req->config_file);
    if (r->has_memory && !p->memory)
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "the memory of %s is not used: its disks are as after a power cut",
                      r->name ? r->name : req->config_file);
    return req->eject_missing
               ? snap_media_eject(&r->config_json, p->memory, &p->ses.notes,
                                  &p->ses.n_notes, err)
               : 0;
}

static int load_record(struct snap_env *env, const struct snap_revert_req *req,
                       struct snap_revert_plan *p, struct snap_err *err)
{
    int rc;
    char *header = NULL;
    struct snap_record *r = &p->rec;

    if (!req->config_file) {
        rc = snap_store_get(&p->ses.store, req->name, env->drivers, r, err);
        if (rc)
            goto out;
    }
    p->memory = r->has_memory && !req->disk_only;
    if (p->memory || (r->has_memory && !r->config_json)) {
        rc = snap_memfile_open(env, r->mem_path, &r->mem_size, &p->mem_fd,
                               &header, err);
        if (rc)
            goto out;
        if (!r->config_json) {
            r->config_json = header;
            header = NULL;
        }
    }
    if (!r->config_json && p->ses.there) {
        rc = env->ops->config(env->hyp, &p->ses.dom, &r->config_json, err);
        if (rc)
            goto out;
    }
    if (!r->config_json) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s says nothing about the domain's configuration, and %s does not run; use the file that snapshot-create --output wrote",
                       req->config_file, req->domain);
        goto out;
    }
    rc = req->config_file ? complete_parts(r, err) : 0;
    if (!rc)
        rc = without(req, p, err);

out:
    free(header);
    return rc;
}

/* Is the domain, as it is now, one that may be ended?  off: it was off when the
 * command began. */
static int check_domain(const struct snap_revert_req *req,
                        const struct snap_domain *dom, bool off,
                        struct snap_err *err)
{
    if (dom->dying)
        return snap_refuse_dying(dom, req->domain, err);
    if (dom->stubdom)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s has its device model in a stub domain",
                         dom->name);
    if (dom->suspended)
        return snap_revert_refuse_suspended(dom, err);
    /* Not by a recovery, nor by another command that we waited for. */
    if (off && !dom->mark)
        return snap_fail(err, SNAP_BUSY,
                         "%s was started meanwhile; nothing was changed: run it again to revert it all the same",
                         dom->name);
    return 0;
}

int snap_revert_plan_make(struct snap_env *env,
                          const struct snap_revert_req *req, bool dry_run,
                          struct snap_revert_plan *p, struct snap_err *err)
{
    int rc;
    bool off;
    struct snap_entry how = {
        .command = "snapshot-revert",
        .wait = !req->no_wait,
        .dry_run = dry_run,
    };

    memset(p, 0, sizeof(*p));
    p->mem_fd = -1;
    rc = snap_session_init(&p->ses, env, err);
    if (rc)
        goto out;
    if (req->config_file) {
        rc = load_config_file(env, req->config_file, &p->rec, err);
        if (rc)
            goto out;
    }
    rc = revert_plan_find(req, p, err);
    if (rc)
        goto out;
    off = !p->ses.there;
    how.make = req->config_file || p->ses.there;
    rc = snap_session_open(&p->ses, &how, err);
    if (!rc)
        rc = snap_session_look(&p->ses, err);
    if (!rc && p->ses.there)
        rc = check_domain(req, &p->ses.dom, off, err);
    if (rc)
        goto out;
    rc = snap_state_load(&p->ses.store, &p->ses.state, err);
    if (rc)
        goto out;
    rc = snap_store_all(&p->ses.store, env->drivers, env->log, &p->ses.all,
                        &p->ses.n_all, err);
    if (rc)
        goto out;
    rc = load_record(env, req, p, err);
    if (rc)
        goto out;
    rc = check_identity(env, p, err);
    if (rc)
        goto out;
    rc = keep_left_out(env, p, err);
    if (rc)
        goto out;
    rc = verify_parts(env, p, err);
    if (!rc)
        rc = check_users(env, p, err);
    if (rc)
        goto out;
    rc = revert_plan_check_memory(env, p, err);
    if (rc)
        goto out;
    if (p->ses.there)
        rc = env->ops->config(env->hyp, &p->ses.dom, &p->old_config, err);
    if (!rc)
        rc = check_build(env, req, !dry_run && !req->no_wait, p, err);

out:
    snap_hint_namesake(env, p->ses.name, p->ses.uuid, req->name, rc, err);
    if (rc)
        snap_revert_plan_dispose(p);
    return rc;
}
