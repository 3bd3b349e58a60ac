/* SPDX-License-Identifier: LGPL-2.1-only */
/* Overlays under the path that the image had, on real ones. */
#include "model/disk_ops.h"
#include "tools/real_world.h"

static const struct variant variants[] = {
    { REAL("overlay, path kept, live", "overlay", SNAP_DISK_AUTO, "qcow2",
           true),
      .file = "a b,c.qcow2", .keep_path = true },
    { REAL("overlay, path kept, off", "overlay", SNAP_DISK_AUTO, "qcow2",
           false),
      .file = "a.qcow2", .keep_path = true },
};

int main(void)
{
    return real_world_run("overlay with the path kept, on a real QEMU",
                          variants, sizeof(variants) / sizeof(variants[0]));
}
