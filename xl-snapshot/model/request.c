/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The request: options and configuration file become one struct, and what
 * does not go together is refused with both places named.  Nothing is ever
 * guessed from which of two was said last.  Looks at no domain and no file;
 * may assume that the options in the request were parsed by the command line.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "model/request.h"

#define QUOTE_MAX 60

/* --- life -------------------------------------------------------------- */

void snap_create_req_dispose(struct snap_create_req *r)
{
    size_t i;

    for (i = 0; i < r->n_disks; i++)
        snap_disk_choice_dispose(&r->disks[i]);
    free(r->disks);
    snap_free(&r->domain);
    snap_free(&r->name);
    snap_free(&r->description);
    snap_free(&r->memory_file);
    snap_free(&r->output);
    snap_free(&r->domain_config);
    snap_free(&r->origin_name);
    snap_free(&r->origin_description);
    snap_free(&r->origin_memory);
    snap_free(&r->origin_live);
    snap_free(&r->origin_type);
    memset(r, 0, sizeof(*r));
}

void snap_revert_req_dispose(struct snap_revert_req *r)
{
    snap_free(&r->domain);
    snap_free(&r->name);
    snap_free(&r->config_file);
    memset(r, 0, sizeof(*r));
}

int snap_create_req_add_disk(struct snap_create_req *r,
                             struct snap_disk_choice *c, struct snap_err *err)
{
    size_t i;
    int rc;

    for (i = 0; i < r->n_disks; i++) {
        if (!snap_streq(r->disks[i].vdev, c->vdev))
            continue;
        rc = snap_streq(r->disks[i].origin, c->origin)
                 ? snap_fail(err, SNAP_INVAL,
                             "disk %s is named twice by %s; remove one",
                             c->vdev, c->origin)
                 : snap_fail(err, SNAP_INVAL,
                             "disk %s: both %s and %s say what to do with it; remove one",
                             c->vdev, r->disks[i].origin, c->origin);
        goto out;
    }
    if (r->n_disks == SNAP_DISKS_MAX) {
        rc = snap_fail(err, SNAP_INVAL, "%s: more than %d disks", c->origin,
                       SNAP_DISKS_MAX);
        goto out;
    }
    r->disks = snap_realloc(r->disks, r->n_disks + 1, sizeof(*r->disks));
    r->disks[r->n_disks++] = *c;
    memset(c, 0, sizeof(*c));
    rc = 0;

out:
    snap_disk_choice_dispose(c);
    return rc;
}

/* --- the file ---------------------------------------------------------- */

struct merge {
    struct snap_create_req *r;
    const struct snap_cfg *cfg;
    const struct snap_cfg_entry *e; /* the key at hand */
    const char *value; /* its string, unless it is a list */
    struct snap_err *err;
};

static char *request_place(const struct merge *m)
{
    return snap_printf("%s:%d", m->cfg->file, m->e->line);
}

/* "FILE:LINE: KEY="VALUE" why" */
static int bad_value(const struct merge *m, const char *why)
{
    char *q = snap_excerpt(m->value, strlen(m->value), QUOTE_MAX);
    int rc;

    rc = snap_fail(m->err, SNAP_INVAL, "%s:%d: %s=\"%s\" %s", m->cfg->file,
                   m->e->line, m->e->key, q, why);
    free(q);
    return rc;
}

/* said: what the options have for this key; origin: where. */
static int disagree(const struct merge *m, const char *said,
                    const char *origin)
{
    char *a = snap_excerpt(said, strlen(said), QUOTE_MAX);
    char *b = snap_excerpt(m->value, strlen(m->value), QUOTE_MAX);
    int rc;

    rc = snap_fail(m->err, SNAP_INVAL,
                   "%s: %s%s%s and %s:%d (%s=\"%s\") disagree; remove one",
                   m->e->key, origin, a[0] ? " " : "", a, m->cfg->file,
                   m->e->line, m->e->key, b);
    free(a);
    free(b);
    return rc;
}

static void set_origin(const struct merge *m, char **origin)
{
    if (!*origin)
        *origin = request_place(m);
}

static int merge_text(const struct merge *m, char **slot, char **origin)
{
    if (*slot && !snap_streq(*slot, m->value))
        return disagree(m, *slot, *origin ? *origin : "the command line");
    if (!*slot)
        *slot = snap_strdup(m->value);
    set_origin(m, origin);
    return 0;
}

static int merge_name(const struct merge *m)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    rc = snap_name_check(m->value, &e);
    if (rc)
        return snap_fail(m->err, rc, "%s:%d: %s", m->cfg->file, m->e->line,
                         e.msg);
    return merge_text(m, &m->r->name, &m->r->origin_name);
}

static int merge_description(const struct merge *m)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    rc = snap_text_check(m->value, SNAP_DESCRIPTION_MAX, "description", &e);
    if (rc)
        return snap_fail(m->err, rc, "%s:%d: %s", m->cfg->file, m->e->line,
                         e.msg);
    return merge_text(m, &m->r->description, &m->r->origin_description);
}

static int merge_memory(const struct merge *m)
{
    struct snap_create_req *r = m->r;
    enum snap_memory_want want = SNAP_MEM_YES;
    const char *file = NULL;

    if (!strcmp(m->value, "no"))
        want = SNAP_MEM_NO;
    else if (snap_path_ok(m->value))
        file = m->value;
    else if (strcmp(m->value, "yes"))
        return bad_value(m,
                         "is neither \"yes\" nor \"no\" nor an absolute path without . and ..");

    if (r->origin_memory) {
        if (r->memory != want || !snap_streq(r->memory_file, file))
            return disagree(m, r->memory_file ? r->memory_file : "",
                            r->origin_memory);
        return 0;
    }
    r->memory = want;
    snap_set(&r->memory_file, file);
    set_origin(m, &r->origin_memory);
    return 0;
}

static int merge_type(const struct merge *m)
{
    struct snap_create_req *r = m->r;
    enum snap_disk_type t;

    if (!strcmp(m->value, "internal"))
        t = SNAP_DISK_INTERNAL;
    else if (!strcmp(m->value, "external"))
        t = SNAP_DISK_EXTERNAL;
    else
        return bad_value(m, "is neither \"internal\" nor \"external\"");
    if (r->origin_type && r->type != t)
        return disagree(m,
                        r->type == SNAP_DISK_INTERNAL ? "internal"
                                                      : "external",
                        r->origin_type);
    r->type = t;
    set_origin(m, &r->origin_type);
    return 0;
}

static int merge_live(const struct merge *m)
{
    struct snap_create_req *r = m->r;
    int live;

    if (strcmp(m->value, "0") && strcmp(m->value, "1"))
        return bad_value(m, "is neither 0 nor 1");
    live = m->value[0] - '0';
    if (r->origin_live && r->live != live)
        return disagree(m, "", r->origin_live);
    r->live = live;
    set_origin(m, &r->origin_live);
    return 0;
}

static int merge_quiesce(const struct merge *m)
{
    if (strcmp(m->value, "none"))
        return bad_value(m,
                         "cannot be done by this version; only \"none\" can");
    return 0;
}

/* The RFC: on output only, ignored on input. */
static int merge_creationtime(const struct merge *m)
{
    (void)m;
    return 0;
}

static int merge_disks(const struct merge *m)
{
    size_t i;
    int rc;

    for (i = 0; i < m->e->n; i++) {
        struct snap_disk_choice c = { .vdev = NULL };
        char *origin = snap_printf("%s:%d", m->cfg->file, m->e->lines[i]);

        rc = snap_disk_choice_parse(m->e->values[i], true, origin, &c, m->err);
        free(origin);
        if (!rc)
            rc = snap_create_req_add_disk(m->r, &c, m->err);
        if (rc)
            return rc;
    }
    return 0;
}

static const struct {
    const char *key;
    int (*fn)(const struct merge *m);
    bool list;
} create_keys[] = {
    { "name", merge_name, false },
    { "description", merge_description, false },
    { "memory", merge_memory, false },
    { "type", merge_type, false },
    { "live", merge_live, false },
    { "disks", merge_disks, true },
    { "disk", merge_disks, true },
    { "quiesce", merge_quiesce, false },
    { "creationtime", merge_creationtime, false },
};
#define N_CREATE_KEYS (sizeof(create_keys) / sizeof(create_keys[0]))

/* What only snap_record_to_cfg() writes. */
static const char *const revert_keys[] = {
    "format",        "domain",      "uuid",
    "domain_config", "memory_size", "memory_checksum",
    "memory_kb",     "created",     "id",
    "consistency",   "guest",       "window_ms",
    "versions",      "parent",      "left_out",
    "disk_details",  "paused",      NULL,
};

static int request_unknown_key(const struct merge *m)
{
    const char *known[N_CREATE_KEYS + 1] = { NULL };
    const char *near;
    char *q = NULL;
    size_t i;
    int rc;

    for (i = 0; revert_keys[i]; i++)
        if (!strcmp(m->e->key, revert_keys[i]))
            return snap_fail(m->err, SNAP_INVAL,
                             "%s:%d: key \"%s\" is in files that describe a snapshot already taken; use it with snapshot-revert --config, or write a new file for snapshot-create",
                             m->cfg->file, m->e->line, m->e->key);
    for (i = 0; i < N_CREATE_KEYS; i++)
        known[i] = create_keys[i].key;
    near = snap_cfg_nearest(m->e->key, known);
    q = snap_excerpt(m->e->key, strlen(m->e->key), QUOTE_MAX);
    if (near)
        rc = snap_fail(m->err, SNAP_INVAL,
                       "%s:%d: unknown key \"%s\"; did you mean \"%s\"?",
                       m->cfg->file, m->e->line, q, near);
    else
        rc = snap_fail(m->err, SNAP_INVAL,
                       "%s:%d: unknown key \"%s\"; known are name, description, memory, type, live and disks",
                       m->cfg->file, m->e->line, q);
    free(q);
    return rc;
}

static int merge_entry(struct merge *m)
{
    size_t i;

    for (i = 0; i < N_CREATE_KEYS; i++)
        if (!strcmp(create_keys[i].key, m->e->key))
            break;
    if (i == N_CREATE_KEYS)
        return request_unknown_key(m);
    if (create_keys[i].list && !m->e->list)
        return snap_fail(m->err, SNAP_INVAL,
                         "%s:%d: %s must be a list, as in %s=[ 'vdev=xvda' ]",
                         m->cfg->file, m->e->line, m->e->key, m->e->key);
    if (!create_keys[i].list && (m->e->list || m->e->n != 1))
        return snap_fail(m->err, SNAP_INVAL,
                         "%s:%d: %s must be one value, not a list",
                         m->cfg->file, m->e->line, m->e->key);
    m->value = m->e->list ? NULL : m->e->values[0];
    return create_keys[i].fn(m);
}

int snap_create_req_merge(struct snap_create_req *r,
                          const struct snap_cfg *cfg, struct snap_err *err)
{
    const struct snap_cfg_entry *one = snap_cfg_find(cfg, "disk");
    const struct snap_cfg_entry *many = snap_cfg_find(cfg, "disks");
    struct merge m = { .r = r, .cfg = cfg, .err = err };
    size_t i;
    int rc;

    if (one && many)
        return snap_fail(err, SNAP_INVAL,
                         "%s: disk (line %d) and disks (line %d) are the same key; use only disks",
                         cfg->file, one->line, many->line);
    for (i = 0; i < cfg->n; i++) {
        m.e = &cfg->entries[i];
        rc = merge_entry(&m);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- conflicts --------------------------------------------------------- */

static const char *said(const char *origin, const char *option)
{
    return origin ? origin : option;
}

static int check_texts(const struct snap_create_req *r, struct snap_err *err)
{
    int rc;

    if (!r->domain || !r->domain[0])
        return snap_fail(err, SNAP_INVAL, "which domain?");
    if (r->name) {
        rc = snap_name_check(r->name, err);
        if (rc) {
            snap_err_prefix(err, "%s", said(r->origin_name, "--name"));
            return rc;
        }
    }
    if (r->description) {
        rc = snap_text_check(r->description, SNAP_DESCRIPTION_MAX,
                             said(r->origin_description, "--description"),
                             err);
        if (rc)
            return rc;
    }
    return 0;
}

static int request_check_memory(const struct snap_create_req *r,
                                struct snap_err *err)
{
    const char *memory = said(r->origin_memory, "--disk-only");
    char *q;
    int rc;

    if (r->memory == SNAP_MEM_NO && r->live == 1)
        return snap_fail(err, SNAP_INVAL,
                         "%s is about saving memory, and %s leaves memory out; remove one",
                         said(r->origin_live, "--live"), memory);
    if (r->memory == SNAP_MEM_NO && r->memory_file)
        return snap_fail(err, SNAP_INVAL,
                         "--memory %s names a file for the memory, and %s leaves memory out; remove one",
                         r->memory_file, memory);
    if (r->memory_file && !snap_path_ok(r->memory_file)) {
        q = snap_excerpt(r->memory_file, strlen(r->memory_file), QUOTE_MAX);
        rc = snap_fail(err, SNAP_INVAL,
                       "%s: \"%s\" is not an absolute path without . and ..",
                       said(r->origin_memory, "--memory"), q);
        free(q);
        return rc;
    }
    return 0;
}

static int check_output(const struct snap_create_req *r, struct snap_err *err)
{
    if (r->output && !r->output[0])
        return snap_fail(err, SNAP_INVAL,
                         "--output: the file's name is empty");
    if (r->output && !r->no_metadata)
        return snap_fail(err, SNAP_INVAL,
                         "--output %s goes with --no-metadata; add that, or leave --output out and the snapshot is kept in the store",
                         r->output);
    if (r->no_metadata && !r->output)
        return snap_fail(err, SNAP_INVAL,
                         "--no-metadata needs --output FILE: without that file nobody could bring the snapshot back");
    if (r->output && r->output[0] != '/' && r->memory != SNAP_MEM_NO &&
        !r->memory_file)
        return snap_fail(err, SNAP_INVAL,
                         "--output %s is not an absolute path, which it must be if the memory image is to be put beside it; write the whole path, or add --memory=FILE",
                         r->output);
    if (r->output && snap_streq(r->output, r->memory_file))
        return snap_fail(err, SNAP_INVAL, "--output and %s are both %s",
                         said(r->origin_memory, "--memory"), r->output);
    return 0;
}

/* The type this disk is to be taken with; AUTO: not said anywhere. */
static enum snap_disk_type wanted(const struct snap_create_req *r,
                                  const struct snap_disk_choice *c)
{
    return c->type != SNAP_DISK_AUTO ? c->type : r->type;
}

static int check_disk(const struct snap_create_req *r,
                      const struct snap_disk_choice *c, struct snap_err *err)
{
    size_t i;

    if (c->image)
        return snap_fail(err, SNAP_INVAL,
                         "%s: image=%s is for the files that snapshot-revert takes; the new image is named by target=",
                         c->origin, c->image);
    if (!c->target)
        return 0;
    if (wanted(r, c) == SNAP_DISK_INTERNAL)
        return snap_fail(err, SNAP_INVAL,
                         "%s: an internal snapshot has no target (%s)",
                         c->origin, c->target);
    if (r->keep_path)
        return snap_fail(err, SNAP_INVAL,
                         "%s: with --keep-path the new image takes the old one's path and not %s; remove one",
                         c->origin, c->target);
    if (snap_streq(c->target, r->memory_file) ||
        snap_streq(c->target, r->output))
        return snap_fail(err, SNAP_INVAL, "%s: target %s is also %s",
                         c->origin, c->target,
                         snap_streq(c->target, r->output)
                             ? "the file of --output"
                             : "the memory image");
    for (i = 0; &r->disks[i] != c; i++)
        if (snap_streq(r->disks[i].target, c->target))
            return snap_fail(err, SNAP_INVAL,
                             "%s and %s have the same target %s; give each disk its own",
                             r->disks[i].origin, c->origin, c->target);
    return 0;
}

static int request_check_disks(const struct snap_create_req *r,
                               struct snap_err *err)
{
    bool target = false, external = r->type != SNAP_DISK_INTERNAL;
    size_t i;
    int rc;

    for (i = 0; i < r->n_disks; i++) {
        const struct snap_disk_choice *c = &r->disks[i];

        rc = check_disk(r, c, err);
        if (rc)
            return rc;
        target = target || c->target;
        external = external || c->type == SNAP_DISK_EXTERNAL;
    }
    if (r->keep_path && !external)
        return snap_fail(err, SNAP_INVAL,
                         "--keep-path is about external snapshots, and %s asks for internal ones; remove one",
                         said(r->origin_type, "--type internal"));
    if (r->reuse_external && !target)
        return snap_fail(err, SNAP_INVAL,
                         "--reuse-external: no disk names the image to use; add --disk VDEV,target=FILE");
    return 0;
}

int snap_create_req_check(const struct snap_create_req *r,
                          struct snap_err *err)
{
    int rc;

    rc = check_texts(r, err);
    if (rc)
        return rc;
    rc = request_check_memory(r, err);
    if (rc)
        return rc;
    rc = check_output(r, err);
    if (rc)
        return rc;
    return request_check_disks(r, err);
}

void snap_clone_req_dispose(struct snap_clone_req *r)
{
    snap_free(&r->domain);
    snap_free(&r->name);
    snap_free(&r->new_name);
    snap_free(&r->dir);
}

void snap_delete_req_dispose(struct snap_delete_req *r)
{
    snap_free(&r->domain);
    snap_free(&r->name);
}
