/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Destroying a domain, and knowing when it is really gone.
 * libxl_domain_destroy() only sends QEMU a SIGHUP and returns (libxl_dm.c:
 * libxl__destroy_device_model(), Xen 4.17); QEMU then still flushes qcow2
 * metadata, and a tool that opened the image meanwhile would damage it.  So
 * QEMU is held by a pidfd from before, and waited for.
 */
#include "hyp/destroy.h"

#include <errno.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/qemu.h"
#include "hyp/save.h"
#include "hyp/savers.h"
#include "hyp/xs.h"

/* libxl_domain_destroy() waits for devices, but a domain whose pages others
 * still map stays as a zombie. */
static int wait_domain(struct snap_hyp *h, const struct snap_domain *dom,
                       double deadline, struct snap_err *err)
{
    struct snap_err seen = SNAP_ERR_INIT;
    enum hyp_state state;
    int rc;

    for (;;) {
        rc = hyp_state(h, dom, &state, &seen);
        if (rc == SNAP_NOTFOUND || seen.rc == SNAP_NOTFOUND)
            return 0;
        if (rc)
            return snap_fail(err, rc, "%s", seen.msg);
        if (snap_now_ms() >= deadline)
            break;
        usleep(5000);
    }
    return snap_fail(err, SNAP_TIMEOUT,
                     "%s: destroyed, and still there after %d s: another domain or a driver holds its memory (see xl list)",
                     dom->name, hyp_limits.gone_ms / 1000);
}

static int wait_qemu(const struct hyp_qemus *q, const char *name,
                     double deadline, struct snap_err *err)
{
    pid_t left = hyp_qemus_wait(q, deadline);

    if (!left)
        return 0;
    return snap_fail(err, SNAP_TIMEOUT,
                     "%s: destroyed, but its QEMU (process %d) is still there after %d s and may write to the images",
                     name, (int)left, hyp_limits.gone_ms / 1000);
}

static int destroy_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                           struct snap_err *err)
{
    double deadline = snap_now_ms() + hyp_limits.gone_ms;
    struct hyp_qemus q = { 0 };
    enum hyp_state state;
    int rc, xl;

    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    hyp_qemus_add(&q,
                  hyp_xs_long(h, 0, "/local/domain/%u/image/device-model-pid",
                              dom->domid),
                  dom->domid);
    hyp_qemus_add(&q, dom->qemu_pid, dom->domid);
    hyp_qemus_find(h, &q, dom->name, dom->domid);

    xl = libxl_domain_destroy(h->ctx, dom->domid, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot destroy it", dom->name);
        goto out;
    }
    /* One that was started while it was being built, a moment ago. */
    hyp_qemus_find(h, &q, dom->name, dom->domid);
    rc = wait_qemu(&q, dom->name, deadline, err);
    if (rc)
        goto out;
    rc = wait_domain(h, dom, deadline, err);

out:
    hyp_qemus_dispose(&q);
    return rc;
}

int hyp_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err)
{
    int rc = hyp_enter(h, "destroy", err);

    /* A migration may be past the point where it runs elsewhere. */
    if (!rc)
        rc = hyp_saver_refuse(dom, err);
    if (!rc)
        rc = destroy_destroy(h, dom, err);
    /* It sees the death and exits. */
    hyp_monitor_release(h);
    return rc;
}

/* Ours ends: an error is no proof that nobody has let the domain run. */
static void let_go(struct snap_hyp *h, const struct snap_domain *dom)
{
    if (libxl_domain_unpause(h->ctx, dom->domid, NULL))
        snap_say(h->log, SNAP_LOG_WARN,
                 "%s is paused by us, and could not be let go on: run xl unpause %s",
                 dom->name, dom->name);
}

/*
 * What we built and nobody has let run.  Somebody who unpaused it meanwhile has
 * made it his guest; our own pause, which Xen counts, keeps it from running
 * between the look and the end.
 */
static int destroy_unborn(struct snap_hyp *h, const struct snap_domain *dom,
                          struct snap_err *err)
{
    libxl_dominfo info;
    int rc = 0, xl, pause = libxl_domain_pause(h->ctx, dom->domid, NULL);

    libxl_dominfo_init(&info);
    xl = libxl_domain_info(h->ctx, &info, dom->domid);
    if (xl ? xl != ERROR_DOMAIN_NOTFOUND : pause && !info.dying)
        rc = hyp_fail(h, err, xl ? xl : pause,
                      "whether somebody has let domain %u run cannot be told",
                      dom->domid);
    else if (!xl && info.cpu_time && !info.dying)
        rc = snap_fail(err, SNAP_BUSY,
                       "somebody has let domain %u run meanwhile, so it is left alone",
                       dom->domid);
    libxl_dominfo_dispose(&info);
    if (!rc)
        return destroy_destroy(h, dom, err);
    if (!pause)
        let_go(h, dom);
    return rc;
}

void hyp_clear_away(struct snap_hyp *h, const char *uuid, const char *name,
                    uint32_t domid, struct snap_err *err)
{
    struct snap_err why = SNAP_ERR_INIT;
    struct snap_domain dom = { .domid = domid };
    struct hyp_qemus q = { 0 };
    int rc = 0;

    if (libxl_domid_valid_guest(domid)) {
        dom.name = snap_strdup(name);
        snprintf(dom.uuid, sizeof(dom.uuid), "%s", uuid);
        rc = destroy_unborn(h, &dom, &why);
        snap_free(&dom.name);
    }
    /* Whoever built it may have removed it, and forgotten its QEMU. */
    if (!rc || rc == SNAP_NOTFOUND) {
        snap_err_clear(&why);
        hyp_qemus_find(h, &q, name, UINT32_MAX);
        rc = wait_qemu(&q, name, snap_now_ms() + hyp_limits.gone_ms, &why);
    }
    if (rc)
        snap_err_append(err, "%s", why.msg);
    hyp_qemus_dispose(&q);
}
