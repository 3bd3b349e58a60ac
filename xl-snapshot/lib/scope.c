/* SPDX-License-Identifier: LGPL-2.1-only */
/* See scope.h. */
#include "lib/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/mem.h"
#include "lib/run.h"

/* sd_booted(3). */
const char *snap_scope_systemd = "/run/systemd/system";

/* systemd moves us a little after it has answered. */
static bool moved(const char *before, int limit_ms)
{
    double deadline = snap_now_ms() + limit_ms;
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

int snap_scope_enter(const struct snap_log *log, const char *description,
                     int limit_ms, struct snap_err *err)
{
    char pid[16], unit[64], *before;
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
    before = snap_cgroup_of(getpid());
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    snprintf(unit, sizeof(unit), "xl-snapshot-%ld-%llx.scope", (long)getpid(),
             (unsigned long long)snap_now_ms());
    r.argv = argv;
    r.timeout_ms = limit_ms;
    r.log = log;
    rc = snap_run(&r, err);
    if (!rc && !moved(before, limit_ms))
        rc = snap_fail(err, SNAP_TIMEOUT,
                       "systemd did not move us into %s within %d ms", unit,
                       limit_ms);
    snap_run_dispose(&r);
    free(before);
    return rc;
}
