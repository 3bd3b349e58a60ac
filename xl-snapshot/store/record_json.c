/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See record_json.h.  Reading checks that each value is there and of its type;
 * the rules about values are in store/record_check.c and are asked at the end.
 * Knows no file.
 */
#include "store/record_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "model/name.h"
#include "store/record_check.h"

/* --- writing ----------------------------------------------------------- */

static void set_some(struct snap_json *obj, const char *key, const char *s)
{
    if (s)
        snap_json_set_str(obj, key, s);
}

void snap_object_to_json(struct snap_json *j, const char *key,
                         struct snap_object o)
{
    struct snap_json *to;

    if (!o.id)
        return;
    to = snap_json_object();
    snap_json_set_str(to, "kind", o.kind ? o.kind : SNAP_KIND_FILE);
    snap_json_set_str(to, "id", o.id);
    set_some(to, "format", o.format);
    snap_json_set(j, key, to);
}

struct snap_json *snap_part_to_json(const struct snap_part *p)
{
    struct snap_json *j = snap_json_object();

    set_some(j, "vdev", p->vdev);
    set_some(j, "driver", p->drv ? p->drv->name : NULL);
    if (p->type != SNAP_DISK_AUTO)
        snap_json_set_str(j, "type",
                          p->type == SNAP_DISK_INTERNAL ? "internal"
                                                        : "external");
    snap_json_set_int(j, "size", (int64_t)p->size);
    snap_object_to_json(j, "before", snap_part_before(p));
    snap_object_to_json(j, "frozen", snap_part_frozen(p));
    snap_object_to_json(j, "active", snap_part_active(p));
    set_some(j, "stem", p->stem);
    if (p->keep_path)
        snap_json_set_bool(j, "keep_path", true);
    if (p->frozen_made)
        snap_json_set_bool(j, "frozen_made", true);
    if (p->data)
        snap_json_set(j, "data", snap_json_copy(p->data));
    return j;
}

static struct snap_json *memory_to_json(const struct snap_record *r)
{
    struct snap_json *j = snap_json_object();

    set_some(j, "path", r->mem_path);
    if (r->mem_size)
        snap_json_set_int(j, "size", (int64_t)r->mem_size);
    if (r->mem_hash[0])
        snap_json_set_str(j, "checksum", r->mem_hash);
    snap_json_set_bool(j, "live", r->live);
    return j;
}

static struct snap_json *config_to_json(const struct snap_record *r)
{
    struct snap_json *j = NULL;

    /* What is not JSON becomes null, which no reader accepts. */
    if (!r->config_json ||
        snap_json_parse(r->config_json, strlen(r->config_json), &j, NULL))
        return snap_json_null();
    return j;
}

struct snap_json *snap_record_to_json(const struct snap_record *r)
{
    struct snap_json *j = snap_json_object(), *sub;
    size_t i;

    snap_json_set_int(j, "format", SNAP_RECORD_FORMAT);
    set_some(j, "id", r->id);
    set_some(j, "name", r->name);
    set_some(j, "description", r->description);
    set_some(j, "parent", r->parent);
    snap_json_set_int(j, "created", r->created);

    sub = snap_json_object();
    set_some(sub, "name", r->domain_name);
    set_some(sub, "uuid", r->domain_uuid);
    snap_json_set_str(sub, "type", snap_guest_type_name(r->guest_type));
    if (r->paused)
        snap_json_set_bool(sub, "paused", true);
    snap_json_set(j, "domain", sub);

    set_some(j, "consistency", r->consistency);
    if (r->has_memory)
        snap_json_set(j, "memory", memory_to_json(r));
    snap_json_set_int(j, "memory_kb", (int64_t)r->mem_kb);
    snap_json_set(j, "window_ms", snap_json_double(r->window_ms));
    set_some(j, "versions", r->versions);

    sub = snap_json_array();
    for (i = 0; i < r->n_parts; i++)
        snap_json_push(sub, snap_part_to_json(&r->parts[i]));
    snap_json_set(j, "disks", sub);
    sub = snap_json_array();
    for (i = 0; i < r->n_left_out; i++)
        snap_json_push(sub, snap_json_str(r->left_out[i]));
    snap_json_set(j, "left_out", sub);
    snap_json_set(j, "domain_config", config_to_json(r));
    return j;
}

/* --- reading ----------------------------------------------------------- */

static int bad(struct snap_err *err, const char *what, const char *why)
{
    return snap_fail(err, SNAP_CORRUPT, "%s: %s", what, why);
}

/*
 * obj[key] of this type; NULL is stored where it is missing, which is an
 * error only if it is needed.  A key that is there with another type always
 * is one, null included.
 */
static int record_get(const struct snap_json *obj, const char *key,
                      enum snap_json_type type, bool needed,
                      const struct snap_json **v_r, struct snap_err *err)
{
    static const char *const names[] = {
        [SNAP_JSON_NULL] = "null",       [SNAP_JSON_BOOL] = "true or false",
        [SNAP_JSON_NUMBER] = "a number", [SNAP_JSON_STRING] = "a string",
        [SNAP_JSON_ARRAY] = "an array",  [SNAP_JSON_OBJECT] = "an object",
    };

    *v_r = snap_json_get(obj, key);
    if (!*v_r)
        return needed ? bad(err, key, "missing") : 0;
    if (snap_json_type(*v_r) != type)
        return snap_fail(err, SNAP_CORRUPT, "%s: must be %s", key,
                         names[type]);
    return 0;
}

static int get_str(const struct snap_json *obj, const char *key, bool needed,
                   char **s_r, struct snap_err *err)
{
    const struct snap_json *v;
    int rc;

    rc = record_get(obj, key, SNAP_JSON_STRING, needed, &v, err);
    if (!rc)
        snap_set(s_r, snap_json_string(v, NULL));
    return rc;
}

/* A whole number of 0 to INT64_MAX; 0 where it is missing. */
static int get_uint(const struct snap_json *obj, const char *key, bool needed,
                    uint64_t *n_r, struct snap_err *err)
{
    const struct snap_json *v;
    int64_t n;
    int rc;

    rc = record_get(obj, key, SNAP_JSON_NUMBER, needed, &v, err);
    if (rc)
        return rc;
    n = v ? snap_json_integer(v, -1) : 0;
    if (n < 0)
        return bad(err, key, "not a whole number, or out of range");
    *n_r = n;
    return 0;
}

static int get_bool(const struct snap_json *obj, const char *key, bool *b_r,
                    struct snap_err *err)
{
    const struct snap_json *v;
    int rc;

    rc = record_get(obj, key, SNAP_JSON_BOOL, false, &v, err);
    if (!rc)
        *b_r = snap_json_truth(v, false);
    return rc;
}

static int get_driver(const struct snap_json *j,
                      const struct snap_disk_driver *const *drivers,
                      struct snap_part *p, struct snap_err *err)
{
    const struct snap_json *v;
    char *q;
    int rc;

    rc = record_get(j, "driver", SNAP_JSON_STRING, true, &v, err);
    if (rc)
        return rc;
    p->drv = snap_disk_by_name(drivers, snap_json_string(v, ""));
    if (p->drv)
        return 0;
    q = snap_excerpt(snap_json_string(v, ""), 40, 40);
    rc = snap_fail(err, SNAP_UNSUPPORTED,
                   "driver \"%s\" is not in this version", q);
    free(q);
    return rc;
}

static int get_type(const struct snap_json *j, enum snap_disk_type *type_r,
                    struct snap_err *err)
{
    const struct snap_json *v;
    int rc;

    rc = record_get(j, "type", SNAP_JSON_STRING, true, &v, err);
    if (rc)
        return rc;
    if (snap_streq(snap_json_string(v, NULL), "internal"))
        *type_r = SNAP_DISK_INTERNAL;
    else if (snap_streq(snap_json_string(v, NULL), "external"))
        *type_r = SNAP_DISK_EXTERNAL;
    else
        return bad(err, "type", "neither internal nor external");
    return 0;
}

int snap_object_from_json(const struct snap_json *j, const char *key,
                          bool needed, char **kind_r, char **id_r,
                          char **format_r, struct snap_err *err)
{
    const struct snap_json *o;
    int rc;

    rc = record_get(j, key, SNAP_JSON_OBJECT, needed, &o, err);
    if (rc || !o)
        return rc;
    rc = get_str(o, "kind", true, kind_r, err);
    if (!rc && snap_streq(*kind_r, SNAP_KIND_FILE))
        snap_free(kind_r);
    if (!rc)
        rc = get_str(o, "id", true, id_r, err);
    if (!rc)
        rc = get_str(o, "format", true, format_r, err);
    if (rc)
        snap_err_prefix(err, "%s", key);
    return rc;
}

static int get_objects(const struct snap_json *j, struct snap_part *p,
                       struct snap_err *err)
{
    int rc;

    rc = snap_object_from_json(j, "frozen", true, &p->frozen_kind,
                               &p->frozen_path, &p->frozen_format, err);
    if (!rc)
        rc = snap_object_from_json(j, "active", true, &p->active_kind,
                                   &p->active_path, &p->active_format, err);
    if (!rc)
        rc = snap_object_from_json(j, "before", false, &p->before_kind,
                                   &p->path, &p->format, err);
    if (rc || p->path)
        return rc;
    p->path = snap_strdup(p->frozen_path);
    p->format = snap_strdup(p->frozen_format);
    p->before_kind = snap_strdup(p->frozen_kind);
    return 0;
}

int snap_part_from_json(const struct snap_json *j, const char *what,
                        const struct snap_disk_driver *const *drivers,
                        struct snap_part *p_out, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_part p = { .vdev = NULL };
    int rc;

    if (snap_json_type(j) != SNAP_JSON_OBJECT) {
        rc = snap_fail(&e, SNAP_CORRUPT, "must be an object");
        goto out;
    }
    rc = get_str(j, "vdev", true, &p.vdev, &e);
    if (rc)
        goto out;
    rc = get_driver(j, drivers, &p, &e);
    if (rc)
        goto out;
    rc = get_type(j, &p.type, &e);
    if (rc)
        goto out;
    rc = get_uint(j, "size", true, &p.size, &e);
    if (rc)
        goto out;
    rc = get_objects(j, &p, &e);
    if (rc)
        goto out;
    rc = get_str(j, "stem", false, &p.stem, &e);
    if (rc)
        goto out;
    rc = get_bool(j, "keep_path", &p.keep_path, &e);
    if (rc)
        goto out;
    rc = get_bool(j, "frozen_made", &p.frozen_made, &e);
    if (rc)
        goto out;
    p.data = snap_json_copy(snap_json_get(j, "data"));
    rc = snap_part_check(&p, &e);
    if (rc)
        goto out;
    *p_out = p;
    memset(&p, 0, sizeof(p));

out:
    if (rc)
        rc = snap_fail(err, rc, "%s: %s", what, e.msg);
    snap_part_dispose(&p);
    return rc;
}

static int read_disks(const struct snap_json *j,
                      const struct snap_disk_driver *const *drivers,
                      struct snap_record *r, struct snap_err *err)
{
    const struct snap_json *a;
    char what[24];
    size_t i, n;
    int rc;

    rc = record_get(j, "disks", SNAP_JSON_ARRAY, true, &a, err);
    if (rc)
        return rc;
    n = snap_json_len(a);
    if (n > SNAP_DISKS_MAX)
        return bad(err, "disks", "too many");
    r->parts = snap_zalloc((n + 1) * sizeof(*r->parts));
    for (i = 0; i < n; i++) {
        snprintf(what, sizeof(what), "disks[%zu]", i);
        rc = snap_part_from_json(snap_json_at(a, i), what, drivers,
                                 &r->parts[i], err);
        if (rc)
            return rc;
        r->n_parts++;
        r->parts[i].tag = snap_strdup(r->name);
        r->parts[i].hvm = r->guest_type == SNAP_GUEST_HVM;
    }
    return 0;
}

static int read_left_out(const struct snap_json *j, struct snap_record *r,
                         struct snap_err *err)
{
    const struct snap_json *a;
    size_t i, n;
    int rc;

    rc = record_get(j, "left_out", SNAP_JSON_ARRAY, false, &a, err);
    if (rc)
        return rc;
    n = snap_json_len(a);
    if (n > SNAP_DISKS_MAX)
        return bad(err, "left_out", "too many disks");
    r->left_out = snap_zalloc((n + 1) * sizeof(*r->left_out));
    for (i = 0; i < n; i++) {
        const char *s = snap_json_string(snap_json_at(a, i), NULL);

        if (!s)
            return bad(err, "left_out", "must be an array of strings");
        r->left_out[r->n_left_out++] = snap_strdup(s);
    }
    return 0;
}

static int read_domain(const struct snap_json *j, struct snap_record *r,
                       struct snap_err *err)
{
    static const enum snap_guest_type types[] = {
        SNAP_GUEST_PV,
        SNAP_GUEST_PVH,
        SNAP_GUEST_HVM,
    };
    const struct snap_json *dom, *v;
    const char *s;
    size_t i;
    int rc;

    rc = record_get(j, "domain", SNAP_JSON_OBJECT, true, &dom, err);
    if (rc)
        return rc;
    rc = get_str(dom, "name", true, &r->domain_name, err);
    if (rc)
        goto out;
    rc = record_get(dom, "uuid", SNAP_JSON_STRING, true, &v, err);
    if (rc)
        goto out;
    s = snap_json_string(v, "");
    if (strlen(s) != 36) {
        rc = bad(err, "uuid", "not 36 characters");
        goto out;
    }
    memcpy(r->domain_uuid, s, 37);
    rc = record_get(dom, "type", SNAP_JSON_STRING, true, &v, err);
    if (rc)
        goto out;
    s = snap_json_string(v, "");
    for (i = 0; i < 3; i++)
        if (!strcmp(s, snap_guest_type_name(types[i])))
            break;
    if (i == 3) {
        rc = bad(err, "type", "not one of pv, pvh and hvm");
        goto out;
    }
    r->guest_type = types[i];
    rc = get_bool(dom, "paused", &r->paused, err);

out:
    if (rc)
        snap_err_prefix(err, "domain");
    return rc;
}

static int read_memory(const struct snap_json *j, struct snap_record *r,
                       struct snap_err *err)
{
    const struct snap_json *mem, *v;
    const char *s;
    int rc;

    rc = record_get(j, "memory", SNAP_JSON_OBJECT, false, &mem, err);
    if (rc || !mem)
        return rc;
    r->has_memory = true;
    rc = get_str(mem, "path", true, &r->mem_path, err);
    if (rc)
        goto out;
    rc = get_uint(mem, "size", false, &r->mem_size, err);
    if (rc)
        goto out;
    rc = get_bool(mem, "live", &r->live, err);
    if (rc)
        goto out;
    rc = record_get(mem, "checksum", SNAP_JSON_STRING, false, &v, err);
    if (rc)
        goto out;
    s = snap_json_string(v, NULL);
    if (s && strlen(s) != 32) {
        rc = bad(err, "checksum", "not 32 hex digits");
        goto out;
    }
    if (s)
        memcpy(r->mem_hash, s, 33);

out:
    if (rc)
        snap_err_prefix(err, "memory");
    return rc;
}

static int read_format(const struct snap_json *j, struct snap_err *err)
{
    uint64_t format = 0;
    int rc;

    if (snap_json_type(j) != SNAP_JSON_OBJECT)
        return snap_fail(err, SNAP_CORRUPT, "not a record: must be an object");
    rc = get_uint(j, "format", true, &format, err);
    if (rc)
        return rc;
    if (format == SNAP_RECORD_FORMAT_OLD)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "format %d is an earlier one, and this version reads format %d: use the version that wrote it: go back to the snapshot, or delete it; or, for what it left unfinished, run its xl snapshot-recover",
                         SNAP_RECORD_FORMAT_OLD, SNAP_RECORD_FORMAT);
    if (format != SNAP_RECORD_FORMAT)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "format %" PRIu64
                         " is not known to this version, which reads format %d",
                         format, SNAP_RECORD_FORMAT);
    return 0;
}

static int read_rest(const struct snap_json *j, struct snap_record *r,
                     struct snap_err *err)
{
    const struct snap_json *v;
    uint64_t created = 0;
    int rc;

    rc = get_str(j, "id", false, &r->id, err);
    if (rc)
        return rc;
    rc = get_str(j, "description", false, &r->description, err);
    if (rc)
        return rc;
    rc = get_str(j, "parent", false, &r->parent, err);
    if (rc)
        return rc;
    rc = get_uint(j, "created", true, &created, err);
    if (rc)
        return rc;
    r->created = created;
    rc = get_str(j, "consistency", true, &r->consistency, err);
    if (rc)
        return rc;
    rc = get_uint(j, "memory_kb", true, &r->mem_kb, err);
    if (rc)
        return rc;
    rc = record_get(j, "window_ms", SNAP_JSON_NUMBER, true, &v, err);
    if (rc)
        return rc;
    r->window_ms = snap_json_real(v, -1);
    return get_str(j, "versions", false, &r->versions, err);
}

static int from_json(const struct snap_json *j, const char *what, bool brief,
                     const struct snap_disk_driver *const *drivers,
                     struct snap_record *r_out, struct snap_err *err)
{
    struct snap_record r = { .id = NULL };
    struct snap_err e = SNAP_ERR_INIT;
    const struct snap_json *config;
    int rc;

    rc = read_format(j, &e);
    if (rc)
        goto out;
    rc = get_str(j, "name", true, &r.name, &e);
    if (rc)
        goto out;
    rc = read_domain(j, &r, &e);
    if (rc)
        goto out;
    rc = read_rest(j, &r, &e);
    if (rc)
        goto out;
    rc = read_memory(j, &r, &e);
    if (rc)
        goto out;
    rc = read_disks(j, drivers, &r, &e);
    if (rc)
        goto out;
    rc = read_left_out(j, &r, &e);
    if (rc)
        goto out;
    rc = record_get(j, "domain_config", SNAP_JSON_OBJECT, true, &config, &e);
    if (rc)
        goto out;
    if (!brief)
        r.config_json = snap_json_text(config, false);
    rc = snap_record_check_draft(&r, brief ? NULL : config, &e);
    if (rc)
        goto out;
    *r_out = r;
    memset(&r, 0, sizeof(r));

out:
    if (rc)
        rc = snap_fail(err, rc, "%s: %s", what, e.msg);
    snap_record_dispose(&r);
    return rc;
}

int snap_record_from_json(const struct snap_json *j, const char *what,
                          const struct snap_disk_driver *const *drivers,
                          struct snap_record *r_out, struct snap_err *err)
{
    return from_json(j, what, false, drivers, r_out, err);
}

int snap_record_from_json_brief(const struct snap_json *j, const char *what,
                                const struct snap_disk_driver *const *drivers,
                                struct snap_record *r_out,
                                struct snap_err *err)
{
    return from_json(j, what, true, drivers, r_out, err);
}
