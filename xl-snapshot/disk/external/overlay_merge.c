/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The active image is written down into the frozen one, which then takes its
 * place: a commit job in the domain's QEMU, or qemu-img with the domain off.
 *
 * The danger is in the moment of the exchange: the old leaf still has the
 * guest's clusters, and laid over the frozen image again it would hide what
 * the guest wrote there since.  So op/ lets the guest stand while QEMU
 * changes over, and writes down that it did before the guest goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/external/overlay_commit.h"
#include "disk/external/overlay_delete.h"
#include "disk/file/image_protect.h"
#include "disk/file/image_stamp.h"
#include "disk/file/in_use.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/leaf_drop.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_files.h"
#include "disk/qemu/overlay_levels.h"
#include "disk/qemu/overlay_names.h"
#include "disk/qemu/qemu_job.h"
#include "disk/qemu/qemu_take.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS   10000
#define SWITCH_MS 10000 /* guest at rest */
#define PAUSE_S   2 /* what a pause lasts, at most, and a clock is off */
/* How much younger the base may be than the leaf by our own work: a tool that
 * outlived us; QEMU, whose last time stamps were lost with the power (a file
 * system keeps them back for half a minute), or which went on without us. */
#define TOOLS_S 2
#define QEMU_S  120
#define START_S 2 /* both times are in whole seconds, and its clock is set */

struct now {
    struct snap_qemu_view v;
    struct snap_overlay_level *l;
    size_t n;
    bool switched; /* QEMU writes to the frozen image */
};

static void now_dispose(struct now *now)
{
    snap_overlay_levels_free(&now->l, &now->n);
    snap_qemu_view_dispose(&now->v);
}

static int overlay_merge_look(struct snap_disk_ctx *c,
                              const struct snap_part *p,
                              const struct snap_delete *d, struct now *now,
                              struct snap_err *err)
{
    int rc;
    const struct snap_qemu_node *root;
    struct snap_err why = SNAP_ERR_INIT;

    memset(now, 0, sizeof(*now));
    rc = snap_qemu_look(c->qmp, LOOK_MS, &now->v, err);
    if (rc)
        return rc;
    /* A file that is gone is nobody's. */
    if (snap_file_exists(d->gone))
        rc = snap_overlay_levels(&now->v, d->gone, &now->l, &now->n, &why);
    else
        rc = SNAP_NOTFOUND;
    if (!rc)
        return 0;
    rc = snap_qemu_root_of(&now->v, p->frozen_path, &root, err);
    if (!rc && !snap_same_file(root->file, p->frozen_path))
        rc = snap_fail(err, SNAP_REFUSED, "%s",
                       why.msg[0] ? why.msg : "QEMU has another image");
    now->switched = !rc;
    if (rc)
        now_dispose(now);
    return rc;
}

struct alive {
    struct snap_disk_ctx *c;
    const char *leaf;
};

/* A job works on both, for us: see snap_overlay_merge_astray(). */
static void sign_of_life(const struct alive *a)
{
    if (utimensat(AT_FDCWD, a->leaf, NULL, 0))
        snap_say(a->c->log, SNAP_LOG_DEBUG, "time stamp of %s: %s", a->leaf,
                 strerror(errno));
}

static int overlay_merge_on_tick(void *opaque, uint64_t done, uint64_t total)
{
    const struct alive *a = opaque;

    sign_of_life(a);
    return a->c->tick ? a->c->tick(a->c->opaque, done, total) : 0;
}

static int copy(struct snap_disk_ctx *c, const struct snap_delete *d,
                const struct now *now, const char *id, struct snap_err *err)
{
    int rc;
    struct alive a = { .c = c, .leaf = d->gone };
    struct snap_disk_ctx ticking = *c;
    struct snap_json *args = snap_json_object();

    ticking.tick = overlay_merge_on_tick;
    ticking.opaque = &a;
    sign_of_life(&a);
    /* As in commit() of overlay_commit.c: before QEMU writes to the base. */
    rc = snap_path_sync(d->gone, err);
    if (rc) {
        snap_json_free(args);
        return rc;
    }
    snap_json_set_str(args, "device", now->l[0].node->name);
    snap_json_set_str(args, "base-node", now->l[1].node->name);
    rc = snap_qemu_job_start(c, "block-commit", id, args, err);
    return rc ? rc : snap_qemu_job_wait(&ticking, id, true, 0, err);
}

static int merge_live(struct snap_disk_ctx *c, const struct snap_part *p,
                      const struct snap_delete *d, struct snap_err *err)
{
    int rc;
    bool clean;
    char *id = NULL;
    struct now now;

    rc = overlay_merge_look(c, p, d, &now, err);
    if (rc)
        return rc;
    if (now.switched)
        goto out;
    if (now.n < 2 || !snap_same_file(now.l[1].path, p->frozen_path) ||
        !now.l[1].named) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s is not what QEMU would open as the base of %s",
                       p->frozen_path, d->gone);
        goto out;
    }
    rc = snap_overlay_base_clean(p->frozen_path, p->frozen_format, &clean,
                                 err);
    if (!rc && !clean && !now.l[0].node->job)
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s was not closed cleanly, and QEMU would overwrite it; shut the domain down, and the next snapshot command repairs and finishes it",
                       p->frozen_path);
    if (!rc)
        rc = snap_image_unprotect(p->frozen_path, err);
    if (rc)
        goto out;
    id = snap_overlay_job_id(c, p);
    rc = copy(c, d, &now, id, err);
    /* Little is left for mark_left() then, when the guest stands. */
    if (!rc)
        snap_qemu_preflush(c, d->gone);

out:
    free(id);
    now_dispose(&now);
    return rc;
}

/* The time stamp of a leaf that QEMU has left: 2001-02-01.  Whoever writes to
 * it changes that; so it has to be on the disk before the journal says what it
 * is, or a power cut looks like somebody's write. */
#define LEFT_STAMP 980985600

static void mark_left(struct snap_disk_ctx *c, const char *leaf)
{
    struct snap_err e = SNAP_ERR_INIT;
    const struct timespec t[2] = {
        { .tv_sec = LEFT_STAMP },
        { .tv_sec = LEFT_STAMP },
    };

    if (utimensat(AT_FDCWD, leaf, t, 0) && errno != ENOENT)
        snap_say(c->log, SNAP_LOG_DEBUG, "time stamp of %s: %s", leaf,
                 strerror(errno));
    else if (snap_file_exists(leaf) && snap_path_sync(leaf, &e))
        snap_say(c->log, SNAP_LOG_DEBUG, "%s", e.msg);
}

/*
 * Died while the guest stood for the exchange, and the domain is gone since:
 * which of both images did the guest write to last?  A leaf with the stamp is
 * the older one.  Without it we died before QEMU had changed over, or within
 * milliseconds after; both are alike then, unless the guest went on: in the
 * one that was written to later.
 */
bool snap_overlay_merge_went_below(const struct snap_part *p,
                                   const struct snap_delete *d)
{
    struct stat over, base;

    if (stat(d->gone, &over) || stat(p->frozen_path, &base))
        return false;
    if (over.st_mtim.tv_sec == LEFT_STAMP && !over.st_mtim.tv_nsec)
        return true;
    return d->paused_at && over.st_mtim.tv_sec <= d->paused_at + PAUSE_S &&
           base.st_mtim.tv_sec > d->paused_at + PAUSE_S;
}

/* A leaf that QEMU has left bears the stamp, and whoever wrote to that since
 * is told by the journal's. */
bool snap_overlay_merge_went_on(const struct snap_part *p,
                                const struct snap_delete *d)
{
    struct stat over;

    (void)p;
    return !stat(d->gone, &over) &&
           over.st_mtim.tv_sec > d->paused_at + PAUSE_S;
}

/*
 * Nothing keeps a domain from being started on a base that is half merged, if
 * its xl.cfg names that; and what it wrote there must be seen when it is off
 * again.  A base that was written to since the host started, and not by us, was
 * written to by it.  And as long as we work, the leaf is never much older than
 * the base.  A block device has no such time.
 */
bool snap_overlay_merge_astray(const struct snap_part *p,
                               const struct snap_delete *d, bool live)
{
    struct stat over, base;
    int64_t ours = d->begun == SNAP_MERGE_BY_TOOLS ? TOOLS_S : QEMU_S;

    if (stat(d->gone, &over) || stat(p->frozen_path, &base) ||
        !S_ISREG(base.st_mode))
        return false;
    if (d->host_started && base.st_mtim.tv_sec + START_S >= d->host_started)
        return true;
    return !live && d->begun != SNAP_MERGE_NEW &&
           base.st_mtim.tv_sec > over.st_mtim.tv_sec + ours;
}

static int commit_off(struct snap_disk_ctx *c, const struct snap_part *p,
                      const struct snap_delete *d, const char *retired,
                      struct snap_err *err)
{
    const struct snap_overlay_commit m = {
        .over = d->gone,
        .base = p->frozen_path,
        .base_format = p->frozen_format,
        .retired = retired,
        .all_there = snap_overlay_merge_went_below(p, d),
    };

    return snap_overlay_commit(c, &m, err);
}

/*
 * The leaf goes before anybody else is let in: what a domain that is started
 * on it then would write there, would go with it.
 */
static int merge_off(struct snap_disk_ctx *c, const struct snap_part *p,
                     const struct snap_delete *d, struct snap_err *err)
{
    int rc;
    bool ours, written;
    char *retired = snap_overlay_temp(c, d->gone);

    if (!snap_file_exists(d->gone)) {
        rc = snap_image_unprotect(p->frozen_path, err);
        if (!rc)
            rc = snap_overlay_retire(d->gone, retired, p->frozen_path, err);
        goto out;
    }
    rc = snap_overlay_is_over(d->gone, p->frozen_path, &ours, &written, err);
    if (!rc && !ours)
        rc = snap_fail(err, SNAP_REFUSED, "%s is not over %s any more",
                       d->gone, p->frozen_path);
    if (!rc)
        rc = commit_off(c, p, d, retired, err);

out:
    free(retired);
    return rc;
}

int snap_overlay_merge(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err)
{
    int rc = c->qmp ? merge_live(c, p, d, err) : merge_off(c, p, d, err);

    if (rc)
        snap_err_prefix(err, "merging %s into %s", d->gone, p->frozen_path);
    return rc;
}

static int overlay_merge_unknown(const struct snap_part *p,
                                 struct snap_err *err)
{
    snap_err_append(err, "whether QEMU writes to %s by now is not known",
                    p->frozen_path);
    if (err)
        err->rc = SNAP_RECOVER;
    return SNAP_RECOVER;
}

int snap_overlay_merge_switched(struct snap_disk_ctx *c,
                                const struct snap_part *p,
                                const struct snap_delete *d, bool *yes_r,
                                struct snap_err *err)
{
    struct now now;
    int rc = overlay_merge_look(c, p, d, &now, err);

    *yes_r = !rc && now.switched;
    now_dispose(&now);
    return rc;
}

/* It may have been told so before, by a process that died, and have come to it
 * this very moment. */
static bool has_switched(struct snap_disk_ctx *c, const struct snap_part *p,
                         const struct snap_delete *d)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    bool yes;

    return snap_qmp_alive(c->qmp) &&
           !snap_overlay_merge_switched(c, p, d, &yes, &ignored) && yes;
}

int snap_overlay_merge_switch(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    int rc;
    char *id = NULL, *top = NULL;
    struct now now;
    struct snap_disk_ctx quiet = *c;

    if (!c->qmp)
        return 0;
    rc = overlay_merge_look(c, p, d, &now, err);
    if (rc)
        return rc;
    if (now.switched)
        goto out;
    top = snap_strdup(now.l[0].node->name);
    now_dispose(&now);
    quiet.tick = NULL;
    id = snap_overlay_job_id(c, p);
    rc = snap_qemu_job_complete(&quiet, id, err);
    if (!rc)
        rc = snap_qemu_job_wait(&quiet, id, false, SWITCH_MS, err);
    if (rc && has_switched(c, p, d)) {
        snap_err_clear(err);
        rc = 0;
    }
    if (rc && (rc != SNAP_FAIL || !snap_qmp_alive(c->qmp)))
        rc = overlay_merge_unknown(p, err);
    if (rc)
        goto out;
    /* The old top first: its node still has the image as its backing. */
    snap_overlay_release(c, top);
    if (overlay_merge_look(c, p, d, &now, err) || !now.switched) {
        snap_fail(err, SNAP_RECOVER,
                  "QEMU reported success, but does not write to %s",
                  p->frozen_path);
        rc = overlay_merge_unknown(p, err);
        goto out;
    }
    rc = 0;

out:
    if (!rc && now.switched)
        mark_left(c, d->gone);
    free(top);
    free(id);
    now_dispose(&now);
    return rc;
}

/* Under another name no xl.cfg finds it, so nobody comes to it any more,
 * whoever reads it still; only those who came before it are looked for. */
static int retire_left(struct snap_disk_ctx *c, const struct snap_part *p,
                       const struct snap_delete *d, const char *retired,
                       struct snap_err *err)
{
    int rc;
    struct snap_err e = SNAP_ERR_INIT;

    if (!snap_file_exists(d->gone))
        return 0;
    rc = snap_image_check_unused(c, d->gone, err);
    if (!rc)
        rc = snap_overlay_retire(d->gone, retired, p->frozen_path, err);
    if (rc)
        return rc;
    rc = snap_image_check_unused(c, retired, err);
    if (!rc && snap_image_differs(retired, &d->left))
        rc = snap_fail(err, SNAP_RECOVER,
                       "%s was written to after it had been merged into %s",
                       d->gone, p->frozen_path);
    if (rc && snap_overlay_retire(retired, d->gone, p->frozen_path, &e))
        snap_err_append(err, "and it is named %s now: %s", retired, e.msg);
    return rc;
}

int snap_overlay_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    int rc;
    char *retired = snap_overlay_temp(c, d->gone);

    rc = retire_left(c, p, d, retired, err);
    if (!rc)
        rc = snap_leaf_drop(c, retired, p->stem, &d->left, err);
    free(retired);
    return rc;
}
