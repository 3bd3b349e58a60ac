/* SPDX-License-Identifier: LGPL-2.1-only */
/* See scope.h. */
#include "lib/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/mem.h"
#include "lib/run.h"

/* sd_booted(3). */
const char *snap_scope_systemd = "/run/systemd/system";

/* systemd moves us a little after it has answered.  A move to anywhere else is
 * not what was asked for. */
static bool moved(const char *unit, int limit_ms)
{
    double deadline = snap_now_ms() + limit_ms;
    bool yes = false;
    char *now;

    do {
        now = snap_cgroup_of(getpid());
        yes = now && strstr(now, unit);
        free(now);
        if (!yes)
            usleep(5000);
    } while (!yes && snap_now_ms() < deadline);
    return yes;
}

int snap_scope_enter(const struct snap_log *log, const char *description,
                     int limit_ms, struct snap_err *err)
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
        description,
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

    if (access(snap_scope_systemd, F_OK))
        return snap_fail(err, SNAP_NOTFOUND, "there is no systemd");
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    snprintf(unit, sizeof(unit), "xl-snapshot-%ld-%llx.scope", (long)getpid(),
             (unsigned long long)snap_now_ms());
    r.argv = argv;
    r.timeout_ms = limit_ms;
    r.log = log;
    rc = snap_run(&r, err);
    if (!rc && !moved(unit, limit_ms))
        rc = snap_fail(err, SNAP_TIMEOUT,
                       "systemd did not move us into %s within %d ms", unit,
                       limit_ms);
    snap_run_dispose(&r);
    return rc;
}
