/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A record as a configuration file, for --no-metadata and snapshot-revert
 * --config (docs/formats.md): people read it, move it about and may edit it,
 * so what they care for stands in plain keys, and only what no person would
 * type is JSON.
 *
 * The text must survive libxlutil's lexer, whose numeric escapes (\x41, \101)
 * lose the character: only the escapes that it does keep are written.
 *
 * Reading builds the JSON form and gives it to the reader of records, so that
 * there is one set of rules.
 */
#include "store/record_cfg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "model/cfg.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "model/request.h"
#include "store/record_check.h"
#include "store/record_json.h"

enum kind { STRING, NUMBER, LIST };

/* Everything that to_cfg() writes. */
static const struct {
    const char *key;
    enum kind kind;
    bool ours; /* not in a file for snapshot-create */
} keys[] = {
    { "format", NUMBER, true },       { "name", STRING, false },
    { "description", STRING, false }, { "parent", STRING, true },
    { "domain", STRING, true },       { "uuid", STRING, true },
    { "guest", STRING, true },        { "paused", NUMBER, true },
    { "created", NUMBER, true },      { "id", STRING, true },
    { "consistency", STRING, true },  { "memory", STRING, false },
    { "memory_size", NUMBER, true },  { "memory_checksum", STRING, true },
    { "memory_kb", NUMBER, true },    { "live", NUMBER, false },
    { "window_ms", STRING, true },    { "versions", STRING, true },
    { "disks", LIST, false },         { "left_out", LIST, true },
    { "disk_details", LIST, true },   { "domain_config", STRING, true },
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* --- writing ----------------------------------------------------------- */

static void quote(struct snap_buf *b, const char *s)
{
    static const char escaped[] = "\aa\bb\ff\nn\rr\tt\vv\\\\";
    char q = strchr(s, '"') && !strchr(s, '\'') ? '\'' : '"';
    const char *e;

    snap_buf_add(b, &q, 1);
    for (; *s; s++) {
        for (e = escaped; *e && *e != *s; e += 2)
            ;
        if (*e)
            snap_buf_addf(b, "\\%c", e[1]);
        else if (*s == q)
            snap_buf_addf(b, "\\%c", q);
        else
            snap_buf_add(b, s, 1);
    }
    snap_buf_add(b, &q, 1);
}

static void put_str(struct snap_buf *b, const char *key, const char *s)
{
    if (!s)
        return;
    snap_buf_addf(b, "%s=", key);
    quote(b, s);
    snap_buf_adds(b, "\n");
}

static void put_num(struct snap_buf *b, const char *key, uint64_t n)
{
    snap_buf_addf(b, "%s=%" PRIu64 "\n", key, n);
}

static void put_item(struct snap_buf *b, const char *s)
{
    snap_buf_adds(b, "    ");
    quote(b, s);
    snap_buf_adds(b, ",\n");
}

/* A field of a disk's entry ends at a comma, and blanks around it go. */
static int put_field(struct snap_buf *b, const char *key, const char *value,
                     struct snap_err *err)
{
    size_t len = strlen(value);

    if (strchr(value, ',') || (len && strchr(" \t", value[len - 1])))
        return snap_fail(err, SNAP_INVAL,
                         "%s: a path with a comma in it, or a blank at its end, cannot stand in a file of --output; rename the image or leave out --no-metadata",
                         value);
    snap_buf_addf(b, ",%s=%s", key, value);
    return 0;
}

static int put_disk(struct snap_buf *out, const struct snap_part *p,
                    struct snap_err *err)
{
    bool external = p->type == SNAP_DISK_EXTERNAL;
    const struct {
        const char *key, *value;
    } fields[] = {
        { "type", external ? "external" : "internal" },
        { "target", external ? p->active_path : NULL },
        { "format", external ? p->active_format : NULL },
        { "image", p->frozen_kind ? NULL : p->frozen_path },
        { "imageformat", p->frozen_kind ? NULL : p->frozen_format },
    };
    struct snap_buf b = { .len = 0 };
    size_t i;
    int rc;

    snap_buf_addf(&b, "vdev=%s", p->vdev);
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!fields[i].value)
            continue;
        rc = put_field(&b, fields[i].key, fields[i].value, err);
        if (rc) {
            snap_err_prefix(err, "%s", p->vdev);
            goto out;
        }
    }
    put_item(out, b.data);
    rc = 0;

out:
    snap_buf_dispose(&b);
    return rc;
}

/* What a disk's entry does not say. */
static void put_details(struct snap_buf *out, const struct snap_part *p)
{
    bool said = !p->frozen_kind && !p->active_kind &&
                (p->type == SNAP_DISK_EXTERNAL ||
                 (snap_streq(p->active_path, p->frozen_path) &&
                  snap_streq(p->active_format, p->frozen_format)));
    struct snap_json *j = snap_part_to_json(p);
    char *text;

    snap_json_set(j, "type", NULL);
    if (!p->frozen_kind)
        snap_json_set(j, "frozen", NULL);
    if (said)
        snap_json_set(j, "active", NULL);
    if (snap_streq(p->before_kind, p->frozen_kind) &&
        snap_streq(p->path, p->frozen_path) &&
        snap_streq(p->format, p->frozen_format))
        snap_json_set(j, "before", NULL);
    text = snap_json_text(j, false);
    put_item(out, text);
    free(text);
    snap_json_free(j);
}

static void put_head(struct snap_buf *b, const struct snap_record *r)
{
    char *name = snap_excerpt(r->name, strlen(r->name), SNAP_NAME_MAX);
    char *dom = snap_excerpt(r->domain_name, strlen(r->domain_name), 80);
    char *when = snap_time_iso(r->created);

    snap_buf_addf(b, "# Snapshot %s of domain %s, taken %s.\n", name, dom,
                  when);
    snap_buf_addf(b,
                  "# This file is all that knows of it.  To go back:\n"
                  "#     xl snapshot-revert --config THIS_FILE %s\n"
                  "# An image or the memory file that was moved: change its path below.\n\n",
                  dom);
    free(name);
    free(dom);
    free(when);
}

static void put_facts(struct snap_buf *b, const struct snap_record *r)
{
    char num[32];

    put_num(b, "format", SNAP_RECORD_FORMAT);
    put_str(b, "name", r->name);
    put_str(b, "description", r->description);
    put_str(b, "parent", r->parent);
    put_str(b, "domain", r->domain_name);
    put_str(b, "uuid", r->domain_uuid);
    put_str(b, "guest", snap_guest_type_name(r->guest_type));
    if (r->paused)
        put_num(b, "paused", 1);
    put_num(b, "created", r->created);
    put_str(b, "id", r->id);
    put_str(b, "consistency", r->consistency);
    put_str(b, "memory", r->has_memory ? r->mem_path : "no");
    if (r->has_memory) {
        put_num(b, "memory_size", r->mem_size);
        put_str(b, "memory_checksum", r->mem_hash);
        put_num(b, "live", r->live);
    }
    put_num(b, "memory_kb", r->mem_kb);
    snprintf(num, sizeof(num), "%.3f", r->window_ms);
    put_str(b, "window_ms", num);
    put_str(b, "versions", r->versions);
}

int snap_record_to_cfg(const struct snap_record *r, char **text_r,
                       struct snap_err *err)
{
    struct snap_buf b = { .len = 0 };
    size_t i;
    int rc;

    *text_r = NULL;
    put_head(&b, r);
    put_facts(&b, r);
    snap_buf_adds(&b, "disks=[\n");
    for (i = 0; i < r->n_parts; i++) {
        rc = put_disk(&b, &r->parts[i], err);
        if (rc)
            goto out;
    }
    snap_buf_adds(&b, "]\nleft_out=[\n");
    for (i = 0; i < r->n_left_out; i++)
        put_item(&b, r->left_out[i]);
    snap_buf_adds(&b, "]\n\n# For the program only.\ndisk_details=[\n");
    for (i = 0; i < r->n_parts; i++)
        put_details(&b, &r->parts[i]);
    snap_buf_adds(&b, "]\n");
    put_str(&b, "domain_config", r->config_json);
    if (b.len > SNAP_CFG_MAX) {
        rc = snap_fail(err, SNAP_INVAL,
                       "snapshot %s: its description has %zu bytes, and a file of --output at most %u; leave out --no-metadata",
                       r->name, b.len, SNAP_CFG_MAX);
        goto out;
    }
    *text_r = b.data;
    b.data = NULL;
    rc = 0;

out:
    snap_buf_dispose(&b);
    return rc;
}

/* --- reading what to_cfg() wrote --------------------------------------- */

static const char *str(const struct snap_cfg *cfg, const char *key)
{
    const struct snap_cfg_entry *e = snap_cfg_find(cfg, key);

    return e ? e->values[0] : NULL;
}

static int check_number(const struct snap_cfg *cfg,
                        const struct snap_cfg_entry *e, struct snap_err *err)
{
    const char *v = e->values[0];

    /* 18 digits always fit. */
    if (v[0] && strspn(v, "0123456789") == strlen(v) && strlen(v) <= 18)
        return 0;
    return snap_fail(err, SNAP_INVAL,
                     "%s:%d: %s must be a number of at most 18 digits",
                     cfg->file, e->line, e->key);
}

static int record_cfg_unknown_key(const struct snap_cfg *cfg,
                                  const struct snap_cfg_entry *e,
                                  struct snap_err *err)
{
    const char *known[N_KEYS + 1] = { NULL };
    const char *near;
    char *q;
    size_t i;
    int rc;

    for (i = 0; i < N_KEYS; i++)
        known[i] = keys[i].key;
    near = snap_cfg_nearest(e->key, known);
    q = snap_excerpt(e->key, strlen(e->key), 60);
    if (near)
        rc = snap_fail(err, SNAP_INVAL,
                       "%s:%d: unknown key \"%s\"; did you mean \"%s\"?",
                       cfg->file, e->line, q, near);
    else
        rc = snap_fail(err, SNAP_INVAL, "%s:%d: unknown key \"%s\"; remove it",
                       cfg->file, e->line, q);
    free(q);
    return rc;
}

static int check_keys(const struct snap_cfg *cfg, struct snap_err *err)
{
    size_t i, k;
    int rc;

    for (i = 0; i < cfg->n; i++) {
        const struct snap_cfg_entry *e = &cfg->entries[i];

        for (k = 0; k < N_KEYS; k++)
            if (!strcmp(keys[k].key, e->key))
                break;
        if (k == N_KEYS)
            return record_cfg_unknown_key(cfg, e, err);
        if ((keys[k].kind == LIST) != e->list || (!e->list && e->n != 1))
            return snap_fail(err, SNAP_INVAL, "%s:%d: %s must be %s",
                             cfg->file, e->line, e->key,
                             keys[k].kind == LIST ? "a list"
                                                  : "one value, not a list");
        if (keys[k].kind != NUMBER)
            continue;
        rc = check_number(cfg, e, err);
        if (rc)
            return rc;
    }
    return 0;
}

static void copy_str(struct snap_json *obj, const char *to,
                     const struct snap_cfg *cfg, const char *key)
{
    if (str(cfg, key))
        snap_json_set_str(obj, to, str(cfg, key));
}

/* check_keys() has seen to it that it is one. */
static void copy_num(struct snap_json *obj, const char *to,
                     const struct snap_cfg *cfg, const char *key)
{
    if (str(cfg, key))
        snap_json_set_int(obj, to, strtoll(str(cfg, key), NULL, 10));
}

static int copy_window(struct snap_json *obj, const struct snap_cfg *cfg,
                       struct snap_err *err)
{
    const char *s = str(cfg, "window_ms");

    if (!s)
        s = "0";
    if (!s[0] || strspn(s, "0123456789.") != strlen(s) || strlen(s) > 18)
        return snap_fail(err, SNAP_INVAL,
                         "%s: window_ms must be a number of milliseconds",
                         cfg->file);
    snap_json_set(obj, "window_ms", snap_json_double(strtod(s, NULL)));
    return 0;
}

static int parse_json(const struct snap_cfg *cfg,
                      const struct snap_cfg_entry *e, size_t i,
                      struct snap_json **j_r, struct snap_err *err)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc;

    rc = snap_json_parse(e->values[i], strlen(e->values[i]), j_r, &why);
    if (!rc && snap_json_type(*j_r) != SNAP_JSON_OBJECT) {
        snap_json_free(*j_r);
        *j_r = NULL;
        rc = snap_fail(&why, SNAP_CORRUPT, "not a JSON object");
    }
    if (rc)
        snap_fail(err, rc, "%s:%d: %s: %s", cfg->file, e->lines[i], e->key,
                  why.msg);
    return rc;
}

static void join_object(struct snap_json *j, const char *key, const char *id,
                        const char *format)
{
    struct snap_json *o;

    if (snap_json_get(j, key) || (!id && !format))
        return;
    o = snap_json_object();
    snap_json_set_str(o, "kind", SNAP_KIND_FILE);
    if (id)
        snap_json_set_str(o, "id", id);
    if (format)
        snap_json_set_str(o, "format", format);
    snap_json_set(j, key, o);
}

/* Complete the details of a disk with what its entry says. */
static void join(struct snap_json *j, const struct snap_disk_choice *c)
{
    if (c->type != SNAP_DISK_AUTO)
        snap_json_set_str(j, "type",
                          c->type == SNAP_DISK_INTERNAL ? "internal"
                                                        : "external");
    join_object(j, "frozen", c->image, c->image_format);
    if (c->target)
        join_object(j, "active", c->target, c->format);
    else
        join_object(j, "active", c->image, c->image_format);
}

/* The details of this disk out of the list; taken from there. */
static struct snap_json *take_details(struct snap_json **details, size_t n,
                                      const char *vdev)
{
    size_t i;

    for (i = 0; i < n; i++) {
        struct snap_json *j = details[i];

        if (!j || !snap_streq(snap_json_get_str(j, "vdev"), vdev))
            continue;
        details[i] = NULL;
        return j;
    }
    return NULL;
}

static int join_disk(const struct snap_cfg *cfg,
                     const struct snap_cfg_entry *e, size_t i,
                     struct snap_json **details, size_t n,
                     struct snap_json *array, struct snap_err *err)
{
    struct snap_disk_choice c = { .vdev = NULL };
    struct snap_json *j;
    char *origin;
    int rc;

    origin = snap_printf("%s:%d", cfg->file, e->lines[i]);
    rc = snap_disk_choice_parse(e->values[i], true, origin, &c, err);
    if (rc)
        goto out;
    j = take_details(details, n, c.vdev);
    if (!j) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s: disk %s is not in disk_details, or is here twice",
                       origin, c.vdev);
        goto out;
    }
    join(j, &c);
    snap_json_push(array, j);
    rc = 0;

out:
    snap_disk_choice_dispose(&c);
    free(origin);
    return rc;
}

static int copy_disks(struct snap_json *obj, const struct snap_cfg *cfg,
                      struct snap_err *err)
{
    const struct snap_cfg_entry *disks = snap_cfg_find(cfg, "disks");
    const struct snap_cfg_entry *more = snap_cfg_find(cfg, "disk_details");
    struct snap_json *array = snap_json_array(), **details = NULL;
    size_t i, n = more ? more->n : 0;
    int rc;

    snap_json_set(obj, "disks", array);
    if (n > SNAP_DISKS_MAX || (disks && disks->n > SNAP_DISKS_MAX))
        return snap_fail(err, SNAP_INVAL, "%s: more than %d disks", cfg->file,
                         SNAP_DISKS_MAX);
    details = snap_zalloc((n + 1) * sizeof(*details));
    for (i = 0; i < n; i++) {
        rc = parse_json(cfg, more, i, &details[i], err);
        if (rc)
            goto out;
    }
    for (i = 0; disks && i < disks->n; i++) {
        rc = join_disk(cfg, disks, i, details, n, array, err);
        if (rc)
            goto out;
    }
    for (i = 0; i < n; i++) {
        if (!details[i])
            continue;
        rc = snap_fail(err, SNAP_INVAL,
                       "%s:%d: disk_details has a disk that disks has not; remove it there too",
                       cfg->file, more->lines[i]);
        goto out;
    }
    rc = 0;

out:
    for (i = 0; i < n; i++)
        snap_json_free(details[i]);
    free(details);
    return rc;
}

static void copy_left_out(struct snap_json *obj, const struct snap_cfg *cfg)
{
    const struct snap_cfg_entry *e = snap_cfg_find(cfg, "left_out");
    struct snap_json *array = snap_json_array();
    size_t i;

    for (i = 0; e && i < e->n; i++)
        snap_json_push(array, snap_json_str(e->values[i]));
    snap_json_set(obj, "left_out", array);
}

static void copy_memory(struct snap_json *obj, const struct snap_cfg *cfg)
{
    struct snap_json *mem;
    const char *path = str(cfg, "memory");

    if (!path || !strcmp(path, "no"))
        return;
    mem = snap_json_object();
    snap_json_set_str(mem, "path", path);
    copy_num(mem, "size", cfg, "memory_size");
    copy_str(mem, "checksum", cfg, "memory_checksum");
    snap_json_set_bool(mem, "live", snap_streq(str(cfg, "live"), "1"));
    snap_json_set(obj, "memory", mem);
}

static int copy_config(struct snap_json *obj, const struct snap_cfg *cfg,
                       struct snap_err *err)
{
    const struct snap_cfg_entry *e = snap_cfg_find(cfg, "domain_config");
    struct snap_json *j = NULL;
    int rc;

    if (!e)
        return 0; /* the reader of records says so */
    rc = parse_json(cfg, e, 0, &j, err);
    if (!rc)
        snap_json_set(obj, "domain_config", j);
    return rc;
}

static int build(struct snap_json *obj, const struct snap_cfg *cfg,
                 struct snap_err *err)
{
    struct snap_json *dom = snap_json_object();
    int rc;

    copy_num(obj, "format", cfg, "format");
    copy_str(obj, "name", cfg, "name");
    copy_str(obj, "description", cfg, "description");
    copy_str(obj, "parent", cfg, "parent");
    copy_str(obj, "id", cfg, "id");
    copy_str(obj, "consistency", cfg, "consistency");
    copy_str(obj, "versions", cfg, "versions");
    copy_num(obj, "created", cfg, "created");
    copy_num(obj, "memory_kb", cfg, "memory_kb");
    copy_str(dom, "name", cfg, "domain");
    copy_str(dom, "uuid", cfg, "uuid");
    copy_str(dom, "type", cfg, "guest");
    if (str(cfg, "paused"))
        snap_json_set_bool(dom, "paused", snap_streq(str(cfg, "paused"), "1"));
    snap_json_set(obj, "domain", dom);
    copy_memory(obj, cfg);
    copy_left_out(obj, cfg);
    rc = copy_window(obj, cfg, err);
    if (rc)
        return rc;
    rc = copy_disks(obj, cfg, err);
    if (rc)
        return rc;
    return copy_config(obj, cfg, err);
}

static int from_ours(const struct snap_cfg *cfg,
                     const struct snap_disk_driver *const *drivers,
                     struct snap_record *r_out, struct snap_err *err)
{
    struct snap_record r = { .id = NULL };
    struct snap_json *obj = snap_json_object();
    int rc;

    rc = check_keys(cfg, err);
    if (rc)
        goto out;
    rc = build(obj, cfg, err);
    if (rc)
        goto out;
    rc = snap_record_from_json(obj, cfg->file, drivers, &r, err);
    if (rc)
        goto out;
    rc = snap_record_check(&r, err);
    if (rc) {
        snap_err_prefix(err, "%s", cfg->file);
        goto out;
    }
    *r_out = r;
    memset(&r, 0, sizeof(r));

out:
    snap_record_dispose(&r);
    snap_json_free(obj);
    return rc;
}

/* --- reading what the user wrote --------------------------------------- */

/* What is left NULL here, op/revert_plan.c finds from the images. */
static void plain_part(struct snap_part *p, const struct snap_disk_choice *c,
                       const struct snap_create_req *req)
{
    p->vdev = snap_strdup(c->vdev);
    p->tag = snap_strdup(req->name);
    /* The RFC's default is internal. */
    p->type = c->type != SNAP_DISK_AUTO     ? c->type
              : req->type != SNAP_DISK_AUTO ? req->type
                                            : SNAP_DISK_INTERNAL;
    p->frozen_path = snap_strdup(c->image);
    p->frozen_format = snap_strdup(c->image_format);
    if (c->target) {
        p->active_path = snap_strdup(c->target);
        p->active_format = snap_strdup(c->format ? c->format : "qcow2");
    } else if (p->type == SNAP_DISK_INTERNAL) {
        p->active_path = snap_strdup(c->image);
        p->active_format = snap_strdup(c->image_format);
    }
    p->path = snap_strdup(c->image);
    p->format = snap_strdup(c->image_format);
}

static int plain_memory(const struct snap_cfg *cfg,
                        const struct snap_create_req *req,
                        struct snap_record *r, struct snap_err *err)
{
    r->has_memory = req->memory == SNAP_MEM_YES;
    r->consistency = snap_strdup(r->has_memory ? "memory" : "crash");
    if (!r->has_memory)
        return 0;
    if (!req->memory_file)
        return snap_fail(err, SNAP_INVAL,
                         "%s:%d: memory=\"yes\" does not say where it is; write the path of the memory image, or give the snapshot's name instead of --config",
                         cfg->file, snap_cfg_find(cfg, "memory")->line);
    r->mem_path = snap_strdup(req->memory_file);
    r->live = req->live == 1;
    return 0;
}

static int from_plain(const struct snap_cfg *cfg, struct snap_record *r_out,
                      struct snap_err *err)
{
    struct snap_create_req req = { .live = -1 };
    struct snap_record r = { .id = NULL };
    size_t i;
    int rc;

    rc = snap_create_req_merge(&req, cfg, err);
    if (rc)
        goto out;
    if (!req.name) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s: which snapshot? add name=\"NAME\", as snapshot-create said it",
                       cfg->file);
        goto out;
    }
    r.name = snap_strdup(req.name);
    r.description = snap_strdup(req.description);
    rc = plain_memory(cfg, &req, &r, err);
    if (rc)
        goto out;
    r.parts = snap_zalloc((req.n_disks + 1) * sizeof(*r.parts));
    for (i = 0; i < req.n_disks; i++)
        plain_part(&r.parts[r.n_parts++], &req.disks[i], &req);
    *r_out = r;
    memset(&r, 0, sizeof(r));

out:
    snap_record_dispose(&r);
    snap_create_req_dispose(&req);
    return rc;
}

int snap_record_from_cfg(const struct snap_cfg *cfg,
                         const struct snap_disk_driver *const *drivers,
                         struct snap_record *r_out, struct snap_err *err)
{
    const struct snap_cfg_entry *e;
    size_t i;

    if (snap_cfg_find(cfg, "format"))
        return from_ours(cfg, drivers, r_out, err);
    for (i = 0; i < N_KEYS; i++) {
        e = keys[i].ours ? snap_cfg_find(cfg, keys[i].key) : NULL;
        if (e)
            return snap_fail(err, SNAP_INVAL,
                             "%s:%d: key \"%s\" belongs to a file of --output, and its line format=%d is missing; put it back",
                             cfg->file, e->line, e->key, SNAP_RECORD_FORMAT);
    }
    return from_plain(cfg, r_out, err);
}
