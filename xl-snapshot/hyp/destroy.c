/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Destroying a domain, and knowing when it is really gone.
 * libxl_domain_destroy() only sends QEMU a SIGHUP and returns (libxl_dm.c:
 * libxl__destroy_device_model(), Xen 4.17); QEMU then still flushes qcow2
 * metadata, and a tool that opened the image meanwhile would damage it.  So
 * QEMU is held by a pidfd from before, and waited for.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "hyp/hyp.h"

#define GONE_MS 60000

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
                     "%s: destroyed, and still there after %d s: another "
                     "domain or a driver holds its memory (see xl list)",
                     dom->name, GONE_MS / 1000);
}

int hyp_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err)
{
    double deadline = snap_now_ms() + GONE_MS;
    int rc, xl, qemu = -1, left;
    enum hyp_state state;
    pid_t pid;

    rc = hyp_enter(h, "destroy", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    pid = hyp_xs_long(h, 0, "/local/domain/%u/image/device-model-pid",
                      dom->domid);
    if (!pid)
        pid = dom->qemu_pid;
    if (pid > 1)
        qemu = hyp_pidfd_open(pid);
    if (qemu >= 0 && !hyp_is_qemu(pid, dom->domid)) {
        close(qemu);
        qemu = -1;
    }

    xl = libxl_domain_destroy(h->ctx, dom->domid, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot destroy it", dom->name);
        goto out;
    }
    left = deadline - snap_now_ms();
    if (qemu >= 0 && hyp_pidfd_wait(qemu, left > 0 ? left : 0)) {
        rc = snap_fail(err, SNAP_TIMEOUT,
                       "%s: destroyed, but its QEMU (process %d) is still "
                       "there after %d s and may write to the images",
                       dom->name, (int)pid, GONE_MS / 1000);
        goto out;
    }
    rc = wait_domain(h, dom, deadline, err);

out:
    if (qemu >= 0)
        close(qemu);
    /* It sees the death and exits. */
    hyp_monitor_release(h);
    return rc;
}
