/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Booting a domain for a command of ours: checked for clashes, paused, and
 * watched by a monitor of our own, since xl's daemon is started only by xl's
 * commands.  On failure nothing of it is left.
 */
#include "hyp/create.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyp/boot.h"
#include "hyp/call.h"
#include "hyp/daemon.h"
#include "hyp/destroy.h"
#include "hyp/domain.h"
#include "hyp/mark.h"
#include "hyp/proc.h"
#include "hyp/scope.h"
#include "model/domain_json.h"

#define MONITOR_MS 60000 /* for it to begin watching */

/*
 * libxl refuses a name that is taken, late; a uuid that is taken it does not
 * notice, and clears the other domain's part of xenstore (libxl_create.c:
 * libxl__domain_make() removes /vm/UUID first).
 */
int hyp_clash(struct snap_hyp *h, const char *config_json, char **name_r,
              char uuid_r[37], struct snap_err *err)
{
    uint32_t domid;
    int rc;

    rc = snap_domain_json_identity(config_json, name_r, uuid_r, NULL, NULL,
                                   err);
    if (rc)
        goto out;
    rc = hyp_domid_of_uuid(h, uuid_r, &domid);
    if (!rc) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "domain %u has the uuid %s of %s and is still there",
                       domid, uuid_r, *name_r);
        goto out;
    }
    if (rc != SNAP_NOTFOUND) {
        rc = snap_fail(err, rc == SNAP_BUSY ? SNAP_EXISTS : rc,
                       rc == SNAP_BUSY
                           ? "two domains have the uuid %s of %s (a migration to this host?)"
                           : "whether a domain has the uuid %s of %s cannot be told",
                       uuid_r, *name_r);
        goto out;
    }
    if (!libxl_name_to_domid(h->ctx, *name_r, &domid)) {
        rc = snap_fail(err, SNAP_EXISTS,
                       "domain %u has the name \"%s\" already", domid,
                       *name_r);
        goto out;
    }
    rc = 0;

out:
    if (rc)
        snap_free(name_r);
    return rc;
}

/* Start "OURSELVES --monitor DOMID LOG" and wait until it watches. */
static int start_monitor(struct snap_hyp *h, uint32_t domid, const char *name,
                         struct snap_err *err)
{
    char *log = NULL, *base = NULL, *p, number[16];
    int rc, fd = -1, status;
    sigset_t none;
    pid_t pid = 0;

    /* libxl moves the logs of earlier ones aside: xl-NAME.log.1 and so on. */
    base = snap_printf("xl-%s", name);
    for (p = base; *p; p++)
        if (*p == '/')
            *p = '_';
    if (libxl_create_logfile(h->ctx, base, &log)) {
        rc = hyp_fail(h, err, 0, "%s: cannot make its monitor's log", name);
        goto out;
    }
    snprintf(number, sizeof(number), "%u", domid);

    pid = fork();
    if (pid == 0) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/proc/self/exe", "xl-snapshot", "--monitor", number, log,
              (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        fd = hyp_pidfd_open(pid);
    if (pid < 0 || fd < 0) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno,
                             "%s: cannot start its monitor", name);
        goto out;
    }
    /* It exits with 0 once the daemon it forked is watching. */
    if (hyp_pidfd_wait(fd, MONITOR_MS)) {
        rc = snap_fail(err, SNAP_TIMEOUT,
                       "%s: its monitor did not begin to watch within %d s",
                       name, MONITOR_MS / 1000);
        goto out;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    pid = 0;
    if (status) {
        rc = snap_fail(err, SNAP_FAIL, "%s: its monitor failed (see %s)", name,
                       log);
        goto out;
    }
    rc = 0;

out:
    if (pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (fd >= 0)
        close(fd);
    free(base);
    free(log);
    return rc;
}

int hyp_create(struct snap_hyp *h, const char *config_json, const char *mark,
               struct snap_domain *dom_r, struct snap_err *err)
{
    uint32_t domid = INVALID_DOMID;
    libxl_domain_config cfg;
    char *name = NULL, *marked = NULL, uuid[37];
    struct hyp_scope scope = { NULL };
    int rc, xl;

    libxl_domain_config_init(&cfg);
    rc = hyp_enter(h, "create", err);
    if (rc)
        goto out;
    rc = hyp_clash(h, config_json, &name, uuid, err);
    if (rc)
        goto out;
    rc = hyp_mark_put(config_json, mark, &marked, err);
    if (rc)
        goto out;
    xl = libxl_domain_config_from_json(h->ctx, &cfg, marked);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: libxl cannot read its configuration",
                      name);
        goto out;
    }
    hyp_scope_enter(h, &scope);
    rc = hyp_boot(h, &cfg, &domid, err);
    if (rc)
        goto out;
    rc = hyp_describe(h, domid, dom_r, err);
    if (rc)
        goto out;
    hyp_mark_forget(h, dom_r);
    rc = start_monitor(h, domid, name, err);
    if (rc)
        goto out;
    dom_r->monitor_pid = hyp_monitor_find(domid, dom_r->name);

out:
    hyp_scope_leave(&scope);
    if (rc && libxl_domid_valid_guest(domid))
        hyp_clear_away(h, uuid, name, domid, err);
    if (rc) {
        snap_domain_dispose(dom_r);
        memset(dom_r, 0, sizeof(*dom_r));
    }
    libxl_domain_config_dispose(&cfg);
    free(marked);
    free(name);
    return rc;
}
