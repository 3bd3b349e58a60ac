/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Numbers in a qcow2 image are big-endian.  at + the size of the number must
 * be within what was read.
 */
#ifndef SNAP_DISK_FORMAT_QCOW2_BYTES_H
#define SNAP_DISK_FORMAT_QCOW2_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SNAP_QCOW2_MAGIC  0x514649fbu
#define SNAP_QCOW2_L1_MAX (32u << 20) /* bytes; QEMU's own limit */

uint16_t snap_qcow2_get16(const unsigned char *b, size_t at);
uint32_t snap_qcow2_get32(const unsigned char *b, size_t at);
uint64_t snap_qcow2_get64(const unsigned char *b, size_t at);

/* Up to len bytes; fewer only at the end of the file.  -1 with errno. */
ssize_t snap_qcow2_read_at(int fd, void *buf, size_t len, uint64_t off);

#endif /* SNAP_DISK_FORMAT_QCOW2_BYTES_H */
