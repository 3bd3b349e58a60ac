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
#include "hyp/scope.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/scope.h"

#define LIMIT_MS 5000

void hyp_scope_enter(struct snap_hyp *h, struct hyp_scope *s)
{
    struct snap_err why = SNAP_ERR_INIT;
    int rc;

    s->before = snap_cgroup_of(getpid());
    rc = snap_scope_enter(h->log, "Xen domain built by xl-snapshot", LIMIT_MS,
                          &why);
    if (rc)
        snap_say(h->log, SNAP_LOG_DEBUG, "no scope of systemd's: %s", why.msg);
    snap_err_clear(&why);
    if (rc)
        rc = snap_cgroup_leave(getpid(), &why);
    if (rc)
        snap_say(h->log, SNAP_LOG_WARN,
                 "if this command is part of a systemd unit, the domain ends with the unit: %s",
                 why.msg);
}

void hyp_scope_leave(struct hyp_scope *s)
{
    if (s->before)
        snap_cgroup_return(getpid(), s->before);
    snap_free(&s->before);
}
