/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Where the processes go that a new domain needs for as long as it lives: its
 * QEMU, xl's daemon or our monitor, whatever its scripts start.  They inherit
 * our control group, and when that is a systemd unit's, systemd ends them with
 * the unit, and with them the guest's disks.
 *
 * So we go into another group while we start them, and come back.  Where
 * systemd is process 1 it makes the group, a transient scope: a group beside
 * its own would be none of its business, but systemd.resource-control(5) asks
 * for one writer.  DefaultDependencies=no: at shutdown it must not end QEMU
 * before xendomains.service has saved the guests.  Anywhere else, and where
 * systemd does not answer, it is a group of ours (lib/cgroup.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hyp/hyp.h"
#include "lib/cgroup.h"
#include "lib/run.h"

#define ASK_MS  5000 /* for systemd to take the order */
#define MOVE_MS 3000 /* for us to be moved */

/* sd_booted(3). */
const char *hyp_scope_systemd = "/run/systemd/system";

/* systemd moves us a little after it has answered. */
static bool moved(const char *before)
{
    double deadline = snap_now_ms() + MOVE_MS;
    bool yes = false;
    char *now;

    do {
        now = snap_cgroup_of(getpid());
        yes = now && !snap_streq(now, before);
        free(now);
        if (!yes)
            usleep(5000);
    } while (!yes && snap_now_ms() < deadline);
    return yes;
}

static int by_systemd(struct snap_hyp *h, const char *before,
                      struct snap_err *err)
{
    char pid[16], unit[64];
    const char *const argv[] = {
        "busctl",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        unit,
        "fail",
        "3",
        "Description",
        "s",
        "Xen domain built by xl-snapshot",
        "DefaultDependencies",
        "b",
        "false",
        "PIDs",
        "au",
        "1",
        pid,
        "0",
        NULL,
    };
    struct snap_run r = SNAP_RUN_INIT;
    int rc;

    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    snprintf(unit, sizeof(unit), "xl-snapshot-%ld-%llx.scope", (long)getpid(),
             (unsigned long long)snap_now_ms());
    r.argv = argv;
    r.timeout_ms = ASK_MS;
    r.log = h->log;
    rc = snap_run(&r, err);
    if (!rc && !moved(before))
        rc = snap_fail(err, SNAP_TIMEOUT,
                       "systemd did not move us into %s within %d s", unit,
                       MOVE_MS / 1000);
    snap_run_dispose(&r);
    return rc;
}

void hyp_scope_enter(struct snap_hyp *h, struct hyp_scope *s)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc = SNAP_NOTFOUND;

    s->before = snap_cgroup_of(getpid());
    if (!access(hyp_scope_systemd, F_OK)) {
        rc = by_systemd(h, s->before, &why);
        if (rc)
            snap_say(h->log, SNAP_LOG_DEBUG, "no scope of systemd's: %s",
                     why.msg);
        snap_err_clear(&why);
    }
    if (rc)
        rc = snap_cgroup_leave(getpid(), &why);
    if (rc)
        snap_say(h->log, SNAP_LOG_WARN,
                 "if this command is part of a systemd unit, the domain ends "
                 "with the unit: %s",
                 why.msg);
}

void hyp_scope_leave(struct hyp_scope *s)
{
    if (s->before)
        snap_cgroup_return(getpid(), s->before);
    snap_free(&s->before);
}
