/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See overlay_chain.h.  A node of QEMU's is told by its place in the chain and
 * not by its file name: after --keep-path a name may be another file's.
 */
#include "disk/overlay_chain.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define SCAN_MAX  65536 /* entries of one folder */
#define DEPTH_MAX 200

char *snap_overlay_backing(const char *image, const struct snap_qcow2 *h)
{
    const char *b = h->backing;
    char *dir, *s;

    if (!b || !b[0])
        return NULL;
    if (snap_has_prefix(b, "json:")) {
        s = snap_qemu_plain_file(b, "");
        return s[0] ? s : (free(s), NULL);
    }
    if (snap_has_prefix(b, "file:"))
        b += 5;
    if (b[0] == '/')
        return snap_strdup(b);
    if (strchr(b, ':'))
        return NULL;
    dir = snap_dirname(image);
    s = snap_printf("%s/%s", dir, b);
    free(dir);
    return s;
}

/* ---- children ---- */

struct search {
    const char *base;
    char **path;
    size_t n;
};

static void found(struct search *s, const char *path)
{
    size_t i;
    char *real = realpath(path, NULL);

    for (i = 0; real && i < s->n; i++)
        if (snap_same_file(s->path[i], real)) {
            free(real);
            return;
        }
    if (!real)
        return;
    s->path = snap_realloc(s->path, s->n + 1, sizeof(*s->path));
    s->path[s->n++] = real;
}

/* Is this file over the base?  What is no image, and what is gone, is not. */
static int look_at(struct search *s, const char *path, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    char *backing;
    struct stat st;

    if (stat(path, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
        return 0;
    rc = snap_qcow2_read(path, &h, &why);
    if (rc == SNAP_CORRUPT || rc == SNAP_NOTFOUND)
        return 0;
    if (rc)
        return snap_fail(err, rc, "looking for what is over %s: %s", s->base,
                         why.msg);
    backing = snap_overlay_backing(path, &h);
    if (backing && snap_same_file(backing, s->base))
        found(s, path);
    free(backing);
    snap_qcow2_dispose(&h);
    return 0;
}

static int scan(struct search *s, const char *dir, struct snap_err *err)
{
    int rc = 0, e = snap_fault("file", "open folder");
    unsigned left = SCAN_MAX;
    const struct dirent *de;
    DIR *d = e ? NULL : opendir(dir);
    char *file;

    if (!d && (e ? e : errno) == ENOENT)
        return 0;
    if (!d)
        return snap_fail_errno(err, SNAP_IO, e ? e : errno, "folder %s", dir);
    while (!rc && (de = readdir(d))) {
        if (de->d_type != DT_REG && de->d_type != DT_UNKNOWN)
            continue;
        if (!left--) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s has too many files to tell which of them need "
                           "%s",
                           dir, s->base);
            break;
        }
        file = snap_printf("%s/%s", dir, de->d_name);
        rc = look_at(s, file, err);
        free(file);
    }
    closedir(d);
    return rc;
}

static int scan_once(struct search *s, char *const *before, size_t n,
                     const char *file, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    char *dir = snap_dirname(file), *other;
    bool again = false;

    for (i = 0; i < n && !again; i++) {
        other = snap_dirname(before[i]);
        again = !strcmp(dir, other);
        free(other);
    }
    if (!again && !snap_has_prefix(dir, "/dev"))
        rc = scan(s, dir, err);
    free(dir);
    return rc;
}

int snap_overlay_children(const char *base, char *const *known, size_t n_known,
                          const struct snap_qemu_view *v, char ***paths_r,
                          size_t *n_r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct search s = { .base = base };

    for (i = 0; i < n_known; i++) {
        rc = look_at(&s, known[i], err);
        if (rc)
            goto out;
    }
    for (i = 0; v && i < v->n; i++)
        if (v->node[i].file[0]) {
            rc = look_at(&s, v->node[i].file, err);
            if (rc)
                goto out;
        }
    rc = scan_once(&s, known, n_known, base, err);
    for (i = 0; !rc && i < n_known; i++)
        rc = scan_once(&s, known, i, known[i], err);

out:
    if (rc) {
        for (i = 0; i < s.n; i++)
            free(s.path[i]);
        free(s.path);
        s.path = NULL;
        s.n = 0;
    }
    *paths_r = s.path;
    *n_r = s.n;
    return rc;
}

/* ---- the other way ---- */

/* A mount point on which nothing is mounted looks so. */
static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *de;
    bool any = false;

    while (d && !any && (de = readdir(d)))
        any = strcmp(de->d_name, ".") && strcmp(de->d_name, "..") &&
              strcmp(de->d_name, "lost+found");
    if (d)
        closedir(d);
    return !any;
}

/* Gone only if its folder says so. */
static int is_gone(const char *path, bool *gone_r, struct snap_err *err)
{
    int rc = 0, e = snap_fault("file", "walk a chain");
    struct stat st;
    char *dir;

    *gone_r = false;
    if (!e && !lstat(path, &st))
        return 0;
    e = e ? e : errno;
    if (e != ENOENT)
        return snap_fail_errno(err, SNAP_IO, e, "%s", path);
    dir = snap_dirname(path);
    if (stat(dir, &st))
        rc = snap_fail_errno(err, SNAP_REFUSED, errno,
                             "the folder of %s is not there", path);
    else if (is_empty(dir))
        rc = snap_fail(err, SNAP_REFUSED,
                       "the folder of %s is empty, as if something were not "
                       "mounted there",
                       path);
    free(dir);
    *gone_r = !rc;
    return rc;
}

int snap_overlay_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                           const char *path, enum snap_stand *how_r,
                           struct snap_err *err)
{
    int rc;
    unsigned depth;
    char *at = NULL, *next;
    struct stat st;
    bool gone, no_format = false;

    (void)c;
    *how_r = SNAP_STAND_ALONE;
    rc = is_gone(path, &gone, err);
    if (!rc && gone)
        *how_r = SNAP_STAND_GONE;
    if (!rc && !gone && p->frozen_path &&
        !snap_same_file(path, p->frozen_path))
        at = snap_strdup(path);
    for (depth = 0; !rc && at && *how_r != SNAP_STAND_ON; depth++) {
        struct snap_qcow2 h = { 0 };
        struct snap_err why = SNAP_ERR_INIT;

        if (stat(at, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s, which %s reads through, is not there", at,
                           path);
            break;
        }
        rc = snap_qcow2_read(at, &h, &why);
        if (rc == SNAP_CORRUPT && no_format) {
            rc = 0; /* a raw one, of which nobody said so */
            break;
        }
        if (rc) {
            rc = snap_fail(err, rc == SNAP_CORRUPT ? SNAP_REFUSED : rc,
                           "what %s is over cannot be told: %s", path,
                           why.msg);
            break;
        }
        next = depth < DEPTH_MAX ? snap_overlay_backing(at, &h) : NULL;
        if (h.backing && !next)
            rc = snap_fail(err, SNAP_REFUSED,
                           "the chain of images that %s reads through cannot "
                           "be followed below %s",
                           path, at);
        if (next && snap_same_file(next, p->frozen_path))
            *how_r = SNAP_STAND_ON;
        free(at);
        at = next;
        no_format = !h.backing_format;
        /* What is in a raw image is the guest's, and no header. */
        if (h.backing_format && strcmp(h.backing_format, "qcow2") != 0)
            snap_free(&at);
        snap_qcow2_dispose(&h);
    }
    free(at);
    return rc;
}

/* ---- what QEMU has ---- */

void snap_overlay_levels_free(struct snap_overlay_level **l, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++)
        free((*l)[i].path);
    free(*l);
    *l = NULL;
    *n = 0;
}

/* What the header of an image says is below it; NULL: nothing. */
static int below(const char *path, const char *driver, char **next_r,
                 struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    *next_r = NULL;
    if (!snap_streq(driver, "qcow2"))
        return 0;
    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        return rc;
    *next_r = snap_overlay_backing(path, &h);
    if (h.backing && !*next_r)
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "%s is over %s, which is not a file", path, h.backing);
    snap_qcow2_dispose(&h);
    return rc;
}

/* A block job puts nodes of its own between; they have no file. */
static const struct snap_qemu_node *below_filters(
    const struct snap_qemu_view *v, const struct snap_qemu_node *node)
{
    size_t i, left = DEPTH_MAX;

    while (node && left-- &&
           (snap_streq(node->driver, "mirror_top") ||
            snap_streq(node->driver, "commit_top") ||
            snap_streq(node->driver, "copy-on-read"))) {
        const struct snap_qemu_node *next = NULL;

        for (i = 0; !next && i < v->n_edges; i++)
            if (&v->node[v->edge[i].parent] == node)
                next = &v->node[v->edge[i].child];
        node = next;
    }
    return node;
}

int snap_overlay_levels(const struct snap_qemu_view *v, const char *leaf,
                        struct snap_overlay_level **l_r, size_t *n_r,
                        struct snap_err *err)
{
    int rc;
    struct snap_overlay_level *l = NULL;
    size_t n = 0;
    const struct snap_qemu_node *node;
    char *path = NULL;

    *l_r = NULL;
    *n_r = 0;
    rc = snap_qemu_root_of(v, leaf, &node, err);
    if (rc)
        return rc;
    node = below_filters(v, node);
    if (!node || !snap_same_file(node->file, leaf)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "QEMU writes to %s, not to %s; an earlier command did "
                       "not end, run snapshot-recover",
                       node && node->file[0] ? node->file : "another image",
                       leaf);
        goto out;
    }
    path = realpath(leaf, NULL);
    while (path) {
        if (!node || n == DEPTH_MAX) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s is not what QEMU of the domain reads through, "
                           "though the headers of the images say so",
                           path);
            goto out;
        }
        l = snap_realloc(l, n + 1, sizeof(*l));
        l[n].path = path;
        l[n].node = node;
        l[n].named = snap_same_file(node->file, path);
        n++;
        rc = below(l[n - 1].path, node->driver, &path, err);
        if (rc)
            goto out;
        node = below_filters(v, snap_qemu_backing(v, node));
    }
    if (node) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "QEMU of the domain reads through %s, which no header "
                       "of an image says",
                       node->file[0] ? node->file : node->name);
        goto out;
    }
    *l_r = l;
    *n_r = n;
    l = NULL;
    n = 0;

out:
    free(path);
    snap_overlay_levels_free(&l, &n);
    return rc;
}
