/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Does an HVM guest run PV drivers?  libxl decides by the guest's callback
 * for events how to suspend it, and so it must be known beforehand; but it
 * has no function to tell.  libxenctrl has, and libxenlight has loaded it:
 * the two functions are looked up there rather than linked with, so that a
 * machine with libxenlight's interface alone still builds and loads this.
 * Reads only.
 *
 * Source: libxl_dom_suspend.c: domain_suspend_callback_common(), Xen 4.17.
 */
#include "hyp/hvm.h"

#include <dlfcn.h>

#include "hyp/call.h"

#include <xen/hvm/params.h>
#include <xen/xen.h>

/* xenctrl.h: xc_interface_open(), xc_interface_close(), xc_hvm_param_get() */
typedef void *xc_open_fn(xentoollog_logger *logger,
                         xentoollog_logger *dombuild, unsigned flags);
typedef int xc_close_fn(void *xch);
typedef int xc_param_fn(void *xch, uint32_t domid, uint32_t param,
                        uint64_t *value);

int hyp_hvm_must_answer(struct snap_hyp *h, uint32_t domid, bool *answer_r,
                        struct snap_err *err)
{
    xc_open_fn *xc_open = (xc_open_fn *)dlsym(RTLD_DEFAULT,
                                              "xc_interface_open");
    xc_close_fn *xc_close = (xc_close_fn *)dlsym(RTLD_DEFAULT,
                                                 "xc_interface_close");
    xc_param_fn *xc_param = (xc_param_fn *)dlsym(RTLD_DEFAULT,
                                                 "xc_hvm_param_get");
    uint64_t callback = 0, s_state = 0;
    void *xch = NULL;
    int rc;

    if (!xc_open || !xc_close || !xc_param) {
        rc = snap_fail(err, SNAP_UNSUPPORTED,
                       "libxenctrl does not have what libxenlight uses of it");
        goto out;
    }
    xch = xc_open(&h->logger.xtl, &h->logger.xtl, 0);
    if (!xch || xc_param(xch, domid, HVM_PARAM_CALLBACK_IRQ, &callback) ||
        xc_param(xch, domid, HVM_PARAM_ACPI_S_STATE, &s_state)) {
        rc = hyp_fail(h, err, 0, "domain %u: cannot read its parameters",
                      domid);
        goto out;
    }
    *answer_r = callback && !s_state;
    rc = 0;

out:
    if (xch)
        xc_close(xch);
    return rc;
}
