/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reaching the QEMU of a domain.  libxl gives it two QMP sockets
 * (libxl_dm.c: libxl__build_device_model_args_new(), Xen 4.17):
 *   qmp-libxl-D        libxl's own, one client at a time under a lock file
 *   qmp-libxenstat-D   for xentop, and free otherwise
 * QEMU serves one client per socket; another connects and waits for the
 * greeting.  libxl talks to an HVM guest's QEMU when it suspends and resumes
 * it, so a connection that stays open must not be on libxl's socket.
 * Protocol, deadlines and distrust are lib/qmp.c's business.
 */
#include "hyp/qmp_sock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/domain.h"
#include "hyp/lockfile.h"
#include "hyp/proc.h"
#include "hyp/served.h"
#include "lib/qmp.h"

#define GREETING_MS 10000
#define COMMAND_MS  20000
#define LOCK_MS     15000

/* Its socket is there, and nobody listens to that. */
static bool left_socket(const struct snap_domain *dom)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    bool left;
    int fd;

    snprintf(sun.sun_path, sizeof(sun.sun_path),
             HYP_RUN_DIR "/qmp-libxenstat-%u", dom->domid);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    left = fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) &&
           errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return left;
}

/* There is none: has it gone, or was there never any? */
static int no_qemu(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err)
{
    bool gone = left_socket(dom);
    int rc;

    if (!gone) {
        rc = hyp_needs_qemu(h, dom, &gone, err);
        if (rc)
            return rc;
    }
    if (gone)
        return snap_fail(err, SNAP_NOTFOUND, "%s: its QEMU is gone",
                         dom->name);
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "%s: no QEMU of this host serves its disks", dom->name);
}

static int need_qemu(struct snap_hyp *h, const struct snap_domain *dom,
                     struct snap_err *err)
{
    enum hyp_state state;
    int rc;

    rc = hyp_state(h, dom, &state, err);
    if (rc)
        return rc;
    if (dom->stubdom)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: its device model runs in a stub domain, out of reach",
                         dom->name);
    if (state == HYP_DYING)
        return snap_fail(err, SNAP_NOTFOUND, "%s: it is being destroyed",
                         dom->name);
    if (!dom->qemu_pid || !hyp_is_qemu(dom->qemu_pid, dom->domid))
        return no_qemu(h, dom, err);
    return 0;
}

int hyp_qmp_open(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_qmp **q_r, struct snap_err *err)
{
    struct snap_err first = SNAP_ERR_INIT;
    char path[64];
    int rc, lock = -1;

    *q_r = NULL;
    rc = hyp_enter(h, "qmp_open", err);
    if (rc)
        goto out;
    rc = need_qemu(h, dom, err);
    if (rc)
        goto out;
    snprintf(path, sizeof(path), HYP_RUN_DIR "/qmp-libxenstat-%u", dom->domid);
    rc = snap_qmp_connect(path, GREETING_MS, h->log, q_r, &first);
    if (!rc)
        goto out;
    if (dom->type == SNAP_GUEST_HVM) {
        rc = snap_fail(err, rc == SNAP_NOTFOUND ? SNAP_IO : rc, "%s: %s",
                       dom->name, first.msg);
        goto out;
    }
    snap_err_clear(&first);

    /* For PV and PVH libxl needs its socket for `xl block-attach` and the
     * like only; the lock keeps us from cutting in, not from being there. */
    rc = hyp_lock_userdata(dom, "qmp-socket-lock", LOCK_MS, &lock, err);
    if (rc)
        goto out;
    snprintf(path, sizeof(path), HYP_RUN_DIR "/qmp-libxl-%u", dom->domid);
    rc = snap_qmp_connect(path, GREETING_MS, h->log, q_r, &first);
    /* A socket that is not there says nothing of the QEMU, which is. */
    if (rc)
        rc = snap_fail(err, rc == SNAP_NOTFOUND ? SNAP_IO : rc, "%s: %s",
                       dom->name, first.msg);

out:
    hyp_unlock(&lock);
    return rc;
}

int hyp_qmp_brief(struct snap_hyp *h, const struct snap_domain *dom,
                  const char *const *commands, struct snap_err *err)
{
    struct snap_qmp *q = NULL;
    char path[64];
    int rc, lock = -1;

    rc = need_qemu(h, dom, err);
    if (rc)
        goto out;
    rc = hyp_lock_userdata(dom, "qmp-socket-lock", LOCK_MS, &lock, err);
    if (rc)
        goto out;
    snprintf(path, sizeof(path), HYP_RUN_DIR "/qmp-libxl-%u", dom->domid);
    rc = snap_qmp_connect(path, GREETING_MS, h->log, &q, err);
    for (; !rc && *commands; commands++)
        rc = snap_qmp_command(q, *commands, NULL, COMMAND_MS, NULL, err);
    if (rc)
        snap_err_prefix(err, "%s", dom->name);

out:
    snap_qmp_close(q);
    hyp_unlock(&lock);
    return rc;
}
