/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * While a tool works on the image of a domain that is off, nobody else may
 * open it: Xen's QEMU takes no lock, and two programs that write to one qcow2
 * image destroy it.  The kernel asks us before it opens the file for anybody
 * (fanotify), and we say no; so a domain that is started meanwhile fails to
 * start, at once and with a message.  Nothing of it outlives us.
 */
#ifndef SNAP_DISK_FILE_IMAGE_GUARD_H
#define SNAP_DISK_FILE_IMAGE_GUARD_H

#include "model/disk_ops.h"

struct snap_image_guard;

/* Keep others from these images (paths, NULL-terminated) from now on, and prove
 * that nobody has them already: SNAP_BUSY, naming who.  Where the kernel cannot do the one, the looks have to do. */
int snap_image_guard_begin(struct snap_disk_ctx *c, const char *const *paths,
                           struct snap_image_guard **g_r,
                           struct snap_err *err);
/* The same with one image, and who only reads it may go on. */
int snap_image_guard_writers(struct snap_disk_ctx *c, const char *path,
                             struct snap_image_guard **g_r,
                             struct snap_err *err);
/*
 * The same with images of several disks, for as long as all of them are worked
 * on, each under a guard of its own.  Who only reads one may go on.  A domain
 * that comes meanwhile and names one cannot open it, so it does not count as
 * its user: in_use.h asks image_held.h.  Our own new domain is kept out
 * as well.
 */
int snap_image_hold(struct snap_disk_ctx *c, const struct snap_held_images *l,
                    struct snap_image_guard **g_r, struct snap_err *err);
/* Nobody of ours has them open now: does anybody else?  To be asked before
 * what cannot be taken back. */
int snap_image_guard_look(struct snap_image_guard *g, struct snap_err *err);
/* For a tool's tick, which it calls a few times a second: once in a while,
 * is there a domain that has one of them?  Non-zero: stop. */
int snap_image_guard_tick(struct snap_image_guard *g);
/* What the tool's end means, if that was the reason: SNAP_BUSY instead of
 * SNAP_INTR.  Returns the code. */
int snap_image_guard_verdict(const struct snap_image_guard *g, int rc,
                             struct snap_err *err);
/* Lets everybody in again.  NULL is fine. */
void snap_image_guard_end(struct snap_image_guard **g);

#endif /* SNAP_DISK_FILE_IMAGE_GUARD_H */
