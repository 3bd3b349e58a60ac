/* SPDX-License-Identifier: LGPL-2.1-only */
/* Reference driver fake-internal: a snapshot inside the image. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fakes/fake_disk_int.h"
#include "lib/mem.h"

static int i_match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || p->target || p->keep_path ||
        !snap_part_by_qemu(p) ||
        (p->format && !snap_streq(p->format, "qcow2")))
        return 0;
    return want == SNAP_DISK_AUTO && p->stem ? 5 : 20;
}

/* ---- taking ---- */

static int i_probe(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    int rc;

    rc = fake_fault("probe", p->vdev, err);
    if (rc)
        return rc;
    p->type = SNAP_DISK_INTERNAL;
    rc = fake_probe_image(c, p, err);
    if (rc)
        return rc;
    if (fake_find_snap(S, fake_lookup(S, p->path), p->tag))
        return snap_fail(err, SNAP_EXISTS, "%s: snapshot %s exists in it",
                         p->path, p->tag);
    /* The image itself, for the path may be a link. */
    snap_set(&p->frozen_path, fake_real_path(p->path));
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->path);
    snap_set(&p->active_format, p->format);
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_int(p->data, "since", (int64_t)S->version);
    return 0;
}

static int i_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    (void)c;
    p->prepared = true;
    return fake_fault("prepare", p->vdev, err);
}

static int i_drop(const struct snap_part *p, const char *tag)
{
    int i = fake_lookup(S, p->frozen_path);
    struct fake_snap *sn = fake_find_snap(S, i, tag);

    if (i >= 0 && sn)
        sn->used = false;
    return 0;
}

static int i_undo(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);
    struct fake_snap *sn = fake_find_snap(S, i, p->tag);

    (void)c;
    rc = fake_fault("undo", p->vdev, err);
    if (rc)
        return rc;
    /* Prepared by this process and not taken: whose is it, then?  In another
     * process only its age tells. */
    if (i >= 0 && sn && (p->taken || !p->prepared) &&
        (int64_t)sn->made > snap_json_get_int(p->data, "since", 0))
        sn->used = false;
    p->taken = p->prepared = false;
    return 0;
}

static int i_inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                     enum snap_part_state *state_r, struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);

    (void)c;
    rc = fake_fault("inspect", p->vdev, err);
    if (rc)
        return rc;
    *state_r = i >= 0 && fake_find_snap(S, i, p->tag) ? SNAP_PART_PRESENT
                                                      : SNAP_PART_ABSENT;
    return 0;
}

/* ---- going back ---- */

/* Others need the image as it is: the snapshot is brought back as a copy. */
static bool is_copy(const struct snap_part *p)
{
    return p->leaf_path && !snap_streq(p->leaf_path, p->frozen_path) &&
           (fake_lookup(S, p->leaf_path) < 0 ||
            fake_lookup(S, p->leaf_path) != fake_lookup(S, p->frozen_path));
}

static void i_plan_leaf(struct snap_disk_ctx *c, struct snap_part *p)
{
    int i = fake_lookup(S, p->frozen_path);

    if (p->leaf_dir || p->shared || S->image[i].immutable ||
        fake_has_child(i)) {
        fake_plan_leaf(c, p);
    } else {
        snap_set(&p->leaf_path,
                 fake_lookup(S, p->path) == fake_lookup(S, p->frozen_path)
                     ? p->path
                     : p->frozen_path);
        snap_set(&p->leaf_format, p->frozen_format);
    }
}

static int make_copy(struct snap_part *p, struct snap_err *err)
{
    int rc, i, from = fake_lookup(S, p->frozen_path);
    const struct fake_snap *sn = fake_find_snap(S, from, p->tag);

    if (!sn || fake_entry(S, p->leaf_path) >= 0)
        return snap_fail(err, SNAP_EXISTS, "%s exists", p->leaf_path);
    i = fake_add_entry(S, p->leaf_path, "qcow2", S->image[from].size);
    S->image[i].ours = S->image[i].copy = true;
    S->image[i].whole = false;
    rc = fake_fault("revert_prepare half", p->vdev, err);
    if (rc)
        return rc;
    S->image[i].content = sn->content;
    S->image[i].own = S->image[i].whole = true;
    return 0;
}

static int i_verify(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc;

    rc = fake_fault("verify", p->vdev, err);
    if (rc)
        return rc;
    rc = fake_verify_image(p, p->frozen_path, p->frozen_format, err);
    if (rc)
        return rc;
    if (!fake_find_snap(S, fake_lookup(S, p->frozen_path), p->tag))
        return snap_fail(err, SNAP_NOTFOUND, "%s: no snapshot %s in it",
                         p->frozen_path, p->tag);
    i_plan_leaf(c, p);
    return 0;
}

static int i_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                            struct snap_err *err)
{
    int rc;

    rc = fake_fault("revert_prepare", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        i_plan_leaf(c, p);
    return is_copy(p) ? make_copy(p, err) : 0;
}

static void undo_tag(const struct snap_disk_ctx *c, char *buf, size_t len)
{
    snprintf(buf, len, "xlsnap-undo-%s", c->op_id);
}

/* What brings it back as it was, or NULL. */
static struct fake_snap *way_back(const struct snap_disk_ctx *c,
                                  const struct snap_part *p)
{
    int i = fake_lookup(S, p->frozen_path);
    char undo[40];

    undo_tag(c, undo, sizeof(undo));
    return i < 0 || is_copy(p) ? NULL : fake_find_snap(S, i, undo);
}

/* Somebody may have run on what was brought back. */
static int check_unwritten(const struct snap_disk_ctx *c,
                           const struct snap_part *p, struct snap_err *err)
{
    int i = fake_lookup(S, p->frozen_path);
    const struct fake_snap *old = way_back(c, p);
    const struct fake_snap *sn = fake_find_snap(S, i, p->tag);
    uint64_t has = fake_content_of(S, i);

    if (!old || !sn || c->discard || has == old->content || has == sn->content)
        return 0;
    return snap_fail(err, SNAP_RECOVER, "%s was written to since",
                     p->frozen_path);
}

static int i_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                      bool back, struct snap_held_images *l,
                      struct snap_err *err)
{
    int rc = fake_fault("in_place", p->vdev, err);

    if (!rc && back && way_back(c, p))
        rc = fake_check_unused(c, p->frozen_path, err);
    if (!rc && back)
        rc = check_unwritten(c, p, err);
    if (!rc && !is_copy(p))
        snap_held_images_add(l, p->frozen_path, !back || way_back(c, p));
    return rc;
}

static int i_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);
    char undo[40];
    struct fake_snap *sn;

    rc = fake_fault("revert_switch", p->vdev, err);
    if (!rc)
        rc = fake_check_unused(c, p->leaf_path, err);
    if (rc)
        return rc;
    if (is_copy(p)) {
        p->switched = true;
        return fake_fault("revert_switch done", p->vdev, err);
    }
    undo_tag(c, undo, sizeof(undo));
    if (!fake_find_snap(S, i, undo))
        fake_add_snap(S, i, undo);
    S->image[i].changing = getpid();
    rc = fake_fault("revert_switch half", p->vdev, err);
    if (rc)
        return rc;
    S->image[i].changing = 0;
    sn = fake_find_snap(S, i, p->tag);
    if (!sn)
        return snap_fail(err, SNAP_NOTFOUND, "%s: no snapshot %s in it",
                         p->frozen_path, p->tag);
    fake_write_to(S, i, sn->content);
    p->switched = true;
    return fake_fault("revert_switch done", p->vdev, err);
}

static int i_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc;
    char undo[40];

    rc = fake_fault("revert_finish", p->vdev, err);
    if (rc)
        return rc;
    undo_tag(c, undo, sizeof(undo));
    rc = i_drop(p, undo);
    return rc ? rc : fake_drop_leaf(c, p, err);
}

static int i_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);
    struct fake_snap *sn;

    rc = fake_fault("revert_undo", p->vdev, err);
    if (rc)
        return rc;
    if (is_copy(p)) {
        p->switched = false;
        i = fake_entry(S, p->leaf_path);
        if (i < 0 || !S->image[i].copy)
            return 0;
        return fake_undo_leaf(c, p, i, S->image[i].stamp, err);
    }
    if (c->only_look)
        return 0;
    sn = way_back(c, p);
    if (sn) {
        rc = fake_check_unused(c, p->frozen_path, err);
        if (!rc)
            rc = check_unwritten(c, p, err);
        if (rc)
            return rc;
        S->image[i].changing = getpid();
        S->left = false;
        rc = fake_fault("revert_undo half", p->vdev, err);
        if (rc)
            return rc;
        S->image[i].changing = 0;
        fake_write_to(S, i, sn->content);
        sn->used = false;
    }
    p->switched = false;
    return 0;
}

/* ---- giving it up ---- */

static int i_remove(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);

    (void)c;
    rc = fake_fault("remove", p->vdev, err);
    if (rc)
        return rc;
    /* The file changes with it. */
    if (i >= 0 && fake_find_snap(S, i, p->tag))
        S->image[i].stamp = ++S->stamps;
    rc = i_drop(p, p->tag);
    return rc ? rc : fake_fault("remove done", p->vdev, err);
}

static int i_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_delete *d, struct snap_err *err)
{
    int rc, i = fake_lookup(S, p->frozen_path);
    struct fake_open *o = fake_live(c, p);

    rc = fake_fault("delete_plan", p->vdev, err);
    d->how = SNAP_DELETE_DROP;
    if (rc || i < 0)
        return rc;
    if (fake_top_over(i) >= 0 && fake_top_over(i) != i)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is below %s, to which the domain writes",
                         p->frozen_path, S->image[fake_top_over(i)].path);
    if (fake_top_over(i) == i && !(o && o->image == i))
        return snap_fail(err, SNAP_BUSY, "%s is open", p->frozen_path);
    return 0;
}

const struct snap_disk_driver fake_internal = {
    .name = "fake-internal",
    .doc = "a snapshot inside an image in memory",
    .live = true,
    .offline = true,
    .inside = true,
    .can_fill_up = true,
    .needs_qmp = true,
    .match = i_match,
    .probe = i_probe,
    .check = snap_slot_check_inside,
    .identity = fake_file_identity,
    .group = &fake_qemu_group,
    .group_key = snap_slot_group_name,
    .prepare = i_prepare,
    .secure = fake_secure,
    .finish = fake_nothing,
    .undo = i_undo,
    .inspect = i_inspect,
    .verify = i_verify,
    .revert_prepare = i_revert_prepare,
    .in_place = i_in_place,
    .revert_switch = i_revert_switch,
    .revert_finish = i_revert_finish,
    .revert_undo = i_revert_undo,
    .stands_on = fake_stands_on,
    .delete_plan = i_delete_plan,
    SNAP_SLOTS_NO_CHAIN,
    .remove = i_remove,
};
