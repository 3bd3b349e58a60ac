/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The progress line: what is under way, how much of it, how fast, how long
 * still.
 */
#ifndef SNAP_CLI_PROGRESS_H
#define SNAP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct snap_sink;
struct snap_progress_line;

/* always: also where standard error is no terminal (xl -t). */
struct snap_progress_line *snap_progress_line_new(struct snap_sink *s,
                                                  bool always);
void snap_progress_line_free(struct snap_progress_line *p);
void snap_progress_fn(void *opaque, const char *what, uint64_t done,
                      uint64_t total);
/* One drawing of the line, at most width columns (0: any).  For tests. */
char *snap_progress_text(const char *what, uint64_t done, uint64_t total,
                         double seconds, int width);

#endif /* SNAP_CLI_PROGRESS_H */
