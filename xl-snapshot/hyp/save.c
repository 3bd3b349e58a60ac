/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Saving a guest's memory, and letting it go on.
 *
 * Three things surprise (Xen 4.17):
 *  - On Xen before 4.20 the xl daemon that watches a domain takes a suspend
 *    for its end and exits; afterwards nobody answers the guest's reboot.
 *    libxl looks at the domain's state when the daemon runs, so a daemon
 *    that is stopped (SIGSTOP) until the guest runs again notices nothing.
 *    (libxl_domain.c: domain_death_xswatch_callback(); xl commit 6b8c85872e.)
 *  - libxl_domain_resume() on a domain that is not suspended fails and can
 *    harm; so whatever failed, the domain's own state decides.
 *  - QEMU gives up its images after a live save of an HVM guest, as it would
 *    for a migration (migration/savevm.c: qmp_xen_save_devices_state()), and
 *    internal snapshots then fail; "cont" takes them back, and "stop" leaves
 *    QEMU as resume expects it.  The guest's processors stand still in Xen.
 *
 * A live save of a PVH guest calls at_stop as soon as the guest stands still,
 * beside the last round of memory: nothing of QEMU is in its image.  An HVM
 * guest's QEMU is busy with being saved until the end.  A save that is not
 * live calls it after the memory: it would fail, or be ended by its user, for
 * long with the disks switched.
 *
 * Whatever happens: on failure before at_stop the guest runs and its monitor
 * too.
 */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/hyp.h"
#include "hyp/saveheader.h"
#include "lib/file.h"

/* --- the monitor ------------------------------------------------------- */

static bool monitor_fears_suspend(const struct snap_hyp *h)
{
    return h->xen_major == 4 && h->xen_minor < 20;
}

/* Stop it.  Opened first and looked at then: the pid cannot change between. */
static void monitor_hold(struct snap_hyp *h, const struct snap_domain *dom)
{
    int fd;

    hyp_monitor_release(h);
    if (!dom->monitor_pid || !monitor_fears_suspend(h))
        return;
    fd = hyp_pidfd_open(dom->monitor_pid);
    if (fd >= 0 && hyp_is_monitor(dom->monitor_pid) &&
        !hyp_pidfd_signal(fd, SIGSTOP)) {
        h->held_monitor = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
    snap_say(h->log, SNAP_LOG_WARN,
             "%s: the xl daemon watching it (process %d) is gone", dom->name,
             (int)dom->monitor_pid);
}

void hyp_monitor_release(struct snap_hyp *h)
{
    if (h->held_monitor < 0)
        return;
    hyp_pidfd_signal(h->held_monitor, SIGCONT);
    close(h->held_monitor);
    h->held_monitor = -1;
}

/* --- save -------------------------------------------------------------- */

static int write_header(const char *config_json, int fd, struct snap_err *err)
{
    struct snap_buf b = { 0 };
    int rc;

    snap_saveheader_write(&b, config_json, true);
    rc = snap_write_all(fd, b.data, b.len, "memory image", err);
    snap_buf_dispose(&b);
    return rc;
}

/* The guest must run on, whatever state the failure left it in.  err has
 * the reason already; what goes wrong here is appended. */
static void run_on(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err)
{
    enum hyp_state state;

    if (!hyp_state(h, dom, &state, NULL) && state == HYP_SUSPENDED &&
        libxl_domain_resume(h->ctx, dom->domid, 1, NULL))
        snap_err_append(err, "and the guest could not be resumed");
    hyp_monitor_release(h);
}

int hyp_save(struct snap_hyp *h, const struct snap_domain *dom,
             const char *config_json, int fd, bool live,
             const struct snap_at_stop *at_stop,
             struct snap_save_result *res_r, struct snap_err *err)
{
    static const char *const reactivate[] = { "cont", "stop", NULL };
    const bool early = live && dom->type == SNAP_GUEST_PVH;
    bool begun = false, called = false;
    enum hyp_state state;
    struct stat st;
    int rc, xl;

    res_r->stopped_ms = 0;
    res_r->bytes = 0;
    rc = hyp_enter(h, "save", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    if (state == HYP_SUSPENDED || state == HYP_SHUTDOWN ||
        state == HYP_DYING) {
        rc = snap_fail(err, SNAP_REFUSED, "%s: it is not running", dom->name);
        goto out;
    }
    rc = write_header(config_json, fd, err);
    if (rc)
        goto out;

    hyp_stopwatch_free(&h->watch);
    h->watch = hyp_stopwatch_start(dom->domid, early ? at_stop : NULL);
    begun = true;
    monitor_hold(h, dom);
    xl = libxl_domain_suspend(h->ctx, dom->domid, fd,
                              live ? LIBXL_SUSPEND_LIVE : 0, NULL);
    res_r->stopped_ms = hyp_stopwatch_stop(h->watch);
    called = early && res_r->stopped_ms;
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot save its memory", dom->name);
        goto out;
    }
    if (live && dom->type == SNAP_GUEST_HVM) {
        rc = hyp_qmp_brief(h, dom, reactivate, err);
        if (rc)
            goto out;
    }
    if (fstat(fd, &st)) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s: its memory image",
                             dom->name);
        goto out;
    }
    res_r->bytes = st.st_size;
    if (!res_r->stopped_ms)
        res_r->stopped_ms = snap_now_ms();
    if (!called)
        at_stop->fn(at_stop->opaque);
    rc = 0;

out:
    if (rc && begun && !called)
        run_on(h, dom, err);
    return rc;
}

/* --- resume ------------------------------------------------------------ */

int hyp_resume(struct snap_hyp *h, const struct snap_domain *dom, bool paused,
               struct snap_err *err)
{
    enum hyp_state state;
    int rc, xl;

    rc = hyp_enter(h, "resume", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    /* The other way round, the guest would run for a moment. */
    if (paused) {
        xl = libxl_domain_pause(h->ctx, dom->domid, NULL);
        if (xl) {
            rc = hyp_fail(h, err, xl, "%s: cannot pause it", dom->name);
            goto out;
        }
    }
    if (state == HYP_SUSPENDED) {
        xl = libxl_domain_resume(h->ctx, dom->domid, 1, NULL);
        if (xl) {
            rc = hyp_fail(h, err, xl, "%s: cannot resume it", dom->name);
            goto out;
        }
    }
    rc = 0;

out:
    /* While the guest is suspended the monitor stays stopped: let go, it
     * would exit.  rescue() looks after both. */
    if (!rc || rc == SNAP_NOTFOUND)
        hyp_monitor_release(h);
    return rc;
}
