/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An image takes over what it reads through the frozen one: by a stream job
 * in the QEMU that has it, else by tools (copy_up.h).  Both write the data
 * first and the header last, so the image reads the same at every moment.
 *
 * The new backing file is always said by its path: the name that QEMU has for
 * it may be another file's by now (overlay_link.h), and would be written into
 * the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/external/overlay_delete.h"
#include "disk/file/image_guard.h"
#include "disk/file/image_protect.h"
#include "disk/file/in_use.h"
#include "disk/qemu/copy_up.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_levels.h"
#include "disk/qemu/qemu_job.h"
#include "disk/qemu/qemu_read_only.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS    10000
#define COMMAND_MS 10000
#define FLUSH_MS   60000 /* all that was copied */

char *snap_overlay_job_id(const struct snap_disk_ctx *c,
                          const struct snap_part *p)
{
    return snap_printf("xlsnap-del-%s-%s", c->op_id, p->vdev);
}

void snap_overlay_release(struct snap_disk_ctx *c, const char *name)
{
    struct snap_qemu_view v;
    const struct snap_qemu_node *node;
    struct snap_json *args;
    struct snap_err why = SNAP_ERR_INIT;

    if (snap_qemu_look(c->qmp, LOOK_MS, &v, NULL))
        return;
    node = snap_qemu_named(&v, name);
    if (node && snap_qemu_is_root(&v, node)) {
        args = snap_json_object();
        snap_json_set_str(args, "node-name", name);
        if (snap_qmp_command(c->qmp, "blockdev-del", args, COMMAND_MS, NULL,
                             &why))
            snap_say(c->log, SNAP_LOG_DEBUG, "%s", why.msg);
    }
    snap_qemu_view_dispose(&v);
}

/* Does this image still read through the frozen one? */
static int is_over(const char *path, const struct snap_part *p, bool *yes_r,
                   struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };
    char *backing;

    *yes_r = false;
    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        return rc;
    backing = snap_overlay_backing(path, &h);
    *yes_r = backing && snap_same_file(backing, p->frozen_path);
    free(backing);
    snap_qcow2_dispose(&h);
    return 0;
}

/* ---- live ---- */

/*
 * All that QEMU has of this node goes to the disk: where its clusters are is
 * in QEMU's memory until the guest happens to flush.  QMP has no such command;
 * the people's monitor has, and does not say if it fails (hmp_qemu_io() of QEMU
 * 7.2).  fd: of the image, open since before anything was written to it, so
 * that an error of its file system is told here though QEMU has heard of it.
 */
static int flush(struct snap_disk_ctx *c, const char *node, int fd,
                 const char *path, struct snap_err *err)
{
    int rc;
    struct snap_json *args = snap_json_object(), *said = NULL;
    char *line = snap_printf("qemu-io %s flush", node);
    const char *text;

    snap_json_set_str(args, "command-line", line);
    rc = snap_qmp_command(c->qmp, "human-monitor-command", args, FLUSH_MS,
                          &said, err);
    if (rc)
        goto out;
    text = snap_json_string(said, "an answer that is no text");
    if (text[0]) {
        rc = snap_fail(err, SNAP_IO, "QEMU cannot flush it: %.300s", text);
        goto out;
    }
    rc = snap_file_sync(fd, path, err);

out:
    snap_json_free(said);
    free(line);
    return rc;
}

/* Does anything say that we must stop?  Once more before the header changes:
 * what went before may have taken long. */
static int may_switch_live(struct snap_disk_ctx *c, struct snap_err *err)
{
    return c->tick && c->tick(c->opaque, 0, 0)
               ? snap_fail(err, SNAP_INTR, "interrupted")
               : 0;
}

/* The job copies; then its data is made safe, and looked for in the image on
 * the disk; then the header is changed, and made safe as well, for the image
 * below will go. */
static int run_job(struct snap_disk_ctx *c, const struct snap_delete *d,
                   const char *id, struct snap_json *args, const char *node,
                   const char *path, struct snap_err *err)
{
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const struct snap_copy_up up = {
        .path = path,
        .parent = d->parent,
        .parent_format = d->parent_format,
        .log = c->log,
    };

    if (fd < 0) {
        snap_json_free(args);
        return snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    }
    snap_json_set_bool(args, "auto-finalize", false);
    rc = snap_qemu_job_start(c, "block-stream", id, args, err);
    if (!rc)
        rc = snap_qemu_job_wait(c, id, true, 0, err);
    if (!rc)
        rc = flush(c, node, fd, path, err);
    if (!rc)
        rc = snap_copied_up(&up, err);
    if (!rc)
        rc = may_switch_live(c, err);
    if (!rc)
        rc = snap_qemu_job_finalize(c, id, err);
    if (!rc)
        rc = snap_qemu_job_wait(c, id, false, 0, err);
    if (!rc)
        rc = flush(c, node, fd, path, err);
    if (rc)
        snap_qemu_job_cancel(c, id, NULL);
    close(fd);
    return rc;
}

static int stream(struct snap_disk_ctx *c, const struct snap_part *p,
                  const struct snap_delete *d,
                  const struct snap_overlay_level *l, size_t n, size_t at,
                  struct snap_err *err)
{
    int rc;
    struct snap_json *args;
    char *id = snap_overlay_job_id(c, p);

    if (at + 1 >= n || !snap_same_file(l[at + 1].path, p->frozen_path) ||
        (at && !l[at].named) || (d->parent && at + 2 >= n)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "QEMU's chain below %s is not what it was when the deletion was planned",
                       l[at].path);
        goto out;
    }
    args = snap_json_object();
    snap_json_set_str(args, "device", l[at].node->name);
    if (d->parent) {
        snap_json_set_str(args, "base-node", l[at + 2].node->name);
        snap_json_set_str(args, "backing-file", d->parent);
    }
    rc = run_job(c, d, id, args, l[at].node->name, l[at].path, err);
    if (rc)
        goto out;
    snap_overlay_release(c, l[at + 1].node->name);
    rc = 0;

out:
    free(id);
    return rc;
}

static int pull_live(struct snap_disk_ctx *c, const struct snap_part *p,
                     const struct snap_delete *d, const char *path,
                     bool *there_r, struct snap_err *err)
{
    int rc;
    size_t n = 0, at;
    struct snap_qemu_view v;
    struct snap_overlay_level *l = NULL;
    struct snap_err why = SNAP_ERR_INIT;

    *there_r = false;
    rc = snap_qemu_look(c->qmp, LOOK_MS, &v, err);
    if (rc)
        return rc;
    rc = d->leaf ? snap_overlay_levels(&v, d->leaf, &l, &n, &why)
                 : SNAP_NOTFOUND;
    if (rc == SNAP_NOTFOUND) {
        rc = 0;
        goto out;
    }
    if (rc) {
        rc = snap_fail(err, rc, "%s", why.msg);
        goto out;
    }
    for (at = 0; at < n && !snap_same_file(l[at].path, path); at++)
        ;
    *there_r = at < n;
    rc = at < n ? stream(c, p, d, l, n, at, err) : 0;

out:
    snap_overlay_levels_free(&l, &n);
    snap_qemu_view_dispose(&v);
    return rc;
}

/* ---- off ---- */

struct growth {
    struct snap_disk_ctx *c;
    const char *path;
    struct snap_image_guard *guard;
    uint64_t before, total;
};

static uint64_t size_now(const char *path)
{
    struct stat st;

    return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

/* The tools tell no progress; how the file grows does. */
static int overlay_pull_on_tick(void *opaque)
{
    struct growth *g = opaque;
    uint64_t now = size_now(g->path);

    if (snap_image_guard_tick(g->guard))
        return 1;
    now = now > g->before ? now - g->before : 0;
    if (now >= g->total)
        now = g->total ? g->total - 1 : 0;
    return g->c->tick ? g->c->tick(g->c->opaque, now, g->total) : 0;
}

static int may_switch(void *opaque, struct snap_err *err)
{
    struct growth *g = opaque;

    return snap_image_guard_look(g->guard, err);
}

static int pull_off(struct snap_disk_ctx *c, const struct snap_part *p,
                    const struct snap_delete *d, const char *path,
                    struct snap_err *err)
{
    int rc;
    const char *const paths[] = { path, NULL };
    struct growth g = {
        .c = c,
        .path = path,
        .before = size_now(path),
        .total = size_now(p->frozen_path),
    };
    const struct snap_copy_up up = {
        .path = path,
        .parent = d->parent,
        .parent_format = d->parent_format,
        .tick = overlay_pull_on_tick,
        .opaque = &g,
        .may_switch = may_switch,
        .log = c->log,
    };

    rc = snap_image_guard_begin(c, paths, &g.guard, err);
    if (rc)
        return rc;
    rc = snap_copy_up(&up, err);
    rc = snap_image_guard_verdict(g.guard, rc, err);
    snap_image_guard_end(&g.guard);
    return rc;
}

/* ---- both ---- */

/* Its data is whole either way; but who looks whether it is frozen would say
 * that the domain writes to it, until that is off. */
static void freeze_in_qemu(struct snap_disk_ctx *c, const char *path)
{
    struct snap_err e = SNAP_ERR_INIT;

    if (c->qmp && snap_qmp_alive(c->qmp) && snap_qemu_read_only(c, path, &e) &&
        snap_qmp_alive(c->qmp))
        snap_say(c->log, SNAP_LOG_WARN,
                 "QEMU of the domain keeps %s open for writing: %s", path,
                 e.msg);
    snap_err_clear(&e);
}

int snap_overlay_pull(struct snap_disk_ctx *c, struct snap_part *p,
                      const struct snap_delete *d, size_t i,
                      struct snap_err *err)
{
    int rc;
    bool over, there = false;
    const struct snap_child *child = &d->child[i];
    struct snap_err e = SNAP_ERR_INIT;

    rc = is_over(child->path, p, &over, err);
    /* Who died after the header was changed may not have synced it. */
    if (!rc && !over) {
        rc = snap_path_sync(child->path, err);
        if (!rc)
            freeze_in_qemu(c, child->path);
    }
    if (rc || !over)
        return rc;
    rc = snap_image_unprotect(child->path, err);
    if (rc)
        return rc;
    if (c->qmp)
        rc = pull_live(c, p, d, child->path, &there, err);
    if (!rc && !there)
        rc = pull_off(c, p, d, child->path, err);
    if (!rc) {
        rc = is_over(child->path, p, &over, err);
        if (!rc && over)
            rc = snap_fail(err, SNAP_FAIL,
                           "%s still reads through %s, though that was to end",
                           child->path, p->frozen_path);
    }
    if (rc)
        snap_err_prefix(err, "%s", child->path);
    else
        freeze_in_qemu(c, child->path);
    if (child->protect && snap_image_protect(child->path, &e) && !rc)
        snap_say(c->log, SNAP_LOG_WARN, "%s", e.msg);
    return rc;
}

/* Is the frozen image the active one by now? */
static bool is_active(struct snap_disk_ctx *c, const struct snap_part *p)
{
    int rc;
    struct snap_qemu_view v;
    const struct snap_qemu_node *root;
    bool yes;

    if (!c->qmp || !snap_qmp_alive(c->qmp))
        return snap_image_check_unused(c, p->frozen_path, NULL) != 0;
    /* In doubt QEMU may write to it. */
    if (snap_qemu_look(c->qmp, LOOK_MS, &v, NULL))
        return true;
    rc = snap_qemu_root_of(&v, p->frozen_path, &root, NULL);
    yes = rc ? rc != SNAP_NOTFOUND
             : snap_same_file(root->file, p->frozen_path);
    snap_qemu_view_dispose(&v);
    return yes;
}

int snap_overlay_delete_stop(struct snap_disk_ctx *c, struct snap_part *p,
                             const struct snap_delete *d, struct snap_err *err)
{
    int rc = 0;
    size_t i;
    char *id;
    struct stat st;

    if (c->qmp) {
        id = snap_overlay_job_id(c, p);
        rc = snap_qemu_job_cancel(c, id, err);
        free(id);
        /* With its QEMU the job is gone. */
        if (rc && !snap_qmp_alive(c->qmp)) {
            snap_err_clear(err);
            rc = 0;
        }
        if (rc)
            return rc;
        for (i = 0; i < d->n_child; i++)
            freeze_in_qemu(c, d->child[i].path);
    }
    for (i = 0; i < d->n_child; i++)
        if (d->child[i].protect && !stat(d->child[i].path, &st) &&
            !snap_image_protected(d->child[i].path)) {
            rc = snap_image_protect(d->child[i].path, err);
            if (rc)
                return rc;
        }
    /* It stays below the leaf after all. */
    if (d->how == SNAP_DELETE_MERGE && snap_file_exists(d->gone) &&
        !stat(p->frozen_path, &st) && S_ISREG(st.st_mode) &&
        !is_active(c, p)) {
        rc = snap_image_protect(p->frozen_path, err);
        if (rc == SNAP_UNSUPPORTED) {
            snap_err_clear(err);
            rc = 0;
        }
    }
    return rc;
}
