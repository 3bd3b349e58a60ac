/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The store's folders and its records.  What is in records/ under NAME.json
 * is a complete snapshot, what is not does not exist: put() is one atomic,
 * exclusive rename.  Names and UUIDs are checked before they become paths,
 * and a record is believed only if it says the name and UUID it is filed
 * under.  update() replaces one whole.  Follows no symbolic link below the
 * root.
 *
 * May assume that writers hold the lock (store/lock.c); readers need not.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/parallel.h"
#include "model/name.h"
#include "store/lock.h"
#include "store/record_check.h"
#include "store/record_json.h"
#include "store/store.h"

#define SUFFIX    ".json"
#define QUOTE_MAX 80

/* --- opening ----------------------------------------------------------- */

/* A folder that others can write to, they can change under our feet.  A
 * missing one is fine.  The root may be a link that the administrator made. */
static int check_folder(const char *path, bool root, struct snap_err *err)
{
    struct stat st;
    int r, e;

    e = snap_fault("file", "stat folder");
    r = e ? -1 : root ? stat(path, &st) : lstat(path, &st);
    if (r) {
        e = e ? e : errno;
        if (e == ENOENT)
            return 0;
        return snap_fail_errno(err, SNAP_IO, e, "cannot look at %s", path);
    }
    if (S_ISLNK(st.st_mode))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is a symbolic link, and none is followed here; move the folder back there, or mount it there (mount --bind)",
                         path);
    if (!S_ISDIR(st.st_mode))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is not a folder; the store of snapshots needs that name",
                         path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return snap_fail(err, SNAP_REFUSED,
                         "%s belongs to user %ld; make it root's, or use another store",
                         path, (long)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return snap_fail(err, SNAP_REFUSED,
                         "%s can be written to by others (mode %04o); chmod it to 0700",
                         path, (unsigned)st.st_mode & 07777);
    return 0;
}

static int open_folder(const struct snap_store *s, const char *name,
                       bool create, struct snap_err *err)
{
    char *path = snap_printf("%s/%s", s->dir, name);
    int rc;

    rc = check_folder(path, false, err);
    if (!rc && create)
        rc = snap_dir_make(path, 0700, err);
    free(path);
    return rc;
}

int snap_store_open(struct snap_store *s, const char *root, const char *uuid,
                    bool create, struct snap_err *err)
{
    int rc;

    memset(s, 0, sizeof(*s));
    s->lock_fd = -1;
    rc = snap_uuid_check(uuid, err);
    if (rc)
        goto out;
    if (!snap_path_ok(root)) {
        rc = snap_fail(err, SNAP_INVAL,
                       "the store's folder must be an absolute path without . and ..");
        goto out;
    }
    s->root = snap_strdup(root);
    s->dir = snap_printf("%s/%s", root, uuid);
    memcpy(s->uuid, uuid, sizeof(s->uuid));

    rc = check_folder(s->root, true, err);
    if (rc)
        goto out;
    rc = check_folder(s->dir, false, err);
    if (rc)
        goto out;
    rc = open_folder(s, "records", create, err);
    if (rc)
        goto out;
    rc = open_folder(s, "memory", create, err);
    if (rc)
        goto out;

out:
    if (rc)
        snap_store_close(s);
    return rc;
}

void snap_store_close(struct snap_store *s)
{
    snap_store_unlock(s);
    snap_free(&s->root);
    snap_free(&s->dir);
    memset(s, 0, sizeof(*s));
    s->lock_fd = -1;
}

void snap_store_remove_empty(struct snap_store *s)
{
    static const char *const folders[] = { "records", "memory" };
    char *state = snap_printf("%s/state.json", s->dir);
    char *journal = snap_store_journal_path(s), *path;
    struct snap_err ignored = SNAP_ERR_INIT;
    size_t i;

    if (snap_file_exists(state) || snap_file_exists(journal))
        goto out;
    for (i = 0; i < 2; i++) {
        path = snap_printf("%s/%s", s->dir, folders[i]);
        if (rmdir(path) && errno != ENOENT) {
            free(path);
            goto out;
        }
        free(path);
    }
    /* Whoever waits for the lock sees that it is gone (store/lock.c). */
    path = snap_printf("%s/lock", s->dir);
    snap_file_remove(path, &ignored);
    free(path);
    if (rmdir(s->dir))
        errno = 0;
    snap_store_unlock(s);

out:
    free(journal);
    free(state);
}

/* --- one record -------------------------------------------------------- */

bool snap_store_has(const struct snap_store *s, const char *name)
{
    char *path;
    bool yes;

    if (snap_name_check(name, NULL))
        return false;
    path = snap_store_record_path(s, name);
    yes = snap_file_exists(path);
    free(path);
    return yes;
}

int snap_store_put(const struct snap_store *s, const struct snap_record *r,
                   struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    struct snap_buf b = { .len = 0 };
    char *text = NULL, *path = NULL;
    int rc;

    rc = snap_record_check(r, err);
    if (rc)
        goto out;
    if (!snap_streq(r->domain_uuid, s->uuid)) {
        rc = snap_fail(err, SNAP_FAIL,
                       "snapshot %s is of domain %s and not of %s", r->name,
                       r->domain_uuid, s->uuid);
        goto out;
    }
    j = snap_record_to_json(r);
    text = snap_json_text(j, true);
    snap_buf_adds(&b, text);
    snap_buf_adds(&b, "\n");
    if (b.len > SNAP_RECORD_MAX) {
        rc = snap_fail(err, SNAP_FAIL,
                       "snapshot %s: its record has %zu bytes; at most %u can be read again",
                       r->name, b.len, SNAP_RECORD_MAX);
        goto out;
    }
    path = snap_store_record_path(s, r->name);
    rc = snap_file_write(path, b.data, b.len, 0600, true, &e);
    if (rc == SNAP_EXISTS)
        snap_fail(err, rc,
                  "there is a snapshot %s of this domain already; choose another name",
                  r->name);
    else if (rc)
        snap_fail(err, rc, "snapshot %s: %s", r->name, e.msg);

out:
    free(path);
    free(text);
    snap_buf_dispose(&b);
    snap_json_free(j);
    return rc;
}

/* Read and check one file; name is well-formed.  brief: all but the domain's
 * configuration, which is most of it.  e gets the bare reason. */
static int store_load(const struct snap_store *s, const char *name, bool brief,
                      const struct snap_disk_driver *const *drivers,
                      struct snap_record *r_out, struct snap_err *e)
{
    struct snap_record r = { .id = NULL };
    struct snap_json *j = NULL;
    char *path, *text = NULL;
    size_t len;
    int rc;

    path = snap_store_record_path(s, name);
    rc = snap_file_read(path, SNAP_RECORD_MAX, &text, &len, e);
    if (rc)
        goto out;
    rc = snap_json_parse_but(text, len, brief ? "domain_config" : NULL, &j, e);
    if (rc) {
        snap_err_prefix(e, "%s", path);
        goto out;
    }
    rc = brief ? snap_record_from_json_brief(j, path, drivers, &r, e)
               : snap_record_from_json(j, path, drivers, &r, e);
    if (rc)
        goto out;
    rc = snap_record_complete(&r, e);
    if (rc) {
        snap_err_prefix(e, "%s", path);
        goto out;
    }
    if (!snap_streq(r.name, name)) {
        rc = snap_fail(e, SNAP_CORRUPT,
                       "%s: is the record of a snapshot named %s", path,
                       r.name);
        goto out;
    }
    if (!snap_streq(r.domain_uuid, s->uuid)) {
        rc = snap_fail(e, SNAP_CORRUPT,
                       "%s: is the record of a snapshot of domain %s", path,
                       r.domain_uuid);
        goto out;
    }
    *r_out = r;
    memset(&r, 0, sizeof(r));

out:
    snap_record_dispose(&r);
    snap_json_free(j);
    free(text);
    free(path);
    return rc;
}

/* The object of this disk in the file, or NULL. */
static struct snap_json *disk_of(struct snap_json *record, const char *vdev)
{
    struct snap_json *disks = snap_json_get(record, "disks");
    size_t i;

    for (i = 0; i < snap_json_len(disks); i++)
        if (snap_streq(snap_json_get_str(snap_json_at(disks, i), "vdev"),
                       vdev))
            return snap_json_at(disks, i);
    return NULL;
}

int snap_store_update(const struct snap_store *s, const struct snap_record *r,
                      const struct snap_disk_driver *const *drivers,
                      struct snap_err *err)
{
    struct snap_record now = { .id = NULL };
    struct snap_json *j = NULL, *disk;
    char *path = snap_store_record_path(s, r->name), *text = NULL;
    size_t len, i;
    int rc;

    /* It is as sound as ever before it is believed. */
    rc = snap_store_get(s, r->name, drivers, &now, err);
    if (rc)
        goto out;
    rc = snap_file_read(path, SNAP_RECORD_MAX, &text, &len, err);
    if (rc)
        goto out;
    rc = snap_json_parse(text, len, &j, err);
    if (rc)
        goto out;
    snap_json_set(j, "parent", r->parent ? snap_json_str(r->parent) : NULL);
    for (i = 0; i < r->n_parts; i++) {
        disk = disk_of(j, r->parts[i].vdev);
        if (disk && r->parts[i].data)
            snap_json_set(disk, "data", snap_json_copy(r->parts[i].data));
    }
    free(text);
    text = snap_json_text(j, true);
    rc = snap_file_write(path, text, strlen(text), 0600, false, err);

out:
    snap_record_dispose(&now);
    snap_json_free(j);
    free(text);
    free(path);
    return rc;
}

int snap_store_drop(const struct snap_store *s, const char *name,
                    struct snap_err *err)
{
    char *path = snap_store_record_path(s, name);
    int rc = snap_file_remove(path, err);

    free(path);
    return rc;
}

int snap_store_get(const struct snap_store *s, const char *name,
                   const struct snap_disk_driver *const *drivers,
                   struct snap_record *r_out, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    rc = snap_name_check(name, err);
    if (rc)
        return rc;
    rc = store_load(s, name, false, drivers, r_out, &e);
    if (rc == SNAP_NOTFOUND)
        return snap_fail(err, rc,
                         "there is no snapshot %s of this domain in %s", name,
                         s->dir);
    if (rc)
        return snap_fail(err, rc, "snapshot %s cannot be used: %s", name,
                         e.msg);
    return 0;
}

/* --- all records ------------------------------------------------------- */

static int by_time(const void *pa, const void *pb)
{
    const struct snap_record *a = pa, *b = pb;

    if (a->created != b->created)
        return a->created < b->created ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* What snap_file_write() leaves if it is killed: NAME.json.tmp-PID.  A name
 * may look so as well, but then its file has another .json behind. */
static bool is_leftover(const char *file)
{
    const char *pid = strrchr(file, '-');

    if (!pid || !pid[1] || strspn(pid + 1, "0123456789") != strlen(pid + 1))
        return false;
    return strstr(file, SUFFIX ".tmp-") != NULL;
}

/* Call fn for each name in a folder but . and ..; a missing folder has
 * none. */
static int each_name(const char *path,
                     void (*fn)(void *opaque, const char *name), void *opaque,
                     struct snap_err *err)
{
    struct dirent *de;
    DIR *d = NULL;
    int rc, e;

    e = snap_fault("file", "open folder");
    if (!e) {
        d = opendir(path);
        e = d ? 0 : errno;
    }
    if (e == ENOENT)
        return 0;
    if (!d)
        return snap_fail_errno(err, SNAP_IO, e, "cannot list %s", path);
    for (;;) {
        errno = snap_fault("file", "read folder");
        de = errno ? NULL : readdir(d);
        if (!de)
            break;
        if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
            fn(opaque, de->d_name);
    }
    rc = errno ? snap_fail_errno(err, SNAP_IO, errno, "cannot list %s", path)
               : 0;
    closedir(d);
    return rc;
}

/* One file among the records. */
struct found {
    char *file;
    char *why; /* it is left out; without a record and NULL: it has gone */
    bool there;
    bool foreign; /* nothing of ours is called so */
    struct snap_record r;
};

struct scan {
    const struct snap_store *s;
    const struct snap_disk_driver *const *drivers;
    bool brief;
    struct found *f;
    size_t n, cap;
};

static void on_file(void *opaque, const char *file)
{
    struct scan *c = opaque;

    if (is_leftover(file))
        return;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 16;
        c->f = snap_realloc(c->f, c->cap, sizeof(*c->f));
    }
    memset(&c->f[c->n], 0, sizeof(*c->f));
    c->f[c->n++].file = snap_strdup(file);
}

static int by_file(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;

    return strcmp(a->file, b->file);
}

/* May run beside others of its kind (lib/parallel.h). */
static void store_look_at(void *opaque, size_t i)
{
    struct scan *c = opaque;
    struct found *f = &c->f[i];
    struct snap_err e = SNAP_ERR_INIT;
    char *name = NULL, *q = NULL;
    int rc;

    if (snap_has_suffix(f->file, SUFFIX))
        name = snap_strndup(f->file, strlen(f->file) - strlen(SUFFIX));
    if (!name || snap_name_check(name, NULL)) {
        f->foreign = !name;
        q = snap_excerpt(f->file, strlen(f->file), QUOTE_MAX);
        f->why = snap_printf("%s/records/%s is no record; left out", c->s->dir,
                             q);
        goto out;
    }
    rc = store_load(c->s, name, c->brief, c->drivers, &f->r, &e);
    f->there = !rc;
    /* Not found: somebody removed it since the folder was read. */
    if (rc && rc != SNAP_NOTFOUND)
        f->why = snap_printf("snapshot %s is damaged and left out: %s", name,
                             e.msg);

out:
    free(name);
    free(q);
}

static int scan(struct scan *c, struct snap_err *err)
{
    char *path = snap_printf("%s/records", c->s->dir);
    int rc;

    rc = each_name(path, on_file, c, err);
    if (!rc && c->n) {
        qsort(c->f, c->n, sizeof(*c->f), by_file);
        snap_parallel(c->n, store_look_at, c);
    }
    free(path);
    return rc;
}

static void scan_dispose(struct scan *c)
{
    size_t i;

    for (i = 0; i < c->n; i++) {
        free(c->f[i].file);
        free(c->f[i].why);
        snap_record_dispose(&c->f[i].r);
    }
    free(c->f);
}

static void on_any(void *opaque, const char *file)
{
    bool *any = opaque;

    *any = *any || !is_leftover(file);
}

bool snap_store_any(const struct snap_store *s)
{
    char *path = snap_printf("%s/records", s->dir);
    struct snap_err ignored = SNAP_ERR_INIT;
    bool any = false;

    if (each_name(path, on_any, &any, &ignored))
        any = true;
    free(path);
    return any;
}

/* whole: one that cannot be read is an error, and no warning. */
static int all(const struct snap_store *s, bool brief, bool whole,
               const struct snap_disk_driver *const *drivers,
               const struct snap_log *log, struct snap_record **rs_r,
               size_t *n_r, struct snap_err *err)
{
    struct scan c = { .s = s, .drivers = drivers, .brief = brief };
    size_t i, n = 0;
    int rc;

    *rs_r = NULL;
    *n_r = 0;
    rc = scan(&c, err);
    for (i = 0; !rc && whole && i < c.n; i++)
        if (c.f[i].why && !c.f[i].foreign)
            rc = snap_fail(err, SNAP_REFUSED,
                           "a record cannot be read, so nobody knows what it needs; repair it, or move it away: %s",
                           c.f[i].why);
    if (rc)
        goto out;
    *rs_r = c.n ? snap_realloc(NULL, c.n, sizeof(**rs_r)) : NULL;
    for (i = 0; i < c.n; i++) {
        if (c.f[i].why)
            snap_say(log, SNAP_LOG_WARN, "%s", c.f[i].why);
        if (!c.f[i].there)
            continue;
        (*rs_r)[n++] = c.f[i].r;
        memset(&c.f[i].r, 0, sizeof(c.f[i].r));
    }
    if (n)
        qsort(*rs_r, n, sizeof(**rs_r), by_time);
    *n_r = n;

out:
    scan_dispose(&c);
    return rc;
}

int snap_store_all(const struct snap_store *s,
                   const struct snap_disk_driver *const *drivers,
                   const struct snap_log *log, struct snap_record **rs_r,
                   size_t *n_r, struct snap_err *err)
{
    return all(s, false, false, drivers, log, rs_r, n_r, err);
}

int snap_store_brief(const struct snap_store *s,
                     const struct snap_disk_driver *const *drivers,
                     const struct snap_log *log, struct snap_record **rs_r,
                     size_t *n_r, struct snap_err *err)
{
    return all(s, true, false, drivers, log, rs_r, n_r, err);
}

int snap_store_all_whole(const struct snap_store *s,
                         const struct snap_disk_driver *const *drivers,
                         struct snap_record **rs_r, size_t *n_r,
                         struct snap_err *err)
{
    return all(s, false, true, drivers, NULL, rs_r, n_r, err);
}

int snap_store_brief_whole(const struct snap_store *s,
                           const struct snap_disk_driver *const *drivers,
                           struct snap_record **rs_r, size_t *n_r,
                           struct snap_err *err)
{
    return all(s, true, true, drivers, NULL, rs_r, n_r, err);
}

int snap_store_damaged(const struct snap_store *s,
                       const struct snap_disk_driver *const *drivers,
                       size_t *n_r, struct snap_err *err)
{
    struct scan c = { .s = s, .drivers = drivers };
    size_t i;
    int rc;

    *n_r = 0;
    rc = scan(&c, err);
    for (i = 0; !rc && i < c.n; i++)
        *n_r += c.f[i].why && !c.f[i].foreign;
    scan_dispose(&c);
    return rc;
}

/* --- all domains ------------------------------------------------------- */

struct uuids {
    char **v;
    size_t n;
};

/* Whatever it is: what is no folder of ours snap_store_open() refuses, and
 * whoever has to know what all domains need ends there. */
static void on_domain(void *opaque, const char *name)
{
    struct uuids *u = opaque;

    if (snap_uuid_check(name, NULL))
        return;
    u->v = snap_realloc(u->v, u->n + 1, sizeof(*u->v));
    u->v[u->n++] = snap_strdup(name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int snap_store_domains(const char *root, char ***uuids_r, size_t *n_r,
                       struct snap_err *err)
{
    struct uuids u = { .n = 0 };
    int rc;

    *uuids_r = NULL;
    *n_r = 0;
    rc = each_name(root, on_domain, &u, err);
    if (rc) {
        while (u.n)
            free(u.v[--u.n]);
        free(u.v);
        return rc;
    }
    if (u.n)
        qsort(u.v, u.n, sizeof(*u.v), by_text);
    *uuids_r = u.v;
    *n_r = u.n;
    return 0;
}

int snap_store_each(const char *root, const char *except,
                    int (*fn)(void *opaque, const char *uuid,
                              struct snap_err *err),
                    void *opaque, struct snap_err *err)
{
    char **uuids = NULL;
    size_t i, n = 0;
    int rc;

    rc = snap_store_domains(root, &uuids, &n, err);
    for (i = 0; i < n; i++) {
        if (!rc && !snap_streq(uuids[i], except))
            rc = fn(opaque, uuids[i], err);
        free(uuids[i]);
    }
    free(uuids);
    return rc;
}

/* --- references -------------------------------------------------------- */

bool snap_records_need(const struct snap_disk_driver *const *drivers,
                       const struct snap_record *rs, size_t n,
                       struct snap_object o)
{
    char *identity = snap_object_identity(drivers, o);
    bool need = false;
    size_t i, k;

    for (i = 0; !need && i < n; i++) {
        need = snap_object_is(drivers, snap_object_file(rs[i].mem_path),
                              identity);
        for (k = 0; !need && k < rs[i].n_parts; k++)
            need = snap_object_is(drivers, snap_part_frozen(&rs[i].parts[k]),
                                  identity);
    }
    free(identity);
    return need;
}

bool snap_records_freeze(const struct snap_disk_driver *const *drivers,
                         const struct snap_record *rs, size_t n,
                         struct snap_object o)
{
    char *identity = snap_object_identity(drivers, o);
    bool frozen = false;
    size_t i, k;

    for (i = 0; !frozen && i < n; i++)
        for (k = 0; !frozen && k < rs[i].n_parts; k++)
            frozen = rs[i].parts[k].drv->moves_active &&
                     snap_object_is(drivers, snap_part_frozen(&rs[i].parts[k]),
                                    identity);
    free(identity);
    return frozen;
}
