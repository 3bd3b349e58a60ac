/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The one symbol that this module exports: the hypervisor table over the
 * libxenlight that it was built with, and what else needs Xen's libraries.
 */
#include "hyp/can_build.h"
#include "hyp/cfg_xlu.h"
#include "hyp/config_file.h"
#include "hyp/create.h"
#include "hyp/ctx.h"
#include "hyp/destroy.h"
#include "hyp/disks.h"
#include "hyp/domain.h"
#include "hyp/hyp.h"
#include "hyp/memory.h"
#include "hyp/monitor.h"
#include "hyp/plugin.h"
#include "hyp/qmp_sock.h"
#include "hyp/rescue.h"
#include "hyp/restore.h"
#include "hyp/save.h"
#include "hyp/saved.h"
#include "hyp/savers.h"
#include "hyp/set_active.h"
#include "hyp/window.h"

#ifndef HYP_XEN_VERSION
#define HYP_XEN_VERSION "" /* load.c goes by the file's name */
#endif

static const struct snap_hyp_ops ops = {
    .name = "libxl",
    .open = hyp_open,
    .close = hyp_close,
    .version = hyp_version,
    .find = hyp_find,
    .find_uuid = hyp_find_uuid,
    .monitor = hyp_monitor_alone,
    .config = hyp_config,
    .disks = hyp_disks,
    .config_file = hyp_config_file,
    .saved = hyp_saved,
    .image_user = hyp_image_user,
    .free_mem = hyp_free_mem,
    .window_open = hyp_window_open,
    .window_close = hyp_window_close,
    .window_borrow = hyp_window_borrow,
    .stands = hyp_stands,
    .save = hyp_save,
    .resume = hyp_resume,
    .pause = hyp_pause,
    .unpause = hyp_unpause,
    .saver = hyp_saver,
    .ran = hyp_ran,
    .rescue = hyp_rescue,
    .qmp_open = hyp_qmp_open,
    .set_active = hyp_set_active,
    .destroy = hyp_destroy,
    .can_build = hyp_can_build,
    .image_check = hyp_image_check,
    .restore = hyp_restore,
    .create = hyp_create,
};

extern const struct snap_hyp_module snap_hyp_module;
const struct snap_hyp_module snap_hyp_module = {
    .abi = SNAP_HYP_ABI,
    .xen_version = HYP_XEN_VERSION,
    .ops = &ops,
    .cfg_parse = hyp_cfg_parse,
    .monitor_main = hyp_monitor_main,
};
