/* SPDX-License-Identifier: LGPL-2.1-only */
/* See offline.h. */
#include "op/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"
#include "op/resolve.h"
#include "store/state.h"

void snap_offline_dispose(struct snap_offline *o)
{
    snap_free(&o->file);
    snap_free(&o->config_json);
}

/* ---- who it is ---- */

/* An xl.cfg without a uuid gives the domain a new one with every xl create:
 * the one that the store has it under, if it has. */
static int uuid_of_store(struct snap_env *env,
                         const struct snap_create_req *req, const char *name,
                         struct snap_offline *o, char uuid_r[37],
                         struct snap_err *err)
{
    int rc;
    char *json = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    rc = snap_store_resolve(env, req->domain, uuid_r, &why);
    if (rc == SNAP_NOTFOUND && snap_streq(req->domain, name)) {
        o->no_uuid = true;
        return 0; /* the random one, from now on */
    }
    if (rc == SNAP_NOTFOUND)
        return snap_fail(err, SNAP_INVAL,
                         "%s is the configuration of %s, not of %s", o->file,
                         name, req->domain);
    if (rc)
        return snap_fail(err, rc, "%s", why.msg);
    rc = snap_domain_json_set_uuid(o->config_json, uuid_r, &json, err);
    if (rc)
        return rc;
    free(o->config_json);
    o->config_json = json;
    return 0;
}

static int find_by_file(struct snap_env *env,
                        const struct snap_create_req *req,
                        struct snap_offline *o, char uuid_r[37],
                        struct snap_err *err)
{
    int rc;
    bool has_uuid = false;
    char *name = NULL;

    o->file = realpath(req->domain_config, NULL);
    if (!o->file) {
        rc = snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                             errno, "--domain-config %s", req->domain_config);
        goto out;
    }
    rc = env->ops->config_file(env->hyp, o->file, &o->config_json, &has_uuid,
                               err);
    if (rc)
        goto out;
    rc = snap_domain_json_identity(o->config_json, &name, uuid_r, NULL, NULL,
                                   err);
    if (rc) {
        snap_err_prefix(err, "%s", o->file);
        goto out;
    }
    if (!has_uuid) {
        rc = uuid_of_store(env, req, name, o, uuid_r, err);
        goto out;
    }
    if (!snap_streq(req->domain, name) && strcasecmp(req->domain, uuid_r)) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s is the configuration of %s, not of %s", o->file,
                       name, req->domain);
        goto out;
    }
    rc = 0;

out:
    free(name);
    return rc;
}

int snap_offline_find(struct snap_env *env, const struct snap_create_req *req,
                      struct snap_offline *o, char uuid_r[37],
                      struct snap_err *err)
{
    int rc;

    if (req->domain_config)
        return find_by_file(env, req, o, uuid_r, err);
    rc = snap_store_resolve(env, req->domain, uuid_r, err);
    if (rc == SNAP_NOTFOUND)
        snap_err_append(err,
                        "to snapshot one that is shut down, name its xl.cfg with --domain-config FILE");
    return rc;
}

/* ---- its configuration, as last known ---- */

/* That of the snapshot that the domain descends from, or of the newest. */
static int from_records(struct snap_env *env, const struct snap_store *s,
                        const struct snap_state *st, struct snap_offline *o,
                        char **note_r, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct snap_record *all = NULL;
    const struct snap_record *best = NULL;

    rc = snap_store_all(s, env->drivers, env->log, &all, &n, err);
    if (rc)
        goto out;
    for (i = 0; i < n; i++) {
        best = &all[i];
        if (snap_streq(best->name, st->current))
            break;
    }
    if (!best) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "%s does not run, and no snapshot of it is left that knows its configuration; name its xl.cfg with --domain-config FILE",
                       st->domain_name ? st->domain_name : s->uuid);
        goto out;
    }
    o->config_json = snap_strdup(best->config_json);
    *note_r = snap_printf("%s does not run; its configuration is the one of snapshot %s (--domain-config FILE names another)",
                          best->domain_name, best->name);
    rc = 0;

out:
    snap_records_free(&all, &n);
    return rc;
}

/* ---- its images ---- */

/* The disks of the record are what it froze; the state has what was over them
 * when the domain was last seen.  An xl.cfg means what it says. */
static int use_leaves(struct snap_offline *o, const struct snap_state *st,
                      const struct snap_vbd *v, size_t n, struct snap_err *err)
{
    int rc;
    size_t i, m = 0;
    char *json = NULL;
    struct snap_active *a = snap_realloc(NULL, n + 1, sizeof(*a));

    for (i = 0; i < n; i++) {
        const struct snap_leaf *leaf = snap_state_leaf(st, v[i].vdev);

        if (!leaf || v[i].readonly || v[i].cdrom)
            continue;
        a[m].vdev = v[i].vdev;
        a[m].path = leaf->path;
        a[m].format = leaf->format;
        m++;
    }
    rc = m ? snap_domain_json_set_disks(o->config_json, a, m, &json, err) : 0;
    if (json) {
        free(o->config_json);
        o->config_json = json;
    }
    free(a);
    return rc;
}

/* Where the configuration names this image; caller frees. */
static char *named_in(const struct snap_offline *o, const char *path)
{
    unsigned line = snap_offline_line(o, path);

    return line ? snap_printf("line %u of %s", line, o->file)
                : snap_strdup(o->file ? o->file : "its configuration");
}

static int refuse_frozen(const struct snap_env *env,
                         const struct snap_offline *o,
                         const struct snap_state *st, const struct snap_vbd *v,
                         struct snap_err *err)
{
    const struct snap_leaf *leaf = snap_state_leaf(st, v->vdev);
    char *where = named_in(o, v->path);

    if (leaf && !snap_object_same(env->drivers, snap_leaf_object(leaf),
                                  snap_vbd_object(v)))
        snap_fail(err, SNAP_REFUSED,
                  "%s: %s names %s, which a snapshot froze; the domain wrote to %s since: change the line to format=%s, target=%s, or leave --domain-config out",
                  v->vdev, where, v->path, leaf->path, leaf->format,
                  leaf->path);
    else
        snap_fail(err, SNAP_REFUSED,
                  "%s: %s names %s, which a snapshot froze; name an xl.cfg with the image that the domain writes to with --domain-config FILE",
                  v->vdev, where, v->path);
    free(where);
    return SNAP_REFUSED;
}

/* An xl.cfg from before an external snapshot, which is deleted by now, so that
 * its image is frozen no more. */
static int check_stale(const struct snap_env *env,
                       const struct snap_offline *o,
                       const struct snap_state *st, const struct snap_vbd *v,
                       size_t n, struct snap_err *err)
{
    size_t i;

    for (i = 0; o->file && i < n; i++) {
        const struct snap_leaf *leaf = snap_state_leaf(st, v[i].vdev);
        char *where;

        if (v[i].readonly || v[i].cdrom || !leaf || !leaf->made ||
            (snap_object_has_path(snap_leaf_object(leaf)) &&
             !snap_file_exists(leaf->path)) ||
            snap_object_same(env->drivers, snap_leaf_object(leaf),
                             snap_vbd_object(&v[i])))
            continue;
        where = named_in(o, v[i].path);
        snap_fail(err, SNAP_REFUSED,
                  "%s: %s names %s, but the domain wrote to %s since: change the line to format=%s, target=%s, or leave --domain-config out.  If it is meant to go on with the former, move the latter away first",
                  v[i].vdev, where, v[i].path, leaf->path, leaf->format,
                  leaf->path);
        free(where);
        return SNAP_REFUSED;
    }
    return 0;
}

/* The images that a configuration names, to be compared with records. */
struct named {
    struct snap_env *env;
    const struct snap_offline *o;
    const struct snap_state *st;
    const struct snap_vbd *v;
    size_t n;
};

static bool writes_any(const struct named *c)
{
    size_t k;

    for (k = 0; k < c->n; k++)
        if (!c->v[k].readonly && !c->v[k].cdrom)
            return true;
    return false;
}

/* Whatever cannot be read may have frozen one of them.  An image is protected
 * all the same, but no device is, nor is anything where there is no chattr. */
static int read_frozen(const struct named *c, const char *uuid,
                       struct snap_record **rs_r, size_t *n_r,
                       struct snap_err *err)
{
    int rc;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err why = SNAP_ERR_INIT;

    rc = snap_store_open(&s, c->env->store_root, uuid, false, &why);
    if (!rc)
        rc = snap_store_brief_whole(&s, c->env->drivers, rs_r, n_r, &why);
    snap_store_close(&s);
    return rc ? snap_fail(err, SNAP_REFUSED,
                          "which images the snapshots of domain %s froze cannot be told, and one may be a disk of this domain: %s",
                          uuid, why.msg)
              : 0;
}

static int offline_compare(void *opaque, const char *uuid,
                           struct snap_err *err)
{
    int rc;
    size_t k, n = 0;
    const struct named *c = opaque;
    struct snap_record *rs = NULL;

    if (!writes_any(c))
        return 0;
    rc = read_frozen(c, uuid, &rs, &n, err);
    for (k = 0; !rc && k < c->n; k++)
        if (!c->v[k].readonly && !c->v[k].cdrom &&
            snap_records_freeze(c->env->drivers, rs, n,
                                snap_vbd_object(&c->v[k])))
            rc = refuse_frozen(c->env, c->o, c->st, &c->v[k], err);
    snap_records_free(&rs, &n);
    return rc;
}

/* Did a snapshot of this domain, or of another one, freeze an image? */
static int check_frozen(struct snap_env *env, const struct snap_offline *o,
                        const struct snap_state *st, const struct snap_vbd *v,
                        size_t n, struct snap_err *err)
{
    struct named named = { env, o, st, v, n };
    int rc;

    rc = snap_store_each(env->store_root, NULL, offline_compare, &named, err);
    return rc ? rc : check_stale(env, o, st, v, n, err);
}

int snap_offline_load(struct snap_env *env, const struct snap_store *s,
                      const struct snap_state *st, struct snap_offline *o,
                      struct snap_domain *dom_r, char **note_r,
                      struct snap_err *err)
{
    int rc;
    char uuid[37] = "";
    struct snap_vbd *v = NULL;
    size_t n = 0;

    *note_r = NULL;
    if (!o->file) {
        rc = from_records(env, s, st, o, note_r, err);
        if (!rc)
            rc = snap_domain_json_disks(o->config_json, &v, &n, err);
        if (!rc)
            rc = use_leaves(o, st, v, n, err);
        if (rc)
            goto out;
        snap_vbds_free(&v, &n);
    }
    dom_r->domid = UINT32_MAX;
    rc = snap_domain_json_identity(o->config_json, &dom_r->name, uuid,
                                   &dom_r->type, &dom_r->mem_kb, err);
    if (!rc && !snap_streq(uuid, s->uuid))
        rc = snap_fail(err, SNAP_CORRUPT,
                       "its configuration is of domain %s, not of %s", uuid,
                       s->uuid);
    if (rc)
        goto out;
    memcpy(dom_r->uuid, uuid, sizeof(dom_r->uuid));
    rc = snap_domain_json_disks(o->config_json, &v, &n, err);
    if (rc)
        goto out;
    rc = check_frozen(env, o, st, v, n, err);
    if (rc)
        goto out;
    if (o->no_uuid)
        *note_r = snap_printf("%s has no uuid; the snapshots are kept for UUID %s: add the line uuid=\"%s\" to it, or the domain will not be known as theirs",
                              o->file, uuid, uuid);

out:
    snap_vbds_free(&v, &n);
    return rc;
}

int snap_offline_look_again(struct snap_env *env, const struct snap_offline *o,
                            const struct snap_state *st, struct snap_err *err)
{
    int rc;
    struct snap_vbd *v = NULL;
    size_t n = 0;

    rc = snap_domain_json_disks(o->config_json, &v, &n, err);
    if (!rc)
        rc = check_frozen(env, o, st, v, n, err);
    snap_vbds_free(&v, &n);
    return rc;
}

unsigned snap_offline_line(const struct snap_offline *o, const char *image)
{
    unsigned line = 0;
    char *text = NULL, *at, *p;
    size_t len;

    if (!o->file || snap_file_read(o->file, SNAP_CFG_MAX, &text, &len, NULL))
        return 0;
    at = strstr(text, image);
    if (at)
        for (line = 1, p = text; p < at; p++)
            line += *p == '\n';
    free(text);
    return line;
}
