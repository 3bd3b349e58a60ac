/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Where a library says something that is not an error.  The command line
 * installs a sink; tests install one that collects.  A message is one line
 * without newline, and names its object.
 */
#ifndef SNAP_LIB_LOG_H
#define SNAP_LIB_LOG_H

enum snap_level {
    SNAP_LOG_DEBUG, /* -v only: every step and every tool's argv */
    SNAP_LOG_NOTE, /* the user should know: "xvdc: left out" */
    SNAP_LOG_WARN, /* something is not as it should be */
};

struct snap_log {
    void (*fn)(void *opaque, enum snap_level level, const char *msg);
    void *opaque;
};

/* log may be NULL (nothing is said).  Control characters in what comes from
 * outside are replaced by '?' here, once for all. */
void snap_say(const struct snap_log *log, enum snap_level level,
              const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif /* SNAP_LIB_LOG_H */
