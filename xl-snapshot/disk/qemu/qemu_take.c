/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qemu_take.h.  Why one transaction: QEMU drains all disks before the
 * first action and lets them go after the last, so the snapshots share one
 * instant, and if one action fails it takes back the others.
 *
 * QEMU's "success" is not believed: a node on which no device stands loses
 * its overlay silently, so each new root is looked at afterwards.
 */
#include "disk/qemu/qemu_take.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/image_tag.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qcow2_tag.h"
#include "disk/qemu/qemu_img.h"
#include "disk/qemu/qemu_job.h"
#include "disk/qemu/qemu_node.h"
#include "lib/file.h"
#include "lib/mem.h"

#define TAKE_MS       SNAP_TAKE_MAX_MS
#define LOOK_AFTER_MS 2000 /* of TAKE_MS, or what else is left of it */
#define COMMAND_MS    10000
#define MERGE_MS      (10 * 60 * 1000)

void snap_qemu_preflush(struct snap_disk_ctx *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fdatasync(fd))
        snap_say(c->log, SNAP_LOG_DEBUG, "flushing %s: %s", path,
                 strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* ---- the transaction ---- */

static struct snap_json *action(const struct snap_part *p)
{
    struct snap_json *a = snap_json_object(), *d = snap_json_object();

    if (p->type == SNAP_DISK_EXTERNAL) {
        snap_json_set_str(a, "type", "blockdev-snapshot-sync");
        snap_json_set_str(d, "node-name", p->node);
        snap_json_set_str(d, "snapshot-file", snap_overlay_file(p));
        snap_json_set_str(d, "snapshot-node-name", snap_overlay_node(p));
        snap_json_set_str(d, "format", "qcow2");
        snap_json_set_str(d, "mode", "existing");
    } else {
        snap_json_set_str(a, "type", "blockdev-snapshot-internal-sync");
        snap_json_set_str(d, "device", p->node);
        snap_json_set_str(d, "name", snap_qcow2_tag(p));
    }
    snap_json_set(a, "data", d);
    return a;
}

/* Is this part what was asked for? */
static int check_taken(const struct snap_qemu_view *v,
                       const struct snap_part *p, struct snap_err *err)
{
    const struct snap_qemu_node *node;
    struct snap_image_tag tag;

    if (p->type == SNAP_DISK_EXTERNAL) {
        node = snap_qemu_named(v, snap_overlay_node(p));
        if (!node || !snap_qemu_is_root(v, node) || !node->used || node->ro ||
            !snap_same_file(node->file, snap_overlay_file(p)))
            return snap_fail(err, SNAP_RECOVER,
                             "%s: QEMU reported success, but does not write to %s",
                             p->vdev, snap_overlay_file(p));
        return 0;
    }
    node = snap_qemu_named(v, p->node);
    snap_image_find_tag(node ? node->image : NULL, snap_qcow2_tag(p), &tag);
    if (tag.count != 1)
        return snap_fail(err, SNAP_RECOVER,
                         "%s: QEMU reported success, but snapshot %s is not in %s",
                         p->vdev, snap_qcow2_tag(p), p->path);
    return 0;
}

/* The reply did not come.  What can be seen without QEMU is said. */
static int qemu_take_unknown(struct snap_part *const *parts, size_t n,
                             struct snap_err *err)
{
    struct snap_buf b = { 0 };
    size_t i;

    for (i = 0; i < n; i++) {
        const struct snap_part *p = parts[i];
        char *who = NULL;

        if (p->type != SNAP_DISK_EXTERNAL)
            continue;
        snap_image_writer(snap_overlay_file(p), &who, NULL);
        snap_buf_addf(&b, "%s%s: %s", b.len ? ", " : "", p->vdev,
                      who ? "switched" : "not switched yet");
        free(who);
    }
    snap_err_append(err, "whether the disks were taken was not known then%s%s",
                    b.len ? ": " : "", b.len ? b.data : "");
    snap_buf_dispose(&b);
    if (err)
        err->rc = SNAP_RECOVER;
    return SNAP_RECOVER;
}

static int take_live(struct snap_disk_ctx *c, struct snap_part *const *parts,
                     size_t n, struct snap_err *err)
{
    int rc;
    size_t i;
    bool was_alive = snap_qmp_alive(c->qmp);
    double end = snap_now_ms() + TAKE_MS;
    struct snap_json *args = snap_json_object(), *list = snap_json_array();
    struct snap_qemu_view v = { 0 };

    for (i = 0; i < n; i++)
        snap_json_push(list, action(parts[i]));
    snap_json_set(args, "actions", list);
    rc = snap_qmp_command(c->qmp, "transaction", args, TAKE_MS - LOOK_AFTER_MS,
                          NULL, err);
    if (rc) {
        if (was_alive && !snap_qmp_alive(c->qmp))
            rc = qemu_take_unknown(parts, n, err);
        goto out;
    }
    rc = snap_qemu_look(c->qmp, (int)(end - snap_now_ms()), &v, err);
    if (rc) {
        rc = qemu_take_unknown(parts, n, err);
        goto out;
    }
    for (i = 0; i < n; i++)
        parts[i]->taken = true;
    for (i = 0; i < n; i++) {
        rc = check_taken(&v, parts[i], err);
        if (rc)
            goto out;
    }
    rc = 0;

out:
    snap_qemu_view_dispose(&v);
    return rc;
}

/* ---- with the domain off ---- */

/* What QEMU checks by itself; qemu-img would make a second snapshot of the
 * same name. */
static int check_offline(struct snap_disk_ctx *c, const struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    bool ours, written;
    struct snap_json *info = NULL;
    struct snap_image_tag t;

    rc = snap_image_check_unused(c, p->path, err);
    if (rc)
        return rc;
    if (p->type == SNAP_DISK_EXTERNAL) {
        rc = snap_overlay_is_over(snap_overlay_file(p), snap_overlay_base(p),
                                  &ours, &written, err);
        if (!rc && (!ours || written))
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is not the empty overlay that was made",
                           snap_overlay_file(p));
        return rc;
    }
    rc = snap_qemu_img_info(c->log, p->path, "qcow2", false, &info, err);
    if (rc)
        return rc;
    snap_image_find_tag(info, snap_qcow2_tag(p), &t);
    snap_json_free(info);
    if (t.count || t.id_clash)
        return snap_fail(err, SNAP_EXISTS, "%s has a snapshot %s by now",
                         p->path, snap_qcow2_tag(p));
    return 0;
}

static int take_offline(struct snap_disk_ctx *c,
                        struct snap_part *const *parts, size_t n,
                        struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < n; i++) {
        struct snap_part *p = parts[i];

        rc = check_offline(c, p, err);
        /* There is no such snapshot, so one that is there from now on is ours:
         * a tool may have made it and say that it failed. */
        if (!rc)
            p->taken = true;
        if (!rc && p->type == SNAP_DISK_INTERNAL)
            rc = snap_image_tag_make(c, p->path, snap_qcow2_tag(p), err);
        if (rc) {
            snap_err_prefix(err, "%s", p->vdev);
            return rc;
        }
    }
    return 0;
}

/* No domain that is started from now on gets at what is frozen, and whoever
 * was before that is seen: here, or by the caller who looks for the domain.
 * Looked at before, too: where a guest has it, ext4 (since Linux 5.3) fails
 * what it writes to an immutable file.  Where files cannot be made immutable
 * the looks have to do; finish() says so.  Where the path is kept it names the
 * overlay by now, since a rename over an immutable image is not allowed. */
static int hold_frozen(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int rc;
    const char *base = snap_overlay_base(p);
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = snap_image_check_unused(c, base, err);
    if (rc)
        return rc;
    snap_image_protect(base, &ignored);
    rc = snap_image_check_unused(c, base, err);
    if (rc) {
        snap_image_unprotect(base, &ignored);
        return rc;
    }
    return snap_overlay_refreeze(c, p, err);
}

static int take(struct snap_disk_ctx *c, struct snap_part *const *parts,
                size_t n, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_err why = SNAP_ERR_INIT;

    rc = c->qmp ? take_live(c, parts, n, err) : take_offline(c, parts, n, err);
    for (i = 0; !rc && i < n; i++)
        if (parts[i]->type == SNAP_DISK_EXTERNAL) {
            rc = snap_overlay_taken(c, parts[i], err);
            if (!rc && !c->qmp)
                rc = hold_frozen(c, parts[i], err);
            if (rc)
                snap_err_prefix(err, "%s", parts[i]->vdev);
        }
    if (!rc || rc == SNAP_RECOVER)
        return rc;

    /* All or none. */
    for (i = n; i-- > 0;)
        if (parts[i]->taken && parts[i]->drv->undo(c, parts[i], &why)) {
            snap_err_append(err,
                            "and %s could not be switched back: %s; run snapshot-recover",
                            parts[i]->vdev, why.msg);
            rc = SNAP_RECOVER;
            if (err)
                err->rc = rc;
            break;
        }
    return rc;
}

/*
 * Only a QEMU that went in the middle of it (power cut, SIGKILL) leaves some
 * of each.  It makes the snapshots inside images first and changes over to
 * overlays last, so one overlay in use tells that all were taken: the others
 * were just not written to.  With none in use it did not come to its end, and
 * the guest has not run since.
 */
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
    else if (c->qmp || (moved && missing))
        *how_r = SNAP_TAKEN_HALF;
    else
        *how_r = moved ? SNAP_TAKEN_ALL : SNAP_TAKEN_NONE;
    return 0;
}

const struct snap_group snap_qemu_group = {
    .name = "qemu",
    .deadline_ms = TAKE_MS,
    .take = take,
    .was_taken = was_taken,
};

/* ---- taking it back, live ---- */

int snap_qemu_drop_tag(struct snap_disk_ctx *c, const char *path,
                       const char *tag, struct snap_err *err)
{
    int rc;
    struct snap_qemu_view v;
    struct snap_image_tag t;
    const struct snap_qemu_node *root;
    struct snap_json *args;

    rc = snap_qemu_look(c->qmp, COMMAND_MS, &v, err);
    if (rc)
        return rc;
    rc = snap_qemu_root_of(&v, path, &root, err);
    if (rc)
        goto out;
    if (!snap_same_file(root->file, path)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s has been frozen since; snapshot %s inside it stays",
                       path, tag);
        goto out;
    }
    snap_image_find_tag(root->image, tag, &t);
    if (!t.count) {
        rc = 0;
        goto out;
    }
    args = snap_json_object();
    snap_json_set_str(args, "device", root->name);
    snap_json_set_str(args, "name", tag);
    rc = snap_qmp_command(c->qmp, "blockdev-snapshot-delete-internal-sync",
                          args, COMMAND_MS, NULL, err);
    if (rc)
        goto out;
    rc = 0;

out:
    snap_qemu_view_dispose(&v);
    return rc;
}

int snap_qemu_merge_back(struct snap_disk_ctx *c, const char *overlay,
                         struct snap_err *err)
{
    int rc;
    char *id = NULL;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root, *base;
    struct snap_json *args;
    unsigned wait_ms = c->undo_ms ? c->undo_ms : MERGE_MS;
    struct snap_err why = SNAP_ERR_INIT;

    rc = snap_qemu_look(c->qmp, COMMAND_MS, &v, err);
    if (rc)
        return rc;
    rc = snap_qemu_root_of(&v, overlay, &root, &why);
    if (rc == SNAP_NOTFOUND) {
        rc = 0;
        goto out;
    }
    if (rc) {
        rc = snap_fail(err, rc, "%s", why.msg);
        goto out;
    }
    base = snap_qemu_backing(&v, root);
    if (!snap_same_file(root->file, overlay) || !base) {
        rc = snap_fail(err, SNAP_RECOVER,
                       "%s is no longer the top of its disk; it cannot be taken back",
                       overlay);
        goto out;
    }
    id = snap_printf("xlsnap-back-%s", c->op_id);
    args = snap_json_object();
    snap_json_set_str(args, "device", root->name);
    snap_json_set_str(args, "base-node", base->name);
    rc = snap_qemu_job_start(c, "block-commit", id, args, err);
    if (!rc)
        rc = snap_qemu_job_wait(c, id, true, wait_ms, err);
    if (!rc)
        rc = snap_qemu_job_complete(c, id, err);
    if (!rc)
        rc = snap_qemu_job_wait(c, id, false, wait_ms, err);
    if (rc) {
        snap_err_prefix(err, "merging %s", overlay);
        goto out;
    }
    rc = 0;

out:
    free(id);
    snap_qemu_view_dispose(&v);
    return rc;
}
