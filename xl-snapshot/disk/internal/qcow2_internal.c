/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Snapshots inside a qcow2 image.  Taken by QEMU while the domain exists and
 * by qemu-img when it does not; internal_revert.c brings them back.
 *
 * Assumes that nobody else adds snapshots of our names.  Must never let
 * qemu-img write to an image that anyone has open: nothing else prevents it.
 *
 * p->data: "tag", the name in the image; "last_id", the highest ID that a
 * snapshot in it had when probe() looked (what has no higher one is not ours).
 * A journal of before has "since" instead, the time of the probe.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/drivers.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/internal/internal.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/image_tag.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_space.h"
#include "disk/qemu/qcow2_tag.h"
#include "disk/qemu/qemu_img.h"
#include "disk/qemu/qemu_node.h"
#include "disk/qemu/qemu_take.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/disk_slots.h"

#define LOOK_MS 5000
/* QEMU stamps a snapshot with the host's clock, in whole seconds. */
#define CLOCK_SLACK 2

const char *snap_qcow2_tag(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "tag");

    return s ? s : p->tag;
}

void snap_qcow2_tag_set(struct snap_part *p)
{
    char *s = NULL;

    if (!p->data)
        p->data = snap_json_object();
    if (p->tag[strspn(p->tag, "0123456789")] == '\0')
        s = snap_printf("%s%s", SNAP_TAG_PREFIX, p->tag);
    snap_json_set_str(p->data, "tag", s ? s : p->tag);
    free(s);
}

static int match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || !snap_part_by_qemu(p) ||
        (p->format && !snap_streq(p->format, "qcow2")) || p->target ||
        p->reuse_target || p->keep_path)
        return 0;
    /* A stem says that the image is an overlay of ours.  One disk, one kind:
     * what stands on an overlay with snapshots inside cannot be merged. */
    return want == SNAP_DISK_AUTO && p->stem ? 5 : 20;
}

/* Things that the header says, whether the domain is on or off. */
static int check_header(const struct snap_part *p, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(p->path, &h, err);
    if (rc)
        return rc;
    if (h.corrupt)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is marked corrupt; repair it first (qemu-img check -r all)",
                       p->path);
    else if (h.encrypted)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is encrypted, and the tools that bring a snapshot back have no key for it",
                       p->path);
    else if (h.data_file)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s keeps its data in another file, so a snapshot inside it cannot hold it; make an image of one file of it (qemu-img convert -O qcow2 %s NEW), and let the domain have that",
                       p->path, p->path);
    else if (!snap_qcow2_has_room(&h, 2)) /* it, and a revert's undo */
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s counts the users of a cluster in %u bits, which is too few for another snapshot inside it; use type=external, or make the image anew (qemu-img convert -O qcow2)",
                       p->path, h.refcount_bits);
    snap_qcow2_dispose(&h);
    return rc;
}

/* The same questions to what QEMU says and to what qemu-img says. */
static int check_image(const struct snap_part *p,
                       const struct snap_json *image, bool bitmaps,
                       struct snap_err *err)
{
    struct snap_image_tag t;

    if (snap_image_corrupt(image))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is marked corrupt; repair it first (qemu-img check -r all)",
                         p->path);
    if (bitmaps || snap_image_has_bitmaps(image))
        return snap_fail(err, SNAP_REFUSED,
                         "%s holds dirty bitmaps, with which a snapshot inside it could not be brought back; use type=external",
                         p->path);
    snap_image_find_tag(image, snap_qcow2_tag(p), &t);
    if (t.count)
        return snap_fail(err, SNAP_EXISTS,
                         "%s has a snapshot %s already; choose another name",
                         p->path, snap_qcow2_tag(p));
    if (t.id_clash)
        return snap_fail(err, SNAP_EXISTS,
                         "%s has another snapshot whose ID is %s; choose another name",
                         p->path, snap_qcow2_tag(p));
    return 0;
}

static int probe_live(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v = { 0 };
    const struct snap_qemu_node *node;

    rc = snap_qemu_find_disk(c, p, &v, err);
    if (rc)
        goto out;
    node = snap_qemu_named(&v, p->node);
    rc = check_image(p, node->image, node->bitmaps, err);
    if (rc)
        goto out;
    snap_json_set_int(p->data, "last_id", snap_image_last_id(node->image));
    rc = 0;

out:
    snap_qemu_view_dispose(&v);
    return rc;
}

static int probe_offline(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    struct snap_json *info = NULL;

    rc = snap_image_check_unused(c, p->path, err);
    if (rc) {
        snap_err_append(err, "end that first");
        goto out;
    }
    rc = snap_qemu_img_info(c->log, p->path, "qcow2", false, &info, err);
    if (rc)
        goto out;
    rc = check_image(p, info, false, err);
    if (rc)
        goto out;
    snap_json_set_int(p->data, "last_id", snap_image_last_id(info));
    if (snap_json_get_bool(info, "dirty-flag", false)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s was not closed cleanly; repair it first (qemu-img check -r all)",
                       p->path);
        goto out;
    }
    p->size = snap_image_size(info);
    if (!p->size) {
        rc = snap_fail(err, SNAP_PROTO,
                       "qemu-img does not say how large %s is", p->path);
        goto out;
    }
    rc = 0;

out:
    snap_json_free(info);
    return rc;
}

static int probe(struct snap_disk_ctx *c, struct snap_part *p,
                 struct snap_err *err)
{
    int rc;
    char *real;
    struct stat st;

    p->type = SNAP_DISK_INTERNAL;
    if (!snap_path_ok(p->path))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "image \"%s\" is not an absolute path; give it one in the xl.cfg and start the domain anew, or use --no-disk %s",
                         p->path, p->vdev);
    rc = check_header(p, err);
    if (rc)
        return rc;
    snap_qcow2_tag_set(p);
    rc = c->qmp ? probe_live(c, p, err) : probe_offline(c, p, err);
    if (rc)
        return rc;
    /* Without links: --keep-path and a revert let a link name another file,
     * and the snapshot stays where it is. */
    real = realpath(p->path, NULL);
    snap_set(&p->frozen_path, real ? real : p->path);
    free(real);
    rc = snap_overlay_same_chain(p->path, p->frozen_path, err);
    if (rc)
        return rc;
    /* The snapshot itself is small.  But from then on every write of the
     * guest's needs a new place, and without one it fails. */
    if (!stat(p->frozen_path, &st) && S_ISREG(st.st_mode)) {
        rc = snap_overlay_check_space(c, p, p->frozen_path, err);
        if (rc)
            return rc;
    }
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->path);
    snap_set(&p->active_format, p->format);
    return 0;
}

static int qcow2_internal_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                                  struct snap_err *err)
{
    (void)err;
    if (c->qmp)
        snap_qemu_preflush(c, p->path);
    p->prepared = true;
    return 0;
}

/* What QEMU, or else the file, says of the image.  *node_r (may be NULL)
 * tells whether QEMU writes to it. */
static int qcow2_internal_look(struct snap_disk_ctx *c, const char *path,
                               struct snap_json **info_r, struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root;
    struct snap_err why = SNAP_ERR_INIT;

    *info_r = NULL;
    if (!c->qmp)
        return snap_qemu_img_info(c->log, path, "qcow2", false, info_r, err);
    rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
    if (rc)
        return rc;
    rc = snap_qemu_root_of(&v, path, &root, &why);
    if (rc == SNAP_NOTFOUND || (!rc && !snap_same_file(root->file, path)))
        rc = snap_qemu_img_info(c->log, path, "qcow2", false, info_r, err);
    else if (rc)
        snap_fail(err, rc, "%s", why.msg);
    else
        *info_r = snap_json_copy(root->image);
    snap_qemu_view_dispose(&v);
    return rc;
}

/* Was it there when probe() looked?  The host's clock does not tell: it may be
 * put back. */
static bool is_older(const struct snap_part *p, const struct snap_image_tag *t)
{
    int64_t last = snap_json_get_int(p->data, "last_id", -1);
    int64_t since = snap_json_get_int(p->data, "since", 0);

    return last >= 0 ? t->id <= last : t->date < since - CLOCK_SLACK;
}

static int inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err)
{
    int rc;
    struct snap_json *info = NULL;
    struct snap_image_tag t;

    if (!snap_file_exists(p->frozen_path)) {
        *state_r = SNAP_PART_ABSENT;
        return 0;
    }
    rc = qcow2_internal_look(c, p->frozen_path, &info, err);
    if (rc)
        return rc;
    snap_image_find_tag(info, snap_qcow2_tag(p), &t);
    snap_json_free(info);
    if (!t.count)
        *state_r = SNAP_PART_ABSENT;
    else if (t.count > 1 || is_older(p, &t))
        *state_r = SNAP_PART_FOREIGN;
    else
        *state_r = SNAP_PART_PRESENT;
    return 0;
}

/* Delete by name, live or off.  The name being there once was checked. */
int snap_internal_drop(struct snap_disk_ctx *c, const char *path,
                       const char *tag, struct snap_err *err)
{
    int rc;
    struct snap_err why = SNAP_ERR_INIT;

    if (c->qmp) {
        rc = snap_qemu_drop_tag(c, path, tag, &why);
        if (rc != SNAP_NOTFOUND)
            return rc ? snap_fail(err, rc, "%s", why.msg) : 0;
    }
    return snap_image_tag_drop(c, path, tag, err);
}

static int qcow2_internal_undo(struct snap_disk_ctx *c, struct snap_part *p,
                               struct snap_err *err)
{
    int rc;
    enum snap_part_state state = SNAP_PART_FOREIGN;

    rc = inspect(c, p, &state, err);
    if (rc)
        return rc;
    /* Prepared by this process and not taken: then it is somebody else's.
     * In another process its ID, which inspect() looked at, has to do. */
    if (state == SNAP_PART_PRESENT && (p->taken || !p->prepared)) {
        rc = snap_internal_drop(c, p->frozen_path, snap_qcow2_tag(p), err);
        if (rc)
            return rc;
    }
    if (state != SNAP_PART_FOREIGN && !c->qmp && p->frozen_path &&
        snap_file_exists(p->frozen_path))
        snap_image_tag_mend(c, p->frozen_path);
    p->taken = p->prepared = false;
    return 0;
}

const struct snap_disk_driver snap_disk_qcow2_internal = {
    .name = "qcow2-internal",
    .doc = "a snapshot inside a qcow2 image",
    .live = true,
    .offline = true,
    .inside = true,
    .can_fill_up = true,
    .needs_qmp = true,
    .match = match,
    .probe = probe,
    .check = snap_slot_check_inside,
    .identity = snap_slot_no_identity,
    .group = &snap_qemu_group,
    .group_key = snap_slot_group_name,
    .prepare = qcow2_internal_prepare,
    .secure = snap_slot_nothing,
    .finish = snap_slot_nothing,
    .undo = qcow2_internal_undo,
    .inspect = inspect,
    .verify = snap_internal_verify,
    .revert_prepare = snap_internal_revert_prepare,
    .in_place = snap_internal_in_place,
    .revert_switch = snap_internal_revert_switch,
    .revert_finish = snap_internal_revert_finish,
    .revert_undo = snap_internal_revert_undo,
    .stands_on = snap_overlay_stands_on,
    .delete_plan = snap_internal_delete_plan,
    SNAP_SLOTS_NO_CHAIN,
    .remove = snap_internal_remove,
};
