/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the files of hyp/ share: the connection, and small helpers over
 * libxl, libxenstore and /proc.  Internal to the module; nothing outside
 * hyp/ includes this, since it pulls in Xen's headers.
 *
 * LIBXL_API_VERSION: 4.17's libxl.h lists the values that it accepts; 4.19's
 * API is also accepted by 4.20, so one source builds against all of them.
 */
#ifndef SNAP_HYP_HYP_H
#define SNAP_HYP_HYP_H

#define LIBXL_API_VERSION 0x041300
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <pthread.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/rc.h"
#include "model/hyp_ops.h"

/* config/Paths.mk.in of Xen: --localstatedir=/var, as all distributions. */
#define HYP_RUN_DIR  "/run/xen"
#define HYP_LOCK_XL  "/var/lock/xl" /* tools/xl/xl.h: XL_LOCK_FILE */
#define HYP_DUMP_DIR "/var/lib/xen/dump"

#define HYP_LINE_MAX 240 /* bytes kept of one libxl message */

/* A logger of libxl's kind that keeps what went wrong.  xtl must be first:
 * libxl hands us back a pointer to it. */
struct hyp_logger {
    xentoollog_logger xtl;
    const struct snap_log *log;
    pthread_mutex_t lock;
    char first[HYP_LINE_MAX]; /* error lines since hyp_enter() */
    char last[HYP_LINE_MAX];
};

struct snap_hyp {
    libxl_ctx *ctx;
    struct xs_handle *xsh;
    const struct snap_log *log;
    struct hyp_logger logger;
    int xen_major, xen_minor;
    char *qemu_version; /* asked once */
    bool build_noted[2]; /* can_build() has said its doubts: of a boot, of a
                          * memory image */
    struct hyp_stopwatch *watch; /* of the last save, or NULL */
    struct hyp_window *window; /* open, or NULL */
    int held_monitor; /* pidfd of the daemon that save() stopped; -1: none */
};

#endif /* SNAP_HYP_HYP_H */
