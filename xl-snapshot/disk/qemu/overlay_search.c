/* SPDX-License-Identifier: LGPL-2.1-only */
/* See overlay_search.h. */
#include "disk/qemu/overlay_search.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/format/qcow2_header.h"
#include "disk/qemu/image_cards.h"
#include "disk/qemu/overlay_chain.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define SCAN_MAX 65536 /* entries of one folder */

enum over {
    OVER_NOT,
    OVER_YES,
    OVER_UNCLEAR, /* it may be, by another reading of its header */
};

struct search {
    struct snap_cards *cards;
    const char *base;
    const struct snap_known *known;
    size_t n_known;
    char **path; /* found */
    size_t n;
    char *other; /* seems to be over base, and nobody has said what it is */
};

/* ---- one image ---- */

/* Does a name that is no plain path have that of base in it?  QEMU has a
 * dozen ways to say a file: "json:", "file:", "blkdebug:conf:file". */
static bool has_in_it(const char *path, const char *name, const char *base)
{
    bool found = snap_has_prefix(name, "json:") &&
                 snap_overlay_json_names(name, base);
    char *dir = snap_dirname(path), *beside;

    for (name = strchr(name, ':'); name && !found; name = strchr(name, ':')) {
        /* Relative to where QEMU was started, which may have been here. */
        beside = snap_printf("%s/%s", dir, ++name);
        found = snap_same_file(name, base) || snap_same_file(beside, base);
        free(beside);
    }
    free(dir);
    return found;
}

static bool is_no_more(int e)
{
    return e == ENOENT || e == ENOTDIR || e == ELOOP;
}

/* What cannot be looked at may be. */
static bool may_be(const struct search *s, const char *backing, bool *same_r)
{
    int e;

    *same_r = backing && snap_cards_same(s->cards, backing, s->base);
    if (*same_r || !backing)
        return *same_r;
    e = snap_cards_stat(s->cards, backing)->e;
    return e && !is_no_more(e);
}

/* A relative name counts from the folder of the name by which QEMU opens the
 * image, and a link may be in another folder than its file. */
static enum over by_both_names(const struct search *s, const char *path,
                               const struct snap_qcow2 *h, const char *backing)
{
    char *real = NULL, *other = NULL;
    bool here, there, any = may_be(s, backing, &here);

    if (h->backing[0] == '/')
        return here ? OVER_YES : any ? OVER_UNCLEAR : OVER_NOT;
    real = realpath(path, NULL);
    other = real ? snap_overlay_backing(real, h) : NULL;
    any = may_be(s, other, &there) || any;
    free(other);
    free(real);
    return here && there ? OVER_YES : any ? OVER_UNCLEAR : OVER_NOT;
}

static enum over overlay_search_compare(const struct search *s,
                                        const char *path,
                                        const struct snap_qcow2 *h)
{
    enum over how = OVER_NOT;
    char *backing;

    if (!h->backing)
        return OVER_NOT;
    backing = snap_overlay_backing(path, h);
    if (backing)
        how = by_both_names(s, path, h, backing);
    else if (has_in_it(path, h->backing, s->base))
        how = OVER_UNCLEAR;
    free(backing);
    return how;
}

/* What is no image, and what is gone, is over nothing. */
static int overlay_search_look_at(const struct search *s, const char *path,
                                  enum over *how_r, struct snap_err *err)
{
    const struct snap_card *c = snap_cards_stat(s->cards, path);

    *how_r = OVER_NOT;
    if (c->e)
        return is_no_more(c->e)
                   ? 0
                   : snap_fail_errno(err, SNAP_IO, c->e,
                                     "looking for what is over %s: %s",
                                     s->base, path);
    if ((!S_ISREG(c->st.st_mode) && !S_ISBLK(c->st.st_mode)) ||
        snap_cards_same(s->cards, path, s->base))
        return 0;
    c = snap_cards_header(s->cards, path);
    if (!c->rc)
        *how_r = overlay_search_compare(s, path, &c->h);
    else if (c->rc == SNAP_CORRUPT && c->h.begins)
        *how_r = OVER_UNCLEAR;
    else if (c->rc != SNAP_CORRUPT && c->rc != SNAP_NOTFOUND)
        return snap_fail(err, c->rc, "looking for what is over %s: %s",
                         s->base, c->why);
    return 0;
}

/* ---- those that somebody named ---- */

static bool is_found(const struct search *s, const char *path)
{
    size_t i;

    for (i = 0; i < s->n; i++)
        if (snap_same_file(s->path[i], path))
            return true;
    return false;
}

/* The real path, if the image is over the base by that, too. */
static void found(struct search *s, const char *path)
{
    char *real;

    if (is_found(s, path))
        return;
    real = realpath(path, NULL);
    s->path = snap_realloc(s->path, s->n + 1, sizeof(*s->path));
    s->path[s->n++] = real ? real : snap_strdup(path);
}

static int unclear(const struct search *s, const char *path,
                   struct snap_err *err)
{
    return snap_fail(err, SNAP_REFUSED,
                     "whether %s is over %s cannot be told from its header; if it is, give it the whole path of its backing file (qemu-img rebase -u -b FILE -F FORMAT %s)",
                     path, s->base, path);
}

static bool is_qcow2(const struct snap_known *k)
{
    return snap_streq(k->format, "qcow2");
}

/* What is said of this very file: nothing, raw or the like, or qcow2. */
static void ask(const struct search *s, const char *path, bool *qcow2_r,
                bool *other_r)
{
    size_t i;

    *qcow2_r = *other_r = false;
    for (i = 0; i < s->n_known; i++) {
        if (!snap_cards_same(s->cards, s->known[i].path, path))
            continue;
        if (is_qcow2(&s->known[i]))
            *qcow2_r = true;
        else
            *other_r = true;
    }
}

/* Somebody has said that it is qcow2; if another says something else, who
 * knows. */
static int look_at_known(struct search *s, const char *path,
                         struct snap_err *err)
{
    enum over how;
    bool qcow2, other;
    int rc = overlay_search_look_at(s, path, &how, err);

    if (rc || how == OVER_NOT)
        return rc;
    ask(s, path, &qcow2, &other);
    if (other)
        snap_set(&s->other, path);
    else if (how == OVER_UNCLEAR)
        rc = unclear(s, path, err);
    else
        found(s, path);
    return rc;
}

/* ---- what else is there ---- */

static int look_at_file(struct search *s, const char *path,
                        struct snap_err *err)
{
    enum over how;
    bool qcow2, other;
    int rc = overlay_search_look_at(s, path, &how, err);

    if (rc || how == OVER_NOT || (how == OVER_YES && is_found(s, path)))
        return rc;
    ask(s, path, &qcow2, &other);
    /* Its own bytes are then the guest's, and no header. */
    if (other && !qcow2)
        return 0;
    snap_set(&s->other, path);
    return 0;
}

/* Nothing is beside a device. */
static bool overlay_search_is_device(const struct search *s, const char *path)
{
    const struct snap_card *c = snap_cards_stat(s->cards, path);

    return !c->e && S_ISBLK(c->st.st_mode);
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
    errno = 0;
    while (!rc && !s->other && (de = readdir(d))) {
        if (de->d_type != DT_REG && de->d_type != DT_LNK &&
            de->d_type != DT_BLK && de->d_type != DT_UNKNOWN)
            continue;
        if (!left--) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s has too many files to tell which of them need %s",
                           dir, s->base);
            break;
        }
        file = snap_printf("%s/%s", strcmp(dir, "/") ? dir : "", de->d_name);
        rc = look_at_file(s, file, err);
        free(file);
        errno = 0;
    }
    if (!rc && !s->other && errno)
        rc = snap_fail_errno(err, SNAP_IO, errno, "folder %s", dir);
    closedir(d);
    return rc;
}

/* ---- all ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each folder of base and of known, once. */
static char **folders(const struct search *s, size_t *n_r)
{
    char **dir = snap_zalloc((s->n_known + 1) * sizeof(*dir));
    size_t i, n = 0, out = 0;

    for (i = 0; i <= s->n_known; i++) {
        const char *path = i ? s->known[i - 1].path : s->base;

        if (!overlay_search_is_device(s, path))
            dir[n++] = snap_dirname(path);
    }
    if (n)
        qsort(dir, n, sizeof(*dir), by_text);
    for (i = 0; i < n; i++)
        if (out && !strcmp(dir[out - 1], dir[i]))
            free(dir[i]);
        else
            dir[out++] = dir[i];
    *n_r = out;
    return dir;
}

static int scan_all(struct search *s, struct snap_err *err)
{
    int rc = 0;
    size_t i, n;
    char **dir = folders(s, &n);

    for (i = 0; i < n; i++) {
        if (!rc && !s->other)
            rc = scan(s, dir[i], err);
        free(dir[i]);
    }
    free(dir);
    if (!rc && s->other)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s looks like an image over %s, and nothing that is known here says that it is one: it may be a guest's raw disk, and is not touched.  If it is an overlay that you made, let it stand alone (qemu-img rebase -f qcow2 -b '' %s) or remove it; if not, move it to another folder",
                       s->other, s->base, s->other);
    return rc;
}

static int by_known(const void *pa, const void *pb)
{
    const struct snap_known *a = pa, *b = pb;
    int c = strcmp(a->path, b->path);

    return c ? c : (int)is_qcow2(a) - (int)is_qcow2(b);
}

/* Borrowed names, each once. */
static struct snap_known *sorted(const struct snap_known *known, size_t n,
                                 size_t *n_r)
{
    struct snap_known *k = snap_zalloc((n + 1) * sizeof(*k));
    size_t i, out = 0;

    for (i = 0; i < n; i++)
        k[i] = known[i];
    if (n)
        qsort(k, n, sizeof(*k), by_known);
    for (i = 0; i < n; i++)
        if (!out || by_known(&k[out - 1], &k[i]))
            k[out++] = k[i];
    *n_r = out;
    return k;
}

int snap_overlay_children(const char *base, const struct snap_known *known,
                          size_t n_known, const struct snap_qemu_view *v,
                          struct snap_seen *seen, char ***paths_r, size_t *n_r,
                          struct snap_err *err)
{
    int rc = 0;
    size_t i;
    struct search s = { .cards = snap_cards_open(seen), .base = base };
    struct snap_known *k = sorted(known, n_known, &s.n_known);

    s.known = k;
    for (i = 0; !rc && i < s.n_known; i++)
        if (is_qcow2(&k[i]))
            rc = look_at_known(&s, k[i].path, err);
    for (i = 0; !rc && v && i < v->n; i++)
        if (v->node[i].file[0] && snap_streq(v->node[i].driver, "qcow2"))
            rc = look_at_known(&s, v->node[i].file, err);
    if (!rc)
        rc = scan_all(&s, err);
    for (i = 0; rc && i < s.n; i++)
        free(s.path[i]);
    if (rc)
        free(s.path);
    free(s.other);
    free(k);
    snap_cards_close(s.cards, seen);
    *paths_r = rc ? NULL : s.path;
    *n_r = rc ? 0 : s.n;
    return rc;
}

char *snap_overlay_child(const char *path)
{
    struct search s = { .cards = snap_cards_open(NULL), .base = path };
    char *dir;

    if (!overlay_search_is_device(&s, path)) {
        dir = snap_dirname(path);
        if (scan(&s, dir, NULL) && !s.other)
            s.other = snap_printf("what cannot be read in %s", dir);
        free(dir);
    }
    snap_cards_close(s.cards, NULL);
    return s.other;
}
