/* SPDX-License-Identifier: LGPL-2.1-only */
/* Overlays over each kind of image, on real ones. */
#include "model/disk_ops.h"
#include "tools/real_world.h"

static const struct variant variants[] = {
    { REAL("overlay over qcow2, live", "overlay", SNAP_DISK_EXTERNAL, "qcow2",
           true),
      .file = "a b'c\"d,e%s$(f)\\.qcow2" },
    { REAL("overlay over qcow2, off", "overlay", SNAP_DISK_EXTERNAL, "qcow2",
           false),
      .file = "json:{a,b}.qcow2" },
    { REAL("overlay over raw, live", "overlay", SNAP_DISK_AUTO, "raw", true),
      .file = "a:b,,c=d;e&.img", .no_damage = true },
    { REAL("overlay over raw, off", "overlay", SNAP_DISK_AUTO, "raw", false),
      .file = "a.raw", .no_damage = true },
    { REAL("overlay over vhd, live", "overlay", SNAP_DISK_AUTO, "vhd", true),
      .file = "a.vhd" },
};

int main(void)
{
    return real_world_run("overlay on a real QEMU", variants,
                          sizeof(variants) / sizeof(variants[0]));
}
