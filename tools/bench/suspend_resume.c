/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * suspend_resume: the least that Xen can do, to compare with.
 *
 *   suspend_resume suspend DOMID    libxl_domain_suspend_only() and resume
 *   suspend_resume pause DOMID      pause and unpause
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *log;
    libxl_ctx *ctx = NULL;
    uint32_t domid;
    int rc, rc2;

    if (argc != 3) {
        fprintf(stderr, "usage: suspend_resume suspend|pause DOMID\n");
        return 2;
    }
    domid = strtoul(argv[2], NULL, 10);
    log = xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
    if (!log ||
        libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)log)) {
        fprintf(stderr, "suspend_resume: no libxl\n");
        return 1;
    }
    if (!strcmp(argv[1], "suspend")) {
        rc = libxl_domain_suspend_only(ctx, domid, NULL);
        rc2 = rc ? 0 : libxl_domain_resume(ctx, domid, 1, NULL);
    } else {
        rc = libxl_domain_pause(ctx, domid, NULL);
        rc2 = libxl_domain_unpause(ctx, domid, NULL);
    }
    libxl_ctx_free(ctx);
    xtl_logger_destroy((xentoollog_logger *)log);
    return rc || rc2 ? 1 : 0;
}
