/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reference driver fake-volume: volumes of a pool, as LVM has them.  What is
 * frozen lies beside the disk, which the guest goes on writing to, and is
 * another volume: its name, "vol/a-s1", is no path.  Its device is, and a domain
 * may have that: /dev/mapper/vol-a--s1.
 *
 * As hard to get on with as the real ones:
 *
 *  - one volume is taken after the other, so a process that dies leaves some;
 *  - a frozen volume may fill up as the guest writes, and is lost then;
 *  - going back merges it into the disk, which uses it up: a spare copy is
 *    made before, and gets its name afterwards;
 *  - where others need the disk as it is, or it is gone, going back needs a
 *    copy, as a clone does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/fake_disk_int.h"
#include "lib/fault.h"
#include "lib/mem.h"
#include "lib/space.h"

#define POOL      "/vol/"
#define MATCH_VOL 30
#define METADATA  (4u << 20) /* of the pool, for one volume more */

static int match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || p->target || p->script ||
        !snap_has_prefix(p->path, POOL) || !snap_streq(p->format, "raw"))
        return 0;
    return MATCH_VOL;
}

/* ---- names, and whose a volume is ---- */

static char *volume_of(const char *device, const char *suffix)
{
    return snap_printf("%s-%s", device + 1, suffix);
}

static char *helper_of(const struct snap_disk_ctx *c,
                       const struct snap_part *p, const char *what)
{
    return snap_printf("%s-%s%s", p->active_path + 1, what, c->op_id);
}

static const char *mark_of(const struct snap_part *p)
{
    const char *mark = snap_json_get_str(p->data, "mark");

    return mark ? mark : "";
}

static bool is_ours(const struct snap_part *p, int i)
{
    return i >= 0 && S->image[i].mark[0] &&
           !strcmp(S->image[i].mark, mark_of(p));
}

static int frozen_of(const struct snap_part *p)
{
    return fake_entry(S, p->frozen_path);
}

static int make(const char *name, uint64_t size, const char *mark)
{
    int i = fake_add_entry(S, name, "raw", size);

    S->image[i].ours = true;
    S->image[i].whole = false;
    snprintf(S->image[i].mark, sizeof(S->image[i].mark), "%s", mark);
    return i;
}

static void fill(int i, uint64_t content)
{
    S->image[i].content = content;
    S->image[i].own = S->image[i].whole = true;
}

static void drop(const char *name)
{
    fake_drop_entry(S, fake_entry(S, name));
}

/* ---- taking ---- */

/* space: what the plan promised to other disks is not there for this one. */
static int check_pool(struct snap_space *space, const struct snap_part *p,
                      struct snap_err *err)
{
    static const char pool[] = "volume vol, metadata";

    if (snap_space_pool_left(space, pool, S->pool_bytes) < METADATA)
        return snap_fail(err, SNAP_NOSPACE,
                         "%s: its pool has no room for a snapshot", p->path);
    snap_space_pool_take(space, pool, METADATA);
    return 0;
}

static int probe(struct snap_disk_ctx *c, struct snap_part *p,
                 struct snap_err *err)
{
    int rc = fake_fault("probe", p->vdev, err);

    p->type = SNAP_DISK_INTERNAL;
    if (!rc)
        rc = fake_probe_image(c, p, err);
    if (!rc)
        rc = check_pool(c->space, p, err);
    if (rc)
        return rc;
    snap_free(&p->frozen_path);
    p->frozen_path = volume_of(p->path, p->tag);
    snap_set(&p->frozen_kind, "volume");
    snap_set(&p->frozen_format, "raw");
    snap_set(&p->active_path, p->path);
    snap_set(&p->active_format, p->format);
    if (frozen_of(p) >= 0)
        return snap_fail(err, SNAP_EXISTS, "there is a volume %s",
                         p->frozen_path);
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_str(p->data, "mark", c->op_id);
    return 0;
}

static int check(const struct snap_part *p, struct snap_err *err)
{
    const char *slash = strchr(p->frozen_path, '/');

    if (!snap_streq(p->frozen_kind, "volume") || p->before_kind ||
        p->active_kind)
        return snap_fail(err, SNAP_CORRUPT, "frozen: not a volume");
    if (!slash || slash == p->frozen_path || strchr(slash + 1, '/'))
        return snap_fail(err, SNAP_CORRUPT, "frozen: not POOL/NAME");
    return 0;
}

/* By the name that a record has, or by that of its device. */
static char *identity(struct snap_object o)
{
    return o.kind && !snap_streq(o.kind, "volume") ? NULL
                                                   : fake_identity(o, true);
}

static const char *group_key(const struct snap_part *p)
{
    (void)p;
    return "volume:vol";
}

static int prepare(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    (void)c;
    p->prepared = true;
    return fake_fault("prepare", p->vdev, err);
}

static int take_one(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i, from = fake_lookup(S, p->path);

    rc = check_pool(NULL, p, err);
    if (!rc && c->domid == UINT32_MAX)
        rc = fake_check_unused(c, p->path, err);
    if (rc)
        return rc;
    if (from < 0 || frozen_of(p) >= 0)
        return snap_fail(err, SNAP_EXISTS, "%s cannot be taken", p->vdev);
    i = make(p->frozen_path, S->image[from].size, mark_of(p));
    S->image[i].frozen = true;
    p->taken = true;
    rc = fake_fault("take half", p->vdev, err);
    if (rc)
        return rc;
    fill(i, fake_content_of(S, from));
    S->image[i].origin = from;
    S->image[i].room = S->room;
    return c->domid == UINT32_MAX ? fake_check_unused(c, p->path, err) : 0;
}

static int undo(struct snap_disk_ctx *c, struct snap_part *p,
                struct snap_err *err)
{
    int rc = fake_fault("undo", p->vdev, err), i = frozen_of(p);

    (void)c;
    if (rc)
        return rc;
    if (is_ours(p, i))
        fake_drop_entry(S, i);
    p->taken = p->prepared = false;
    return 0;
}

static int take(struct snap_disk_ctx *c, struct snap_part *const *parts,
                size_t n, struct snap_err *err)
{
    int rc = 0;
    size_t i;

    for (i = 0; !rc && i < n; i++) {
        rc = fake_fault("take", parts[i]->vdev, err);
        if (!rc)
            rc = take_one(c, parts[i], err);
    }
    for (i = 0; rc && i < n; i++)
        if (parts[i]->taken && undo(c, parts[i], NULL))
            rc = SNAP_RECOVER;
    for (i = 0; !rc && i < n; i++)
        if (fake_fault("take done", parts[i]->vdev, err))
            rc = SNAP_RECOVER; /* what it did is not known */
    if (rc == SNAP_RECOVER && err)
        err->rc = rc;
    return rc;
}

static int inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err)
{
    int i = frozen_of(p);

    (void)c;
    if (i < 0)
        *state_r = SNAP_PART_ABSENT;
    else if (!is_ours(p, i))
        *state_r = SNAP_PART_FOREIGN;
    else
        *state_r = S->image[i].whole ? SNAP_PART_PRESENT : SNAP_PART_PARTIAL;
    return fake_fault("inspect", p->vdev, err);
}

static const struct snap_group volume_group = {
    .name = "volume",
    .deadline_ms = SNAP_TAKE_MAX_MS,
    .take = take,
    .was_taken = snap_group_all_there,
};

/* ---- going back ---- */

static bool is_copy(const struct snap_part *p)
{
    return p->leaf_path && !snap_streq(p->leaf_path, p->active_path);
}

/* May the disk change in place?  It may be another snapshot's by now, which op/
 * says, if it could read that. */
static bool is_free(const struct snap_part *p)
{
    int i = fake_lookup(S, p->active_path);

    return i >= 0 && !p->shared && !S->image[i].immutable &&
           !fake_has_child(i);
}

static void plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p)
{
    char *beside, *suffix;

    snap_set(&p->leaf_format, "raw");
    if (!p->leaf_dir && is_free(p)) {
        snap_set(&p->leaf_path, p->active_path);
        return;
    }
    suffix = snap_printf("-r%s", c->op_id);
    beside = p->leaf_dir ? snap_printf("%s/x", p->leaf_dir)
                         : snap_strdup(p->active_path);
    free(p->leaf_path);
    p->leaf_path = fake_sibling(p, beside, suffix);
    free(suffix);
    free(beside);
}

static int verify(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc = fake_fault("verify", p->vdev, err);

    if (!rc && !p->frozen_path)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: a volume is found by the snapshot's record only",
                         p->vdev);
    if (!rc)
        rc = fake_verify_image(p, p->frozen_path, "raw", err);
    if (!rc && !is_ours(p, frozen_of(p)))
        rc = snap_fail(err, SNAP_CORRUPT, "%s is not the volume that was made",
                       p->frozen_path);
    if (!rc)
        plan_leaf(c, p);
    return rc;
}

static int revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err)
{
    int i, rc = fake_fault("revert_prepare", p->vdev, err);
    char *name;

    if (!rc)
        rc = check_pool(NULL, p, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        plan_leaf(c, p);
    name = is_copy(p) ? snap_strdup(p->leaf_path) : helper_of(c, p, "spare-");
    if (fake_entry(S, name) >= 0) {
        rc = snap_fail(err, SNAP_EXISTS, "there is a volume %s", name);
        goto out;
    }
    i = make(name, S->image[frozen_of(p)].size,
             is_copy(p) ? c->op_id : mark_of(p));
    S->image[i].copy = true;
    S->image[i].frozen = !is_copy(p);
    rc = fake_fault("revert_prepare half", p->vdev, err);
    if (!rc)
        fill(i, fake_content_of(S, frozen_of(p)));

out:
    free(name);
    return rc;
}

/* What the disk had before, or -1. */
static int way_back(const struct snap_disk_ctx *c, const struct snap_part *p)
{
    char *name = helper_of(c, p, "undo-");
    int i = is_copy(p) ? -1 : fake_entry(S, name);

    free(name);
    return i >= 0 && S->image[i].whole ? i : -1;
}

/* Once it is known how it ends: the spare copy takes the place of what was
 * merged, or goes. */
static void settle_spare(const struct snap_disk_ctx *c,
                         const struct snap_part *p)
{
    char *name = helper_of(c, p, "spare-");
    int i = fake_entry(S, name);

    if (i >= 0 && S->image[i].whole && frozen_of(p) < 0) {
        snprintf(S->image[i].path, FAKE_PATH, "%s", p->frozen_path);
        S->image[i].copy = false;
    } else if (i >= 0) {
        fake_drop_entry(S, i);
    }
    free(name);
}

static uint64_t frozen_content(const struct snap_disk_ctx *c,
                               const struct snap_part *p)
{
    char *spare = helper_of(c, p, "spare-");
    int i = frozen_of(p) < 0 ? fake_entry(S, spare) : frozen_of(p);

    free(spare);
    return fake_content_of(S, i);
}

/* Somebody may have run on what was brought back. */
static int check_unwritten(const struct snap_disk_ctx *c,
                           const struct snap_part *p, struct snap_err *err)
{
    int old = way_back(c, p);
    uint64_t has = fake_store_content(S, p->active_path);

    if (old < 0 || c->discard || has == S->image[old].content ||
        has == frozen_content(c, p))
        return 0;
    return snap_fail(err, SNAP_RECOVER, "%s was written to since",
                     p->active_path);
}

static int in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                    bool back, struct snap_held_images *l,
                    struct snap_err *err)
{
    int rc = fake_fault("in_place", p->vdev, err);
    bool changes = !back || way_back(c, p) >= 0;

    if (!rc && back && changes)
        rc = fake_check_unused(c, p->active_path, err);
    if (!rc && back)
        rc = check_unwritten(c, p, err);
    if (!rc && !is_copy(p) && fake_entry(S, p->active_path) >= 0)
        snap_held_images_add(l, p->active_path, changes);
    return rc;
}

/* What the disk has now is put aside first. */
static int put_aside(const struct snap_disk_ctx *c, const struct snap_part *p,
                     struct snap_err *err)
{
    char *name = helper_of(c, p, "undo-");
    int i = fake_entry(S, name), rc = 0, disk = fake_lookup(S, p->active_path);

    if (i < 0) {
        i = make(name, S->image[disk].size, c->op_id);
        rc = fake_fault("revert_switch aside", p->vdev, err);
        if (!rc)
            fill(i, fake_content_of(S, disk));
    }
    free(name);
    return rc;
}

static int merge_frozen(const struct snap_disk_ctx *c,
                        const struct snap_part *p, struct snap_err *err)
{
    int rc, disk = fake_lookup(S, p->active_path);
    uint64_t content = fake_content_of(S, frozen_of(p));

    S->image[disk].changing = getpid();
    rc = fake_fault("revert_switch half", p->vdev, err);
    if (rc)
        return rc;
    S->image[disk].changing = 0;
    fake_write_to(S, disk, content);
    drop(p->frozen_path);
    rc = fake_fault("revert_switch merged", p->vdev, err);
    if (!rc)
        settle_spare(c, p);
    return rc;
}

static int revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc = fake_fault("revert_switch", p->vdev, err);

    if (!rc)
        rc = fake_check_unused(c, p->leaf_path, err);
    if (!rc && !is_copy(p)) {
        rc = put_aside(c, p, err);
        if (!rc)
            rc = merge_frozen(c, p, err);
    }
    if (rc)
        return rc;
    p->switched = true;
    return fake_fault("revert_switch done", p->vdev, err);
}

static int revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc = fake_fault("revert_finish", p->vdev, err);
    char *name = helper_of(c, p, "undo-");

    if (!rc && !is_copy(p)) {
        settle_spare(c, p);
        drop(name);
    }
    free(name);
    return rc ? rc : fake_drop_leaf(c, p, err);
}

static int undo_copy(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int i = fake_entry(S, p->leaf_path);

    p->switched = false;
    if (i < 0 || !S->image[i].copy)
        return 0;
    return fake_undo_leaf(c, p, i, S->image[i].stamp, err);
}

static int put_back(struct snap_disk_ctx *c, struct snap_part *p, int old,
                    struct snap_err *err)
{
    int rc = fake_check_unused(c, p->active_path, err);
    int disk = fake_lookup(S, p->active_path);

    if (!rc)
        rc = check_unwritten(c, p, err);
    if (rc)
        return rc;
    S->image[disk].changing = getpid();
    S->left = false;
    rc = fake_fault("revert_undo half", p->vdev, err);
    if (rc)
        return rc;
    S->image[disk].changing = 0;
    fake_write_to(S, disk, S->image[old].content);
    return 0;
}

static int revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int old, rc = fake_fault("revert_undo", p->vdev, err);
    char *name;

    if (rc || (c->only_look && !is_copy(p)))
        return rc;
    if (is_copy(p))
        return undo_copy(c, p, err);
    old = way_back(c, p);
    rc = old >= 0 ? put_back(c, p, old, err) : 0;
    if (rc)
        return rc;
    settle_spare(c, p);
    name = helper_of(c, p, "undo-");
    drop(name);
    free(name);
    p->switched = false;
    return 0;
}

/* ---- giving it up ---- */

static int stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                     struct snap_object o, enum snap_stand *how_r,
                     struct snap_err *err)
{
    (void)c;
    *how_r = fake_lookup(S, o.id) < 0 ? SNAP_STAND_GONE : SNAP_STAND_ALONE;
    return fake_fault("stands_on", p->vdev ? p->vdev : "any", err);
}

static int delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_delete *d, struct snap_err *err)
{
    int i = frozen_of(p), rc = fake_fault("delete_plan", p->vdev, err);

    (void)c;
    d->how = SNAP_DELETE_DROP;
    if (!rc && i >= 0 && fake_is_open(S, i))
        rc = snap_fail(err, SNAP_BUSY, "%s is open", p->frozen_path);
    return rc;
}

static int remove_frozen(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int i = frozen_of(p), rc = fake_fault("remove", p->vdev, err);

    (void)c;
    if (rc)
        return rc;
    if (!p->keep_image && is_ours(p, i))
        fake_drop_entry(S, i);
    return fake_fault("remove done", p->vdev, err);
}

const struct snap_disk_driver fake_volume = {
    .name = "fake-volume",
    .doc = "a volume in memory beside the one that it was taken of",
    .live = true,
    .offline = true,
    .can_fill_up = true,
    .match = match,
    .probe = probe,
    .check = check,
    .identity = identity,
    .group = &volume_group,
    .group_key = group_key,
    .prepare = prepare,
    .secure = fake_secure,
    .finish = snap_slot_nothing,
    .undo = undo,
    .inspect = inspect,
    .verify = verify,
    .revert_prepare = revert_prepare,
    .in_place = in_place,
    .revert_switch = revert_switch,
    .revert_finish = revert_finish,
    .revert_undo = revert_undo,
    .stands_on = stands_on,
    .delete_plan = delete_plan,
    SNAP_SLOTS_NO_CHAIN,
    .remove = remove_frozen,
};
