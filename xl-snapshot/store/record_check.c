/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The rules that a record keeps, whatever form it came in (docs/formats.md).
 *
 * Whoever can write to the store is root already, but a disk can be damaged
 * and a folder copied from elsewhere, and revert and recover act on what a
 * record says: nothing of it is believed before it went through here.  Never
 * touches a file that a record names.
 */
#include "store/record_check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "model/name.h"

#define CREATED_MAX     INT64_C(253402300799) /* the end of year 9999 */
#define MEM_KB_MAX      (UINT64_C(1) << 40) /* a petabyte */
#define WINDOW_MAX      1e9
#define DOMAIN_NAME_MAX 255
#define VERSIONS_MAX    1024
#define STEM_MAX        255
#define KIND_MAX        16
#define ID_MAX          4095
#define HEX             "0123456789abcdef"

static int bad(struct snap_err *err, const char *what, const char *why)
{
    return snap_fail(err, SNAP_CORRUPT, "%s: %s", what, why);
}

/* What a check of the user's input found is, in a file of ours, damage. */
static int damaged(struct snap_err *err, const char *what,
                   const struct snap_err *e)
{
    return bad(err, what, e->msg);
}

static bool is_hex32(const char *s)
{
    return s && strlen(s) == 32 && strspn(s, HEX) == 32;
}

static int check_path(const char *path, const char *what, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;

    /* JSON could not hold it; said first, since it is the better reason. */
    if (path && snap_text_check(path, SIZE_MAX, what, &e))
        return snap_fail(err, SNAP_CORRUPT, "%s", e.msg);
    if (!path || !snap_path_ok(path) || !path[1])
        return bad(err, what, "not an absolute path without . and ..");
    return 0;
}

static int check_text(const char *text, size_t max, const char *what,
                      struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;

    if (snap_text_check(text, max, what, &e))
        return snap_fail(err, SNAP_CORRUPT, "%s", e.msg);
    return 0;
}

static int check_name(const char *name, const char *what, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;

    return snap_name_check(name, &e) ? damaged(err, what, &e) : 0;
}

static int check_stem(const char *stem, struct snap_err *err)
{
    int rc;

    rc = check_text(stem, STEM_MAX, "stem", err);
    if (!rc &&
        (strchr(stem, '/') || !strcmp(stem, ".") || !strcmp(stem, "..")))
        rc = bad(err, "stem", "must be one component of a path");
    return rc;
}

static bool is_word(const char *s)
{
    size_t len = strlen(s);

    return len && len <= KIND_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* What an id of a kind of its own means, only its driver knows. */
int snap_object_check(struct snap_object o, const char *what,
                      struct snap_err *err)
{
    int rc = 0;
    char *at = snap_printf("%s.id", what);

    if (o.kind && !is_word(o.kind))
        rc = bad(err, what, "kind: not a word of a-z, 0-9 and -");
    else if (!o.kind)
        rc = check_path(o.id, at, err);
    else
        rc = check_text(o.id ? o.id : "", ID_MAX, at, err);
    if (!rc && o.kind && (!o.id || !o.id[0]))
        rc = bad(err, at, "missing");
    if (!rc && !snap_format_known(o.format))
        rc = bad(err, what, "unknown image format");
    free(at);
    return rc;
}

int snap_part_check(const struct snap_part *p, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    if (snap_vdev_check(p->vdev, &e))
        return damaged(err, "vdev", &e);
    if (!p->drv)
        return bad(err, "driver", "missing");
    if (p->type != SNAP_DISK_INTERNAL && p->type != SNAP_DISK_EXTERNAL)
        return bad(err, "type", "neither internal nor external");
    if (p->size > INT64_MAX)
        return bad(err, "size", "impossible");
    rc = snap_object_check(snap_part_before(p), "before", err);
    if (!rc)
        rc = snap_object_check(snap_part_frozen(p), "frozen", err);
    if (!rc)
        rc = snap_object_check(snap_part_active(p), "active", err);
    if (!rc && p->stem)
        rc = check_stem(p->stem, err);
    return rc ? rc : p->drv->check(p, err);
}

static bool part_has(const struct snap_part *p, const char *path)
{
    return snap_streq(p->path, path) || snap_streq(p->frozen_path, path) ||
           snap_streq(p->active_path, path);
}

static int check_pair(const struct snap_part *a, const struct snap_part *b,
                      struct snap_err *err)
{
    if (snap_streq(a->vdev, b->vdev))
        return snap_fail(err, SNAP_CORRUPT, "disk %s is there twice", a->vdev);
    if (part_has(a, b->frozen_path) || part_has(a, b->active_path))
        return snap_fail(err, SNAP_CORRUPT,
                         "disks %s and %s have an image in common", a->vdev,
                         b->vdev);
    return 0;
}

static int check_parts(const struct snap_record *r, struct snap_err *err)
{
    size_t i, k;
    int rc;

    if (r->n_parts > SNAP_DISKS_MAX)
        return snap_fail(err, SNAP_CORRUPT,
                         "%zu disks; at most %d can be in a snapshot",
                         r->n_parts, SNAP_DISKS_MAX);
    for (i = 0; i < r->n_parts; i++) {
        const struct snap_part *p = &r->parts[i];

        rc = snap_part_check(p, err);
        if (rc) {
            snap_err_prefix(err, "disk %s", p->vdev ? p->vdev : "?");
            return rc;
        }
        for (k = 0; k < i; k++) {
            rc = check_pair(&r->parts[k], p, err);
            if (rc)
                return rc;
        }
        if (r->mem_path && part_has(p, r->mem_path))
            return snap_fail(err, SNAP_CORRUPT,
                             "the memory image is also the image of disk %s",
                             p->vdev);
    }
    return 0;
}

static int check_left_out(const struct snap_record *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    size_t i, k;

    if (r->n_left_out > SNAP_DISKS_MAX)
        return bad(err, "left_out", "too many disks");
    for (i = 0; i < r->n_left_out; i++) {
        if (snap_vdev_check(r->left_out[i], &e))
            return damaged(err, "left_out", &e);
        for (k = 0; k < i; k++)
            if (snap_streq(r->left_out[i], r->left_out[k]))
                return bad(err, "left_out", "a disk is there twice");
        for (k = 0; k < r->n_parts; k++)
            if (snap_streq(r->left_out[i], r->parts[k].vdev))
                return snap_fail(err, SNAP_CORRUPT,
                                 "disk %s is both in the snapshot and left out",
                                 r->left_out[i]);
    }
    return 0;
}

static int check_consistency(const struct snap_record *r, struct snap_err *err)
{
    static const char *const words[] = {
        "memory", "crash", "synced", "quiesced", "offline", NULL,
    };
    size_t i;

    for (i = 0; words[i]; i++)
        if (snap_streq(r->consistency, words[i]))
            break;
    if (!words[i])
        return bad(err, "consistency",
                   "not one of memory, crash, synced, quiesced and offline");
    if (r->has_memory != (i == 0))
        return bad(err, "consistency",
                   r->has_memory ? "must be memory, since the snapshot has it"
                                 : "is memory, and the snapshot has none");
    return 0;
}

static int record_check_check_memory(const struct snap_record *r,
                                     struct snap_err *err)
{
    int rc;

    if (r->mem_kb > MEM_KB_MAX)
        return bad(err, "memory_kb", "impossible");
    if (!r->has_memory) {
        if (r->mem_path || r->mem_size || r->mem_hash[0] || r->live)
            return bad(err, "memory", "described, and the snapshot has none");
        return 0;
    }
    rc = check_path(r->mem_path, "memory.path", err);
    if (rc)
        return rc;
    if (r->mem_size > INT64_MAX)
        return bad(err, "memory.size", "impossible");
    if (r->mem_hash[0] && !is_hex32(r->mem_hash))
        return bad(err, "memory.checksum", "not 32 lower-case hex digits");
    return 0;
}

static int check_identity(const struct snap_record *r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    if (r->id && !is_hex32(r->id))
        return bad(err, "id", "not 32 lower-case hex digits");
    rc = check_name(r->name, "name", err);
    if (rc)
        return rc;
    rc = r->parent ? check_name(r->parent, "parent", err) : 0;
    if (rc)
        return rc;
    if (r->created < 0 || r->created > CREATED_MAX)
        return bad(err, "created", "not a time after 1970 in seconds");
    rc = check_text(r->domain_name, DOMAIN_NAME_MAX, "domain.name", err);
    if (rc)
        return rc;
    if (snap_uuid_check(r->domain_uuid, &e))
        return damaged(err, "domain.uuid", &e);
    rc = r->description ? check_text(r->description, SNAP_DESCRIPTION_MAX,
                                     "description", err)
                        : 0;
    if (rc)
        return rc;
    return r->versions ? check_text(r->versions, VERSIONS_MAX, "versions", err)
                       : 0;
}

/* config is config_json, parsed. */
static int check_config(const struct snap_record *r,
                        const struct snap_json *config, struct snap_err *err)
{
    const char *uuid;

    if (snap_json_type(config) != SNAP_JSON_OBJECT)
        return bad(err, "domain_config", "not an object");
    if (strlen(r->config_json) > SNAP_DOMAIN_JSON_MAX)
        return bad(err, "domain_config", "too large");
    uuid = snap_json_string(snap_json_path(config, "c_info.uuid"), NULL);
    if (uuid && strcasecmp(uuid, r->domain_uuid))
        return bad(err, "domain_config", "of a domain with another UUID");
    return 0;
}

int snap_record_check_draft(const struct snap_record *r,
                            const struct snap_json *config,
                            struct snap_err *err)
{
    int rc;

    rc = check_identity(r, err);
    if (rc)
        return rc;
    rc = check_consistency(r, err);
    if (rc)
        return rc;
    rc = record_check_check_memory(r, err);
    if (rc)
        return rc;
    if (!(r->window_ms >= 0 && r->window_ms <= WINDOW_MAX))
        return bad(err, "window_ms", "impossible");
    rc = config ? check_config(r, config, err) : 0;
    if (rc)
        return rc;
    rc = check_parts(r, err);
    if (rc)
        return rc;
    rc = check_left_out(r, err);
    if (rc)
        return rc;
    if (!r->has_memory && !r->n_parts)
        return snap_fail(err, SNAP_CORRUPT,
                         "neither memory nor a disk is in it");
    return 0;
}

int snap_record_complete(const struct snap_record *r, struct snap_err *err)
{
    if (!r->id)
        return bad(err, "id", "missing");
    if (!r->created)
        return bad(err, "created", "missing");
    if (r->has_memory && !r->mem_size)
        return bad(err, "memory.size", "missing");
    if (r->has_memory && !r->mem_hash[0])
        return bad(err, "memory.checksum", "missing");
    return 0;
}

int snap_record_check(const struct snap_record *r, struct snap_err *err)
{
    struct snap_json *config = NULL;
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    if (!r->config_json) {
        rc = bad(&e, "domain_config", "missing");
        goto out;
    }
    rc = snap_json_parse(r->config_json, strlen(r->config_json), &config, &e);
    if (rc) {
        snap_err_prefix(&e, "domain_config");
        goto out;
    }
    rc = snap_record_check_draft(r, config, &e);
    if (rc)
        goto out;
    rc = snap_record_complete(r, &e);

out:
    if (rc)
        rc = snap_fail(err, rc, "snapshot %s: %s", r->name ? r->name : "?",
                       e.msg);
    snap_json_free(config);
    return rc;
}
