/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The active image is written down into the frozen one, which then takes its
 * place: a commit job in the domain's QEMU, or qemu-img with the domain off.
 *
 * The danger is in the moment of the exchange: the old leaf still has the
 * guest's clusters, and laid over the frozen image again it would hide what
 * the guest wrote there since.  So core lets the guest stand while QEMU
 * changes over, and writes down that it did before the guest goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/in_use.h"
#include "disk/leaf_drop.h"
#include "disk/overlay_chain.h"
#include "disk/overlay_delete.h"
#include "disk/overlay_files.h"
#include "disk/qemu_img.h"
#include "disk/qemu_job.h"
#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS   10000
#define SWITCH_MS 10000 /* guest at rest */
#define PAUSE_S   2 /* what a pause lasts, at most, and a clock is off */

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

static int look(struct snap_disk_ctx *c, const struct snap_part *p,
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

static int merge_live(struct snap_disk_ctx *c, const struct snap_part *p,
                      const struct snap_delete *d, struct snap_err *err)
{
    int rc;
    char *id = NULL;
    struct now now;
    struct snap_json *args;

    rc = look(c, p, d, &now, err);
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
    rc = snap_image_unprotect(p->frozen_path, err);
    if (rc)
        goto out;
    id = snap_overlay_job_id(c, p);
    args = snap_json_object();
    snap_json_set_str(args, "device", now.l[0].node->name);
    snap_json_set_str(args, "base-node", now.l[1].node->name);
    rc = snap_qemu_job_start(c, "block-commit", id, args, err);
    if (!rc)
        rc = snap_qemu_job_wait(c, id, true, 0, err);

out:
    free(id);
    now_dispose(&now);
    return rc;
}

static int on_tick(void *opaque)
{
    struct snap_disk_ctx *c = opaque;

    return c->tick ? c->tick(c->opaque, 0, 0) : 0;
}

/* Died while the guest stood for the exchange, and the domain is gone since.
 * Both images are alike then, unless the guest went on: in the one that was
 * written to later. */
static bool went_on_below(const struct snap_part *p,
                          const struct snap_delete *d)
{
    struct stat over, base;

    return d->paused_at && !stat(d->gone, &over) &&
           !stat(p->frozen_path, &base) &&
           over.st_mtim.tv_sec <= d->paused_at + PAUSE_S &&
           base.st_mtim.tv_sec > d->paused_at + PAUSE_S;
}

static int merge_off(struct snap_disk_ctx *c, const struct snap_part *p,
                     const struct snap_delete *d, struct snap_err *err)
{
    int rc;
    bool ours, written;

    if (went_on_below(p, d))
        return 0;
    rc = snap_overlay_is_over(d->gone, p->frozen_path, &ours, &written, err);
    if (rc)
        return rc;
    if (!ours)
        return snap_fail(err, SNAP_REFUSED, "%s is not over %s any more",
                         d->gone, p->frozen_path);
    rc = snap_image_check_closed(c, d->gone, err);
    if (!rc)
        rc = snap_image_check_closed(c, p->frozen_path, err);
    if (!rc)
        rc = snap_image_unprotect(p->frozen_path, err);
    if (rc)
        return rc;
    return snap_qemu_img_commit(c->log, d->gone, on_tick, c, err);
}

int snap_overlay_merge(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err)
{
    int rc = c->qmp ? merge_live(c, p, d, err) : merge_off(c, p, d, err);

    if (rc)
        snap_err_prefix(err, "merging %s into %s", d->gone, p->frozen_path);
    return rc;
}

static int unknown(const struct snap_part *p, struct snap_err *err)
{
    snap_err_append(err, "whether QEMU writes to %s by now is not known",
                    p->frozen_path);
    if (err)
        err->rc = SNAP_RECOVER;
    return SNAP_RECOVER;
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
    rc = look(c, p, d, &now, err);
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
    if (rc && (rc != SNAP_FAIL || !snap_qmp_alive(c->qmp)))
        rc = unknown(p, err);
    if (rc)
        goto out;
    /* The old top first: its node still has the image as its backing. */
    snap_overlay_release(c, top);
    if (look(c, p, d, &now, err) || !now.switched) {
        snap_fail(err, SNAP_RECOVER,
                  "QEMU reported success, but does not write to %s",
                  p->frozen_path);
        rc = unknown(p, err);
        goto out;
    }
    rc = 0;

out:
    free(top);
    free(id);
    now_dispose(&now);
    return rc;
}

int snap_overlay_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err)
{
    return snap_leaf_drop(c, d->gone, p->stem, err);
}
