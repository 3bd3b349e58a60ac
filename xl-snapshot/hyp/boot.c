/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Booting a domain from a configuration as xl does, for hyp_create() and for
 * the monitor's reboots.  xl itself boots from xl.cfg text only, and a
 * configuration of libxl's cannot be turned back into that.
 *
 * What xl does around libxl_domain_create_new() (tools/xl/xl_vmcontrol.c,
 * xl.c, Xen 4.17): while dom0 gives memory to guests ("autoballoon": on
 * unless Xen was booted with dom0_mem), creations exclude each other through
 * a record lock (xl_lock.c), and dom0 shrinks until there is enough.
 */
#include "hyp/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libxlutil.h>

#include "hyp/call.h"
#include "hyp/destroy.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/memory.h"
#include "hyp/xl_lock.h"
#include "model/domain_json.h"

/* Whatever libxl calls it. */
static int no_space(struct snap_err *err)
{
    if (err)
        err->rc = SNAP_NOSPACE;
    return SNAP_NOSPACE;
}

static int learn_memory(struct snap_hyp *h, libxl_domain_config *cfg,
                        uint64_t *need_r, uint64_t *have_r,
                        struct snap_err *err)
{
    int xl;

    xl = libxl_domain_need_memory(h->ctx, cfg, INVALID_DOMID, need_r);
    if (xl)
        return hyp_fail(h, err, xl, "%s: cannot tell how much memory it needs",
                        cfg->c_info.name);
    xl = libxl_get_free_memory(h->ctx, have_r);
    if (xl)
        return hyp_fail(h, err, xl, "cannot learn how much memory is free");
    return 0;
}

static int make_room(struct snap_hyp *h, libxl_domain_config *cfg,
                     struct snap_err *err)
{
    double deadline = snap_now_ms() + hyp_limits.balloon_ms;
    const char *name = cfg->c_info.name;
    uint64_t need = 0, have = 0, most = 0;
    int rc, xl;

    for (;;) {
        rc = learn_memory(h, cfg, &need, &have, err);
        if (rc)
            return rc;
        if (have >= need)
            return 0;
        if (have > most) {
            most = have;
            deadline = snap_now_ms() + hyp_limits.balloon_ms;
        }
        if (snap_now_ms() >= deadline)
            return snap_fail(err, SNAP_NOSPACE,
                             "%s: needs %llu MB of memory, of which dom0 could free %llu",
                             name, (unsigned long long)need >> 10,
                             (unsigned long long)have >> 10);
        xl = libxl_set_memory_target(h->ctx, 0, (int64_t)have - (int64_t)need,
                                     1, 0);
        if (xl) {
            hyp_fail(h, err, xl,
                     "%s: needs %llu MB of memory, %llu are free, and dom0 gives up no more",
                     name, (unsigned long long)need >> 10,
                     (unsigned long long)have >> 10);
            return no_space(err);
        }
        /* Returns at once with an error while dom0 is on its way. */
        libxl_wait_for_memory_target(h->ctx, 0, 1);
    }
}

/* We may have waited for long. */
static int still_wanted(struct snap_hyp *h, const libxl_domain_config *cfg,
                        struct snap_err *err)
{
    char uuid[37];
    uint32_t domid;
    int rc;

    snprintf(uuid, sizeof(uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(cfg->c_info.uuid));
    rc = hyp_domid_of_uuid(h, uuid, &domid);
    if (rc == SNAP_NOTFOUND)
        return 0;
    if (rc)
        return snap_fail(err, rc, "%s: cannot tell whether it is there",
                         cfg->c_info.name);
    return snap_fail(err, SNAP_EXISTS,
                     "%s: somebody else started it meanwhile, as domain %u",
                     cfg->c_info.name, domid);
}

/* Why libxl could not: for want of memory, or as it says itself. */
static int cannot(struct snap_hyp *h, libxl_domain_config *cfg, int xl,
                  struct snap_err *err)
{
    uint64_t need = 0, have = 0;
    int rc;

    rc = hyp_fail(h, err, xl, "%s: cannot create it", cfg->c_info.name);
    if (learn_memory(h, cfg, &need, &have, NULL) || have >= need)
        return rc;
    snap_err_append(err, "it needs %llu MB of memory, and %llu are free",
                    (unsigned long long)need >> 10,
                    (unsigned long long)have >> 10);
    return no_space(err);
}

int hyp_boot(struct snap_hyp *h, libxl_domain_config *cfg, uint32_t *domid_r,
             struct snap_err *err)
{
    uint32_t domid = INVALID_DOMID;
    int rc, xl, lock = -1;
    char uuid[37];

    if (hyp_autoballoon(h)) {
        rc = hyp_xl_lock(h, cfg->c_info.name, &lock, err);
        if (rc)
            goto out;
    }
    rc = still_wanted(h, cfg, err);
    if (rc)
        goto out;
    if (lock >= 0) {
        rc = make_room(h, cfg, err);
        if (rc)
            goto out;
    }
    cfg->c_info.domid = INVALID_DOMID;
    xl = libxl_domain_create_new(h->ctx, cfg, &domid, NULL, NULL);
    if (xl) {
        rc = cannot(h, cfg, xl, err);
        snprintf(uuid, sizeof(uuid), LIBXL_UUID_FMT,
                 LIBXL_UUID_BYTES(cfg->c_info.uuid));
        hyp_clear_away(h, uuid, cfg->c_info.name, domid, err);
        goto out;
    }
    *domid_r = domid;
    rc = 0;

out:
    if (lock >= 0)
        close(lock);
    return rc;
}
