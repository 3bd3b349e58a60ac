/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The only place where the real tables and the real terminal come together.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/run.h"
#include "disk/file/image_guard.h"
#include "disk/file/image_stamp.h"
#include "disk/file/in_use.h"
#include "store/store.h"

int main(int argc, char **argv)
{
    static char exe[PATH_MAX];
    struct snap_env env = {
        .drivers = snap_disk_drivers,
        .store_root = SNAP_STORE_ROOT,
        .settle_ms = 1000,
        .gone_ms = 60000,
        .absent_ms = 5000,
        .build_ms = 60000,
        .check_unused = snap_image_check_unused,
        .check_others = snap_image_check_others,
        .image_stamp = snap_image_stamp,
        .hold = snap_image_hold,
        .hold_end = snap_image_guard_end,
    };
    ssize_t n;

    n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n > 0) {
        exe[n] = '\0';
        env.self_exe = exe;
    }
    snap_cli_tables = &snap_cli_real_tables;
    return snap_cli_main(argc, argv, &env, stdout, stderr);
}
