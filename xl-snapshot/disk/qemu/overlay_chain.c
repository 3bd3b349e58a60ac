/* SPDX-License-Identifier: LGPL-2.1-only */
/* See overlay_chain.h. */
#include "disk/qemu/overlay_chain.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/qemu/image_cards.h"
#include "disk/qemu/qemu_node.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/seen.h"

#define MADE_MAX 200

/* ---- names ---- */

/* As path_has_protocol() of QEMU: a colon before any slash. */
static bool has_protocol(const char *name)
{
    return name[strcspn(name, ":/")] == ':';
}

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
    /* What follows "file:" counts from where QEMU was started. */
    if (snap_has_prefix(b, "file:/"))
        return snap_strdup(b + 5);
    if (b[0] == '/')
        return snap_strdup(b);
    if (has_protocol(b))
        return NULL;
    dir = snap_dirname(image);
    s = snap_printf("%s/%s", strcmp(dir, "/") ? dir : "", b);
    free(dir);
    return s;
}

/* Any string in it, at whatever depth. */
static bool any_string(const struct snap_json *j, const char *base)
{
    const char *s = snap_json_string(j, NULL);
    bool found = false;
    size_t i;

    if (s)
        return snap_same_file(s, base) ||
               !strcmp(snap_basename(s), snap_basename(base));
    if (snap_json_type(j) != SNAP_JSON_ARRAY &&
        snap_json_type(j) != SNAP_JSON_OBJECT)
        return false;
    for (i = 0; i < snap_json_len(j) && !found; i++)
        found = any_string(snap_json_at(j, i), base);
    return found;
}

bool snap_overlay_json_names(const char *name, const char *base)
{
    struct snap_json *j = NULL;
    bool found;

    /* QEMU takes more for JSON than we do. */
    if (snap_json_parse(name + 5, strlen(name + 5), &j, NULL))
        return true;
    found = any_string(j, base);
    snap_json_free(j);
    return found;
}

/* The next level, or NULL; *raw_r: it is said to be no qcow2 image, and what
 * it begins with is a guest's. */
static int go_down(const char *at, char **next_r, bool *raw_r,
                   bool *no_format_r, struct snap_err *err)
{
    struct snap_qcow2 h = { 0 };
    int rc = snap_qcow2_read(at, &h, err);

    *next_r = NULL;
    if (rc)
        return rc; /* what was said of this one stays */
    *next_r = snap_overlay_backing(at, &h);
    *no_format_r = !h.backing_format;
    *raw_r = h.backing_format && strcmp(h.backing_format, "qcow2") != 0;
    snap_qcow2_dispose(&h);
    return 0;
}

int snap_overlay_depth(const char *path, unsigned *depth_r,
                       struct snap_err *err)
{
    int rc = 0;
    char *at = snap_strdup(path), *next;
    bool raw = false, no_format = true;
    struct stat st;
    struct snap_err why = SNAP_ERR_INIT;

    for (*depth_r = 0; !rc && at; at = next) {
        next = NULL;
        if (++*depth_r > MADE_MAX)
            rc = snap_fail(err, SNAP_REFUSED,
                           "the chain of backing files below %s is longer than %d, or goes in a circle",
                           path, MADE_MAX);
        else if (raw && stat(at, &st))
            rc = snap_fail_errno(err,
                                 errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                                 errno, "a backing file of %s: %s", path, at);
        else if (!raw)
            rc = go_down(at, &next, &raw, &no_format, &why);
        /* A raw one, of which nobody has said so. */
        if (why.rc == SNAP_CORRUPT && no_format)
            rc = 0;
        else if (why.rc)
            rc = snap_fail(err, why.rc, "a backing file of %s: %s", path,
                           why.msg);
        free(at);
    }
    return rc;
}

int snap_overlay_same_chain(const char *a, const char *b, struct snap_err *err)
{
    int rc = 0;
    unsigned depth;
    bool raw = false, no_format = false;
    char *at[2] = { snap_strdup(a), snap_strdup(b) }, *next[2];
    struct snap_err ignored = SNAP_ERR_INIT;

    for (depth = 0; !rc && !raw && depth < SNAP_OVERLAY_DEPTH_MAX && at[0] &&
                    at[1] && strcmp(at[0], at[1]) != 0;
         depth++) {
        if (go_down(at[0], &next[0], &raw, &no_format, &ignored))
            break;
        if (go_down(at[1], &next[1], &raw, &no_format, &ignored))
            next[1] = NULL;
        if (next[0] && !snap_same_file(next[0], next[1]))
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s reads through %s by that name, and through %s by its own, %s; give the image the whole path of its backing file (qemu-img rebase -u -b %s -F FORMAT %s, with the domain off)",
                           at[0], next[0], next[1] ? next[1] : "nothing",
                           at[1], next[0], at[1]);
        free(at[0]);
        free(at[1]);
        at[0] = next[0];
        at[1] = next[1];
    }
    free(at[0]);
    free(at[1]);
    return rc;
}

int snap_overlay_check_format(const char *path, struct snap_err *err)
{
    struct snap_qcow2 h = { 0 };
    int rc = snap_qcow2_read(path, &h, err);

    if (!rc && h.backing && !h.backing_format)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s does not say of which format its backing file %s is, and guessing that would let a guest choose it; write it into the header first (qemu-img rebase -u -b %s -F FORMAT %s, with the domain off)",
                       path, h.backing, h.backing, path);
    snap_qcow2_dispose(&h);
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
                       "the folder of %s is empty, as if something were not mounted there",
                       path);
    free(dir);
    *gone_r = !rc;
    return rc;
}

int snap_overlay_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                           struct snap_object o, enum snap_stand *how_r,
                           struct snap_err *err)
{
    int rc;
    unsigned depth;
    char *at = NULL, *next, **walked = NULL;
    size_t n = 0;
    bool gone, no_format = false, on;
    const char *path = o.id;
    struct snap_cards *cards;
    const struct snap_card *card;

    *how_r = o.kind ? SNAP_STAND_GONE : SNAP_STAND_ALONE;
    if (o.format && !snap_streq(o.format, "qcow2"))
        *how_r = SNAP_STAND_ALONE;
    if (o.kind || (o.format && !snap_streq(o.format, "qcow2")))
        return 0;
    cards = snap_cards_open(c->seen);
    rc = is_gone(path, &gone, err);
    if (!rc && gone)
        *how_r = SNAP_STAND_GONE;
    if (!rc && !gone && p->frozen_path &&
        !snap_cards_same(cards, path, p->frozen_path))
        at = snap_strdup(path);
    for (depth = 0; !rc && at && *how_r != SNAP_STAND_ON; depth++) {
        if (snap_seen_known(c->seen, p->frozen_path, at, &on)) {
            *how_r = on ? SNAP_STAND_ON : SNAP_STAND_ALONE;
            break;
        }
        card = snap_cards_stat(cards, at);
        if (card->e ||
            (!S_ISREG(card->st.st_mode) && !S_ISBLK(card->st.st_mode))) {
            rc = snap_fail(err, SNAP_REFUSED,
                           "%s, which %s reads through, is not there", at,
                           path);
            break;
        }
        card = snap_cards_header(cards, at);
        if (card->rc == SNAP_CORRUPT && no_format)
            break; /* a raw one, of which nobody said so */
        if (card->rc) {
            rc = snap_fail(err,
                           card->rc == SNAP_CORRUPT ? SNAP_REFUSED : card->rc,
                           "what %s is over cannot be told: %s", path,
                           card->why);
            break;
        }
        next = depth < SNAP_OVERLAY_DEPTH_MAX
                   ? snap_overlay_backing(at, &card->h)
                   : NULL;
        if (card->h.backing && !next)
            rc = snap_fail(err, SNAP_REFUSED,
                           "the chain of images that %s reads through cannot be followed below %s",
                           path, at);
        if (next && snap_cards_same(cards, next, p->frozen_path))
            *how_r = SNAP_STAND_ON;
        walked = snap_realloc(walked, n + 1, sizeof(*walked));
        walked[n++] = at;
        at = next;
        no_format = !card->h.backing_format;
        /* What is in a raw image is the guest's, and no header. */
        if (!no_format && strcmp(card->h.backing_format, "qcow2") != 0)
            snap_free(&at);
    }
    free(at);
    snap_cards_close(cards, c->seen);
    while (n) {
        if (!rc)
            snap_seen_add(c->seen, p->frozen_path, walked[n - 1],
                          *how_r == SNAP_STAND_ON);
        free(walked[--n]);
    }
    free(walked);
    return rc;
}
