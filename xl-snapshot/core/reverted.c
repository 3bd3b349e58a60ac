/* SPDX-License-Identifier: LGPL-2.1-only */
/* See reverted.h.  Every function here may run a second time. */
#include "core/reverted.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/parts.h"
#include "lib/file.h"
#include "lib/mem.h"

struct snap_json *snap_reverted_leaves_json(const struct snap_record *rec)
{
    size_t i;
    struct snap_json *leaves = snap_json_array();

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *part = &rec->parts[i];
        struct snap_json *l = snap_json_object();

        snap_json_set_str(l, "vdev", part->vdev);
        snap_json_set_str(l, "leaf_path", part->leaf_path);
        snap_json_set_str(l, "leaf_format", part->leaf_format);
        snap_json_set_str(l, "drop_path", part->drop_path);
        snap_json_set_str(l, "stem", part->stem);
        snap_json_push(leaves, l);
    }
    return leaves;
}

struct snap_json *snap_reverted_plan_json(const struct snap_revert_plan *p,
                                          bool paused_after, bool no_metadata)
{
    struct snap_json *j = snap_json_object();
    char *boot = snap_boot_id();

    snap_json_set(j, "record", snap_record_to_json(&p->rec));
    snap_json_set_str(j, "op_id", p->op_id);
    snap_json_set_str(j, "uuid", p->rec.domain_uuid);
    snap_json_set_bool(j, "running", p->running);
    snap_json_set_bool(j, "was_paused", p->running && p->dom.paused);
    snap_json_set_int(j, "domid", p->running ? p->dom.domid : 0);
    snap_json_set_str(j, "boot_id", boot);
    free(boot);
    snap_json_set_str(j, "old_config", p->old_config);
    snap_json_set_bool(j, "paused_after", paused_after);
    snap_json_set_bool(j, "no_metadata", no_metadata);
    snap_json_set(j, "leaves", snap_reverted_leaves_json(&p->rec));
    return j;
}

/* A path out of a journal: ours, but checked like anything read from disk. */
static int get_path(const struct snap_json *l, const char *key, char **out,
                    struct snap_err *err)
{
    const char *s = snap_json_get_str(l, key);

    if (s && !snap_path_ok(s))
        return snap_fail(err, SNAP_CORRUPT, "journal: bad %s \"%s\"", key, s);
    snap_set(out, s);
    return 0;
}

int snap_reverted_plan_parts(const struct snap_json *plan,
                             struct snap_record *rec, struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_json *leaves = snap_json_get(plan, "leaves");

    if (snap_json_len(leaves) != rec->n_parts)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal: leaves do not match "
                         "the record");
    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];
        const struct snap_json *l = snap_json_at(leaves, i);

        if (!snap_streq(snap_json_get_str(l, "vdev"), part->vdev))
            return snap_fail(err, SNAP_CORRUPT,
                             "journal: leaves do not "
                             "match the record");
        rc = get_path(l, "leaf_path", &part->leaf_path, err);
        if (!rc)
            rc = get_path(l, "drop_path", &part->drop_path, err);
        if (rc)
            return rc;
        snap_set(&part->leaf_format, snap_json_get_str(l, "leaf_format"));
        snap_set(&part->stem, snap_json_get_str(l, "stem"));
    }
    return 0;
}

/* An overlay, or the copy of an internal snapshot; or it was before. */
static bool made_leaf(const struct snap_state *st, const struct snap_part *p)
{
    const struct snap_leaf *old = snap_state_leaf(st, p->vdev);

    return p->type == SNAP_DISK_EXTERNAL ||
           !snap_streq(p->leaf_path, p->frozen_path) ||
           (old && old->made && snap_streq(old->path, p->leaf_path));
}

int snap_reverted_finish(struct snap_env *env, const struct snap_store *s,
                         struct snap_record *rec, struct snap_state *state,
                         bool no_metadata, bool last_try, const char *op_id,
                         struct snap_err *err)
{
    int rc = 0, r;
    size_t i;
    struct snap_disk_ctx ctx;
    struct snap_domain dom = { 0 };
    struct snap_qmp *qmp = NULL;
    struct snap_err ignored = SNAP_ERR_INIT;

    /* What is in an image that QEMU has open, only QEMU may change.  Without
     * it (the domain may be gone again) the drivers say what they leave. */
    if (!env->ops->find_uuid(env->hyp, rec->domain_uuid, &dom, &ignored))
        env->ops->qmp_open(env->hyp, &dom, &qmp, &ignored);
    /* Not the new domain's id: its own use of a leaf must count, too, when
     * it is asked who has a file that is about to go. */
    snap_ctx_init(&ctx, env, UINT32_MAX, qmp, op_id);
    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];
        struct snap_err e = SNAP_ERR_INIT;

        r = part->drv->revert_finish(&ctx, part, &e);
        if (r && last_try)
            snap_say(env->log, SNAP_LOG_WARN, "%s: %s", part->vdev, e.msg);
        else if (r && !rc)
            rc = snap_fail(err, r, "%s: %s", part->vdev, e.msg);
        snap_state_set_leaf(state, part->vdev, part->leaf_path,
                            part->leaf_format, part->stem,
                            made_leaf(state, part));
    }
    snap_set(&state->current, no_metadata ? NULL : rec->name);
    snap_set(&state->domain_name, rec->domain_name);
    r = snap_state_save(s, state, err);
    snap_qmp_close(qmp);
    snap_domain_dispose(&dom);
    return rc ? rc : r;
}

/*
 * libxl pauses a domain that it destroys, ends its QEMU, then the domain
 * (libxl_domain.c: libxl__destroy_domid()).  If QEMU is there, nothing is lost
 * but the pause.
 */
static int heal(struct snap_env *env, const struct snap_domain *dom,
                const struct snap_reverted_old *old, bool *there_r,
                struct snap_err *err)
{
    int rc = 0;
    struct snap_qmp *qmp = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    *there_r = true;
    if (!dom->dying && !dom->paused)
        return 0;
    /* It may have been told to go this moment. */
    usleep(env->settle_ms * 1000);
    if (!dom->dying && !env->ops->qmp_open(env->hyp, dom, &qmp, &why)) {
        snap_qmp_close(qmp);
        if (!old->paused)
            rc = env->ops->unpause(env->hyp, dom, err);
        return rc;
    }
    snap_say(env->log, SNAP_LOG_WARN, "%s is half destroyed (%s)", dom->name,
             dom->dying ? "it is dying" : why.msg);
    *there_r = false;
    rc = env->ops->destroy(env->hyp, dom, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err); /* by now it is gone */
        rc = 0;
    }
    if (rc)
        snap_err_prefix(err, "destroying %s", dom->name);
    return rc;
}

int snap_reverted_undo(struct snap_env *env, struct snap_part *parts, size_t n,
                       const struct snap_reverted_old *old, const char *op_id,
                       bool *booted_r, struct snap_err *err)
{
    int rc;
    struct snap_disk_ctx ctx;
    struct snap_domain dom = { 0 };
    uint32_t domid = UINT32_MAX;
    bool there = false;

    *booted_r = false;
    if (old->uuid) {
        rc = env->ops->find_uuid(env->hyp, old->uuid, &dom, err);
        if (rc && rc != SNAP_NOTFOUND)
            goto out;
        there = !rc;
        if (!there)
            snap_err_clear(err);
    }
    if (there && old->config) {
        rc = heal(env, &dom, old, &there, err);
        if (rc)
            goto out;
    }
    /* The same domain may have the images that it had. */
    if (there && !old->other)
        domid = dom.domid;
    snap_ctx_init(&ctx, env, domid, NULL, op_id);
    rc = snap_parts_revert_undo(&ctx, parts, n, err);
    if (rc)
        goto out;
    if (!there && old->config) {
        snap_domain_dispose(&dom);
        memset(&dom, 0, sizeof(dom));
        rc = env->ops->create(env->hyp, old->config, &dom, err);
        if (!rc && !old->paused)
            rc = env->ops->unpause(env->hyp, &dom, err);
        if (rc) {
            snap_err_prefix(err, "starting the domain again");
            goto out;
        }
        *booted_r = true;
    }
    rc = 0;

out:
    snap_domain_dispose(&dom);
    return rc;
}
