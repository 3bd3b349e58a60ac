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
 * A save that fails must not leave a request to suspend behind (settle.c), and
 * what ends one early comes through stopwatch.c.  Signals that reach our group
 * (Ctrl-C, a lost terminal) must not reach libxl's save helper, so they are
 * blocked while it is started, which it inherits; it unblocks SIGTERM itself.
 *
 * Whatever happens: on failure before at_stop the guest runs and its monitor
 * too, or SNAP_RECOVER says that it may not.
 */
#include "hyp/save.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/daemon.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/proc.h"
#include "hyp/qmp_sock.h"
#include "hyp/saveheader.h"
#include "hyp/savers.h"
#include "hyp/settle.h"
#include "hyp/stopwatch.h"
#include "hyp/window.h"
#include "lib/file.h"

#define STOP_MS   1000 /* for a process that was told to stop */
#define OTHERS_MS 10000
#define TICK_US   20000

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
        hyp_wait_stopped(dom->monitor_pid, STOP_MS);
        return;
    }
    if (fd >= 0)
        close(fd);
    snap_say(h->log, SNAP_LOG_WARN,
             "%s: the xl daemon watching it (process %d) is gone", dom->name,
             (int)dom->monitor_pid);
}

/* The daemon takes libxl's locks too: a CD that the guest ejects is enough.
 * Stopped with one in hand, it would hold up the save for ever. */
static int monitor_hold_without_locks(struct snap_hyp *h,
                                      const struct snap_domain *dom,
                                      struct snap_err *err)
{
    double deadline = snap_now_ms() + hyp_limits.lock_ms;

    for (;;) {
        monitor_hold(h, dom);
        if (hyp_window_locks_free(h, dom))
            return 0;
        hyp_monitor_release(h);
        if (snap_now_ms() >= deadline)
            return snap_fail(err, SNAP_BUSY,
                             "%s: another xl command has been holding one of its locks for %d ms",
                             dom->name, hyp_limits.lock_ms);
        usleep(TICK_US);
    }
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

/* One save, from its first step on. */
struct saving {
    const struct snap_domain *dom;
    bool live, early;
    bool begun; /* something may have to be put right */
    sigset_t mask; /* before it */
    struct hyp_watched seen;
};

/* May it begin?  Nothing has been done when not. */
static int may_save(struct snap_hyp *h, const struct snap_domain *dom,
                    struct snap_err *err)
{
    enum hyp_state state;
    int rc;

    rc = hyp_state(h, dom, &state, err);
    if (rc)
        return rc;
    if (state == HYP_SUSPENDED || state == HYP_SHUTDOWN || state == HYP_DYING)
        return snap_fail(err, SNAP_REFUSED, "%s: it is not running",
                         dom->name);
    return 0;
}

/* All that comes between the guest and libxl_domain_suspend(). */
static int save_begin(struct snap_hyp *h, struct saving *s, int fd,
                      const struct snap_at_stop *at_stop, struct snap_err *err)
{
    int rc;

    hyp_stopwatch_free(&h->watch);
    s->begun = true;
    rc = hyp_asked_set(h, s->dom, err);
    if (!rc)
        rc = monitor_hold_without_locks(h, s->dom, err);
    if (!rc)
        rc = hyp_stopwatch_start(h, s->dom, fd, s->live,
                                 s->early ? at_stop : NULL, &h->watch, err);
    /* As late as can be: one that begins now is seen by the watch. */
    if (!rc)
        rc = hyp_saver_refuse(s->dom, err);
    if (rc && h->watch)
        hyp_stopwatch_stop(h->watch, &s->seen);
    return rc;
}

/* Why there is no memory image. */
static int fail_save(struct snap_hyp *h, const struct saving *s, int xl,
                     struct snap_err *err)
{
    const struct hyp_saver *other = &s->seen.saver;
    const char *name = s->dom->name;

    if (other->helper)
        return snap_fail(err, SNAP_BUSY,
                         "%s: %s (process %d) saved or migrated it at the same time",
                         name, other->user ? other->program : "a save helper",
                         (int)(other->user ? other->user : other->helper));
    if (s->seen.ended == HYP_ENDED_ASKED)
        return snap_fail(err, SNAP_INTR,
                         "%s: interrupted while its memory was saved", name);
    if (s->seen.ended == HYP_ENDED_GONE)
        return snap_fail(err, SNAP_BUSY,
                         "%s: it shut down or was destroyed while its memory was saved",
                         name);
    if (s->seen.ended == HYP_ENDED_STALL)
        return snap_fail(err, SNAP_TIMEOUT,
                         "%s: it stood for a minute without anything of its memory being written",
                         name);
    return hyp_fail(h, err, xl, "%s: cannot save its memory", name);
}

/* libxl says that it is saved.  That is worth something only if the guest
 * stood from then on. */
static int check_saved(struct snap_hyp *h, const struct saving *s,
                       struct snap_err *err)
{
    static const char *const reactivate[] = { "cont", "stop", NULL };
    enum hyp_state state;
    int rc;

    if (s->seen.saver.helper)
        return fail_save(h, s, 0, err);
    rc = hyp_state(h, s->dom, &state, err);
    if (rc)
        return rc;
    if (state != HYP_SUSPENDED)
        return snap_fail(err, SNAP_BUSY,
                         "%s: somebody let it go on while its memory was saved",
                         s->dom->name);
    if (s->live && s->dom->type == SNAP_GUEST_HVM)
        return hyp_qmp_brief(h, s->dom, reactivate, err);
    return 0;
}

/* The guest and its monitor go on after a save that failed, and no request of
 * ours will stop it later. */
static int save_let_go_on(struct snap_hyp *h, const struct saving *s,
                          struct snap_err *err)
{
    /* One that has stopped has followed the request already. */
    bool asked = h->watch && s->seen.stopped_ms == 0 &&
                 hyp_stopwatch_asked(h->watch);
    const struct snap_domain *dom = s->dom;
    struct hyp_saver other;
    enum hyp_state state;
    int rc, xl;

    /* It may be theirs by now, and they will see to it. */
    if ((asked || s->seen.stopped_ms > 0) &&
        hyp_saver_wait(dom->domid, OTHERS_MS, &other))
        return snap_fail(err, SNAP_RECOVER,
                         "%s (process %d) is still at work on it",
                         other.user ? other.program : "a save helper",
                         (int)(other.user ? other.user : other.helper));
    rc = asked ? hyp_settle(h, dom, &state, err)
               : hyp_state(h, dom, &state, err);
    if (!rc && state == HYP_SUSPENDED) {
        xl = libxl_domain_resume(h->ctx, dom->domid, 1, NULL);
        if (xl)
            rc = hyp_fail(h, err, xl, "it could not be resumed");
    }
    if (rc && rc != SNAP_NOTFOUND)
        return rc;
    if (!rc && s->live && !hyp_saver_find(dom->domid, &other))
        hyp_dirty_log_off(h, dom);
    hyp_asked_clear(h, dom->domid);
    hyp_monitor_release(h);
    return 0;
}

static int save_undo(struct snap_hyp *h, const struct saving *s, int rc,
                     struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;

    if (!save_let_go_on(h, s, &e))
        return rc;
    snap_err_append(err, "and it may have stopped, or may still stop: %s",
                    e.msg);
    if (err)
        err->rc = SNAP_RECOVER;
    return SNAP_RECOVER;
}

/* What libxl forks in here inherits the mask. */
static void block_signals(sigset_t *old)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, old);
}

static int suspend(struct snap_hyp *h, struct saving *s, int fd,
                   struct snap_err *err)
{
    int xl = libxl_domain_suspend(hyp_stopwatch_ctx(h->watch), s->dom->domid,
                                  fd, s->live ? LIBXL_SUSPEND_LIVE : 0, NULL);

    hyp_stopwatch_stop(h->watch, &s->seen);
    if (!xl)
        return check_saved(h, s, err);
    hyp_stopwatch_spoil(h->watch);
    return fail_save(h, s, xl, err);
}

int hyp_save(struct snap_hyp *h, const struct snap_domain *dom,
             const char *config_json, int fd, bool live,
             const struct snap_at_stop *at_stop,
             struct snap_save_result *res_r, struct snap_err *err)
{
    struct saving s = {
        .dom = dom,
        .live = live,
        .early = live && dom->type == SNAP_GUEST_PVH,
    };
    struct stat st;
    int rc;

    res_r->stopped_ms = 0;
    res_r->bytes = 0;
    block_signals(&s.mask);
    rc = hyp_enter(h, "save", err);
    if (!rc)
        rc = may_save(h, dom, err);
    if (!rc)
        rc = write_header(config_json, fd, err);
    if (!rc)
        rc = save_begin(h, &s, fd, at_stop, err);
    if (!rc)
        rc = suspend(h, &s, fd, err);
    if (!rc && fstat(fd, &st))
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s: its memory image",
                             dom->name);
    res_r->stopped_ms = s.seen.stopped_ms;
    if (rc)
        goto out;
    res_r->bytes = st.st_size;
    if (res_r->stopped_ms == 0)
        res_r->stopped_ms = snap_now_ms();
    /* What was pressed meanwhile is heard before the disks are taken. */
    pthread_sigmask(SIG_SETMASK, &s.mask, NULL);
    if (!s.seen.called)
        at_stop->fn(at_stop->opaque);

out:
    if (rc && s.begun && !s.seen.called)
        rc = save_undo(h, &s, rc, err);
    pthread_sigmask(SIG_SETMASK, &s.mask, NULL);
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
    if (state != HYP_SUSPENDED) {
        rc = snap_fail(err, SNAP_BUSY,
                       "%s: somebody else let it go on before us, so its memory image is torn",
                       dom->name);
        goto out;
    }
    /* The other way round, the guest would run for a moment. */
    if (paused) {
        xl = libxl_domain_pause(h->ctx, dom->domid, NULL);
        if (xl) {
            rc = hyp_fail(h, err, xl, "%s: cannot pause it", dom->name);
            goto out;
        }
    }
    xl = libxl_domain_resume(h->ctx, dom->domid, 1, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot resume it", dom->name);
        goto out;
    }
    rc = 0;

out:
    /* While the guest is suspended the monitor stays stopped: let go, it
     * would exit.  rescue() looks after both. */
    if (!rc || rc == SNAP_NOTFOUND || rc == SNAP_BUSY) {
        hyp_asked_clear(h, dom->domid);
        hyp_monitor_release(h);
    }
    return rc;
}
