/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Booting a domain from a configuration as xl does, for hyp_create() and for
 * the monitor's reboots.  xl itself boots from xl.cfg text only, and a
 * configuration of libxl's cannot be turned back into that.
 *
 * What xl does around libxl_domain_create_new() (tools/xl/xl_vmcontrol.c,
 * xl.c, Xen 4.17): while dom0 gives memory to guests ("autoballoon": on
 * unless Xen was booted with dom0_mem), creations exclude each other through
 * a record lock on /var/lock/xl, and dom0 shrinks until there is enough.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libxlutil.h>

#include "core/domcfg.h"
#include "hyp/hyp.h"

#define BALLOON_SECONDS 30 /* without dom0 getting there */
#define LOCK_SECONDS    120

/* --- xl.conf ----------------------------------------------------------- */

bool hyp_autoballoon(struct snap_hyp *h)
{
    const libxl_version_info *info;
    FILE *null = fopen("/dev/null", "w");
    XLU_Config *cfg = NULL;
    const char *value;
    bool on = true;

    info = libxl_get_version_info(h->ctx);
    if (info && info->commandline)
        on = !(snap_has_prefix(info->commandline, "dom0_mem=") ||
               strstr(info->commandline, " dom0_mem="));
    if (null)
        cfg = xlu_cfg_init(null, "xl.conf");
    if (cfg && !xlu_cfg_readfile(cfg, "/etc/xen/xl.conf") &&
        !xlu_cfg_get_string(cfg, "autoballoon", &value, 1)) {
        if (!strcmp(value, "on") || !strcmp(value, "1"))
            on = true;
        else if (!strcmp(value, "off") || !strcmp(value, "0"))
            on = false;
    }
    if (cfg)
        xlu_cfg_destroy(cfg);
    if (null)
        fclose(null);
    return on;
}

/* xl's lock: fcntl(2), so that xl's own users and we see each other. */
static int take_lock(int *fd_r, struct snap_err *err)
{
    double deadline = snap_now_ms() + LOCK_SECONDS * 1000.0;
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    fd = open(HYP_LOCK_XL, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0200);
    if (fd < 0)
        return snap_fail_errno(err, SNAP_FAIL, errno, HYP_LOCK_XL);
    while (fcntl(fd, F_SETLK, &fl)) {
        if (errno != EACCES && errno != EAGAIN && errno != EINTR) {
            close(fd);
            return snap_fail_errno(err, SNAP_FAIL, errno, HYP_LOCK_XL);
        }
        if (snap_now_ms() >= deadline) {
            close(fd);
            return snap_fail(err, SNAP_BUSY,
                             "xl has been building another domain for %d s "
                             "(" HYP_LOCK_XL ")",
                             LOCK_SECONDS);
        }
        usleep(50000);
    }
    *fd_r = fd;
    return 0;
}

static int make_room(struct snap_hyp *h, libxl_domain_config *cfg,
                     struct snap_err *err)
{
    double deadline = snap_now_ms() + BALLOON_SECONDS * 1000.0;
    const char *name = cfg->c_info.name;
    uint64_t need = 0, have = 0;
    int xl;

    xl = libxl_domain_need_memory(h->ctx, cfg, INVALID_DOMID, &need);
    if (xl)
        return hyp_fail(h, err, xl, "%s: cannot tell how much memory it needs",
                        name);
    for (;;) {
        xl = libxl_get_free_memory(h->ctx, &have);
        if (xl)
            return hyp_fail(h, err, xl, "cannot learn how much is free");
        if (have >= need)
            return 0;
        if (snap_now_ms() >= deadline)
            return snap_fail(err, SNAP_NOSPACE,
                             "%s: needs %llu MB of memory, of which dom0 "
                             "could free %llu",
                             name, (unsigned long long)need >> 10,
                             (unsigned long long)have >> 10);
        xl = libxl_set_memory_target(h->ctx, 0, (int64_t)have - (int64_t)need,
                                     1, 0);
        if (xl)
            return hyp_fail(h, err, xl,
                            "%s: needs %llu MB of memory, %llu are free, and "
                            "dom0 gives up no more",
                            name, (unsigned long long)need >> 10,
                            (unsigned long long)have >> 10);
        /* Returns at once with an error while dom0 is on its way. */
        libxl_wait_for_memory_target(h->ctx, 0, 1);
    }
}

int hyp_boot(struct snap_hyp *h, libxl_domain_config *cfg, uint32_t *domid_r,
             struct snap_err *err)
{
    uint32_t domid = INVALID_DOMID;
    int rc, xl, lock = -1;

    if (hyp_autoballoon(h)) {
        rc = take_lock(&lock, err);
        if (rc)
            goto out;
        rc = make_room(h, cfg, err);
        if (rc)
            goto out;
    }
    cfg->c_info.domid = INVALID_DOMID;
    xl = libxl_domain_create_new(h->ctx, cfg, &domid, NULL, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot create it", cfg->c_info.name);
        goto out;
    }
    *domid_r = domid;
    rc = 0;

out:
    if (rc && libxl_domid_valid_guest(domid))
        libxl_domain_destroy(h->ctx, domid, NULL);
    if (lock >= 0)
        close(lock);
    return rc;
}
