/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Xen's own QEMU without Xen: the binary that serves domains' disks, started
 * with a machine whose processor never runs, its block layer all there.  A
 * disk is a node as hw/block/xen-block.c makes it ("xvda-qcow2" over a file
 * node that takes no lock), with a device on it that has no name, so that
 * query-block and the graph look as they do under Xen.  The guest is a client
 * of a writable NBD export on top of the same node.
 */
#ifndef TESTS_TOOLS_REAL_QEMU_H
#define TESTS_TOOLS_REAL_QEMU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/qmp.h"

struct real_qemu;

/* What is not installed, or NULL. */
const char *real_qemu_missing(void);
/* Can it serve images of that format (QEMU's word)?  Debian 13's has no
 * "vpc". */
bool real_qemu_serves(const char *format);
/* A library that QEMU is started with, or NULL. */
extern const char *real_qemu_preload;
/* In dir it makes its two sockets.  Aborts the test program on failure. */
struct real_qemu *real_qemu_start(const char *dir);
/* Ends it as a domain's end does (it flushes), and waits. */
void real_qemu_stop(struct real_qemu *q);
/* Ends it as a crash does. */
void real_qemu_kill(struct real_qemu *q);
struct snap_qmp *real_qemu_qmp(struct real_qemu *q);
pid_t real_qemu_pid(const struct real_qemu *q);
/* format is QEMU's word. */
void real_qemu_add(struct real_qemu *q, const char *vdev, const char *path,
                   const char *format);
/* Any command; the reply is dropped.  Returns its rc. */
int real_qemu_command(struct real_qemu *q, const char *command,
                      const char *args_json);

/* Block i of 64 kB is filled with the byte want[i]; n blocks. */
#define REAL_BLOCK 65536
void real_qemu_write(struct real_qemu *q, const char *vdev, unsigned block,
                     unsigned char byte);
/* The same, but false if QEMU did not say that it is on the disk. */
bool real_qemu_try_write(struct real_qemu *q, const char *vdev, unsigned block,
                         unsigned char byte);
void real_qemu_write_two(struct real_qemu *q, const char *vdev,
                         const unsigned block[2], unsigned char byte);
bool real_qemu_has(struct real_qemu *q, const char *vdev,
                   const unsigned char *want, unsigned n);
/* The same of an image that nobody serves. */
bool real_image_has(const char *path, const char *format,
                    const unsigned char *want, unsigned n);
/* But for the blocks of which it is in doubt. */
bool real_image_has_most(const char *path, const char *format,
                         const unsigned char *want, const bool *doubt,
                         unsigned n);
void real_image_write(const char *path, const char *format, unsigned block,
                      unsigned char byte);
/* Run a tool, as in real_run("qemu-img", "check", path, NULL); its status. */
int real_run(const char *tool, ...) __attribute__((sentinel));

#endif /* TESTS_TOOLS_REAL_QEMU_H */
