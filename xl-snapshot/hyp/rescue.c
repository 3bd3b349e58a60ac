/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * For the guardian and snapshot-recover: a command of ours died with a guest
 * standing still.  Assumes nothing about how far it came; looks at what is
 * there, and may be run any number of times.
 *
 * It undoes what the command did and no more.  The guest is that of the same
 * uuid and number.  A suspend is ours only if the command may have saved, and
 * its mark is there (settle.c), and nobody else is at work on the domain; a
 * pause only if the command may have paused.  Anybody may suspend or pause a
 * domain, and a guest that goes on under another's save is torn.  The monitor
 * is a pid that may be somebody else's by now: it is signalled only if a
 * monitor runs under it.
 */
#include "hyp/rescue.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/daemon.h"
#include "hyp/domain.h"
#include "hyp/proc.h"
#include "hyp/savers.h"
#include "hyp/settle.h"
#include "hyp/xs.h"

/* For a save helper whose user is dead: it ends when it wants to tell that
 * one something, a few times a second. */
#define ORPHAN_MS 1000

/* SNAP_BUSY: somebody else's save goes on. */
static int leave_to_others(const struct snap_domain *dom, struct snap_err *err)
{
    struct hyp_saver other;

    if (!hyp_saver_wait(dom->domid, ORPHAN_MS, &other))
        return 0;
    if (!other.user)
        return 0; /* it only reads; the image is void */
    return hyp_saver_refuse(dom, err);
}

/* The suspend that held speaks of, or the request for one. */
static int end_suspend(struct snap_hyp *h, const struct snap_domain *dom,
                       const struct snap_held *held, enum hyp_state *state,
                       struct snap_err *err)
{
    struct hyp_saver other;
    int rc, xl;

    rc = leave_to_others(dom, err);
    if (!rc)
        rc = hyp_settle(h, dom, state, err);
    if (rc)
        return rc;
    if (*state == HYP_SUSPENDED) {
        /* As it was: paused outlasts a suspend. */
        if (held->was_paused)
            libxl_domain_pause(h->ctx, dom->domid, NULL);
        xl = libxl_domain_resume(h->ctx, dom->domid, 1, NULL);
        if (xl)
            return hyp_fail(h, err, xl, "%s: cannot resume it", dom->name);
        rc = hyp_state(h, dom, state, err);
        if (rc)
            return rc;
    }
    if (!hyp_saver_find(dom->domid, &other))
        hyp_dirty_log_off(h, dom);
    hyp_asked_clear(h, dom->domid);
    return 0;
}

static int rescue_guest(struct snap_hyp *h, const struct snap_domain *dom,
                        const struct snap_held *held, struct snap_err *err)
{
    enum hyp_state state;
    int rc, xl;

    rc = hyp_state(h, dom, &state, err);
    if (rc)
        return rc;
    if (held->suspend && hyp_asked(h, dom->domid)) {
        rc = end_suspend(h, dom, held, &state, err);
        if (rc)
            return rc;
    }
    if (held->pause && !held->was_paused && state == HYP_PAUSED) {
        xl = libxl_domain_unpause(h->ctx, dom->domid, NULL);
        if (xl)
            return hyp_fail(h, err, xl, "%s: cannot unpause it", dom->name);
    }
    return 0;
}

static void let_monitor_go(pid_t pid)
{
    int fd = pid > 1 ? hyp_pidfd_open(pid) : -1;

    if (fd < 0)
        return;
    if (hyp_is_monitor(pid))
        hyp_pidfd_signal(fd, SIGCONT);
    close(fd);
}

int hyp_rescue(struct snap_hyp *h, const struct snap_held *held,
               struct snap_err *err)
{
    struct snap_domain dom = { .domid = held->domid };
    struct snap_err why = SNAP_ERR_INIT;
    int rc;

    rc = hyp_enter(h, "rescue", err);
    if (rc)
        goto out;
    snprintf(dom.uuid, sizeof(dom.uuid), "%s", held->uuid);
    dom.name = hyp_xs_read(h, "/local/domain/%u/name", dom.domid);
    if (!dom.name)
        dom.name = snap_strdup(held->uuid);
    rc = rescue_guest(h, &dom, held, &why);
    if (rc == SNAP_NOTFOUND)
        rc = 0; /* gone: nothing to rescue */
    if (rc)
        snap_fail(err, rc, "%s", why.msg);
    /* Let go while the guest is suspended, it would exit. */
    if (!rc)
        let_monitor_go(held->monitor_pid);

out:
    free(dom.name);
    return rc;
}
