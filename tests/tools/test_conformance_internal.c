/* SPDX-License-Identifier: LGPL-2.1-only */
/* Snapshots inside qcow2 images, on real ones. */
#include "model/disk_ops.h"
#include "tools/real_world.h"

static const struct variant variants[] = {
    { REAL("internal, live", "qcow2-internal", SNAP_DISK_INTERNAL, "qcow2",
           true),
      .file = "a b'c\"d,e%s$(f)\\.qcow2", .tag = "1795259390",
      .gives_size = true },
    { REAL("internal, off", "qcow2-internal", SNAP_DISK_INTERNAL, "qcow2",
           false),
      .file = "a:b,,c=d.qcow2", .tag = "2", .gives_size = true },
};

int main(void)
{
    return real_world_run("qcow2-internal on a real QEMU", variants,
                          sizeof(variants) / sizeof(variants[0]));
}
