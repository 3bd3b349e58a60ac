/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * libxl's JSON of a domain's configuration, read and edited as plain JSON, so
 * that nothing another Xen version put there is lost.
 *
 * Its shape, from Xen 4.17's libxl_types.idl and gentypes.py: objects are
 * always there; any other field is left out at its default, so a missing
 * readwrite is 0 and a missing format "unknown"; enums are their names in
 * lower case (libxl compares without case); "integer" flags are 0 and 1,
 * "bool" ones true and false; the type of a guest is c_info.type, and again
 * the key "type.hvm" (type.pv, type.pvh) of b_info.
 *
 * Needs no Xen and may not.  The text may be a stranger's.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "model/name.h"

static int domain_json_parse(const char *text, struct snap_json **j_r,
                             struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    size_t len = strnlen(text, SNAP_DOMAIN_JSON_MAX + 1);
    int rc;

    *j_r = NULL;
    if (len > SNAP_DOMAIN_JSON_MAX) {
        rc = snap_fail(&e, SNAP_CORRUPT, "more than %u bytes",
                       SNAP_DOMAIN_JSON_MAX);
        goto out;
    }
    rc = snap_json_parse(text, len, j_r, &e);
    if (rc)
        goto out;
    if (snap_json_type(*j_r) != SNAP_JSON_OBJECT) {
        rc = snap_fail(&e, SNAP_CORRUPT, "not an object");
        goto out;
    }

out:
    if (rc) {
        snap_fail(err, rc, "the domain's configuration: %s", e.msg);
        snap_json_free(*j_r);
        *j_r = NULL;
    }
    return rc;
}

/* The array of disks; NULL where there is none. */
static int disks_of(const struct snap_json *j, struct snap_json **disks_r,
                    struct snap_err *err)
{
    *disks_r = snap_json_get(j, "disks");
    if (!*disks_r)
        return 0;
    if (snap_json_type(*disks_r) != SNAP_JSON_ARRAY)
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration: disks is not an array");
    if (snap_json_len(*disks_r) > SNAP_DISKS_MAX)
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration: more than %d disks",
                         SNAP_DISKS_MAX);
    return 0;
}

/* --- editing ----------------------------------------------------------- */

static struct snap_json *find_disk(struct snap_json *disks, const char *vdev)
{
    size_t i;

    for (i = 0; i < snap_json_len(disks); i++) {
        struct snap_json *d = snap_json_at(disks, i);

        if (snap_streq(snap_json_get_str(d, "vdev"), vdev))
            return d;
    }
    return NULL;
}

int snap_domain_json_set_disks(const char *json, const struct snap_active *a,
                               size_t n, char **json_r, struct snap_err *err)
{
    struct snap_json *j = NULL, *disks;
    size_t i;
    int rc;

    *json_r = NULL;
    rc = domain_json_parse(json, &j, err);
    if (rc)
        goto out;
    rc = disks_of(j, &disks, err);
    if (rc)
        goto out;
    for (i = 0; i < n; i++) {
        struct snap_json *d = find_disk(disks, a[i].vdev);

        if (!d) {
            rc = snap_fail(err, SNAP_NOTFOUND,
                           "the domain's configuration has no disk %s",
                           a[i].vdev);
            goto out;
        }
        snap_json_set_str(d, "pdev_path", a[i].path);
        snap_json_set_str(d, "format", a[i].format);
        snap_json_set_str(d, "backend", "qdisk");
    }
    *json_r = snap_json_text(j, true);
    rc = 0;

out:
    snap_json_free(j);
    return rc;
}

static const struct snap_eject *find_eject(const struct snap_eject *e,
                                           size_t n, const char *vdev)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (snap_streq(e[i].vdev, vdev))
            return &e[i];
    return NULL;
}

/* As libxl has it after "xl cd-eject" (libxl_cdrom.c). */
int snap_domain_json_eject(const char *json, const struct snap_eject *e,
                           size_t n, char **json_r, struct snap_err *err)
{
    struct snap_json *j = NULL, *disks, *d, *kept;
    const struct snap_eject *one;
    size_t i;
    int rc;

    *json_r = NULL;
    rc = domain_json_parse(json, &j, err);
    if (!rc)
        rc = disks_of(j, &disks, err);
    if (rc)
        goto out;
    kept = snap_json_array();
    for (i = 0; i < snap_json_len(disks); i++) {
        d = snap_json_copy(snap_json_at(disks, i));
        one = find_eject(e, n, snap_json_get_str(d, "vdev"));
        if (one && one->remove) {
            snap_json_free(d);
            continue;
        }
        if (one) {
            snap_json_set_str(d, "pdev_path", "");
            snap_json_set_str(d, "format", "empty");
            snap_json_set_str(d, "backend", "qdisk");
        }
        snap_json_push(kept, d);
    }
    snap_json_set(j, "disks", kept);
    *json_r = snap_json_text(j, true);

out:
    snap_json_free(j);
    return rc;
}

int snap_domain_json_set_uuid(const char *json, const char *uuid,
                              char **json_r, struct snap_err *err)
{
    struct snap_json *j = NULL, *c_info;
    int rc;

    *json_r = NULL;
    rc = domain_json_parse(json, &j, err);
    if (rc)
        goto out;
    c_info = snap_json_get(j, "c_info");
    if (snap_json_type(c_info) != SNAP_JSON_OBJECT) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the domain's configuration: c_info is not an object");
        goto out;
    }
    snap_json_set_str(c_info, "uuid", uuid);
    *json_r = snap_json_text(j, true);
    rc = 0;

out:
    snap_json_free(j);
    return rc;
}

/* An array of 16 numbers (libxl_json.c: libxl_ms_vm_genid_gen_json()); all
 * zero, or not there, is none. */
static bool has_genid(const struct snap_json *hvm)
{
    const struct snap_json *old = snap_json_get(hvm, "ms_vm_genid");
    size_t i;

    for (i = 0; i < snap_json_len(old); i++)
        if (snap_json_integer(snap_json_at(old, i), 0))
            return true;
    return false;
}

int snap_domain_json_new_genid(const char *json, char **json_r,
                               struct snap_err *err)
{
    struct snap_json *j = NULL, *hvm, *fresh;
    unsigned char b[16];
    size_t i;
    int rc;

    *json_r = NULL;
    rc = domain_json_parse(json, &j, err);
    if (rc)
        goto out;
    hvm = snap_json_get(snap_json_get(j, "b_info"), "type.hvm");
    if (!has_genid(hvm))
        goto out;
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b)) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno, "getrandom");
        goto out;
    }
    fresh = snap_json_array();
    for (i = 0; i < sizeof(b); i++)
        snap_json_push(fresh, snap_json_int(b[i]));
    snap_json_set(hvm, "ms_vm_genid", fresh);
    *json_r = snap_json_text(j, true);

out:
    snap_json_free(j);
    return rc;
}

/* --- who it is --------------------------------------------------------- */

static int read_name(const struct snap_json *j, char **name_r,
                     struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    const char *name;

    name = snap_json_string(snap_json_path(j, "c_info.name"), NULL);
    if (snap_text_check(name, 255, "c_info.name", &e))
        return snap_fail(err, SNAP_CORRUPT, "the domain's configuration: %s",
                         e.msg);
    *name_r = snap_strdup(name);
    return 0;
}

static int read_uuid(const struct snap_json *j, char uuid_r[37],
                     struct snap_err *err)
{
    const char *s;
    char uuid[37] = "";
    size_t i;

    s = snap_json_string(snap_json_path(j, "c_info.uuid"), "");
    if (strlen(s) == 36)
        for (i = 0; i < 37; i++)
            uuid[i] = s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 'a' : s[i];
    if (snap_uuid_check(uuid, NULL))
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration has no well-formed UUID");
    memcpy(uuid_r, uuid, sizeof(uuid));
    return 0;
}

static int read_type(const struct snap_json *j, enum snap_guest_type *type_r,
                     struct snap_err *err)
{
    static const enum snap_guest_type types[] = {
        SNAP_GUEST_PV,
        SNAP_GUEST_PVH,
        SNAP_GUEST_HVM,
    };
    const struct snap_json *b_info = snap_json_get(j, "b_info");
    const char *word, *name;
    char key[16];
    size_t i;

    word = snap_json_string(snap_json_path(j, "c_info.type"), NULL);
    for (i = 0; i < 3; i++) {
        name = snap_guest_type_name(types[i]);
        snprintf(key, sizeof(key), "type.%s", name);
        if (word ? !strcasecmp(word, name)
                 : snap_json_get(b_info, key) != NULL)
            break;
    }
    if (i == 3)
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration does not say whether it is pv, pvh or hvm");
    *type_r = types[i];
    return 0;
}

/* What the guest is to have, or at most may have; 0: not said. */
static uint64_t read_memory(const struct snap_json *j)
{
    const struct snap_json *v;

    v = snap_json_path(j, "b_info.target_memkb");
    if (!v)
        v = snap_json_path(j, "b_info.max_memkb");
    return snap_json_unsigned(v, 0);
}

int snap_domain_json_identity(const char *json, char **name_r, char uuid_r[37],
                              enum snap_guest_type *type_r, uint64_t *mem_kb_r,
                              struct snap_err *err)
{
    struct snap_json *j = NULL;
    char *name = NULL;
    int rc;

    rc = domain_json_parse(json, &j, err);
    if (rc)
        goto out;
    if (name_r) {
        rc = read_name(j, &name, err);
        if (rc)
            goto out;
    }
    if (uuid_r) {
        rc = read_uuid(j, uuid_r, err);
        if (rc)
            goto out;
    }
    if (type_r) {
        rc = read_type(j, type_r, err);
        if (rc)
            goto out;
    }
    if (mem_kb_r)
        *mem_kb_r = read_memory(j);
    if (name_r) {
        *name_r = name;
        name = NULL;
    }

out:
    free(name);
    snap_json_free(j);
    return rc;
}

/* --- its disks --------------------------------------------------------- */

/* libxl's "integer" flags, and its "bool" ones. */
static bool flag(const struct snap_json *d, const char *key)
{
    const struct snap_json *v = snap_json_get(d, key);

    return snap_json_truth(v, false) || snap_json_integer(v, 0) != 0;
}

/* An enum's word, in lower case. */
static char *word(const struct snap_json *d, const char *key)
{
    char *s = snap_strdup(snap_json_string(snap_json_get(d, key), "unknown"));
    char *p;

    for (p = s; *p; p++)
        *p = tolower((unsigned char)*p);
    return s;
}

static const char *chosen_backend(const struct snap_vbd *v)
{
    struct stat st;

    if (!strcmp(v->format, "unknown"))
        return "unknown";
    if (strcmp(v->format, "raw"))
        return "qdisk";
    if (v->script && v->script[0])
        return "phy";
    return !stat(v->path, &st) && S_ISBLK(st.st_mode) ? "phy" : "qdisk";
}

static int read_disk(const struct snap_json *d, struct snap_vbd *v,
                     struct snap_err *err)
{
    const char *vdev = snap_json_get_str(d, "vdev");
    uint64_t domid;
    char *spec;

    if (!vdev || snap_vdev_check(vdev, NULL))
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration has a disk without a proper vdev");
    v->vdev = snap_strdup(vdev);
    v->path = snap_strdup(snap_json_string(snap_json_get(d, "pdev_path"), ""));
    v->format = word(d, "format");
    v->backend = word(d, "backend");
    v->script = snap_strdup(snap_json_get_str(d, "script"));
    if (!strcmp(v->backend, "unknown"))
        snap_set(&v->backend, chosen_backend(v));
    v->readonly = !flag(d, "readwrite");
    v->cdrom = flag(d, "is_cdrom");
    spec = word(d, "specification");
    v->virtio = !strcmp(spec, "virtio");
    free(spec);
    domid = snap_json_unsigned(snap_json_get(d, "backend_domid"), 0);
    if (domid > UINT32_MAX)
        return snap_fail(err, SNAP_CORRUPT,
                         "%s: the domain's configuration has an impossible backend_domid",
                         vdev);
    v->backend_domid = domid;
    return 0;
}

int snap_domain_json_disks(const char *json, struct snap_vbd **vbds_r,
                           size_t *n_r, struct snap_err *err)
{
    struct snap_json *j = NULL, *disks;
    struct snap_vbd *v = NULL;
    size_t i, k, n = 0;
    int rc;

    *vbds_r = NULL;
    *n_r = 0;
    rc = domain_json_parse(json, &j, err);
    if (rc)
        goto out;
    rc = disks_of(j, &disks, err);
    if (rc)
        goto out;
    v = snap_zalloc((snap_json_len(disks) + 1) * sizeof(*v));
    for (i = 0; i < snap_json_len(disks); i++) {
        rc = read_disk(snap_json_at(disks, i), &v[n++], err);
        if (rc)
            goto out;
        for (k = 0; k < i; k++) {
            if (strcmp(v[k].vdev, v[i].vdev))
                continue;
            rc = snap_fail(err, SNAP_CORRUPT,
                           "the domain's configuration has disk %s twice",
                           v[i].vdev);
            goto out;
        }
    }
    *vbds_r = v;
    *n_r = n;
    v = NULL;
    rc = 0;

out:
    for (i = 0; v && i < n; i++)
        snap_vbd_dispose(&v[i]);
    free(v);
    snap_json_free(j);
    return rc;
}
