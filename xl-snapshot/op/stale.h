/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain has other images than its user's xl.cfg may say: what to change
 * there, in the same words whoever did it, the command or the recovery after
 * it.  All texts are of a line a disk, without a newline at the end, NULL where
 * there is nothing to change; the caller frees them.  Nothing here touches a
 * guest or an image.
 */
#ifndef SNAP_OP_STALE_H
#define SNAP_OP_STALE_H

#include "op/offline.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

/* After a create that took all disks of rec.  o: the xl.cfg that it was made
 * from, or NULL. */
char *snap_stale_created(const struct snap_record *rec,
                         const struct snap_offline *o);
/* After a revert that gave a disk its new leaf. */
char *snap_stale_reverted(const struct snap_part *p, const char *domain);
/* After a deletion that merged the active image of a disk into the frozen
 * one. */
char *snap_stale_merged(const char *vdev, const char *domain, const char *path,
                        const char *format);
/* After a deletion that removed the image, which its user had made. */
char *snap_stale_gone(const char *vdev, const char *frozen, const char *leaf);
/* After a recovery that went back, or forward in part: what the domain's disk
 * is, if we made that image, so that no xl.cfg of the user's own names it by
 * itself. */
char *snap_stale_now(const struct snap_leaf *l, const char *domain);

#endif /* SNAP_OP_STALE_H */
