/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reference driver fake-external: a new active image over a frozen one.  How
 * such a snapshot is given up is in fake_overlay_delete.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fakes/fake_disk_int.h"
#include "lib/mem.h"

static int e_match(const struct snap_part *p, enum snap_disk_type want)
{
    return want == SNAP_DISK_INTERNAL || !snap_part_by_qemu(p) ? 0 : 10;
}

/* ---- taking ---- */

static int e_probe(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    int rc, t;
    char *s;

    rc = fake_fault("probe", p->vdev, err);
    if (rc)
        return rc;
    p->type = SNAP_DISK_EXTERNAL;
    rc = fake_probe_image(c, p, err);
    if (rc)
        return rc;
    if (p->keep_path && !snap_streq(p->format, "qcow2"))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: keeping the path needs a qcow2 image", p->path);
    if (!p->stem)
        p->stem = fake_stem_of(p, p->path);
    if (!p->target)
        p->target = fake_sibling(p, p->path, ".qcow2");
    t = fake_entry(S, p->target);
    if (t >= 0 && !p->reuse_target)
        return snap_fail(err, SNAP_EXISTS, "%s exists", p->target);
    if (t < 0 && p->reuse_target)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", p->target);
    if (t >= 0 && (S->image[t].own || S->image[t].size != p->size ||
                   S->image[t].backing != fake_lookup(S, p->path)))
        return snap_fail(err, SNAP_REFUSED, "%s is no empty overlay of %s",
                         p->target, p->path);
    if (S->free_bytes < (64u << 20))
        return snap_fail(err, SNAP_NOSPACE, "no space beside %s", p->path);
    snap_set(&p->frozen_path, fake_real_path(p->path));
    if (p->keep_path && fake_entry(S, p->path) == fake_lookup(S, p->path)) {
        s = fake_sibling(p, p->path, "-base.qcow2");
        snap_set(&p->frozen_path, s);
        free(s);
    }
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->keep_path ? p->path : p->target);
    snap_set(&p->active_format, "qcow2");
    /* What undo and inspect need and a record does not have otherwise. */
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_str(p->data, "file", p->target);
    snap_json_set_bool(p->data, "keep_path", p->keep_path);
    snap_json_set_bool(p->data, "reused", p->reuse_target);
    return 0;
}

static const char *overlay_file(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "file");

    return s ? s : p->active_path;
}

static int make_overlay(struct snap_part *p, const char *path, int base,
                        const char *slot, struct snap_err *err)
{
    int rc, i;
    char half[40];

    if (fake_entry(S, path) >= 0)
        return snap_fail(err, SNAP_EXISTS, "%s exists", path);
    if (base < 0)
        return snap_fail(err, SNAP_NOTFOUND, "what %s is to be over is gone",
                         path);
    i = fake_add_entry(S, path, "qcow2", S->image[base].size);
    S->image[i].ours = true;
    S->image[i].whole = false;
    S->image[i].backing = base;
    snprintf(half, sizeof(half), "%s half", slot);
    rc = fake_fault(half, p->vdev, err);
    if (rc)
        return rc;
    S->image[i].whole = true;
    return 0;
}

static int e_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc;

    (void)c;
    rc = fake_fault("prepare", p->vdev, err);
    if (!rc && !p->reuse_target)
        rc = make_overlay(p, overlay_file(p), fake_lookup(S, p->path),
                          "prepare", err);
    if (!rc)
        rc = fake_fault("prepare done", p->vdev, err);
    return rc;
}

static int e_finish(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);

    (void)c;
    rc = fake_fault("finish", p->vdev, err);
    if (!rc && i >= 0)
        S->image[i].immutable = true;
    return rc;
}

static bool is_our_overlay(const struct snap_part *p, int i)
{
    int base = fake_lookup(S, p->frozen_path);

    /* With keep_path the base may still have its old name. */
    if (base < 0)
        base = fake_lookup(S, p->path);
    return i >= 0 && S->image[i].backing >= 0 && S->image[i].backing == base;
}

static int e_inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                     enum snap_part_state *state_r, struct snap_err *err)
{
    int rc, i = fake_entry(S, overlay_file(p));

    (void)c;
    rc = fake_fault("inspect", p->vdev, err);
    if (rc)
        return rc;
    if (i < 0)
        *state_r = SNAP_PART_ABSENT;
    else if (!is_our_overlay(p, i))
        *state_r = SNAP_PART_FOREIGN;
    else
        *state_r = S->image[i].taken ? SNAP_PART_PRESENT : SNAP_PART_PARTIAL;
    return 0;
}

/* The writes of an overlay that was taken go back into its base. */
static int e_undo(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc, i = fake_entry(S, overlay_file(p)), base, link;
    struct fake_open *o = fake_live(c, p);

    rc = fake_fault("undo", p->vdev, err);
    if (rc || i < 0 || !is_our_overlay(p, i))
        return rc;
    base = S->image[i].backing;
    if (fake_is_open(S, i) && !(o && o->image == i))
        return snap_fail(err, SNAP_BUSY, "%s is open", S->image[i].path);
    link = fake_entry(S, p->path);
    if (link >= 0 && S->image[link].alias == i) {
        S->image[link].exists = false;
        snprintf(S->image[base].path, FAKE_PATH, "%s", p->path);
    }
    S->image[base].frozen = S->image[base].immutable = false;
    if (S->image[i].own)
        fake_write_to(S, base, S->image[i].content);
    if (o && o->image == i)
        o->image = base;
    S->image[i].own = S->image[i].taken = false;
    if (!snap_json_get_bool(p->data, "reused", false))
        fake_drop_entry(S, i);
    p->taken = p->prepared = false;
    return 0;
}

/* ---- going back ---- */

static int e_verify(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i;
    int64_t stamp;

    rc = fake_fault("verify", p->vdev, err);
    if (rc)
        return rc;
    if (!p->frozen_path) {
        /* A user's own file tells the overlay only. */
        i = fake_lookup(S, p->active_path);
        if (i < 0 || S->image[i].backing < 0)
            return snap_fail(err, SNAP_NOTFOUND, "%s is no overlay",
                             p->active_path);
        snap_set(&p->frozen_path, S->image[S->image[i].backing].path);
        snap_set(&p->frozen_format, S->image[S->image[i].backing].format);
        snap_set(&p->path, p->frozen_path);
        snap_set(&p->format, p->frozen_format);
    }
    rc = fake_verify_image(p, p->frozen_path, p->frozen_format, err);
    if (rc)
        return rc;
    if (fake_is_open(S, fake_lookup(S, p->frozen_path)))
        return snap_fail(err, SNAP_BUSY, "%s is open for writing",
                         p->frozen_path);
    stamp = snap_json_get_int(p->data, "base_stamp", -1);
    if (stamp >= 0 &&
        (uint64_t)stamp != S->image[fake_lookup(S, p->frozen_path)].stamp)
        return snap_fail(err, SNAP_CORRUPT, "%s was written to",
                         p->frozen_path);
    fake_plan_leaf(c, p);
    return 0;
}

static int e_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                            struct snap_err *err)
{
    int rc;

    rc = fake_fault("revert_prepare", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        fake_plan_leaf(c, p);
    return make_overlay(p, p->leaf_path, fake_lookup(S, p->frozen_path),
                        "revert_prepare", err);
}

static int e_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                      bool back, struct snap_held_images *l,
                      struct snap_err *err)
{
    (void)c;
    (void)back;
    (void)l;
    return fake_fault("in_place", p->vdev, err);
}

static int e_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc;

    (void)c;
    rc = fake_fault("revert_switch", p->vdev, err);
    if (rc)
        return rc;
    if (fake_lookup(S, p->leaf_path) < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s is gone", p->leaf_path);
    p->switched = true;
    return fake_fault("revert_switch done", p->vdev, err);
}

static int e_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc = fake_fault("revert_finish", p->vdev, err);

    return rc ? rc : fake_drop_leaf(c, p, err);
}

static int e_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc, i;

    rc = fake_fault("revert_undo", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        fake_plan_leaf(c, p);
    i = fake_entry(S, p->leaf_path);
    p->switched = false;
    if (i < 0 || S->image[i].backing != fake_lookup(S, p->frozen_path))
        return 0;
    return fake_undo_leaf(c, p, i, S->image[i].own, err);
}

const struct snap_disk_driver fake_external = {
    .name = "fake-external",
    .doc = "an overlay over an image in memory",
    .live = true,
    .offline = true,
    .moves_active = true,
    .read_through = true,
    .can_fill_up = true,
    .needs_qmp = true,
    .match = e_match,
    .probe = e_probe,
    .check = snap_slot_check_over,
    .identity = fake_file_identity,
    .group = &fake_qemu_group,
    .group_key = snap_slot_group_name,
    .prepare = e_prepare,
    .secure = fake_secure,
    .finish = e_finish,
    .undo = e_undo,
    .inspect = e_inspect,
    .verify = e_verify,
    .revert_prepare = e_revert_prepare,
    .in_place = e_in_place,
    .revert_switch = e_revert_switch,
    .revert_finish = e_revert_finish,
    .revert_undo = e_revert_undo,
    .stands_on = fake_stands_on,
    .delete_plan = fake_overlay_delete_plan,
    .pull = fake_overlay_pull,
    .delete_stop = fake_overlay_delete_stop,
    .refreeze = fake_overlay_refreeze,
    .merge = fake_overlay_merge,
    .merge_astray = fake_overlay_merge_astray,
    .merge_went_on = fake_overlay_merge_went_on,
    .merge_went_below = fake_overlay_merge_went_below,
    .merge_switch = fake_overlay_merge_switch,
    .merge_switched = fake_overlay_merge_switched,
    .merge_finish = fake_overlay_merge_finish,
    .remove = fake_overlay_remove,
};
