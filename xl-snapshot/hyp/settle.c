/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * After a save that ended before its time.  libxl asks the guest to suspend
 * by control/shutdown = "suspend", and the guest acknowledges by emptying
 * that node.  If the save ends between, libxl (Xen 4.17 to 4.21,
 * libxl_dom_save.c: domain_save_done()) does not take the request back, and a
 * guest that has acknowledged it will stop in any case: Linux gives its tasks
 * up to 20 s (kernel/power/process.c: freeze_timeout_msecs) before it either
 * suspends or forgets about it.  Then it would stand, with nobody there to let
 * it go on.  So the request is withdrawn, and the guest watched.
 *
 * A guest that runs does not tell that it has acknowledged a request: the node
 * is as empty as if there had been none.  A mark of ours beside the domain's
 * libxl nodes says that there was.  Only with it is a suspend taken for ours.
 */
#include "hyp/settle.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/domain.h"
#include "hyp/xs.h"

#define WITHDRAWN_MS 2000 /* nothing can come any more, by the transaction */
#define ACKED_MS     22000
#define TICK_US      20000
#define TRIES        50 /* of a xenstore transaction */

/* --- the mark ---------------------------------------------------------- */

#define MARK_PATH "/libxl/%u/xl-snapshot-asked"

int hyp_asked_set(struct snap_hyp *h, const struct snap_domain *dom,
                  struct snap_err *err)
{
    char path[64];

    snprintf(path, sizeof(path), MARK_PATH, dom->domid);
    if (!xs_write(h->xsh, XBT_NULL, path, "1", 1))
        return snap_fail_errno(err, SNAP_FAIL, errno,
                               "%s: cannot write %s to xenstore", dom->name,
                               path);
    return 0;
}

bool hyp_asked(struct snap_hyp *h, uint32_t domid)
{
    return hyp_xs_long(h, 0, MARK_PATH, domid) == 1;
}

void hyp_asked_clear(struct snap_hyp *h, uint32_t domid)
{
    char path[64];

    snprintf(path, sizeof(path), MARK_PATH, domid);
    xs_rm(h->xsh, XBT_NULL, path);
}

/* --- withdrawing ------------------------------------------------------- */

enum request { REQUEST_NONE, REQUEST_WITHDRAWN, REQUEST_UNKNOWN };

/* In a transaction, as libxl_dom_suspend.c does when it gives up: a guest that
 * reads the node at the same time either has it, or finds it empty. */
static enum request withdraw(struct snap_hyp *h, uint32_t domid)
{
    enum request found = REQUEST_UNKNOWN;
    char path[64], *value;
    xs_transaction_t t;
    unsigned int len;
    int tries;
    bool ok;

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    for (tries = 0; tries < TRIES; tries++) {
        t = xs_transaction_start(h->xsh);
        if (t == XBT_NULL)
            break;
        value = xs_read(h->xsh, t, path, &len);
        ok = value || errno == ENOENT;
        found = value && !strcmp(value, "suspend") ? REQUEST_WITHDRAWN
                                                   : REQUEST_NONE;
        free(value);
        if (ok && found == REQUEST_WITHDRAWN)
            ok = xs_write(h->xsh, t, path, "", 0);
        if (xs_transaction_end(h->xsh, t, !ok || found == REQUEST_NONE) && ok)
            return found;
    }
    return REQUEST_UNKNOWN;
}

/* The hypervisor forgets a domain long after `xl destroy` has begun. */
static bool being_destroyed(struct snap_hyp *h, uint32_t domid)
{
    char *name = hyp_xs_read(h, "/local/domain/%u/name", domid);
    bool gone = !name && errno == ENOENT;

    free(name);
    return gone;
}

/* --- watching ---------------------------------------------------------- */

int hyp_settle(struct snap_hyp *h, const struct snap_domain *dom,
               enum hyp_state *state, struct snap_err *err)
{
    double ran_ms = 0, need_ms, last, now, end;
    enum request request;
    int rc;

    rc = hyp_state(h, dom, state, err);
    if (rc || *state == HYP_SUSPENDED || *state == HYP_SHUTDOWN ||
        *state == HYP_DYING)
        return rc;
    request = withdraw(h, dom->domid);
    if (request == REQUEST_UNKNOWN && !being_destroyed(h, dom->domid))
        return snap_fail(err, SNAP_RECOVER,
                         "%s: its request to suspend cannot be taken back: xenstore does not answer",
                         dom->name);
    need_ms = request == REQUEST_WITHDRAWN ? WITHDRAWN_MS : ACKED_MS;
    last = snap_now_ms();
    end = last + need_ms + WITHDRAWN_MS;
    /* Only while it runs can it come to follow what it has acknowledged. */
    while (ran_ms < need_ms && last < end) {
        usleep(TICK_US);
        rc = hyp_state(h, dom, state, err);
        if (rc || (*state != HYP_RUNNING && *state != HYP_PAUSED) ||
            being_destroyed(h, dom->domid))
            return rc;
        now = snap_now_ms();
        if (*state == HYP_RUNNING || request == REQUEST_WITHDRAWN)
            ran_ms += now - last;
        last = now;
    }
    if (ran_ms < need_ms)
        return snap_fail(err, SNAP_RECOVER,
                         "%s: it is paused, and may suspend when it goes on",
                         dom->name);
    return 0;
}

/* --- the log of written pages ------------------------------------------ */

/* xenctrl.h of Xen 4.17 to 4.21, looked up as in hvm.c; xg_sr_save.c:
 * cleanup() does the same after every save. */
typedef void *xc_open_fn(xentoollog_logger *logger,
                         xentoollog_logger *dombuild, unsigned flags);
typedef int xc_close_fn(void *xch);
typedef int xc_shadow_fn(void *xch, uint32_t domid, unsigned op, unsigned *mb,
                         unsigned mode);
#define SHADOW_OP_OFF 0 /* xen/include/public/domctl.h */

void hyp_dirty_log_off(struct snap_hyp *h, const struct snap_domain *dom)
{
    xc_open_fn *xc_open = (xc_open_fn *)dlsym(RTLD_DEFAULT,
                                              "xc_interface_open");
    xc_close_fn *xc_close = (xc_close_fn *)dlsym(RTLD_DEFAULT,
                                                 "xc_interface_close");
    xc_shadow_fn *xc_shadow = (xc_shadow_fn *)dlsym(RTLD_DEFAULT,
                                                    "xc_shadow_control");
    void *xch;

    if (!xc_open || !xc_close || !xc_shadow)
        return;
    xch = xc_open(&h->logger.xtl, &h->logger.xtl, 0);
    if (!xch)
        return;
    xc_shadow(xch, dom->domid, SHADOW_OP_OFF, NULL, 0);
    xc_close(xch);
}
