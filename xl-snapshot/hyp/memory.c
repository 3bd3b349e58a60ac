/* SPDX-License-Identifier: LGPL-2.1-only */
/* Memory for guests: what Xen has, and what dom0 would give up. */
#include "hyp/memory.h"

#include <stdio.h>
#include <string.h>

#include <libxlutil.h>

#include "hyp/call.h"

#define DOM0_MIN_KB (512u << 10) /* what we would leave to dom0 */

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

int hyp_free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err)
{
    uint64_t free_kb = 0, dom0_kb = 0;
    int rc, xl;

    *kb_r = 0;
    rc = hyp_enter(h, "free_mem", err);
    if (rc)
        goto out;
    xl = libxl_get_free_memory(h->ctx, &free_kb);
    if (xl) {
        rc = hyp_fail(h, err, xl, "cannot learn how much memory is free");
        goto out;
    }
    /* What dom0 would give up; see boot.c. */
    if (hyp_autoballoon(h) && !libxl_get_memory_target(h->ctx, 0, &dom0_kb) &&
        dom0_kb > DOM0_MIN_KB)
        free_kb += dom0_kb - DOM0_MIN_KB;
    *kb_r = free_kb;
    rc = 0;

out:
    return rc;
}
