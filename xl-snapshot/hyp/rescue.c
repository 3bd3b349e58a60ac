/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * For the guardian and snapshot-recover: a command of ours died with a guest
 * standing still.  Assumes nothing about how far it came; looks at what is
 * there, and may be run any number of times.  The domain is known by its
 * uuid only, the monitor by a pid that may be somebody else's by now: it is
 * signalled only if a monitor runs under it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/hyp.h"

#define SETTLE_MS 3000 /* for a guest that was asked to suspend */

/*
 * The command may have died between asking the guest to suspend and the
 * guest's answer; it would stop after we looked.  libxl_dom_suspend.c
 * withdraws a request that it gave up on the same way: in a transaction, ""
 * in place of "suspend".
 */
static void withdraw(struct snap_hyp *h, uint32_t domid)
{
    bool pending = true;
    char path[64], *value;
    xs_transaction_t t;
    unsigned int len;
    int tries;

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    for (tries = 0; tries < 20 && pending; tries++) {
        t = xs_transaction_start(h->xsh);
        if (t == XBT_NULL)
            return;
        value = xs_read(h->xsh, t, path, &len);
        pending = value && !strcmp(value, "suspend");
        free(value);
        if (pending)
            xs_write(h->xsh, t, path, "", 0);
        if (xs_transaction_end(h->xsh, t, !pending))
            pending = false;
    }
}

int hyp_rescue(struct snap_hyp *h, const char *uuid, pid_t monitor_pid,
               bool was_paused, struct snap_err *err)
{
    struct snap_domain dom = { .name = NULL };
    enum hyp_state state;
    int rc, xl, fd = -1;
    double deadline;

    rc = hyp_enter(h, "rescue", err);
    if (rc)
        goto out;
    rc = hyp_domid_of_uuid(h, uuid, &dom.domid);
    if (rc) {
        rc = 0; /* gone: nothing to rescue */
        goto out;
    }
    dom.name = snap_strdup(uuid);
    snprintf(dom.uuid, sizeof(dom.uuid), "%s", uuid);

    rc = hyp_state(h, &dom, &state, err);
    if (rc)
        goto out;
    /* A guest that has taken the request already leaves no trace of it until
     * it stops, so a running one is watched for a while. */
    if (state == HYP_RUNNING) {
        withdraw(h, dom.domid);
        deadline = snap_now_ms() + SETTLE_MS;
        while (state == HYP_RUNNING && snap_now_ms() < deadline) {
            usleep(20000);
            rc = hyp_state(h, &dom, &state, err);
            if (rc)
                goto out;
        }
    }
    if (state == HYP_SUSPENDED) {
        /* As it was: paused outlasts a suspend. */
        if (was_paused)
            libxl_domain_pause(h->ctx, dom.domid, NULL);
        xl = libxl_domain_resume(h->ctx, dom.domid, 1, NULL);
        if (xl) {
            rc = hyp_fail(h, err, xl, "%s: cannot resume it", uuid);
            goto out;
        }
        rc = hyp_state(h, &dom, &state, err);
        if (rc)
            goto out;
    }
    if (state == HYP_PAUSED && !was_paused) {
        xl = libxl_domain_unpause(h->ctx, dom.domid, NULL);
        if (xl) {
            rc = hyp_fail(h, err, xl, "%s: cannot unpause it", uuid);
            goto out;
        }
    }
    rc = 0;

out:
    if (monitor_pid > 1 && (fd = hyp_pidfd_open(monitor_pid)) >= 0) {
        if (hyp_is_monitor(monitor_pid))
            hyp_pidfd_signal(fd, SIGCONT);
        close(fd);
    }
    free(dom.name);
    return rc == SNAP_NOTFOUND ? 0 : rc;
}
