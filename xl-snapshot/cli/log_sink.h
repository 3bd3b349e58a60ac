/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The one writer of standard error: lines in the program's name, one at a
 * time, and the progress line.  Never blocks while the guest may be at rest:
 * what a stopped terminal does not take is kept until snap_sink_flush().  All
 * may be called from any thread.
 */
#ifndef SNAP_CLI_LOG_SINK_H
#define SNAP_CLI_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/log.h"

struct snap_cli;
struct snap_sink;

/* cli: whose errf, as, timestamps and verbose it goes by; it has to outlive
 * the sink. */
struct snap_sink *snap_sink_new(struct snap_cli *cli);
void snap_sink_free(struct snap_sink *s); /* flushes */
void snap_sink_log(void *opaque, enum snap_level level, const char *msg);
/* A line of our own; kind is "" or "note: " or "warning: ". */
void snap_sink_line(struct snap_sink *s, const char *kind, const char *msg);
/* Draw over the current line of the terminal; "" removes what is drawn.
 * Dropped if the terminal does not take it now. */
void snap_sink_draw(struct snap_sink *s, const char *text);
/* Columns of the terminal; 0 if errf is none. */
int snap_sink_columns(struct snap_sink *s);
void snap_sink_flush(struct snap_sink *s);
/* Notes and warnings said so far, for --json; and has this been said? */
size_t snap_sink_notes(struct snap_sink *s);
const char *snap_sink_note_at(struct snap_sink *s, size_t i);
bool snap_sink_said(struct snap_sink *s, const char *msg);

#endif /* SNAP_CLI_LOG_SINK_H */
