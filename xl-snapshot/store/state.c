/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Where a domain is now: the snapshot it descends from and the image that
 * each disk was last left with (docs/formats.md).  Only "made" makes a file
 * one that we may ever drop, so a reader checks everything and nothing here
 * guesses.  Changed by whoever holds the lock, replaced whole.
 */
#include "store/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "lib/mount.h"
#include "model/name.h"
#include "store/record_check.h"
#include "store/record_json.h"

#define STATE_FORMAT    2
#define STATE_FORMAT_1  1 /* had a path where there is an object now */
#define STATE_MAX       (4u << 20) /* 256 disks with the longest paths */
#define DOMAIN_NAME_MAX 255
#define STEM_MAX        255

static void leaf_dispose(struct snap_leaf *l)
{
    snap_free(&l->vdev);
    snap_free(&l->kind);
    snap_free(&l->path);
    snap_free(&l->format);
    snap_free(&l->stem);
    snap_free(&l->mount);
    l->made = false;
}

void snap_origin_dispose(struct snap_origin *o)
{
    snap_free(&o->uuid);
    snap_free(&o->domain);
    snap_free(&o->name);
    snap_free(&o->id);
}

void snap_state_dispose(struct snap_state *st)
{
    size_t i;

    for (i = 0; i < st->n; i++)
        leaf_dispose(&st->leaves[i]);
    free(st->leaves);
    snap_free(&st->current);
    snap_free(&st->domain_name);
    snap_origin_dispose(&st->origin);
    memset(st, 0, sizeof(*st));
}

/* The address of the leaf, since its place may be read or written. */
static struct snap_leaf *state_find(const struct snap_state *st,
                                    const char *vdev)
{
    size_t i;

    for (i = 0; i < st->n; i++)
        if (snap_streq(st->leaves[i].vdev, vdev))
            return &st->leaves[i];
    return NULL;
}

const struct snap_leaf *snap_state_leaf(const struct snap_state *st,
                                        const char *vdev)
{
    return state_find(st, vdev);
}

struct snap_object snap_leaf_object(const struct snap_leaf *l)
{
    return (struct snap_object){ l->kind, l->path, l->format };
}

void snap_state_set_leaf(struct snap_state *st, const char *vdev,
                         struct snap_object o, const char *stem, bool made)
{
    struct snap_leaf *l = state_find(st, vdev);

    if (!l) {
        st->leaves = snap_realloc(st->leaves, st->n + 1, sizeof(*st->leaves));
        l = &st->leaves[st->n++];
        memset(l, 0, sizeof(*l));
        l->vdev = snap_strdup(vdev);
    }
    snap_free(&l->mount);
    l->mount = snap_object_has_path(o) ? snap_mount_of(o.id) : NULL;
    snap_set(&l->kind, o.kind);
    snap_set(&l->path, o.id);
    snap_set(&l->format, o.format);
    snap_set(&l->stem, stem);
    l->made = made;
}

/* --- rules ------------------------------------------------------------- */

static int check_file(const struct snap_leaf *l, struct snap_err *err)
{
    int rc;

    if (!snap_path_ok(l->path) || !l->path[1])
        return snap_fail(err, SNAP_INVAL,
                         "path is not an absolute path without . and ..");
    rc = snap_text_check(l->path, SIZE_MAX, "path", err);
    if (!rc && !snap_format_known(l->format))
        rc = snap_fail(err, SNAP_INVAL, "format is unknown");
    return rc;
}

static int check_leaf(const struct snap_leaf *l, struct snap_err *err)
{
    int rc;

    rc = snap_vdev_check(l->vdev, err);
    if (rc)
        return rc;
    rc = l->kind ? snap_object_check(snap_leaf_object(l), "active", err)
                 : check_file(l, err);
    if (rc)
        return rc;
    if (l->mount && !snap_path_ok(l->mount))
        return snap_fail(err, SNAP_INVAL,
                         "mount is not an absolute path without . and ..");
    if (!l->stem)
        return 0;
    rc = snap_text_check(l->stem, STEM_MAX, "stem", err);
    if (!rc && (strchr(l->stem, '/') || !strcmp(l->stem, ".") ||
                !strcmp(l->stem, "..")))
        rc = snap_fail(err, SNAP_INVAL, "stem is not one component of a path");
    return rc;
}

static int check_origin(const struct snap_origin *o, struct snap_err *err)
{
    int rc;

    rc = snap_uuid_check(o->uuid, err);
    if (!rc)
        rc = snap_text_check(o->domain, DOMAIN_NAME_MAX, "domain", err);
    if (!rc)
        rc = snap_name_check(o->name ? o->name : "", err);
    if (!rc && (!o->id || strlen(o->id) != 32 ||
                strspn(o->id, "0123456789abcdef") != 32))
        rc = snap_fail(err, SNAP_INVAL, "id is not 32 hex digits");
    return rc;
}

static int state_check(const struct snap_state *st, struct snap_err *err)
{
    size_t i;
    int rc;

    if (st->current) {
        rc = snap_name_check(st->current, err);
        if (rc) {
            snap_err_prefix(err, "current");
            return rc;
        }
    }
    if (st->domain_name) {
        rc = snap_text_check(st->domain_name, DOMAIN_NAME_MAX, "domain", err);
        if (rc)
            return rc;
    }
    if (st->origin.uuid) {
        rc = check_origin(&st->origin, err);
        if (rc) {
            snap_err_prefix(err, "origin");
            return rc;
        }
    }
    if (st->n > SNAP_DISKS_MAX)
        return snap_fail(err, SNAP_INVAL, "too many disks");
    for (i = 0; i < st->n; i++) {
        const struct snap_leaf *l = &st->leaves[i];

        rc = check_leaf(l, err);
        if (rc) {
            snap_err_prefix(err, "disk %s", l->vdev ? l->vdev : "?");
            return rc;
        }
        if (state_find(st, l->vdev) != l)
            return snap_fail(err, SNAP_INVAL, "disk %s is there twice",
                             l->vdev);
    }
    return 0;
}

/* --- reading ----------------------------------------------------------- */

/* A string, or NULL where the key is missing or null. */
static int state_get(const struct snap_json *obj, const char *key, char **s_r,
                     struct snap_err *err)
{
    const struct snap_json *v = snap_json_get(obj, key);

    if (snap_json_type(v) != SNAP_JSON_STRING &&
        snap_json_type(v) != SNAP_JSON_NULL)
        return snap_fail(err, SNAP_CORRUPT, "%s is not a string", key);
    *s_r = snap_strdup(snap_json_string(v, NULL));
    return 0;
}

/* What the disk has. */
static int read_active(const struct snap_json *j, int64_t format,
                       struct snap_leaf *l, struct snap_err *err)
{
    int rc;

    if (format != STATE_FORMAT_1)
        return snap_object_from_json(j, "active", true, &l->kind, &l->path,
                                     &l->format, err);
    rc = state_get(j, "path", &l->path, err);
    return rc ? rc : state_get(j, "format", &l->format, err);
}

static int read_leaf(const struct snap_json *j, int64_t format,
                     struct snap_leaf *l, struct snap_err *err)
{
    const struct snap_json *made = snap_json_get(j, "made");
    int rc;

    rc = state_get(j, "vdev", &l->vdev, err);
    if (rc)
        return rc;
    rc = read_active(j, format, l, err);
    if (rc)
        return rc;
    rc = state_get(j, "stem", &l->stem, err);
    if (rc)
        return rc;
    rc = state_get(j, "mount", &l->mount, err);
    if (rc)
        return rc;
    if (snap_json_type(made) != SNAP_JSON_BOOL)
        return snap_fail(err, SNAP_CORRUPT, "made is neither true nor false");
    l->made = snap_json_truth(made, false);
    return 0;
}

/* Missing, or whole. */
static int read_origin(const struct snap_json *j, struct snap_origin *o,
                       struct snap_err *err)
{
    int rc;

    if (!j)
        return 0;
    if (snap_json_type(j) != SNAP_JSON_OBJECT)
        return snap_fail(err, SNAP_CORRUPT, "origin is not an object");
    rc = state_get(j, "uuid", &o->uuid, err);
    if (!rc)
        rc = state_get(j, "domain", &o->domain, err);
    if (!rc)
        rc = state_get(j, "snapshot", &o->name, err);
    if (!rc)
        rc = state_get(j, "id", &o->id, err);
    if (!rc && !o->uuid)
        rc = snap_fail(err, SNAP_CORRUPT, "origin has no uuid");
    return rc;
}

static int read_state(const struct snap_json *j, struct snap_state *st,
                      struct snap_err *err)
{
    const struct snap_json *disks = snap_json_get(j, "disks");
    int64_t format = snap_json_get_int(j, "format", -1);
    size_t i, n = snap_json_len(disks);
    int rc;

    if (snap_json_type(j) != SNAP_JSON_OBJECT || format < 1)
        return snap_fail(err, SNAP_CORRUPT, "not a state of a domain");
    if (format != STATE_FORMAT && format != STATE_FORMAT_1)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "format %" PRId64
                         " is not known to this version, which reads format %d",
                         format, STATE_FORMAT);
    rc = state_get(j, "current", &st->current, err);
    if (rc)
        return rc;
    rc = state_get(j, "domain", &st->domain_name, err);
    if (rc)
        return rc;
    rc = read_origin(snap_json_get(j, "origin"), &st->origin, err);
    if (rc)
        return rc;
    if (snap_json_type(disks) != SNAP_JSON_ARRAY || n > SNAP_DISKS_MAX)
        return snap_fail(err, SNAP_CORRUPT,
                         "disks is no array, or has too many");
    st->leaves = snap_zalloc((n + 1) * sizeof(*st->leaves));
    for (i = 0; i < n; i++) {
        rc = read_leaf(snap_json_at(disks, i), format, &st->leaves[st->n++],
                       err);
        if (rc) {
            snap_err_prefix(err, "disks[%zu]", i);
            return rc;
        }
    }
    return 0;
}

static char *state_path(const struct snap_store *s)
{
    return snap_printf("%s/state.json", s->dir);
}

int snap_state_load(const struct snap_store *s, struct snap_state *st_r,
                    struct snap_err *err)
{
    struct snap_state st = { .current = NULL };
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char *path = state_path(s), *text = NULL;
    size_t len;
    int rc;

    memset(st_r, 0, sizeof(*st_r));
    rc = snap_file_read(path, STATE_MAX, &text, &len, &e);
    if (rc == SNAP_NOTFOUND) {
        rc = 0;
        goto out;
    }
    if (rc) {
        snap_fail(err, rc, "%s", e.msg);
        goto out;
    }
    rc = snap_json_parse(text, len, &j, &e);
    if (!rc)
        rc = read_state(j, &st, &e);
    if (!rc && state_check(&st, &e))
        rc = SNAP_CORRUPT;
    if (rc) {
        rc = snap_fail(err, rc,
                       "%s: %s; move the file away: without it images that earlier reverts made are kept though nobody needs them, and nothing else is lost, unless the domain is a clone: nobody knows then what it stands on",
                       path, e.msg);
        goto out;
    }
    *st_r = st;
    memset(&st, 0, sizeof(st));

out:
    snap_state_dispose(&st);
    snap_json_free(j);
    free(text);
    free(path);
    return rc;
}

int snap_state_remove(const struct snap_store *s, struct snap_err *err)
{
    char *path = state_path(s);
    int rc = snap_file_remove(path, err);

    free(path);
    return rc;
}

/* --- writing ----------------------------------------------------------- */

static struct snap_json *state_to_json(const struct snap_state *st)
{
    struct snap_json *j = snap_json_object(), *disks = snap_json_array();
    size_t i;

    snap_json_set_int(j, "format", STATE_FORMAT);
    snap_json_set_str(j, "current", st->current);
    snap_json_set_str(j, "domain", st->domain_name);
    if (st->origin.uuid) {
        struct snap_json *o = snap_json_object();

        snap_json_set_str(o, "uuid", st->origin.uuid);
        snap_json_set_str(o, "domain", st->origin.domain);
        snap_json_set_str(o, "snapshot", st->origin.name);
        snap_json_set_str(o, "id", st->origin.id);
        snap_json_set(j, "origin", o);
    }
    for (i = 0; i < st->n; i++) {
        struct snap_json *l = snap_json_object();

        snap_json_set_str(l, "vdev", st->leaves[i].vdev);
        snap_object_to_json(l, "active", snap_leaf_object(&st->leaves[i]));
        snap_json_set_str(l, "stem", st->leaves[i].stem);
        snap_json_set_bool(l, "made", st->leaves[i].made);
        if (st->leaves[i].mount)
            snap_json_set_str(l, "mount", st->leaves[i].mount);
        snap_json_push(disks, l);
    }
    snap_json_set(j, "disks", disks);
    return j;
}

int snap_state_save(const struct snap_store *s, const struct snap_state *st,
                    struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char *path = state_path(s), *text = NULL;
    int rc;

    if (state_check(st, &e)) {
        rc = snap_fail(err, SNAP_FAIL, "%s would be unreadable: %s", path,
                       e.msg);
        goto out;
    }
    j = state_to_json(st);
    text = snap_json_text(j, true);
    rc = snap_file_write(path, text, strlen(text), 0600, false, err);

out:
    snap_json_free(j);
    free(text);
    free(path);
    return rc;
}
