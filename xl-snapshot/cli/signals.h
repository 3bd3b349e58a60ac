/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Being asked to stop: Ctrl-C, SIGTERM, SIGHUP.
 */
#ifndef SNAP_CLI_SIGNALS_H
#define SNAP_CLI_SIGNALS_H

/* Until arm(), Ctrl-C ends the program at once, which is right
 * since nothing has begun; after start() with status 1 and a word about it.
 * Afterwards it only sets a flag.  After disarm() it ends the program with the
 * status of what was done; SIGPIPE stays harmless, whoever reads about it. */
void snap_signals_start(const char *prog);
void snap_signals_arm(void);
void snap_signals_disarm(int status);
int snap_signals_interrupted(void);

#endif /* SNAP_CLI_SIGNALS_H */
