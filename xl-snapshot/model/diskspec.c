/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What was said about one disk, in any of the forms that the RFC's versions
 * had (model/diskspec.h lists them).  A comma ends a field and nothing escapes
 * it, as in xl-disk-configuration(5), so no path here can hold one.  Only
 * looks at the text: no file, no domain.
 */
#include "model/diskspec.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/cfg.h"
#include "model/name.h"

#define FIELDS_MAX 16
#define QUOTE_MAX  80

static const char *const keys[] = {
    "vdev", "type", "target", "format", "image", "imageformat", NULL,
};
#define N_SPEC_KEYS 4 /* those of --disk: without the image */

struct field {
    char *key; /* NULL: positional */
    char *value;
};

struct spec {
    char *text; /* the fields point into this copy */
    struct field f[FIELDS_MAX];
    size_t n;
};

void snap_disk_choice_dispose(struct snap_disk_choice *c)
{
    snap_free(&c->vdev);
    snap_free(&c->target);
    snap_free(&c->format);
    snap_free(&c->image);
    snap_free(&c->image_format);
    snap_free(&c->origin);
    memset(c, 0, sizeof(*c));
}

static bool is_key(const char *word)
{
    size_t i;

    for (i = 0; keys[i]; i++)
        if (!strcmp(word, keys[i]))
            return true;
    return false;
}

/* Blanks around a field are no part of it. */
static char *trim(char *s)
{
    size_t len;

    s += strspn(s, " \t");
    for (len = strlen(s); len && strchr(" \t", s[len - 1]); len--)
        s[len - 1] = '\0';
    return s;
}

static int split(struct spec *s, struct snap_err *err)
{
    char *next = s->text, *field, *eq;

    do {
        field = next;
        next = strchr(field, ',');
        if (next)
            *next++ = '\0';
        if (s->n == FIELDS_MAX)
            return snap_fail(err, SNAP_INVAL, "more than %d fields",
                             FIELDS_MAX);
        field = trim(field);
        eq = field[0] == '/' ? NULL : strchr(field, '=');
        if (eq) {
            *eq++ = '\0';
            s->f[s->n].key = trim(field);
            field = trim(eq);
        }
        s->f[s->n++].value = field;
    } while (next);
    return 0;
}

static int set_once(char **slot, const char *key, const char *value,
                    struct snap_err *err)
{
    if (*slot)
        return snap_fail(err, SNAP_INVAL, "%s is given twice", key);
    if (!value[0])
        return snap_fail(err, SNAP_INVAL,
                         "%s= is empty; give it a value or leave it out", key);
    *slot = snap_strdup(value);
    return 0;
}

static int set_path(char **slot, const char *key, const char *value,
                    struct snap_err *err)
{
    char *q;
    int rc;

    rc = set_once(slot, key, value, err);
    if (rc || snap_path_ok(value))
        return rc;
    q = snap_excerpt(value, strlen(value), QUOTE_MAX);
    rc = snap_fail(err, SNAP_INVAL,
                   "%s=%s: not an absolute path without . and ..", key, q);
    free(q);
    return rc;
}

static int set_format(char **slot, const char *key, const char *value,
                      struct snap_err *err)
{
    char *q;
    int rc;

    rc = set_once(slot, key, value, err);
    if (rc || snap_format_known(value))
        return rc;
    q = snap_excerpt(value, strlen(value), QUOTE_MAX);
    rc = snap_fail(err, SNAP_INVAL,
                   "%s=%s: unknown format; it is raw, qcow2, qcow, qed or vhd",
                   key, q);
    free(q);
    return rc;
}

static int set_type(struct snap_disk_choice *c, const char *value, bool howto,
                    struct snap_err *err)
{
    enum snap_disk_type t;
    char *q;
    int rc;

    if (!strcmp(value, "internal")) {
        t = SNAP_DISK_INTERNAL;
    } else if (!strcmp(value, "external")) {
        t = SNAP_DISK_EXTERNAL;
    } else if (howto) {
        return set_format(&c->format, "type", value, err);
    } else {
        q = snap_excerpt(value, strlen(value), QUOTE_MAX);
        rc = snap_fail(err, SNAP_INVAL,
                       "type=%s: the type is internal or external%s", q,
                       snap_format_known(value)
                           ? "; an image's format is given as format="
                           : "");
        free(q);
        return rc;
    }
    if (c->type != SNAP_DISK_AUTO)
        return snap_fail(err, SNAP_INVAL, "type is given twice");
    c->type = t;
    return 0;
}

static int set_vdev(struct snap_disk_choice *c, const char *value,
                    struct snap_err *err)
{
    if (c->vdev)
        return snap_fail(err, SNAP_INVAL, "the disk is named twice");
    c->vdev = snap_strdup(value);
    return snap_vdev_check(value, err);
}

static int diskspec_unknown_key(const char *key, bool from_file,
                                struct snap_err *err)
{
    const char *near;
    char *q;
    int rc;

    if (!from_file && is_key(key))
        return snap_fail(err, SNAP_INVAL,
                         "%s= is for the configuration files that snapshot-revert takes",
                         key);
    near = snap_cfg_nearest(key, keys);
    q = snap_excerpt(key, strlen(key), QUOTE_MAX);
    if (near)
        rc = snap_fail(err, SNAP_INVAL,
                       "unknown key \"%s\"; did you mean \"%s\"?", q, near);
    else
        rc = snap_fail(err, SNAP_INVAL,
                       "unknown key \"%s\"; known are vdev, type, target and format",
                       q);
    free(q);
    return rc;
}

/* V9: 'TARGET,FORMAT,VDEV', the first two empty for an internal one. */
static int positional(const struct spec *s, struct snap_disk_choice *c,
                      struct snap_err *err)
{
    size_t i;
    int rc;

    for (i = 0; i < s->n; i++)
        if (s->f[i].key)
            break;
    if (i < s->n || s->n != 3)
        return snap_fail(err, SNAP_INVAL,
                         "the form without keys has three fields, target,format,vdev, as in '/new.qcow2,qcow2,xvda' or ',,xvda'");
    rc = set_vdev(c, s->f[2].value, err);
    if (rc)
        return rc;
    if (!s->f[0].value[0]) {
        if (s->f[1].value[0])
            return snap_fail(err, SNAP_INVAL,
                             "format %s without a target; name the new image, or leave both empty for an internal snapshot",
                             s->f[1].value);
        c->type = SNAP_DISK_INTERNAL;
        return 0;
    }
    c->type = SNAP_DISK_EXTERNAL;
    rc = set_path(&c->target, "target", s->f[0].value, err);
    if (rc || !s->f[1].value[0])
        return rc;
    return set_format(&c->format, "format", s->f[1].value, err);
}

static int keyed(const struct spec *s, bool from_file,
                 struct snap_disk_choice *c, struct snap_err *err)
{
    bool howto = false;
    size_t i, k;
    int rc;

    for (i = 0; i < s->n; i++) {
        const char *key = s->f[i].key, *value = s->f[i].value;

        if (!key && i == 0) {
            rc = set_vdev(c, value, err);
        } else if (!key) {
            char *q = snap_excerpt(value, strlen(value), QUOTE_MAX);

            rc = snap_fail(err, SNAP_INVAL, "\"%s\" is no KEY=VALUE", q);
            free(q);
        } else if (from_file && i == 0 && value[0] == '/' && !is_key(key)) {
            /* HOWTO: 'hda=/new.qcow2,type=qcow2' */
            howto = true;
            c->type = SNAP_DISK_AUTO;
            rc = set_vdev(c, key, err);
            if (!rc)
                rc = set_path(&c->target, "target", value, err);
        } else {
            for (k = 0; k < (from_file ? SIZE_MAX : N_SPEC_KEYS); k++)
                if (!keys[k] || !strcmp(keys[k], key))
                    break;
            switch (k) {
            case 0:
                rc = set_vdev(c, value, err);
                break;
            case 1:
                rc = set_type(c, value, howto, err);
                break;
            case 2:
                rc = set_path(&c->target, key, value, err);
                break;
            case 3:
                rc = set_format(&c->format, key, value, err);
                break;
            default:
                if (!from_file || !keys[k])
                    rc = diskspec_unknown_key(key, from_file, err);
                else if (k == 4)
                    rc = set_path(&c->image, key, value, err);
                else
                    rc = set_format(&c->image_format, key, value, err);
            }
        }
        if (rc)
            return rc;
    }
    if (!c->vdev)
        return snap_fail(err, SNAP_INVAL,
                         from_file
                             ? "no disk is named; add vdev=xvda"
                             : "begin with the disk's name, as in xvda,type=external");
    return 0;
}

/* Fields that are each right and do not go together. */
static int consistent(struct snap_disk_choice *c, struct snap_err *err)
{
    if (c->image_format && !c->image)
        return snap_fail(err, SNAP_INVAL,
                         "imageformat= without image=; add the image or leave its format out");
    if (c->type == SNAP_DISK_INTERNAL && c->target)
        return snap_fail(err, SNAP_INVAL,
                         "an internal snapshot has no target (%s); leave it out or use type=external",
                         c->target);
    if (c->type == SNAP_DISK_INTERNAL && c->format)
        return snap_fail(err, SNAP_INVAL,
                         "format=%s is the new image's, and an internal snapshot makes none; leave it out",
                         c->format);
    /* What --output wrote may name any image; what is to be made may not. */
    if (c->format && !c->image && !snap_streq(c->format, "qcow2"))
        return snap_fail(err, SNAP_INVAL,
                         "format=%s: the new image of an external snapshot can only be qcow2",
                         c->format);
    if (c->type == SNAP_DISK_AUTO && (c->target || c->format))
        c->type = SNAP_DISK_EXTERNAL;
    if (c->target && snap_streq(c->target, c->image))
        return snap_fail(err, SNAP_INVAL, "image and target are both %s",
                         c->target);
    return 0;
}

int snap_disk_choice_parse(const char *text, bool from_file,
                           const char *origin, struct snap_disk_choice *c_r,
                           struct snap_err *err)
{
    struct snap_disk_choice c = { .type = SNAP_DISK_AUTO };
    struct snap_err e = SNAP_ERR_INIT;
    struct spec s = { .n = 0 };
    int rc;

    s.text = snap_strdup(text);
    c.origin = snap_strdup(origin);
    rc = split(&s, &e);
    if (rc)
        goto out;
    if (from_file && !s.f[0].key &&
        (s.f[0].value[0] == '/' || (!s.f[0].value[0] && s.n > 1)))
        rc = positional(&s, &c, &e);
    else
        rc = keyed(&s, from_file, &c, &e);
    if (rc)
        goto out;
    rc = consistent(&c, &e);
    if (rc)
        goto out;
    *c_r = c;
    memset(&c, 0, sizeof(c));

out:
    if (rc)
        snap_fail(err, rc, "%s: %s", origin, e.msg);
    snap_disk_choice_dispose(&c);
    free(s.text);
    return rc;
}
