/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The header in front of a domain's saved memory, as xl writes it.  Bytes
 * only: no Xen header is needed, and the tests run without Xen.
 *
 * Source: tools/xl/xl.h (struct save_file_header), xl_saverestore.c (writer),
 * xl_vmcontrol.c: create_domain() (reader); the same from Xen 4.5 to 4.22.
 *
 *    0  32  "Xen saved domain, xl format\n \0 \r"
 *   32   4  byte order: 0x01020304 in the writer's
 *   36   4  mandatory flags: a reader refuses those that it does not know
 *   40   4  optional flags: 0
 *   44   4  length of what follows up to the stream: 4 + length of the JSON
 *   48   4  length of the JSON with its NUL
 *   52   n  libxl_domain_config as JSON, NUL
 */
#ifndef SNAP_HYP_SAVEHEADER_H
#define SNAP_HYP_SAVEHEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/mem.h"
#include "lib/rc.h"

#define SNAP_SAVEHEADER_SIZE 48 /* the fixed part */
#define SNAP_SAVEHEADER_MAX  (4u << 20) /* bytes that may follow it */

/*
 * Append a whole header to b.  Poisoned, it carries a mandatory flag that no
 * xl knows: `xl restore` of our memory images would start the guest on the
 * frozen images and destroy the snapshot, and so it must refuse them.
 */
void snap_saveheader_write(struct snap_buf *b, const char *json,
                           bool poisoned);
/*
 * Read one from fd at its present offset, leaving it at the stream.  *json_r
 * is NUL-terminated; *poisoned_r says which kind it is.  SNAP_CORRUPT with
 * the reason for anything that we would not have written.
 */
int snap_saveheader_read(int fd, char **json_r, bool *poisoned_r,
                         struct snap_err *err);

#endif /* SNAP_HYP_SAVEHEADER_H */
