/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The connection to the hypervisor.  Assumes to run as root in dom0; says so
 * plainly where not.
 */
#include "hyp/ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/window.h"
#include "lib/fault.h"
#include "lib/run.h"

/* --- opening ----------------------------------------------------------- */

const char *hyp_capabilities = "/proc/xen/capabilities";
const char *hyp_privcmd = "/dev/xen/privcmd";

/* Xen's own mark of a control domain: drivers/xen/xenfs of Linux.  It is mounted
 * in /proc, and a unit with ProtectControlGroups=, ProtectKernelTunables= or
 * ProtectProc= has a new /proc without it (systemd 252, src/core/namespace.c):
 * xl works there all the same. */
enum hyp_control hyp_control(void)
{
    char text[64] = "";
    ssize_t n;
    int fd = open(hyp_capabilities, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return access(hyp_privcmd, F_OK) ? HYP_CONTROL_NO : HYP_CONTROL_ASK;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 && strstr(text, "control_d") ? HYP_CONTROL_YES
                                              : HYP_CONTROL_NO;
}

static int not_control(struct snap_err *err)
{
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "this is not Xen's control domain (no \"control_d\" in /proc/xen/capabilities)");
}

/* Xen answers a XEN_SYSCTL of its control domain only. */
static int ask_control(struct snap_hyp *h, struct snap_err *err)
{
    libxl_physinfo phys;
    int xl;

    libxl_physinfo_init(&phys);
    xl = libxl_get_physinfo(h->ctx, &phys);
    libxl_physinfo_dispose(&phys);
    if (!xl)
        return 0;
    return snap_fail(err, SNAP_UNSUPPORTED,
                     "this is not Xen's control domain (there is no /proc/xen/capabilities, and Xen refuses: %s)",
                     h->logger.first[0] ? h->logger.first : "no reason given");
}

int hyp_open(const struct snap_log *log, struct snap_hyp **h_r,
             struct snap_err *err)
{
    const libxl_version_info *info;
    enum hyp_control control = hyp_control();
    struct snap_hyp *h = NULL;
    int rc;

    *h_r = NULL;
    if (geteuid() != 0) {
        rc = snap_fail(err, SNAP_REFUSED, "Xen can only be talked to as root");
        goto out;
    }
    if (control == HYP_CONTROL_NO) {
        rc = not_control(err);
        goto out;
    }

    h = snap_zalloc(sizeof(*h));
    h->log = log;
    h->held_monitor = -1;
    hyp_logger_init(&h->logger, log);
    rc = hyp_enter(h, "open", err);
    if (rc)
        goto out;
    h->ctx = hyp_ctx_new(&h->logger);
    if (!h->ctx) {
        rc = hyp_fail(h, err, 0, "cannot talk to the hypervisor");
        goto out;
    }
    rc = control == HYP_CONTROL_ASK ? ask_control(h, err) : 0;
    if (rc)
        goto out;
    h->xsh = xs_open(0);
    if (!h->xsh) {
        rc = snap_fail_errno(err, SNAP_FAIL, errno,
                             "cannot talk to xenstored (is it running?)");
        goto out;
    }
    info = libxl_get_version_info(h->ctx);
    if (!info) {
        rc = hyp_fail(h, err, 0, "cannot learn Xen's version");
        goto out;
    }
    h->xen_major = info->xen_version_major;
    h->xen_minor = info->xen_version_minor;

    *h_r = h;
    h = NULL;
    rc = 0;

out:
    hyp_close(h);
    return rc;
}

void hyp_close(struct snap_hyp *h)
{
    if (!h)
        return;
    /* Never let go here: if the guest is still suspended its monitor would
     * take that for the end.  rescue() continues both. */
    if (h->held_monitor >= 0)
        close(h->held_monitor);
    hyp_window_close(h);
    if (h->xsh)
        xs_close(h->xsh);
    if (h->ctx)
        libxl_ctx_free(h->ctx);
    pthread_mutex_destroy(&h->logger.lock);
    free(h->qemu_version);
    free(h);
}

/* --- version ----------------------------------------------------------- */

/* The QEMU that serves Xen's disks: Debian's path, then those that Xen's own
 * build and other distributions use. */
static char *qemu_version(const struct snap_log *log)
{
    static const char *const places[] = {
        "/usr/libexec/xen-qemu-system-i386",
        "/usr/lib/xen/bin/qemu-system-i386",
        "/usr/local/lib/xen/bin/qemu-system-i386",
        "/usr/bin/qemu-system-i386",
    };
    char *version = NULL, *at, *end;
    size_t i;

    for (i = 0; i < sizeof(places) / sizeof(places[0]) && !version; i++) {
        const char *const argv[] = { places[i], "--version", NULL };
        struct snap_run run = SNAP_RUN_INIT;

        if (access(places[i], X_OK))
            continue;
        run.argv = argv;
        run.timeout_ms = 20000;
        run.log = log;
        if (!snap_run(&run, NULL) && run.out &&
            (at = strstr(run.out, "version "))) {
            at += strlen("version ");
            end = at + strspn(at, "0123456789.");
            version = snap_strndup(at, end - at);
        }
        snap_run_dispose(&run);
    }
    return version ? version : snap_strdup("unknown");
}

int hyp_version(struct snap_hyp *h, char **text_r, struct snap_err *err)
{
    const libxl_version_info *info;
    int rc;

    *text_r = NULL;
    rc = hyp_enter(h, "version", err);
    if (rc)
        goto out;
    info = libxl_get_version_info(h->ctx);
    if (!info) {
        rc = hyp_fail(h, err, 0, "cannot learn Xen's version");
        goto out;
    }
    if (!h->qemu_version)
        h->qemu_version = qemu_version(h->log);
    *text_r = snap_printf("Xen %d.%d%s, QEMU %s", info->xen_version_major,
                          info->xen_version_minor,
                          info->xen_version_extra ? info->xen_version_extra
                                                  : "",
                          h->qemu_version);
    rc = 0;

out:
    return rc;
}
