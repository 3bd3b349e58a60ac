/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Back to what an overlay froze: a fresh overlay over it.  The frozen image
 * is proved whole and is not touched, so it can be done any number of times.
 * The only files removed are overlays: the fresh one by undo, and the old
 * leaf that op/ has proved nobody needs, looked at once more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/external/overlay.h"
#include "disk/file/image_protect.h"
#include "disk/file/image_stamp.h"
#include "disk/file/in_use.h"
#include "disk/format/format_names.h"
#include "disk/format/qcow2_header.h"
#include "disk/format/vhd_footer.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/leaf_drop.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_link.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/overlay_space.h"
#include "disk/qemu/qemu_img.h"
#include "lib/file.h"
#include "lib/mem.h"

/* A file that a user wrote names the overlay only; it knows its base. */
static int find_base(struct snap_part *p, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };
    const char *format;

    if (!p->active_path)
        return snap_fail(err, SNAP_INVAL,
                         "neither the frozen image nor the overlay over it is named");
    rc = snap_qcow2_read(p->active_path, &h, err);
    if (rc)
        return rc;
    format = snap_libxl_format(h.backing_format);
    if (!h.backing || h.backing[0] != '/' || !snap_path_ok(h.backing) ||
        !format) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s does not say which image it is over, by absolute path and format",
                       p->active_path);
        goto out;
    }
    snap_set(&p->frozen_path, h.backing);
    snap_set(&p->frozen_format, format);
    if (!p->path) {
        snap_set(&p->path, h.backing);
        snap_set(&p->format, format);
    }
    rc = 0;

out:
    snap_qcow2_dispose(&h);
    return rc;
}

/* The frozen image as its record has it. */
static struct snap_stamp frozen_stamp(const struct snap_part *p)
{
    struct snap_stamp then = {
        .bytes = snap_json_get_int(p->data, "base_bytes", -1),
        .mtime_ns = snap_json_get_int(p->data, "base_mtime_ns", -1),
    };

    then.known = then.bytes >= 0 && then.mtime_ns >= 0;
    return then;
}

/* What makes verify() content with it.  On NFS and its like nothing can be
 * immutable, so nothing kept another machine from it. */
static char *way_out(const char *path, int64_t mtime)
{
    char *touch = snap_printf("touch -d @%lld.%09lld '%s'",
                              (long long)(mtime / 1000000000),
                              (long long)(mtime % 1000000000), path);
    char *out;

    if (!snap_image_can_protect(path))
        out = snap_printf("%s.  No file can be made immutable there, so look on every machine that sees it who writes to it",
                          touch);
    else
        out = snap_printf("chattr -i '%s'; %s; chattr +i '%s'", path, touch,
                          path);
    free(touch);
    return out;
}

static int check_unchanged(const struct snap_part *p, struct snap_err *err)
{
    struct stat st;
    const struct snap_stamp f = frozen_stamp(p);

    if (stat(p->frozen_path, &st))
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "frozen image %s", p->frozen_path);
    if (!f.known || !S_ISREG(st.st_mode))
        return 0;
    if (st.st_size != f.bytes)
        return snap_fail(err, SNAP_CORRUPT,
                         "%s has %lld bytes on disk and had %lld when snapshot %s froze it",
                         p->frozen_path, (long long)st.st_size,
                         (long long)f.bytes, p->tag);
    if (snap_stat_mtime_ns(&st) != f.mtime_ns) {
        char *then = snap_time_iso(f.mtime_ns / 1000000000);
        char *now = snap_time_iso(st.st_mtim.tv_sec);
        char *way = way_out(p->frozen_path, f.mtime_ns);
        int rc = snap_fail(err, SNAP_CORRUPT,
                           "%s was written to at %s, though snapshot %s froze it at %s.  If its content is known to be the same: %s",
                           p->frozen_path, now, p->tag, then, way);

        free(way);
        free(then);
        free(now);
        return rc;
    }
    return 0;
}

static int check_chain(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int rc;
    unsigned depth;
    struct snap_json *chain = NULL;
    uint64_t size;

    if (snap_streq(p->frozen_format, "vhd")) {
        rc = snap_vhd_check(p->frozen_path, err);
        if (rc)
            goto out;
    }
    if (snap_streq(p->frozen_format, "qcow2")) {
        rc = snap_overlay_depth(p->frozen_path, &depth, err);
        if (rc)
            goto out;
    }
    rc = snap_qemu_img_info(c->log, p->frozen_path,
                            snap_qemu_format(p->frozen_format), true, &chain,
                            err);
    if (rc == SNAP_FAIL) {
        rc = SNAP_CORRUPT;
        if (err)
            err->rc = rc;
    }
    if (rc)
        goto out;
    size = snap_image_size(snap_json_at(chain, 0));
    if (snap_image_corrupt(snap_json_at(chain, 0))) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s is marked corrupt; repair it first (qemu-img check -r all)",
                       p->frozen_path);
        goto out;
    }
    if (!size || (p->size && p->size != size)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s is a disk of %llu bytes now and was one of %llu when snapshot %s was taken",
                       p->frozen_path, (unsigned long long)size,
                       (unsigned long long)p->size, p->tag);
        goto out;
    }
    p->size = size;
    rc = 0;

out:
    snap_json_free(chain);
    return rc;
}

/* The place beside the active image, or, if that is gone, beside the base. */
static int plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc;
    char *suffix = snap_printf("-r%s.qcow2", c->op_id), *dir = NULL;
    char *there = NULL;
    const char *beside = p->active_path ? p->active_path : p->frozen_path;
    struct stat st;

    dir = snap_dirname(beside);
    if (stat(dir, &st) || !S_ISDIR(st.st_mode) ||
        (!stat(beside, &st) && S_ISBLK(st.st_mode)))
        beside = p->frozen_path;
    if (p->leaf_dir)
        beside = there = snap_printf("%s/%s", p->leaf_dir,
                                     snap_basename(p->frozen_path));
    rc = snap_overlay_name(p, beside, suffix, &p->leaf_path, err);
    if (!rc)
        snap_set(&p->leaf_format, "qcow2");
    if (!rc && !p->leaf_dir && snap_overlay_can_keep(p)) {
        snap_json_set_str(p->data, "leaf_file", p->leaf_path);
        snap_set(&p->leaf_path, p->path);
    }
    free(there);
    free(suffix);
    free(dir);
    return rc;
}

int snap_overlay_verify(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    char *who = NULL;

    if (!p->frozen_path || !p->frozen_format) {
        rc = find_base(p, err);
        if (rc)
            goto out;
    }
    if (!p->frozen_path || !snap_path_ok(p->frozen_path) ||
        !snap_qemu_format(p->frozen_format)) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the frozen image's path or format is not sound");
        goto out;
    }
    rc = check_unchanged(p, err);
    if (!rc)
        rc = check_chain(c, p, err);
    if (rc)
        goto out;
    rc = snap_image_writer(p->frozen_path, &who, err);
    if (rc)
        goto out;
    if (who) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is frozen, and %s has it open for writing; what it writes destroys snapshot %s: end that first",
                       p->frozen_path, who, p->tag);
        goto out;
    }
    rc = plan_leaf(c, p, err);
    if (rc)
        goto out;
    if (p->leaf_dir)
        rc = snap_overlay_check_space(c, p, p->leaf_path, err);

out:
    free(who);
    return rc;
}

int snap_overlay_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                                struct snap_err *err)
{
    int rc;

    if (!p->leaf_path) {
        rc = plan_leaf(c, p, err);
        if (rc)
            return rc;
    }
    rc = snap_overlay_check_space(c, p, snap_overlay_leaf(p), err);
    if (rc)
        return rc;
    if (strlen(p->frozen_path) > SNAP_QCOW2_BACKING_MAX)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is too long for the header of an overlay",
                         p->frozen_path);
    return snap_overlay_make(c, snap_overlay_leaf(p), p->frozen_path,
                             snap_qemu_format(p->frozen_format), p->size, err);
}

int snap_overlay_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                          bool back, struct snap_held_images *l,
                          struct snap_err *err)
{
    (void)err;
    snap_overlay_link_in_place(c, p, back, l);
    return 0;
}

int snap_overlay_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                               struct snap_err *err)
{
    int rc;
    bool ours, written;

    const char *leaf = snap_overlay_leaf(p);

    rc = snap_overlay_is_over(leaf, p->frozen_path, &ours, &written, err);
    if (rc)
        return rc;
    if (!ours || written)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is not the empty overlay that was made", leaf);
    rc = snap_image_check_unused(c, leaf, err);
    if (!rc)
        rc = snap_image_check_unused(c, p->frozen_path, err);
    if (!rc)
        rc = snap_overlay_link_leaf(c, p, err);
    if (rc)
        return rc;
    p->switched = true;
    return 0;
}

int snap_overlay_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                               struct snap_err *err)
{
    int rc = snap_overlay_forget_link(c, p, err);

    if (rc)
        return rc;
    if (!p->drop_path || snap_streq(p->drop_path, snap_overlay_leaf(p)) ||
        snap_streq(p->drop_path, p->frozen_path))
        return 0;
    return snap_leaf_drop(c, p->drop_path, p->stem, &p->dropped, err);
}

int snap_overlay_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_err *err)
{
    int rc, have;
    bool ours = false, written = false;
    const char *leaf;
    struct snap_err why = SNAP_ERR_INIT;

    if (!p->leaf_path) {
        rc = plan_leaf(c, p, err);
        if (rc)
            return rc;
    }
    leaf = snap_overlay_leaf(p);
    have = snap_overlay_is_over(leaf, p->frozen_path, &ours, &written, &why);
    if (have && have != SNAP_NOTFOUND)
        return snap_fail(err, have, "%s", why.msg);
    rc = have ? snap_overlay_check_mounted(leaf, p->frozen_path, err) : 0;
    if (rc)
        return rc;
    if (c->only_look)
        return !have && ours && written
                   ? snap_fail(err, SNAP_RECOVER, "somebody has written to %s",
                               leaf)
                   : 0;
    /* Somebody may run on it: its name stays as well then. */
    rc = !have && ours ? snap_image_check_unused(c, leaf, err) : 0;
    if (!rc)
        rc = snap_overlay_unlink_leaf(c, p, err);
    if (!rc && !have && ours && written)
        snap_say(c->log, SNAP_LOG_WARN,
                 "%s: somebody has written to %s, which a revert had made; it is kept, and nothing needs it",
                 p->vdev, leaf);
    else if (!rc && !have && ours)
        rc = snap_file_remove(leaf, err);
    if (rc)
        return rc;
    rc = snap_overlay_make_undo(c, leaf, err);
    if (rc)
        return rc;
    p->switched = false;
    return 0;
}

int snap_overlay_remove(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err)
{
    struct stat st;
    const struct snap_stamp then = frozen_stamp(p);

    if (p->keep_image)
        return snap_file_exists(p->frozen_path)
                   ? snap_image_unprotect(p->frozen_path, err)
                   : 0;
    if (!stat(p->frozen_path, &st) && S_ISBLK(st.st_mode))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is a device; it is for its owner to remove",
                         p->frozen_path);
    return snap_image_drop(c, p->frozen_path, p->frozen_format, &then, err);
}
