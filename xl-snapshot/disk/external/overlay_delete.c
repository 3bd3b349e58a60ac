/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * How the frozen image of an external snapshot can be given up.
 *
 * Pull: each image over it takes the data that it reads there.  Harms nobody
 * at any moment, and costs as much as the frozen image holds, for each child.
 * Merge: the active image is written down into the frozen one, which becomes
 * the active image again.  Cheaper when the guest wrote little, and the disk
 * has its old path back; but only if nothing else is over the frozen image,
 * and nobody needs the active one as it is.  In doubt it is a pull.
 *
 * Must never let data move below a snapshot that is inside an image: that
 * reads through the backing file as it was, and nothing would follow it.
 */
#include "disk/external/overlay_delete.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/external/overlay_commit.h"
#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/image_cards.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_levels.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/overlay_search.h"
#include "disk/qemu/qemu_img.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"

#define LOOK_MS 10000
/* What tables and the file system itself need beside the data. */
#define SPACE_SLACK (4ull << 20)

struct look {
    struct snap_qemu_view v;
    struct snap_overlay_level *level;
    size_t n;
};

static uint64_t allocated(const char *path)
{
    struct stat st;

    if (!path || stat(path, &st) || !S_ISREG(st.st_mode))
        return 0;
    return (uint64_t)st.st_blocks * 512;
}

/* The names of the snapshots inside, for a message; caller frees. */
static char *inside(struct snap_disk_ctx *c, const char *path)
{
    struct snap_buf b = { 0 };
    struct snap_json *info = NULL;
    const struct snap_json *a;
    size_t i;

    if (!snap_qemu_img_info(c->log, path, "qcow2", false, &info, NULL)) {
        a = snap_json_get(info, "snapshots");
        for (i = 0; i < snap_image_snapshots(info) && i < 8; i++)
            snap_buf_addf(&b, "%s%s", i ? ", " : "",
                          snap_json_get_str(snap_json_at(a, i), "name"));
        if (i < snap_image_snapshots(info))
            snap_buf_adds(&b, ", ...");
    }
    snap_json_free(info);
    return b.data ? b.data : snap_strdup("some");
}

/* May data be moved into this image? */
static int check_child(struct snap_disk_ctx *c, const struct snap_part *p,
                       const char *path, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };
    char *tags;

    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        return rc;
    if (h.snapshots) {
        tags = inside(c, path);
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is over %s and has snapshots inside (%s), which read through it as well and would be lost; delete those first",
                       path, p->frozen_path, tags);
        free(tags);
    } else if (h.corrupt) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is marked corrupt; repair it first (qemu-img check -r all)",
                       path);
    } else if (h.encrypted) {
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is encrypted, and there is no key here to write into it",
                       path);
    } else if (h.data_file) {
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is over %s and keeps its data in another file; let it stand alone first (qemu-img convert -O qcow2)",
                       path, p->frozen_path);
    }
    snap_qcow2_dispose(&h);
    return rc;
}

/* A header may say "/img/../gold.qcow2", or what no journal can: then by the
 * name that the file itself has, which is no device's. */
static int make_plain(char **path, struct snap_err *err)
{
    char *real;
    struct stat st;

    if (snap_path_ok(*path))
        return 0;
    real = realpath(*path, NULL);
    if (!real || !snap_path_ok(real) || stat(real, &st) ||
        !S_ISREG(st.st_mode)) {
        free(real);
        return snap_fail(err, SNAP_REFUSED,
                         "%s is not a name that can be written down; rename the file, or correct the header that says so (qemu-img rebase -u -b FILE -F FORMAT IMAGE)",
                         *path);
    }
    free(*path);
    *path = real;
    return 0;
}

/* What is below the frozen image, so that a child can stand on that. */
static int find_parent(const struct snap_part *p, struct snap_delete *d,
                       struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    if (!snap_streq(p->frozen_format, "qcow2"))
        return 0;
    rc = snap_qcow2_read(p->frozen_path, &h, err);
    if (rc)
        goto out;
    /* Somebody's, whatever the records know: the image is kept for them. */
    if (h.snapshots)
        d->keep_image = true;
    if (!h.backing)
        goto out;
    d->parent = snap_overlay_backing(p->frozen_path, &h);
    snap_set(&d->parent_format, h.backing_format);
    if (!d->parent || !d->parent_format)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s does not say which file it is over, and of which format; it is frozen, so correct its header as xl-snapshot(1) says under IMAGES THAT ARE REFUSED",
                       p->frozen_path);
    else
        rc = make_plain(&d->parent, err);
    if (!rc && d->parent && strlen(d->parent) > SNAP_QCOW2_BACKING_MAX)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is too long for the header of an image", d->parent);

out:
    snap_qcow2_dispose(&h);
    return rc;
}

/* The overlay that this very snapshot made is known as well, though its record
 * may name it by a link only. */
static void know_own(const struct snap_part *p, struct snap_delete *d)
{
    const char *file = snap_overlay_file(p);
    struct snap_known *k;

    if (!file || !snap_path_ok(file))
        return;
    d->known = snap_realloc(d->known, d->n_known + 1, sizeof(*d->known));
    k = &d->known[d->n_known++];
    k->path = snap_strdup(file);
    k->format = snap_strdup("qcow2");
    k->frozen = false;
}

static int find_children(struct snap_disk_ctx *c, const struct snap_part *p,
                         struct snap_delete *d, const struct look *l,
                         struct snap_err *err)
{
    int rc;
    size_t i, k, n = 0;
    char **paths = NULL;

    know_own(p, d);
    rc = snap_overlay_children(p->frozen_path, d->known, d->n_known,
                               c->qmp ? &l->v : NULL, c->seen, &paths, &n,
                               err);
    if (rc)
        return rc;
    d->child = snap_zalloc((n + 1) * sizeof(*d->child));
    d->n_child = n;
    for (i = 0; i < n; i++)
        d->child[i].path = paths[i];
    for (i = 0; !rc && i < n; i++) {
        rc = make_plain(&d->child[i].path, err);
        d->child[i].protect = snap_image_protected(d->child[i].path);
        for (k = 0; k < l->n; k++)
            if (snap_same_file(l->level[k].path, d->child[i].path))
                d->child[i].live = true;
    }
    free(paths);
    return rc;
}

static const struct snap_overlay_level *level_of(const struct look *l,
                                                 const char *path, size_t *at)
{
    size_t k;

    for (k = 0; l->level && k < l->n; k++)
        if (snap_same_file(l->level[k].path, path)) {
            *at = k;
            return &l->level[k];
        }
    return NULL;
}

/* Protected, and no snapshot that is known here has it. */
static int check_frozen_by(const struct snap_disk_ctx *c,
                           const struct snap_part *p,
                           const struct snap_delete *d,
                           const struct snap_child *child,
                           struct snap_err *err)
{
    size_t i;
    bool known = false;
    struct snap_cards *cards = snap_cards_open(c->seen);

    for (i = 0; child->protect && !known && i < d->n_known; i++)
        known = d->known[i].frozen &&
                snap_cards_same(cards, d->known[i].path, child->path);
    snap_cards_close(cards, c->seen);
    return child->protect && !known
               ? snap_fail(err, SNAP_REFUSED,
                           "%s is over %s and immutable, as a frozen image is, and no snapshot in this store has it: one in another store may.  If none has, chattr -i %s",
                           child->path, p->frozen_path, child->path)
               : 0;
}

/* QEMU has it open for reading, and opens it again: then it does not look
 * whether the reference counts are true (qcow2 with lazy_refcounts). */
static int check_clean(const struct snap_part *p, const char *path,
                       struct snap_err *err)
{
    struct snap_qcow2 h = { 0 };
    int rc = snap_qcow2_read(path, &h, err);

    if (!rc && h.dirty)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is over %s and was not closed cleanly, which QEMU does not repair while it has it; shut the domain down and delete the snapshot then",
                       path, p->frozen_path);
    snap_qcow2_dispose(&h);
    return rc;
}

static int check_children(struct snap_disk_ctx *c, const struct snap_part *p,
                          const struct snap_delete *d, const struct look *l,
                          struct snap_err *err)
{
    int rc;
    size_t i, at = 0;
    const struct snap_overlay_level *level;

    for (i = 0; i < d->n_child; i++) {
        const char *path = d->child[i].path;

        rc = check_child(c, p, path, err);
        if (!rc)
            rc = check_frozen_by(c, p, d, &d->child[i], err);
        if (rc)
            return rc;
        level = level_of(l, path, &at);
        rc = level ? snap_image_check_others(c, path, false, err)
                   : snap_image_check_closed(c, path, err);
        if (rc) {
            snap_err_append(err,
                            "it is over %s; end what uses it, and delete the snapshot then",
                            p->frozen_path);
            return rc;
        }
        if (!level)
            continue;
        /* the leaf is "at" levels above */
        if (level[-(ptrdiff_t)at].node->job || level->node->job)
            return snap_fail(err, SNAP_BUSY,
                             "a block job of QEMU works on %s; wait until it has ended",
                             path);
        rc = at ? check_clean(p, path, err) : 0;
        if (rc)
            return rc;
        /* The leaf is open for writing; others QEMU has to open again. */
        if (at && !level->named)
            return snap_fail(err, SNAP_REFUSED,
                             "QEMU of the domain opened %s by a name that is another file's now; shut the domain down and delete the snapshot then",
                             path);
    }
    return 0;
}

/* Can the leaf be merged into the frozen image, if nobody else reads it? */
static bool can_merge(struct snap_disk_ctx *c, const struct snap_part *p,
                      const struct snap_delete *d, const struct look *l)
{
    bool yes, clean;
    struct stat link, base;
    struct snap_qcow2 leaf = { 0 };
    uint64_t free_bytes = 0;

    if (d->n_child != 1 || !d->leaf || !d->may_merge ||
        !snap_same_file(d->child[0].path, d->leaf) || lstat(d->leaf, &link) ||
        !S_ISREG(link.st_mode) || stat(p->frozen_path, &base) ||
        snap_overlay_base_clean(p->frozen_path, p->frozen_format, &clean,
                                NULL) ||
        !clean || snap_qcow2_read(d->leaf, &leaf, NULL))
        return false;
    yes = !leaf.snapshots && !leaf.data_file && !leaf.dirty &&
          leaf.size == p->size;
    snap_qcow2_dispose(&leaf);
    if (c->qmp && (l->n < 2 || !l->level[1].named ||
                   !snap_same_file(l->level[1].path, p->frozen_path)))
        return false;
    if (!S_ISREG(base.st_mode))
        return yes;
    if (snap_space_left(c->space, p->frozen_path, &free_bytes, NULL) ||
        free_bytes < allocated(d->leaf) + SPACE_SLACK)
        return false;
    return yes &&
           (d->keep_image || allocated(p->frozen_path) >= allocated(d->leaf));
}

static int check_space(const struct snap_disk_ctx *c,
                       const struct snap_part *p, const struct snap_delete *d,
                       struct snap_err *err)
{
    int rc;
    size_t i;
    uint64_t bytes, each = allocated(p->frozen_path);
    struct snap_space own = { 0 }, *space = c->space ? c->space : &own;
    char *need, *have;

    for (i = 0; i < d->n_child; i++) {
        rc = snap_space_left(space, d->child[i].path, &bytes, err);
        if (rc)
            return rc;
        if (bytes >= each + SPACE_SLACK) {
            snap_space_take(space, d->child[i].path, each);
            continue;
        }
        need = snap_size_human(each + SPACE_SLACK);
        have = snap_size_human(bytes);
        rc = snap_fail(err, SNAP_NOSPACE,
                       "%s would take over what it reads of %s: %s may be needed, and %s are free",
                       d->child[i].path, p->frozen_path, need, have);
        free(need);
        free(have);
        return rc;
    }
    return 0;
}

/* It goes away when it is merged, so nobody else may even read it. */
static bool nobody_reads(struct snap_disk_ctx *c, const struct snap_part *p,
                         const struct snap_delete *d)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc = snap_image_check_others(c, d->leaf, true, &why);

    if (rc)
        snap_say(c->log, SNAP_LOG_NOTE,
                 "%s: %s; so it is not merged into %s, but takes over what it reads there, which may take longer; to have it merged, end that first",
                 p->vdev, why.msg, p->frozen_path);
    return !rc;
}

static bool overlay_delete_is_device(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISBLK(st.st_mode);
}

static int decide(struct snap_disk_ctx *c, const struct snap_part *p,
                  struct snap_delete *d, const struct look *l,
                  struct snap_err *err)
{
    int rc;
    char *tags;

    rc = check_children(c, p, d, l, err);
    if (rc)
        return rc;
    if (can_merge(c, p, d, l) && nobody_reads(c, p, d)) {
        d->how = SNAP_DELETE_MERGE;
        d->keep_image = true;
        d->bytes = allocated(d->leaf);
        snap_space_take(c->space, p->frozen_path, d->bytes);
        snap_set(&d->leaf_format, "qcow2");
        snap_set(&d->gone, d->child[0].path);
        /* By the name that the user knows, if that is it. */
        snap_set(&d->active_path, snap_same_file(p->path, p->frozen_path)
                                      ? p->path
                                      : p->frozen_path);
        snap_set(&d->active_format, p->frozen_format);
        return 0;
    }
    d->how = d->n_child ? SNAP_DELETE_PULL : SNAP_DELETE_DROP;
    if (d->keep_image && !d->others_inside &&
        !overlay_delete_is_device(p->frozen_path)) {
        tags = inside(c, p->frozen_path);
        snap_say(c->log, SNAP_LOG_NOTE,
                 "%s: %s stays, since it has snapshots inside that no record knows (%s)",
                 p->vdev, p->frozen_path, tags);
        free(tags);
    }
    d->bytes = d->n_child * allocated(p->frozen_path);
    return check_space(c, p, d, err);
}

/* Somebody else's, or somebody's active image? */
static int check_frozen(struct snap_disk_ctx *c, const struct snap_part *p,
                        struct snap_err *err)
{
    int rc;
    char *who = NULL;

    if (c->image_user) {
        rc = c->image_user(c->opaque, p->frozen_path, &who, err);
        if (rc)
            return rc;
    }
    if (!who) {
        rc = snap_image_reader(c, p->frozen_path, &who, err);
        if (rc)
            return rc;
    }
    rc = who ? snap_fail(err, SNAP_BUSY,
                         "%s is frozen, and %s uses it; end that first",
                         p->frozen_path, who)
             : 0;
    free(who);
    return rc;
}

int snap_overlay_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_delete *d, struct snap_err *err)
{
    int rc;
    struct look l = { 0 };
    struct stat st;
    struct snap_err why = SNAP_ERR_INIT;

    d->how = SNAP_DELETE_DROP;
    d->keep_image = d->others_inside;
    if (stat(p->frozen_path, &st)) {
        if (errno == ENOENT)
            return 0;
        return snap_fail_errno(err, SNAP_IO, errno, "%s", p->frozen_path);
    }
    if (d->others_freeze) {
        d->how = SNAP_DELETE_STAY;
        return 0;
    }
    /* The domain was put on it again, by whatever way: it is no snapshot any
     * more, and the domain's disk. */
    if (d->leaf && snap_same_file(d->leaf, p->frozen_path)) {
        d->keep_image = true;
        return 0;
    }
    if (S_ISBLK(st.st_mode))
        d->keep_image = true;
    rc = check_frozen(c, p, err);
    if (rc)
        return rc;
    if (c->qmp) {
        rc = snap_qemu_look(c->qmp, LOOK_MS, &l.v, err);
        if (rc)
            return rc;
        rc = d->leaf ? snap_overlay_levels(&l.v, d->leaf, &l.level, &l.n, &why)
                     : SNAP_NOTFOUND;
        if (rc && rc != SNAP_NOTFOUND) {
            rc = snap_fail(err, rc, "%s", why.msg);
            goto out;
        }
    }
    rc = find_parent(p, d, err);
    if (!rc)
        rc = find_children(c, p, d, &l, err);
    if (!rc)
        rc = decide(c, p, d, &l, err);

out:
    snap_overlay_levels_free(&l.level, &l.n);
    snap_qemu_view_dispose(&l.v);
    return rc;
}
