/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Can this disk be given an overlay, and what will everything be called?
 * Whatever take() could fail on for a foreseeable reason is refused here,
 * with the way out.  Changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/external/overlay.h"
#include "disk/file/in_use.h"
#include "disk/format/format_names.h"
#include "disk/format/qcow2_header.h"
#include "disk/format/vhd_footer.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/overlay_space.h"
#include "disk/qemu/qemu_img.h"
#include "disk/qemu/qemu_node.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"

#define DEPTH_WARN 30

/* QEMU's name for the new node: at most 31 bytes, unique to this run. */
static char *node_name(const struct snap_disk_ctx *c,
                       const struct snap_part *p)
{
    const char *s;
    uint32_t h = 2166136261u;

    if (strlen(p->vdev) <= 8 &&
        !p->vdev[strspn(p->vdev, "abcdefghijklmnopqrstuvwxyz0123456789")])
        return snap_printf("xlsn-%s-%s", c->op_id, p->vdev);
    for (s = p->vdev; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return snap_printf("xlsn-%s-%08x", c->op_id, h);
}

static int check_source(struct snap_disk_ctx *c, const struct snap_part *p,
                        const struct stat *st, struct snap_err *err)
{
    int rc = 0;
    unsigned depth = 0;
    struct snap_qcow2 h = { 0 };

    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s is neither a file nor a block device", p->path);
    if (snap_streq(p->format, "vhd"))
        return snap_vhd_check(p->path, err);
    if (!snap_streq(p->format, "qcow2"))
        return 0;
    rc = snap_qcow2_read(p->path, &h, err);
    if (rc)
        return rc;
    if (h.corrupt)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is marked corrupt; repair it first (qemu-img check -r all)",
                       p->path);
    else if (h.encrypted)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is encrypted; an overlay over it would not be; use --no-disk %s",
                       p->path, p->vdev);
    else if (h.data_file)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s keeps its data in another file, which a snapshot would neither protect nor count; make an image of one file of it (qemu-img convert -O qcow2 %s NEW), and let the domain have that",
                       p->path, p->path);
    snap_qcow2_dispose(&h);
    if (!rc)
        rc = snap_overlay_depth(p->path, &depth, err);
    if (!rc && depth >= DEPTH_WARN)
        snap_say(c->log, SNAP_LOG_WARN,
                 "%s: reads go through %u images by now; delete snapshots that are not needed",
                 p->vdev, depth + 1);
    return rc;
}

/* What QEMU repairs only when it opens it for writing, it would never do once
 * the image is frozen. */
static int check_closed_cleanly(const struct snap_part *p,
                                struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    if (!snap_streq(p->format, "qcow2"))
        return 0;
    rc = snap_qcow2_read(p->path, &h, err);
    if (!rc && h.dirty)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s was not closed cleanly; repair it first (qemu-img check -r all)",
                       p->path);
    snap_qcow2_dispose(&h);
    return rc;
}

static int probe_offline(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc;
    struct snap_json *info = NULL;

    rc = snap_image_check_unused(c, p->path, err);
    if (rc)
        snap_err_append(err, "end that first");
    else
        rc = check_closed_cleanly(p, err);
    if (rc)
        return rc;
    rc = snap_qemu_img_info(c->log, p->path, snap_qemu_format(p->format),
                            false, &info, err);
    if (rc)
        return rc;
    p->size = snap_image_size(info);
    snap_json_free(info);
    if (!p->size)
        return snap_fail(err, SNAP_REFUSED, "%s is empty", p->path);
    return 0;
}

/* The names that the images will have for life. */
static int plan_names(struct snap_disk_ctx *c, struct snap_part *p,
                      const struct stat *st, struct snap_err *err)
{
    int rc;
    struct stat lst;
    char real[4096], link[4096], *base = NULL, *node = NULL;
    ssize_t n;
    bool is_link;

    if (lstat(p->path, &lst)) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", p->path);
        goto out;
    }
    /* For the names of all that will ever be made over this image. */
    if (!p->stem)
        p->stem = snap_overlay_stem(p->path);
    /* A device keeps its stable link: /dev/dm-3 is another one tomorrow. */
    is_link = S_ISLNK(lst.st_mode) && S_ISREG(st->st_mode);
    if (p->keep_path &&
        (!S_ISREG(st->st_mode) || !snap_streq(p->format, "qcow2"))) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s: after --keep-path the path would name a qcow2 image while configurations call it %s; leave --keep-path out and change the configuration afterwards, or leave the disk out (--no-disk %s)",
                       p->path, S_ISREG(st->st_mode) ? p->format : "a device",
                       p->vdev);
        goto out;
    }
    if (is_link) {
        if (!realpath(p->path, real)) {
            rc = snap_fail_errno(err, SNAP_IO, errno, "%s", p->path);
            goto out;
        }
        if (snap_streq(p->format, "qcow2")) {
            rc = snap_overlay_same_chain(p->path, real, err);
            if (rc)
                goto out;
        }
        base = snap_strdup(real);
    } else if (p->keep_path) {
        rc = snap_overlay_name(p, p->path, "-base.qcow2", &base, err);
        if (rc)
            goto out;
        if (snap_file_exists(base)) {
            rc = snap_fail(err, SNAP_EXISTS,
                           "%s exists already; choose another name for the snapshot",
                           base);
            goto out;
        }
    } else {
        base = snap_strdup(p->path);
    }
    if (strlen(base) > SNAP_QCOW2_BACKING_MAX) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is too long for the header of an overlay", base);
        goto out;
    }
    if (!p->target) {
        if (S_ISBLK(st->st_mode)) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is a device, beside which there is no place for an overlay; say where with target=",
                           p->path);
            goto out;
        }
        rc = snap_overlay_name(p, p->path, ".qcow2", &p->target, err);
        if (rc)
            goto out;
    }

    node = node_name(c, p);
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_str(p->data, "file", p->target);
    snap_json_set_str(p->data, "node", node);
    snap_json_set_str(p->data, "base", base);
    snap_json_set_str(p->data, "base_format", snap_qemu_format(p->format));
    snap_json_set_bool(p->data, "reused", p->reuse_target);
    if (p->keep_path) {
        snap_json_set_bool(p->data, "keep_path", true);
        snap_json_set_bool(p->data, "link_base", !is_link);
        n = is_link ? readlink(p->path, link, sizeof(link) - 1) : -1;
        if (n > 0) {
            link[n] = '\0';
            snap_json_set_str(p->data, "old_link", link);
        }
    }
    snap_set(&p->frozen_path, base);
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->keep_path ? p->path : p->target);
    snap_set(&p->active_format, "qcow2");
    rc = 0;

out:
    free(node);
    free(base);
    return rc;
}

static int check_reused(const struct snap_part *p, struct snap_err *err)
{
    int rc;
    bool over, written;
    struct snap_qcow2 h = { 0 };
    const char *base = snap_overlay_base(p);

    rc = snap_overlay_is_over(p->target, base, &over, &written, err);
    if (rc)
        return rc;
    rc = snap_qcow2_read(p->target, &h, err);
    if (rc)
        return rc;
    if (!over)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is not over %s (its backing file is %s); make it with qemu-img create -f qcow2 -b %s -F %s",
                       p->target, base, h.backing ? h.backing : "none", base,
                       snap_qemu_format(p->format));
    else if (!snap_streq(h.backing_format, snap_qemu_format(p->format)))
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s says that %s is %s, and it is %s; make it with qemu-img create -f qcow2 -b %s -F %s",
                       p->target, base,
                       h.backing_format ? h.backing_format
                                        : "of any format that it looks like",
                       snap_qemu_format(p->format), base,
                       snap_qemu_format(p->format));
    else if (written || h.snapshots || h.dirty || h.corrupt || h.data_file)
        rc = snap_fail(err, SNAP_REFUSED, "%s is not empty", p->target);
    else if (h.size != p->size)
        rc = snap_fail(err, SNAP_REFUSED, "%s has %llu bytes, and %s has %llu",
                       p->target, (unsigned long long)h.size, p->path,
                       (unsigned long long)p->size);
    snap_qcow2_dispose(&h);
    return rc;
}

static int check_target(struct snap_disk_ctx *c, const struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    struct stat st;
    char *dir = NULL, *who = NULL;
    bool there;

    if (!snap_path_ok(p->target)) {
        rc = snap_fail(err, SNAP_INVAL,
                       "target \"%s\" is not an absolute path", p->target);
        goto out;
    }
    if (p->target[strcspn(p->target, " \t")]) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "target \"%s\" has a blank in it, and Xen's qdisk cannot open such a path when the domain is started again",
                       p->target);
        goto out;
    }
    there = snap_file_exists(p->target);
    if (there && !p->reuse_target) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "%s exists already; choose another name or target, or use --reuse-external if it was made for this",
                       p->target);
        goto out;
    }
    if (there && (snap_same_file(p->target, p->path) ||
                  snap_same_file(p->target, snap_overlay_base(p)))) {
        rc = snap_fail(err, SNAP_INVAL, "target %s is the image itself",
                       p->target);
        goto out;
    }
    if (!there && p->reuse_target) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "%s, which is to be reused, does not exist", p->target);
        goto out;
    }
    dir = snap_dirname(p->target);
    if (stat(dir, &st) || !S_ISDIR(st.st_mode)) {
        rc = snap_fail(err, SNAP_NOTFOUND, "folder %s does not exist", dir);
        goto out;
    }
    if (access(dir, W_OK)) {
        rc = snap_fail_errno(err, SNAP_REFUSED, errno, "folder %s", dir);
        goto out;
    }
    if (strlen(snap_basename(p->target)) > 255 - 26 ||
        strlen(p->target) > SNAP_QCOW2_BACKING_MAX) {
        rc = snap_fail(err, SNAP_REFUSED, "%s is too long a name", p->target);
        goto out;
    }
    if (c->image_user) {
        rc = c->image_user(c->opaque, p->target, &who, err);
        if (rc)
            goto out;
        if (who) {
            rc = snap_fail(err, SNAP_REFUSED, "%s is used by %s", p->target,
                           who);
            goto out;
        }
    }
    if (there) {
        rc = check_reused(p, err);
        if (!rc)
            rc = snap_image_check_unused(c, p->target, err);
        if (rc)
            goto out;
    }
    rc = snap_overlay_check_space(c, p, p->target, err);
    if (rc)
        goto out;
    rc = 0;

out:
    free(who);
    free(dir);
    return rc;
}

int snap_overlay_probe(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int rc;
    struct stat st;

    p->type = SNAP_DISK_EXTERNAL;
    if (!snap_path_ok(p->path))
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "image \"%s\" is not an absolute path; give it one in the xl.cfg and start the domain anew, or use --no-disk %s",
                         p->path, p->vdev);
    if (stat(p->path, &st))
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "%s", p->path);
    rc = check_source(c, p, &st, err);
    if (!rc)
        rc = c->qmp ? snap_qemu_find_disk(c, p, NULL, err)
                    : probe_offline(c, p, err);
    if (!rc && p->size % 512)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s has %llu bytes, which are not whole sectors",
                       p->path, (unsigned long long)p->size);
    if (!rc)
        rc = plan_names(c, p, &st, err);
    if (!rc)
        rc = check_target(c, p, err);
    return rc;
}
