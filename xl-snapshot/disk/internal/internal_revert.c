/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Back to a snapshot inside a qcow2 image.  By qemu-img, since QEMU cannot do
 * that to a disk in use; and in the image itself, which keeps what it was in
 * a snapshot of ours until the new domain stands.
 *
 * Not so if others need the image as it is: it is the frozen base of an
 * external snapshot, or has an overlay over it.  Then a copy is made of what
 * the snapshot holds, before the domain is destroyed, and the image is only
 * read.  A clone always gets such a copy.  The image may be what a running
 * domain writes to then: its QEMU leaves the clusters and the tables of a
 * snapshot alone, and has flushed them when it said that it was taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/format/qcow2_written.h"
#include "disk/internal/internal.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/image_tag.h"
#include "disk/qemu/leaf_drop.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/overlay_search.h"
#include "disk/qemu/qcow2_tag.h"
#include "disk/qemu/qemu_img.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"

/* The domain's path may be a link to the image. */
static bool is_copy(const struct snap_part *p)
{
    return p->leaf_path && !snap_streq(p->leaf_path, p->frozen_path) &&
           !snap_same_file(p->leaf_path, p->frozen_path);
}

static char *copy_suffix(const struct snap_disk_ctx *c)
{
    return snap_printf("-r%s.qcow2", c->op_id);
}

static int plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc = 0;
    char *suffix, *child, *beside;
    bool shared = p->leaf_dir || p->shared ||
                  snap_image_protected(p->frozen_path);

    if (!shared) {
        child = snap_overlay_child(p->frozen_path);
        shared = child != NULL;
        free(child);
    }
    if (shared) {
        if (!p->stem)
            p->stem = snap_overlay_stem(p->frozen_path);
        suffix = copy_suffix(c);
        beside = p->leaf_dir ? snap_printf("%s/%s", p->leaf_dir,
                                           snap_basename(p->frozen_path))
                             : snap_strdup(p->frozen_path);
        rc = snap_overlay_name(p, beside, suffix, &p->leaf_path, err);
        free(beside);
        free(suffix);
    } else {
        snap_set(&p->leaf_path, snap_same_file(p->path, p->frozen_path)
                                    ? p->path
                                    : p->frozen_path);
    }
    if (!rc)
        snap_set(&p->leaf_format, "qcow2");
    return rc;
}

/* The copy cannot be larger than what the image occupies, but for the parts
 * of a chain below it, which it goes on using. */
static int check_space(const struct snap_disk_ctx *c,
                       const struct snap_part *p, struct snap_err *err)
{
    int rc;
    struct stat st;
    uint64_t bytes, need;
    char *have, *want;

    if (stat(p->frozen_path, &st))
        return snap_fail_errno(err, SNAP_IO, errno, "%s", p->frozen_path);
    need = (uint64_t)st.st_blocks * 512;
    rc = snap_space_left(c->space, p->leaf_path, &bytes, err);
    if (!rc && bytes >= need)
        snap_space_take(c->space, p->leaf_path, need);
    if (rc || bytes >= need)
        return rc;
    have = snap_size_human(bytes);
    want = snap_size_human(need);
    rc = p->leaf_dir
             ? snap_fail(err, SNAP_NOSPACE,
                         "%s is inside %s, so a clone needs a copy of what it holds: that takes up to %s, and only %s are free in %s",
                         p->tag, p->frozen_path, want, have, p->leaf_dir)
             : snap_fail(err, SNAP_NOSPACE,
                         "other snapshots need %s as it is, so what %s holds has to be copied: that takes up to %s, and only %s are free",
                         p->frozen_path, p->tag, want, have);
    free(have);
    free(want);
    return rc;
}

/* Remove the copy, unless somebody has written to it. */
static int undo_copy(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc = 0;
    char *suffix = copy_suffix(c);
    bool there = snap_has_suffix(p->leaf_path, suffix) &&
                 snap_file_exists(p->leaf_path);

    if (!there)
        rc = snap_overlay_check_mounted(p->leaf_path, p->frozen_path, err);
    if (rc)
        goto out;
    if (c->only_look) {
        if (there && !snap_overlay_is_new(p->leaf_path))
            rc = snap_fail(err, SNAP_RECOVER, "somebody has written to %s",
                           p->leaf_path);
        goto out;
    }
    if (there) {
        rc = snap_image_check_unused(c, p->leaf_path, err);
        if (!rc && !c->discard && !snap_overlay_is_new(p->leaf_path))
            snap_say(c->log, SNAP_LOG_WARN,
                     "%s: somebody has written to %s, which a revert had made; it is kept, and nothing needs it",
                     p->vdev, p->leaf_path);
        else if (!rc)
            rc = snap_file_remove(p->leaf_path, err);
    }
    if (!rc)
        rc = snap_overlay_make_undo(c, p->leaf_path, err);
    if (!rc)
        p->switched = false;

out:
    free(suffix);
    return rc;
}

/* A snapshot keeps the size that the disk had, and "qemu-img snapshot -a" gives
 * it back, larger or smaller (qcow2_snapshot_goto() of QEMU).  A copy would
 * have today's. */
static int check_resized(const struct snap_part *p, uint64_t now,
                         struct snap_err *err)
{
    if (!is_copy(p))
        return 0;
    return snap_fail(
        err, SNAP_REFUSED,
        "%s has %llu bytes now and had %llu when snapshot %s was taken; what it held could only be copied, since %s, and a copy would have the size of now.  %s",
        p->frozen_path, (unsigned long long)now, (unsigned long long)p->size,
        p->tag,
        p->leaf_dir ? "a clone never shares an image"
                    : "other images or snapshots need it as it is",
        p->leaf_dir
            ? "Revert the domain to it, snapshot it again, and clone that"
            : "First delete the external snapshots that were taken since");
}

/* The undo's tag is made when the domain is off already. */
static int check_room(const struct snap_part *p, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(p->frozen_path, &h, err);
    if (!rc && !snap_qcow2_has_room(&h, 1))
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s counts the users of a cluster in %u bits, which its %u snapshots use up; a revert makes one more for its way back: delete another snapshot inside it first, or clone this one",
                       p->frozen_path, h.refcount_bits, h.snapshots);
    snap_qcow2_dispose(&h);
    return rc;
}

int snap_internal_verify(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    struct snap_json *info = NULL;
    struct snap_image_tag t;
    const char *path = p->frozen_path, *tag = snap_qcow2_tag(p);

    if (!snap_path_ok(path)) {
        rc = snap_fail(err, SNAP_CORRUPT, "the image's path is not sound");
        goto out;
    }
    if (!snap_file_exists(path)) {
        rc = snap_fail(err, SNAP_NOTFOUND, "image %s does not exist", path);
        goto out;
    }
    rc = snap_qemu_img_info(c->log, path, "qcow2", false, &info, err);
    if (rc) {
        if (rc == SNAP_FAIL)
            rc = SNAP_CORRUPT;
        if (err)
            err->rc = rc;
        goto out;
    }
    if (snap_image_corrupt(info)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s is marked corrupt; repair it first (qemu-img check -r all)",
                       path);
        goto out;
    }
    /* A record that a user wrote by hand says neither. */
    if (!snap_json_get_str(p->data, "tag")) {
        snap_image_find_tag(info, tag, &t);
        if (!t.count)
            snap_qcow2_tag_set(p);
        tag = snap_qcow2_tag(p);
    }
    snap_image_find_tag(info, tag, &t);
    if (!t.count) {
        rc = snap_fail(err, SNAP_NOTFOUND, "%s has no snapshot %s inside",
                       path, tag);
        goto out;
    }
    if (t.count > 1 || t.id_clash) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s has more than one snapshot of name or ID %s; which one is meant cannot be told",
                       path, tag);
        goto out;
    }
    if (snap_image_has_bitmaps(info)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s holds dirty bitmaps, with which qemu-img does not bring a snapshot back; remove them first (qemu-img bitmap --remove)",
                       path);
        goto out;
    }
    if (!p->size)
        p->size = snap_image_size(info);
    rc = plan_leaf(c, p, err);
    if (!rc && p->size != snap_image_size(info))
        rc = check_resized(p, snap_image_size(info), err);
    if (!rc)
        rc = is_copy(p) ? snap_overlay_check_format(path, err)
                        : check_room(p, err);
    if (!rc && p->leaf_dir)
        rc = check_space(c, p, err);

out:
    snap_json_free(info);
    return rc;
}

int snap_internal_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                                 struct snap_err *err)
{
    int rc = 0;

    if (!p->leaf_path)
        rc = plan_leaf(c, p, err);
    if (!rc && is_copy(p))
        rc = check_space(c, p, err);
    if (!rc && is_copy(p))
        rc = snap_image_copy(c, p->leaf_path, p->frozen_path,
                             snap_qcow2_tag(p), err);
    return rc;
}

static char *undo_tag(const struct snap_disk_ctx *c)
{
    return snap_printf("xlsnap-undo-%s", c->op_id);
}

/* The name must be there once, and mean nothing else. */
static int only_one(const struct snap_json *info, const char *path,
                    const char *tag, struct snap_err *err)
{
    struct snap_image_tag t;

    snap_image_find_tag(info, tag, &t);
    if (!t.count)
        return snap_fail(err, SNAP_NOTFOUND, "%s has no snapshot %s inside",
                         path, tag);
    if (t.count > 1 || t.id_clash)
        return snap_fail(err, SNAP_CORRUPT,
                         "%s has more than one snapshot of name or ID %s",
                         path, tag);
    return 0;
}

int snap_internal_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err)
{
    int rc;
    char *back = undo_tag(c);
    const char *path = p->frozen_path, *tag = snap_qcow2_tag(p);
    struct snap_json *info = NULL;
    struct snap_image_tag t;

    if (is_copy(p)) {
        rc = snap_image_check_unused(c, p->leaf_path, err);
        p->switched = !rc;
        goto out;
    }
    rc = snap_image_check_unused(c, path, err);
    if (rc)
        goto out;
    rc = snap_qemu_img_info(c->log, path, "qcow2", false, &info, err);
    if (rc)
        goto out;
    rc = only_one(info, path, tag, err);
    if (rc)
        goto out;
    snap_image_find_tag(info, back, &t);
    if (!t.count) {
        rc = snap_image_tag_make(c, path, back, err);
        if (rc)
            goto out;
    }
    rc = snap_image_tag_apply(c, path, tag, err);
    if (rc)
        goto out;
    p->switched = true;
    rc = 0;

out:
    snap_json_free(info);
    free(back);
    return rc;
}

int snap_internal_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err)
{
    int rc = 0;
    char *back = undo_tag(c);

    if (!is_copy(p))
        rc = snap_internal_drop(c, p->frozen_path, back, err);
    if (!rc && p->drop_path && !snap_streq(p->drop_path, p->leaf_path) &&
        !snap_streq(p->drop_path, p->frozen_path))
        rc = snap_leaf_drop(c, p->drop_path, p->stem, &p->dropped, err);
    free(back);
    return rc;
}

/* Somebody may have run on what was brought back, before anybody recovers. */
static int check_unwritten(const struct snap_disk_ctx *c,
                           const struct snap_part *p, const char *back,
                           struct snap_err *err)
{
    int rc;
    bool written;
    const char *path = p->frozen_path;

    if (c->discard)
        return 0;
    rc = snap_qcow2_written(path, snap_qcow2_tag(p), back, &written, err);
    if (rc || !written)
        return rc;
    return snap_fail(err, SNAP_RECOVER,
                     "%s was written to since snapshot %s was brought back in it, and putting it back would lose that",
                     path, p->tag);
}

int snap_internal_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                           bool back, struct snap_held_images *l,
                           struct snap_err *err)
{
    int rc = 0;
    char *tag = NULL;
    struct snap_json *info = NULL;
    struct snap_image_tag t = { .count = 1 };

    if (is_copy(p))
        return 0;
    if (back) {
        tag = undo_tag(c);
        rc = snap_qemu_img_info(c->log, p->frozen_path, "qcow2", false, &info,
                                err);
        if (!rc)
            snap_image_find_tag(info, tag, &t);
        if (!rc && t.count)
            rc = snap_image_check_unused(c, p->frozen_path, err);
        if (!rc && t.count)
            rc = check_unwritten(c, p, tag, err);
    }
    if (!rc)
        snap_held_images_add(l, p->frozen_path, t.count);
    snap_json_free(info);
    free(tag);
    return rc;
}

int snap_internal_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                              struct snap_err *err)
{
    int rc;
    char *back = undo_tag(c);
    const char *path = p->frozen_path;
    struct snap_json *info = NULL;
    struct snap_image_tag t;

    if (is_copy(p)) {
        rc = undo_copy(c, p, err);
        goto out;
    }
    if (c->only_look) {
        rc = 0; /* there is no leaf */
        goto out;
    }
    rc = snap_qemu_img_info(c->log, path, "qcow2", false, &info, err);
    if (rc)
        goto out;
    snap_image_find_tag(info, back, &t);
    if (t.count) {
        rc = snap_image_check_unused(c, path, err);
        if (!rc)
            rc = check_unwritten(c, p, back, err);
        if (rc)
            goto out;
        rc = snap_image_tag_apply(c, path, back, err);
        if (rc)
            goto out;
        rc = snap_image_tag_drop(c, path, back, err);
        if (rc)
            goto out;
    }
    snap_image_tag_mend(c, path);
    p->switched = false;
    rc = 0;

out:
    snap_json_free(info);
    free(back);
    return rc;
}
