/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The plan of a clone: load the snapshot, prove that every part of it is
 * whole and that there is room, find a name, a UUID and addresses that nobody
 * has.  Changes nothing but the lock of the snapshot's domain, and looks at
 * that domain without touching it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "model/name.h"
#include "op/clone.h"
#include "op/clone_config.h"
#include "op/media.h"
#include "op/neighbours.h"
#include "op/parts.h"
#include "op/recover.h"
#include "op/resolve.h"
#include "op/session_open.h"
#include "store/memfile.h"

/* As in revert_plan.c. */
#define MEM_SLACK_KB (8u << 10)
#define UUID_TRIES   8

void snap_clone_plan_dispose(struct snap_clone_plan *p)
{
    if (p->mem_fd >= 0)
        close(p->mem_fd);
    snap_record_dispose(&p->rec);
    snap_free(&p->config_json);
    snap_notes_free(&p->macs, &p->n_macs);
    snap_notes_free(&p->left_out, &p->n_left_out);
    snap_session_dispose(&p->ses);
    memset(p, 0, sizeof(*p));
    p->mem_fd = -1;
}

/* ---- who it will be ---- */

/* The name becomes part of the names of its images; a number would be taken
 * for a domain's. */
static int check_name(struct snap_env *env, const struct snap_clone_req *req,
                      bool dry_run, struct snap_err *err)
{
    int rc;
    const char *name = req->new_name;

    rc = snap_name_check(name, err);
    if (rc)
        return rc;
    if (!name[strspn(name, "0123456789")])
        return snap_fail(err, SNAP_INVAL,
                         "%s is a number, which xl would take for that of a domain; choose another name",
                         name);
    return snap_clones_name_free(env, name, NULL, dry_run, err);
}

static int choose_uuid(struct snap_env *env, struct snap_clone_plan *p,
                       struct snap_err *err)
{
    int rc, tries;
    bool taken;
    char *dir;
    struct snap_domain other = { 0 };

    for (tries = 0; tries < UUID_TRIES; tries++) {
        rc = snap_uuid_make(p->uuid, err);
        if (rc)
            return rc;
        rc = env->ops->find_uuid(env->hyp, p->uuid, &other, err);
        snap_domain_dispose(&other);
        if (rc && rc != SNAP_NOTFOUND)
            return rc;
        dir = snap_printf("%s/%s", env->store_root, p->uuid);
        taken = !rc || snap_file_exists(dir);
        free(dir);
        snap_err_clear(err);
        if (!taken)
            return 0;
    }
    return snap_fail(err, SNAP_FAIL, "no free UUID was found");
}

/* ---- its disks ---- */

static bool is_folder(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool clone_plan_is_device(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/* Where the disk's images are: of the snapshot's own domain, else below.  What
 * is frozen may be no file; its driver makes more where the disk is. */
static int choose_dir(const struct snap_clone_req *req, struct snap_part *part,
                      struct snap_err *err)
{
    if (req->dir) {
        snap_set(&part->leaf_dir, req->dir);
        return 0;
    }
    snap_free(&part->leaf_dir);
    part->leaf_dir = snap_dirname(part->active_path);
    if (part->frozen_kind || (is_folder(part->leaf_dir) &&
                              !clone_plan_is_device(part->active_path)))
        return 0;
    snap_free(&part->leaf_dir);
    part->leaf_dir = snap_dirname(part->frozen_path);
    if (clone_plan_is_device(part->frozen_path))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is a device, beside which there is no place for the clone's image; say where with --dir",
                         part->frozen_path);
    return 0;
}

static int verify_parts(struct snap_env *env, const struct snap_clone_req *req,
                        struct snap_clone_plan *p, struct snap_err *err)
{
    int rc;
    size_t i;
    uint32_t domid = UINT32_MAX;
    struct snap_disk_ctx ctx;
    struct snap_domain dom = { 0 };

    rc = env->ops->find_uuid(env->hyp, p->rec.domain_uuid, &dom, err);
    if (!rc)
        domid = dom.domid;
    snap_domain_dispose(&dom);
    if (rc && rc != SNAP_NOTFOUND)
        return rc;
    snap_err_clear(err);
    snap_ctx_init(&ctx, env, domid, NULL, p->ses.op_id);
    ctx.space = &p->ses.space;
    for (i = 0; i < p->rec.n_parts; i++) {
        struct snap_part *part = &p->rec.parts[i];

        snap_set(&part->tag, p->rec.name);
        snap_free(&part->stem);
        part->stem = snap_printf("%s-%s", req->new_name, part->vdev);
        rc = choose_dir(req, part, err);
        if (!rc)
            rc = part->drv->verify(&ctx, part, err);
        if (rc) {
            snap_err_prefix(err, "%s", part->vdev);
            return rc;
        }
    }
    return 0;
}

static bool has_part(const struct snap_record *rec, const char *vdev)
{
    size_t i;

    for (i = 0; i < rec->n_parts; i++)
        if (snap_streq(rec->parts[i].vdev, vdev))
            return true;
    return false;
}

/* Two domains may read one disk, and never write to it. */
static int check_others(struct snap_clone_plan *p, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_vbd *cfg = NULL;

    rc = snap_domain_json_disks(p->rec.config_json, &cfg, &n, err);
    for (i = 0; !rc && i < n; i++) {
        const struct snap_vbd *v = &cfg[i];

        if (has_part(&p->rec, v->vdev))
            continue;
        if (!v->readonly && !v->cdrom && p->memory) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is not in the snapshot: the clone cannot have it, and its guest, waking up, would miss it; use --disk-only",
                           v->vdev);
        } else if (!v->readonly && !v->cdrom) {
            snap_note_add(&p->left_out, &p->n_left_out, "%s", v->vdev);
            snap_note_add(&p->ses.notes, &p->ses.n_notes,
                          "%s: not in the snapshot, so the clone does not have it",
                          v->vdev);
        } else if (snap_media_gone(v)) {
            rc = snap_media_refuse(v, v->path, err);
        }
    }
    snap_vbds_free(&cfg, &n);
    return rc;
}

/* ---- its configuration ---- */

static int make_config(const struct snap_clone_req *req,
                       struct snap_clone_plan *p, struct snap_err *err)
{
    int rc;
    size_t i;
    char uuid[37] = "";
    struct snap_record *r = &p->rec;
    struct snap_active *a = snap_realloc(NULL, r->n_parts + 1, sizeof(*a));
    struct snap_clone_config c = {
        .name = req->new_name,
        .uuid = p->uuid,
        .memory = p->memory,
        .disks = a,
        .n_disks = r->n_parts,
        .left_out = p->left_out,
        .n_left_out = p->n_left_out,
    };

    rc = snap_domain_json_identity(r->config_json, NULL, uuid, NULL, NULL,
                                   err);
    if (!rc && !snap_streq(uuid, r->domain_uuid))
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the configuration in snapshot %s is of domain %s, not of %s",
                       r->name, uuid, r->domain_uuid);
    for (i = 0; i < r->n_parts; i++) {
        a[i].vdev = r->parts[i].vdev;
        a[i].path = r->parts[i].leaf_path;
        a[i].format = r->parts[i].leaf_format;
    }
    if (!rc)
        rc = snap_clone_config_make(r->config_json, &c, &p->config_json,
                                    &p->macs, &p->n_macs, &p->ses.notes,
                                    &p->ses.n_notes, err);
    free(a);
    return rc;
}

/* ---- its memory ---- */

static int open_memory(struct snap_env *env, struct snap_clone_plan *p,
                       struct snap_err *err)
{
    int rc;
    char *header = NULL;
    struct snap_record *r = &p->rec;

    rc = snap_memfile_open(env, r->mem_path, &r->mem_size, &p->mem_fd, &header,
                           err);
    free(header);
    return rc;
}

static int clone_plan_check_memory(struct snap_env *env,
                                   const struct snap_clone_req *req,
                                   struct snap_clone_plan *p,
                                   struct snap_err *err)
{
    int rc;
    uint64_t have = 0, need;
    struct snap_record *r = &p->rec;

    if (!req->no_start) {
        need = r->mem_kb ? r->mem_kb + r->mem_kb / 100 + MEM_SLACK_KB : 0;
        rc = env->ops->free_mem(env->hyp, &have, err);
        if (rc)
            return rc;
        if (need > have)
            return snap_fail(err, SNAP_NOSPACE,
                             "%s needs %llu MB of memory and the host has %llu MB free",
                             req->new_name, (unsigned long long)need >> 10,
                             (unsigned long long)have >> 10);
    }
    return p->memory ? snap_memfile_verify(env, p->mem_fd, r->mem_path,
                                           r->mem_size, r->mem_hash, err)
                     : 0;
}

/* ---- what people should know ---- */

static void note_all(const struct snap_clone_req *req, bool dry_run,
                     struct snap_clone_plan *p)
{
    size_t i;
    struct snap_buf b = { 0 };
    struct snap_record *r = &p->rec;

    if (p->memory)
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s wakes up as a twin of %s: host name, keys and IP addresses are the same.  Its network devices have new MAC addresses, but a guest may keep using the old ones until it reboots (Linux's own driver does not)",
                      req->new_name, r->domain_name);
    else
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "%s has the host name, the keys and the fixed IP addresses of %s on its disks",
                      req->new_name, r->domain_name);
    if (r->has_memory && !p->memory)
        snap_note_add(&p->ses.notes, &p->ses.n_notes,
                      "the memory of %s is not used: to the clone its disks are as after a power cut",
                      r->name);
    if (dry_run) /* the real one gets another UUID, and other images */
        return;
    snap_buf_addf(&b,
                  "to start it%s, copy %s's xl.cfg and put in: name=\"%s\", uuid=\"%s\"",
                  req->no_start ? "" : " again later", r->domain_name,
                  req->new_name, p->uuid);
    for (i = 0; i < p->n_macs; i++)
        snap_buf_addf(&b, ", mac=%s", p->macs[i]);
    for (i = 0; i < r->n_parts; i++)
        snap_buf_addf(&b, ", %s: format=%s, target=%s", r->parts[i].vdev,
                      r->parts[i].leaf_format, r->parts[i].leaf_path);
    snap_note_add(&p->ses.notes, &p->ses.n_notes, "%s", b.data);
    snap_buf_dispose(&b);
}

/* ---- all of it ---- */

/* Does every image of the clone read through the snapshot?  Then clones can be
 * made beside each other.  Copies are made one after the other, or all of them
 * would count on the same free space. */
static bool is_quick(const struct snap_clone_req *req,
                     const struct snap_clone_plan *p)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record rec = { 0 };
    struct snap_err ignored = SNAP_ERR_INIT;
    bool quick;
    size_t i;

    quick = !snap_store_open(&s, p->ses.env->store_root, p->ses.uuid, false,
                             &ignored) &&
            !snap_store_get(&s, req->name, p->ses.env->drivers, &rec,
                            &ignored);
    for (i = 0; i < rec.n_parts; i++)
        quick = quick && rec.parts[i].drv->read_through;
    snap_record_dispose(&rec);
    snap_store_close(&s);
    return quick;
}

/* Its domain, locked, with nothing half done in it. */
static int open_source(const struct snap_clone_req *req, bool dry_run,
                       struct snap_clone_plan *p, struct snap_err *err)
{
    int rc;
    struct snap_entry how = {
        .command = "snapshot-clone",
        .wait = !req->no_wait,
        .dry_run = dry_run,
        .snapshot = req->name,
    };

    rc = snap_session_find(&p->ses, req->domain, err);
    if (rc)
        return rc;
    how.shared = is_quick(req, p);
    return snap_session_open(&p->ses, &how, err);
}

int snap_clone_plan_make(struct snap_env *env,
                         const struct snap_clone_req *req, bool dry_run,
                         struct snap_clone_plan *p, struct snap_err *err)
{
    int rc;

    memset(p, 0, sizeof(*p));
    p->mem_fd = -1;
    rc = snap_session_init(&p->ses, env, err);
    if (rc)
        goto out;
    if (req->dir && !is_folder(req->dir)) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "%s is not a folder for images; make one, or leave out --dir",
                       req->dir);
        goto out;
    }
    rc = open_source(req, dry_run, p, err);
    if (rc)
        goto out;
    rc = check_name(env, req, dry_run, err);
    if (rc)
        goto out;
    rc = snap_store_get(&p->ses.store, req->name, env->drivers, &p->rec, err);
    if (rc)
        goto out;
    p->memory = p->rec.has_memory && !req->disk_only && !req->no_start;
    if (!p->memory && !p->rec.n_parts) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s holds no disk, only memory; there is nothing to boot from",
                       p->rec.name);
        goto out;
    }
    rc = choose_uuid(env, p, err);
    if (rc)
        goto out;
    rc = req->eject_missing
             ? snap_media_eject(&p->rec.config_json, p->memory, &p->ses.notes,
                                &p->ses.n_notes, err)
             : 0;
    if (!rc)
        rc = check_others(p, err);
    if (rc)
        goto out;
    rc = verify_parts(env, req, p, err);
    if (rc)
        goto out;
    rc = make_config(req, p, err);
    if (rc)
        goto out;
    rc = p->memory ? open_memory(env, p, err) : 0;
    if (rc)
        goto out;
    rc = clone_plan_check_memory(env, req, p, err);
    if (!rc && !req->no_start)
        rc = env->ops->can_build(env->hyp, p->config_json, p->memory,
                                 p->memory ? p->rec.versions : NULL, 0, err);
    if (rc)
        goto out;
    note_all(req, dry_run, p);

out:
    snap_hint_namesake(env, p->ses.name, p->ses.uuid, req->name, rc, err);
    if (rc)
        snap_clone_plan_dispose(p);
    return rc;
}
