/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A QMP client over a connected stream socket.  It trusts nothing: each wait
 * has a deadline, each line a bound, each reply must carry our id; events in
 * between are kept (bounded) for snap_qmp_wait_event().  One command at a
 * time.  It never reconnects: after a protocol error or a time-out the
 * connection is dead and every later call fails at once.  Whether a command
 * whose reply did not arrive was carried out is unknown; callers must look.
 * An error reply, and an event that did not come, leave it alive.
 * Asks snap_fault("qmp", command) first; qmp.c says what each errno means.
 */
#ifndef SNAP_LIB_QMP_H
#define SNAP_LIB_QMP_H

#include <sys/types.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/rc.h"

/* Bytes in one reply.  A block node takes some 700 and its file's name. */
#define SNAP_QMP_LINE_MAX   (32u << 20)
#define SNAP_QMP_EVENTS_MAX 256 /* kept; the oldest is dropped */

struct snap_qmp;

/* Take over a connected fd (closed by us from now on, also on failure), read
 * the greeting and negotiate capabilities.  Silence is SNAP_TIMEOUT. */
int snap_qmp_start(int fd, const char *peer_name, int timeout_ms,
                   const struct snap_log *log, struct snap_qmp **q_r,
                   struct snap_err *err);
/* Connect to a UNIX socket and snap_qmp_start().  A socket that accepts but
 * stays silent (it serves another client) is SNAP_BUSY after timeout_ms. */
int snap_qmp_connect(const char *path, int timeout_ms,
                     const struct snap_log *log, struct snap_qmp **q_r,
                     struct snap_err *err);
/*
 * Run one command.  args (may be NULL) is owned and freed by this call.
 * reply_r (may be NULL) receives the "return" value.  A QMP error reply is
 * SNAP_FAIL with "command: QEMU's description"; silence SNAP_TIMEOUT; garbage,
 * an oversized line, a wrong id SNAP_PROTO; end of file, or a connection that
 * was lost earlier, SNAP_IO.
 */
int snap_qmp_command(struct snap_qmp *q, const char *command,
                     struct snap_json *args, int timeout_ms,
                     struct snap_json **reply_r, struct snap_err *err);
/* Wait for an event of this name (kept ones first); out_r gets its whole
 * object. */
int snap_qmp_wait_event(struct snap_qmp *q, const char *name, int timeout_ms,
                        struct snap_json **out_r, struct snap_err *err);
void snap_qmp_close(struct snap_qmp *q); /* NULL is fine */
bool snap_qmp_alive(const struct snap_qmp *q);
/* The process at the other end of its socket; 0: not known. */
pid_t snap_qmp_peer(const struct snap_qmp *q);

#endif /* SNAP_LIB_QMP_H */
