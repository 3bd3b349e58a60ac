/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made ready before the guest stands still, so that nothing is waited
 * for while it does.
 *
 * Two locks of libxl are held over the window (libxl_internal.h, Xen 4.17 to
 * 4.21).  domain-userdata-lock is that of its stored configuration: block,
 * network, PCI and USB attach and detach, mem-set and destroy take it, with a
 * flock() that waits for ever; so set_active() cannot ask libxl for the stored
 * configuration while we have it, and reads and writes the file itself.
 * libxl-device-changes-lock is taken before it by whoever then talks to QEMU
 * and wants the first one as well, with QEMU's lock in hand (cd-insert,
 * `xl list -l`): with ours in between, libxl_domain_suspend() of an HVM guest
 * would wait for QEMU's lock as long as they wait for us.  QEMU's own lock is
 * not held, since libxl's suspend and resume take it.
 *
 * None of libxl_domain_suspend(), resume, pause, unpause and info takes one of
 * the two.  A daemon of xl that save() stops cannot hold them either.
 */
#include "hyp/window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/lockfile.h"
#include "hyp/savers.h"
#include "hyp/stopwatch.h"
#include "hyp/xs.h"
#include "lib/fault.h"

#define TICK_US 20000

struct place { /* of a disk */
    char *vdev, *node, *backend;
};

struct hyp_window {
    uint32_t domid;
    char uuid[37];
    int devices, data; /* the locks; -1: not held */
    char *disks; /* hyp_xs_disk_list() when it was opened */
    struct place *places;
    size_t n_places;
    /* stands() is called beside libxl_domain_suspend(), in another thread:
     * with a connection of its own. */
    libxl_ctx *ctx;
    struct xs_handle *xsh;
    struct hyp_logger logger;
};

static void window_free(struct hyp_window *w)
{
    size_t i;

    if (!w)
        return;
    hyp_unlock(&w->data);
    hyp_unlock(&w->devices);
    for (i = 0; i < w->n_places; i++) {
        free(w->places[i].vdev);
        free(w->places[i].node);
        free(w->places[i].backend);
    }
    free(w->places);
    free(w->disks);
    if (w->xsh)
        xs_close(w->xsh);
    if (w->ctx)
        libxl_ctx_free(w->ctx);
    pthread_mutex_destroy(&w->logger.lock);
    free(w);
}

bool hyp_window_is_open(const struct snap_hyp *h,
                        const struct snap_domain *dom)
{
    return h->window && h->window->domid == dom->domid &&
           !strcmp(h->window->uuid, dom->uuid);
}

bool hyp_window_locks_free(const struct snap_hyp *h,
                           const struct snap_domain *dom)
{
    if (!hyp_window_is_open(h, dom) &&
        (!hyp_lock_is_free(dom, HYP_LOCK_DEVICES) ||
         !hyp_lock_is_free(dom, HYP_LOCK_DATA)))
        return false;
    return dom->type != SNAP_GUEST_HVM || hyp_lock_is_free(dom, HYP_LOCK_QMP);
}

/* Both locks, in libxl's own order, and QEMU's seen to be free. */
static int take_locks(struct hyp_window *w, const struct snap_domain *dom,
                      struct snap_err *err)
{
    double deadline = snap_now_ms() + hyp_limits.lock_ms;
    int rc;

    for (;;) {
        rc = hyp_lock_userdata(dom, HYP_LOCK_DEVICES, hyp_limits.lock_ms,
                               &w->devices, err);
        if (!rc)
            rc = hyp_lock_userdata(dom, HYP_LOCK_DATA, hyp_limits.lock_ms,
                                   &w->data, err);
        if (rc || dom->type != SNAP_GUEST_HVM ||
            hyp_lock_is_free(dom, HYP_LOCK_QMP))
            return rc;
        /* Who has it may wait for what we have. */
        hyp_unlock(&w->data);
        hyp_unlock(&w->devices);
        if (snap_now_ms() >= deadline)
            return snap_fail(err, SNAP_BUSY,
                             "%s: another xl command has been holding its lock %s for %d ms",
                             dom->name, HYP_LOCK_QMP, hyp_limits.lock_ms);
        usleep(TICK_US);
    }
}

/* All disks of the domain, in one pass. */
static int find_places(struct snap_hyp *h, struct hyp_window *w,
                       const struct snap_domain *dom, struct snap_err *err)
{
    struct place *p;
    char *line;
    size_t len;

    w->disks = hyp_xs_disk_list(w->xsh, dom->domid);
    if (!w->disks)
        return snap_fail(err, SNAP_FAIL,
                         "%s: xenstore does not tell its disks", dom->name);
    for (line = w->disks; *line; line += len + 1) {
        len = strcspn(line, "\n");
        w->places = snap_realloc(w->places, w->n_places + 1,
                                 sizeof(*w->places));
        p = &w->places[w->n_places++];
        p->node = snap_strndup(line, len);
        p->vdev = hyp_xs_read(h, "%s/dev", p->node);
        p->backend = hyp_xs_read(h, "%s/backend", p->node);
    }
    return 0;
}

bool hyp_window_disk(const struct snap_hyp *h, const char *vdev,
                     const char **node_r, const char **backend_r)
{
    const struct hyp_window *w = h->window;
    size_t i;

    for (i = 0; w && i < w->n_places; i++) {
        if (!snap_streq(w->places[i].vdev, vdev) || !w->places[i].backend)
            continue;
        *node_r = w->places[i].node;
        *backend_r = w->places[i].backend;
        return true;
    }
    return false;
}

static int window_check_disks(struct snap_hyp *h,
                              const struct snap_domain *dom,
                              const struct snap_active *a, size_t n,
                              struct snap_err *err)
{
    const char *node, *backend;
    size_t i;

    for (i = 0; i < n; i++)
        if (!hyp_window_disk(h, a[i].vdev, &node, &backend))
            return snap_fail(err, SNAP_NOTFOUND,
                             "%s: disk %s is not in xenstore", dom->name,
                             a[i].vdev);
    return 0;
}

/* The state of the same domain, over the window's own connection. */
static int state_is(struct hyp_window *w, bool suspended, bool *there_r,
                    bool *stands_r)
{
    enum hyp_state state;
    char uuid[37];
    int xl = hyp_state_of_domid(w->ctx, w->domid, &state, uuid);

    *there_r = !xl && !strcmp(uuid, w->uuid) && state != HYP_DYING;
    *stands_r = *there_r && state == (suspended ? HYP_SUSPENDED : HYP_PAUSED);
    return xl && xl != ERROR_DOMAIN_NOTFOUND ? SNAP_FAIL : 0;
}

static int open_window(struct snap_hyp *h, const struct snap_domain *dom,
                       const struct snap_active *a, size_t n, bool borrowed,
                       struct snap_err *err)
{
    struct hyp_window *w;
    enum hyp_state state;
    int rc;

    hyp_window_close(h);
    w = snap_zalloc(sizeof(*w));
    w->domid = dom->domid;
    snprintf(w->uuid, sizeof(w->uuid), "%s", dom->uuid);
    w->devices = w->data = -1;
    hyp_logger_init(&w->logger, NULL);
    w->ctx = hyp_ctx_new(&w->logger);
    w->xsh = xs_open(0);
    if (!w->ctx || !w->xsh) {
        rc = snap_fail(err, SNAP_FAIL, "%s: cannot talk to %s a second time",
                       dom->name, w->ctx ? "xenstored" : "the hypervisor");
        goto out;
    }
    rc = borrowed ? 0 : take_locks(w, dom, err);
    if (rc)
        goto out;
    /* Asked with the locks in hand: it may have gone while we waited. */
    rc = hyp_state(h, dom, &state, err);
    /* The command whose window it is may be the one that saves. */
    if (!rc && !borrowed)
        rc = hyp_saver_refuse(dom, err);
    if (!rc)
        rc = find_places(h, w, dom, err);
    if (rc)
        goto out;
    h->window = w;
    w = NULL;
    rc = window_check_disks(h, dom, a, n, err);

out:
    window_free(w);
    if (rc)
        hyp_window_close(h);
    return rc;
}

int hyp_window_open(struct snap_hyp *h, const struct snap_domain *dom,
                    const struct snap_active *a, size_t n,
                    struct snap_err *err)
{
    int rc = hyp_enter(h, "window_open", err);

    return rc ? rc : open_window(h, dom, a, n, false, err);
}

int hyp_window_borrow(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, size_t n,
                      struct snap_err *err)
{
    int rc = hyp_enter(h, "window_borrow", err);

    return rc ? rc : open_window(h, dom, a, n, true, err);
}

/* Another thread may call it while this one is in libxl: what it uses of h is
 * only what the window has of its own. */
int hyp_stands(struct snap_hyp *h, const struct snap_domain *dom,
               bool suspended, struct snap_err *err)
{
    struct hyp_window *w = h->window;
    int rc, fault = snap_fault("hyp", "stands");
    bool there, stands;
    char *disks = NULL;

    if (fault)
        return snap_fail_errno(err, SNAP_FAIL, fault, "stands");
    if (!hyp_window_is_open(h, dom))
        return snap_fail(err, SNAP_FAIL, "%s: its window is not open",
                         dom->name);
    rc = state_is(w, suspended, &there, &stands);
    if (rc) {
        rc = snap_fail(err, SNAP_FAIL, "%s: Xen does not tell how it is",
                       dom->name);
        goto out;
    }
    if (!there || !stands) {
        rc = snap_fail(err, SNAP_BUSY,
                       there
                           ? "%s: somebody let it go on while it was to stand still"
                           : "%s: it was destroyed, or rebooted, while it was to stand still",
                       dom->name);
        goto out;
    }
    disks = hyp_xs_disk_list(w->xsh, dom->domid);
    if (!disks)
        rc = snap_fail(err, SNAP_FAIL, "%s: xenstore does not tell its disks",
                       dom->name);
    else if (strcmp(disks, w->disks))
        rc = snap_fail(err, SNAP_BUSY,
                       "%s: a disk was plugged in or out while its snapshot was taken",
                       dom->name);

out:
    free(disks);
    return rc;
}

void hyp_window_close(struct snap_hyp *h)
{
    window_free(h->window);
    h->window = NULL;
    /* Of the save that was made in it; not a thing to do while it is open. */
    hyp_stopwatch_free(&h->watch);
}
