/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See fake_disk.h.  Written for reading: this is what a driver has to do,
 * without any storage in the way.  Here is what the three drivers share; each
 * of them is in fake_inside.c or fake_overlay.c.
 */
#include "fakes/fake_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/fake_disk_int.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

int fake_fault(const char *what, const char *vdev, struct snap_err *err)
{
    char *s = snap_printf("%s %s", what, vdev);
    int e = snap_fault("disk", s), rc = 0;

    if (e)
        rc = snap_fail_errno(err, SNAP_IO, e, "%s", s);
    free(s);
    return rc;
}

struct fake_open *fake_live(const struct snap_disk_ctx *c,
                            const struct snap_part *p)
{
    return c->domid == UINT32_MAX ? NULL : fake_opener(S, c->domid, p->vdev);
}

int fake_check_others(struct snap_disk_ctx *c, const char *path, bool readers,
                      struct snap_err *err)
{
    char *who = NULL;
    int rc = 0, i = fake_lookup(S, path);

    (void)readers;
    /* Whoever came since we hold it could not open it. */
    if (c->image_user && !fake_is_held(S, i, getpid()))
        rc = c->image_user(c->opaque, path, &who, err);
    if (!rc && who)
        rc = snap_fail(err, SNAP_BUSY, "%s is used by %s", path, who);
    else if (!rc && i >= 0 && S->image[i].looped)
        rc = snap_fail(err, SNAP_BUSY, "%s is used by a loop device", path);
    else if (!rc && i >= 0 && c->domid == UINT32_MAX && fake_is_open(S, i))
        rc = snap_fail(err, SNAP_BUSY, "%s is open", path);
    free(who);
    return rc;
}

int fake_check_unused(struct snap_disk_ctx *c, const char *path,
                      struct snap_err *err)
{
    int rc = fake_check_others(c, path, false, err), i = fake_lookup(S, path);

    if (!rc && i >= 0 && fake_is_open(S, i))
        rc = snap_fail(err, SNAP_BUSY, "%s is open", path);
    return rc;
}

bool fake_has_child(int image)
{
    int i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (S->image[i].exists && S->image[i].backing == image)
            return true;
    return false;
}

int fake_top_over(int image)
{
    int i, k, depth;

    for (i = 0; i < FAKE_OPEN; i++) {
        if (!S->open[i].used)
            continue;
        for (k = S->open[i].image, depth = 0; k >= 0 && depth < FAKE_IMAGES;
             k = S->image[k].backing, depth++)
            if (k == image)
                return S->open[i].image;
    }
    return -1;
}

char *fake_stem_of(const struct snap_part *p, const char *path)
{
    const char *base = snap_basename(path);

    return p->stem ? snap_strdup(p->stem)
                   : snap_strndup(base, strcspn(base, "."));
}

char *fake_sibling(const struct snap_part *p, const char *path,
                   const char *suffix)
{
    char *dir = snap_dirname(path), *stem = fake_stem_of(p, path), *s;

    s = snap_printf("%s/%s.%s%s", dir, stem, p->tag, suffix);
    free(dir);
    free(stem);
    return s;
}

const char *fake_real_path(const char *path)
{
    int i = fake_lookup(S, path);

    return i < 0 || fake_is_volume(i) ? path : S->image[i].path;
}

int fake_probe_image(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int i = fake_lookup(S, p->path);
    struct fake_open *o = fake_live(c, p);

    if (p->path[0] != '/')
        return snap_fail(
            err, SNAP_UNSUPPORTED,
            "image \"%s\" is not an absolute path; give it one in the xl.cfg and start the domain anew, or use --no-disk %s",
            p->path, p->vdev);
    if (i < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", p->path);
    if (S->image[i].damaged || strcmp(S->image[i].format, p->format))
        return snap_fail(err, SNAP_REFUSED, "%s is not a sound %s image",
                         p->path, p->format);
    if (c->domid != UINT32_MAX && (!o || o->image != i))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: the domain does not write to %s", p->vdev,
                         p->path);
    if (c->domid == UINT32_MAX && fake_is_open(S, i))
        return snap_fail(err, SNAP_BUSY, "%s is open", p->path);
    p->size = S->image[i].size;
    if (o)
        snap_set(&p->node, p->vdev);
    return 0;
}

int fake_verify_image(const struct snap_part *p, const char *path,
                      const char *format, struct snap_err *err)
{
    int i = fake_lookup(S, path);

    if (i < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", path);
    if (!fake_content_of(S, i) || strcmp(S->image[i].format, format))
        return snap_fail(err, SNAP_CORRUPT, "%s is damaged", path);
    if (p->size && p->size != S->image[i].size)
        return snap_fail(err, SNAP_CORRUPT, "%s has another size than it had",
                         path);
    return 0;
}

/* What it would sync is there in any case here; it can fail, and be died in. */
int fake_secure(struct snap_disk_ctx *c, struct snap_part *p,
                struct snap_err *err)
{
    int e = snap_fault("disk", "secure");

    (void)c;
    return e ? snap_fail_errno(err, SNAP_IO, e, "%s", p->vdev) : 0;
}

int fake_nothing(struct snap_disk_ctx *c, struct snap_part *p,
                 struct snap_err *err)
{
    (void)c;
    (void)p;
    (void)err;
    return 0;
}

/* ---- taking ---- */

/* Domain off: nobody opens for writing what is frozen, and nobody has it. */
static int hold_frozen(struct snap_disk_ctx *c, struct snap_part *p, int img,
                       struct snap_err *err)
{
    int rc;

    if (p->type != SNAP_DISK_EXTERNAL || c->domid != UINT32_MAX)
        return 0;
    rc = fake_check_unused(c, S->image[img].path, err);
    if (rc)
        return rc;
    S->image[img].immutable = true;
    rc = fake_fault("take protected", p->vdev, err);
    if (!rc)
        rc = fake_check_unused(c, S->image[img].path, err);
    if (rc)
        S->image[img].immutable = false;
    return rc;
}

/* It is sent, and no reply comes. */
static int take_late(struct snap_disk_ctx *c, struct snap_part *const *parts,
                     size_t n, struct snap_err *err)
{
    size_t i;

    for (i = 0; i < n; i++) {
        S->to_do[i].open = (int)(fake_live(c, parts[i]) - S->open);
        S->to_do[i].to = fake_lookup(S, parts[i]->target);
        S->to_do[i].used = true;
    }
    S->late_sent = true;
    snap_fault("disk", "take sent");
    return snap_fail(err, SNAP_RECOVER, "QEMU does not answer");
}

/* All or none, as QEMU does it. */
static int take(struct snap_disk_ctx *c, struct snap_part *const *parts,
                size_t n, struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < n; i++) {
        struct snap_part *p = parts[i];
        struct fake_open *o = fake_live(c, p);
        int img = o ? o->image : fake_lookup(S, p->path);

        rc = fake_fault("take", p->vdev, err);
        if (rc)
            return rc;
        if (img < 0 || (p->type == SNAP_DISK_EXTERNAL
                            ? fake_lookup(S, p->target) < 0
                            : fake_find_snap(S, img, p->tag) != NULL))
            return snap_fail(err, SNAP_FAIL, "%s cannot be taken", p->vdev);
        rc = hold_frozen(c, p, img, err);
        if (rc)
            return rc;
    }
    if (S->late)
        return take_late(c, parts, n, err);
    for (i = 0; i < n; i++) {
        struct snap_part *p = parts[i];
        struct fake_open *o = fake_live(c, p);
        int img = o ? o->image : fake_lookup(S, p->path);

        if (i && S->mortal && fake_fault("take half", p->vdev, NULL))
            abort();
        if (p->type == SNAP_DISK_EXTERNAL) {
            int to = fake_lookup(S, p->target);

            S->image[img].frozen = true;
            snap_json_set_int(p->data, "base_stamp",
                              (int64_t)S->image[img].stamp);
            S->image[to].taken = true;
            if (o)
                o->image = to;
            if (p->keep_path) {
                int link = fake_entry(S, p->path);

                if (S->image[link].alias < 0) {
                    /* The base gets its other name, a link its old one. */
                    snprintf(S->image[img].path, FAKE_PATH, "%s",
                             p->frozen_path);
                    link = fake_add_entry(S, p->path, "qcow2", p->size);
                }
                S->image[link].alias = to;
            }
        } else {
            fake_add_snap(S, img, p->tag);
        }
        p->taken = true;
    }
    for (i = 0; i < n; i++) {
        rc = fake_fault("take done", parts[i]->vdev, err);
        if (rc) {
            if (err)
                err->rc = SNAP_RECOVER;
            return SNAP_RECOVER;
        }
    }
    return 0;
}

static bool any_live(const struct snap_disk_ctx *c,
                     struct snap_part *const *parts, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (fake_live(c, parts[i]))
            return true;
    return false;
}

/* It makes the snapshots inside images first, and moves to overlays last: with
 * a QEMU that is gone, one that it moved to tells that all was done. */
static int was_taken(struct snap_disk_ctx *c, struct snap_part *const *parts,
                     size_t n, enum snap_taken *how_r, struct snap_err *err)
{
    int rc;
    size_t i, present = 0, moved = 0, missing = 0;
    enum snap_part_state st;

    for (i = 0; i < n; i++) {
        bool moves = parts[i]->drv->moves_active;

        rc = snap_part_look(c, parts[i], &st, err);
        if (rc)
            return rc;
        present += parts[i]->taken;
        moved += parts[i]->taken && moves;
        missing += !parts[i]->taken && (!moves || st != SNAP_PART_PARTIAL);
    }
    if (!present || present == n)
        *how_r = present ? SNAP_TAKEN_ALL : SNAP_TAKEN_NONE;
    else if (any_live(c, parts, n) || (moved && missing))
        *how_r = SNAP_TAKEN_HALF;
    else
        *how_r = moved ? SNAP_TAKEN_ALL : SNAP_TAKEN_NONE;
    return 0;
}

const struct snap_group fake_qemu_group = {
    .name = "qemu",
    .deadline_ms = SNAP_TAKE_MAX_MS,
    .take = take,
    .was_taken = was_taken,
};

/* ---- going back ---- */

void fake_plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p)
{
    char *suffix = snap_printf("-r%s.qcow2", c->op_id);
    char *beside = p->leaf_dir ? snap_printf("%s/x", p->leaf_dir)
                               : snap_strdup(p->path);

    free(p->leaf_path);
    p->leaf_path = fake_sibling(p, beside, suffix);
    free(beside);
    snap_set(&p->leaf_format, "qcow2");
    free(suffix);
}

void fake_image_stamp(const char *path, struct snap_stamp *now_r)
{
    int i = fake_entry(S, path);

    memset(now_r, 0, sizeof(*now_r));
    if (i < 0)
        return;
    now_r->known = true;
    now_r->mtime_ns = now_r->at_ns = (int64_t)S->image[i].stamp;
}

bool fake_is_somebodys(struct snap_disk_ctx *c, int i,
                       const struct snap_stamp *then)
{
    struct snap_stamp now;

    fake_image_stamp(S->image[i].path, &now);
    if (!snap_stamp_differs(then, &now))
        return false;
    S->image[i].ours = false;
    snap_say(c->log, SNAP_LOG_WARN, "%s is kept: somebody has written to it",
             S->image[i].path);
    return true;
}

int fake_drop_leaf(struct snap_disk_ctx *c, const struct snap_part *p,
                   struct snap_err *err)
{
    const char *path = p->drop_path;
    int rc, i = path ? fake_entry(S, path) : -1;

    if (i < 0)
        return 0;
    if ((S->image[i].backing < 0 && !S->image[i].ours) || fake_has_child(i))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is no leaf of ours, or one that is needed", path);
    rc = fake_check_unused(c, path, err);
    if (rc)
        return rc;
    S->image[i].frozen = S->image[i].immutable = false;
    if (!fake_is_somebodys(c, i, &p->dropped))
        fake_drop_entry(S, i);
    return 0;
}

int fake_undo_leaf(struct snap_disk_ctx *c, const struct snap_part *p, int i,
                   bool written, struct snap_err *err)
{
    int rc;

    if (c->only_look)
        return written
                   ? snap_fail(err, SNAP_RECOVER, "somebody has written to %s",
                               S->image[i].path)
                   : 0;
    rc = fake_check_unused(c, p->leaf_path, err);
    if (rc)
        return rc;
    if (!written) {
        fake_drop_entry(S, i);
        return 0;
    }
    S->image[i].ours = false;
    snap_say(c->log, SNAP_LOG_WARN,
             "%s: somebody has written to %s; it is kept", p->vdev,
             S->image[i].path);
    return 0;
}

/* ---- which is which ---- */

bool fake_is_volume(int image)
{
    return image >= 0 && (snap_has_prefix(S->image[image].path, "/vol/") ||
                          snap_has_prefix(S->image[image].path, "vol/"));
}

char *fake_identity(struct snap_object o, bool volume)
{
    int i = fake_lookup(S, o.id);

    return i >= 0 && fake_is_volume(i) == volume ? snap_printf("image %d", i)
                                                 : NULL;
}

char *fake_file_identity(struct snap_object o)
{
    return o.kind ? NULL : fake_identity(o, false);
}

/* ---- clones ---- */

int fake_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                   struct snap_object o, enum snap_stand *how_r,
                   struct snap_err *err)
{
    int rc, depth, i = o.kind ? -1 : fake_lookup(S, o.id);
    int base = fake_lookup(S, p->frozen_path);

    (void)c;
    rc = fake_fault("stands_on", p->vdev ? p->vdev : "any", err);
    *how_r = i < 0 ? SNAP_STAND_GONE : SNAP_STAND_ALONE;
    if (o.format && !snap_streq(o.format, "qcow2")) {
        *how_r = SNAP_STAND_ALONE;
        return rc;
    }
    for (depth = 0; base >= 0 && i >= 0 && depth < FAKE_IMAGES; depth++) {
        i = S->image[i].backing;
        if (i == base)
            *how_r = SNAP_STAND_ON;
    }
    return rc;
}

const struct snap_disk_driver *const fake_disk_drivers[] = {
    &fake_internal,
    &fake_external,
    &fake_volume,
    NULL,
};
