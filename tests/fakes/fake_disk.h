/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The reference disk drivers: what model/disk_ops.h means, in plain C over the
 * images of fake_store.h.
 *
 *     fake-internal   qcow2: a snapshot inside the image     group "qemu"
 *     fake-external   any format: an overlay over the image  group "qemu"
 *     fake-volume     /vol/NAME: another volume, vol/NAME-TAG, which is no
 *                     path                                   group "volume"
 *
 * A driver takes live when the store says that a QEMU has the image open,
 * whatever c->qmp is: the fake hypervisor has no QEMU to talk to.
 *
 * Each slot asks snap_fault("disk", "SLOT VDEV") before it acts, and take,
 * revert_switch and prepare ask "SLOT done VDEV" after; prepare asks
 * "prepare half VDEV" in the middle.  An errno at "take done" is a lost reply:
 * it has happened, and the caller gets SNAP_RECOVER.
 */
#ifndef TESTS_FAKES_FAKE_DISK_H
#define TESTS_FAKES_FAKE_DISK_H

#include "fakes/fake_store.h"
#include "model/disk_ops.h"
#include "model/env.h"

/* The tables. */
extern const struct snap_disk_driver fake_internal;
extern const struct snap_disk_driver fake_external;
extern const struct snap_disk_driver fake_volume;
extern const struct snap_disk_driver *const fake_disk_drivers[];

/* For struct snap_env: SNAP_BUSY if a domain or a QEMU has the image. */
int fake_check_unused(struct snap_disk_ctx *c, const char *path,
                      struct snap_err *err);
/* For struct snap_env: others cannot start on these images. */
int fake_hold(struct snap_disk_ctx *c, const struct snap_held_images *l,
              struct snap_image_guard **g_r, struct snap_err *err);
void fake_hold_end(struct snap_image_guard **g);
int fake_check_others(struct snap_disk_ctx *c, const char *path, bool readers,
                      struct snap_err *err);

/* An image's time stamp, which only a write changes. */
void fake_image_stamp(const char *path, struct snap_stamp *now_r);

#endif /* TESTS_FAKES_FAKE_DISK_H */
