/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The calls of qemu-img that the drivers make.  Reading never takes the
 * image's lock (-U) and is therefore allowed while a guest runs; whoever
 * calls one of the writing ones has asked snap_image_check_unused() before.
 * Paths are absolute: what begins with "/" is never taken for a protocol.
 */
#ifndef SNAP_DISK_QEMU_QEMU_IMG_H
#define SNAP_DISK_QEMU_QEMU_IMG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/rc.h"

/* For how long a tool that copies, maps or compares may read nothing; it has
 * no other limit.  Set by tests. */
extern int snap_qemu_img_stall_ms;

/* format is QEMU's and never NULL: a raw disk that a guest has written a
 * qcow2 header to must stay raw.  With chain, *info_r is an array from the
 * image down, else one object. */
int snap_qemu_img_info(const struct snap_log *log, const char *path,
                       const char *format, bool chain,
                       struct snap_json **info_r, struct snap_err *err);
/* Write an empty overlay into target (created or truncated), not opening
 * base.  base_format is QEMU's word. */
int snap_qemu_img_create(const struct snap_log *log, const char *target,
                         const char *base, const char *base_format,
                         uint64_t size, struct snap_err *err);
/* what: "-c", "-a" or "-d". */
int snap_qemu_img_snapshot(const struct snap_log *log, const char *what,
                           const char *tag, const char *path,
                           struct snap_err *err);
/* Write into target (truncated) what the snapshot tag inside a qcow2 image
 * holds.  What the image has from a backing file is left to that. */
int snap_qemu_img_copy_tag(const struct snap_log *log, const char *path,
                           const char *tag, const char *target,
                           int (*tick)(void *opaque), void *opaque,
                           struct snap_err *err);
/* Merge a qcow2 overlay into its base; the overlay is left as it is.  tick
 * as in lib/run.h, or NULL. */
int snap_qemu_img_commit(const struct snap_log *log, const char *overlay,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err);
/* Where a qcow2 image and what it reads through have their data, as qemu-img
 * map says it, from offset on for length bytes.  SNAP_PROTO: more than could
 * be read, among others. */
int snap_qemu_img_map(const struct snap_log *log, const char *path,
                      uint64_t offset, uint64_t length,
                      int (*tick)(void *opaque), void *opaque,
                      struct snap_json **map_r, struct snap_err *err);
/* Let qemu-io carry out what is in commands_fd, a line each, on a qcow2 image
 * that keeps all that is read through it (copy-on-read). */
int snap_qemu_io_keep(const struct snap_log *log, const char *path,
                      int commands_fd, int (*tick)(void *opaque), void *opaque,
                      struct snap_err *err);
/* Write another backing file (NULL: none) into a qcow2 overlay's header, and
 * nothing else. */
int snap_qemu_img_set_backing(const struct snap_log *log, const char *overlay,
                              const char *base, const char *base_format,
                              struct snap_err *err);
/* Let QEMU repair a qcow2 image that was not closed cleanly. */
int snap_qemu_img_repair(const struct snap_log *log, const char *path,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err);
/* *sound_r: a qcow2 image has no errors in it; clusters that are counted and
 * not used are none, and are freed with leaks_too, which writes to it. */
int snap_qemu_img_check(const struct snap_log *log, const char *path,
                        bool leaks_too, bool *sound_r, struct snap_err *err);
/* *same_r: from at on, n bytes of a qcow2 image read the same as those of b; n
 * 0: all of it does.  What is asked for must be in the images themselves, not
 * below them, unless it is all.  Both may be open, if nobody writes to them. */
int snap_qemu_img_compare(const struct snap_log *log, const char *a,
                          const char *b, const char *b_format, uint64_t at,
                          uint64_t n, int (*tick)(void *opaque), void *opaque,
                          bool *same_r, struct snap_err *err);

#endif /* SNAP_DISK_QEMU_QEMU_IMG_H */
