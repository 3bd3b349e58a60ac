/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Run another program: an argv array, never a shell; LC_ALL=C; no inherited
 * descriptors; output bounded; a deadline after which its process group gets
 * SIGTERM and, two seconds later, SIGKILL; and it ends when we die.  Safe
 * beside libxl, which is told to reap only its own children (hyp/).  Asks
 * snap_fault("tool", argv[0]) first.
 */
#ifndef SNAP_LIB_RUN_H
#define SNAP_LIB_RUN_H

#include <stddef.h>

#include "lib/log.h"
#include "lib/rc.h"

#define SNAP_RUN_OUT_MAX (4u << 20) /* bytes of stdout or stderr kept */

struct snap_run {
    const char *const *argv; /* NULL-terminated; argv[0] looked up in PATH */
    int timeout_ms; /* 0: 60 000 */
    int stall_ms; /* instead: for how long it may read nothing */
    int stdin_fd; /* -1: /dev/null */
    const struct snap_log *log;
    /* For slow ones: called a few times a second; non-zero puts the tool down
     * (SNAP_INTR).  May be NULL. */
    int (*tick)(void *opaque);
    void *opaque;
    /* out */
    int status; /* exit status, or 128+signal */
    char *out; /* stdout, NUL-terminated; NULL if not run */
    size_t out_len;
    char *err_text; /* stderr, likewise */
};

#define SNAP_RUN_INIT  \
    {                  \
        .stdin_fd = -1 \
    }

/*
 * Run it and wait.  0 only if it exited with 0.  Otherwise SNAP_FAIL with
 * "tool: its own last line of stderr (exit N)", SNAP_NOTFOUND if the program
 * is not installed (the message names the Debian package where known),
 * SNAP_TIMEOUT, SNAP_INTR, SNAP_PROTO if it printed more than SNAP_RUN_OUT_MAX.
 */
int snap_run(struct snap_run *r, struct snap_err *err);
void snap_run_dispose(struct snap_run *r);
/* The file that a tool's name stands for, wherever snap_run() would find it, or
 * NULL; caller frees. */
char *snap_run_find(const char *tool);

/* Set by tests: a folder looked in before PATH. */
extern const char *snap_run_path_first;

#endif /* SNAP_LIB_RUN_H */
