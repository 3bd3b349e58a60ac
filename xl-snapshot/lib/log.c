/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The way from a library to whoever listens.  It formats one line, makes it
 * safe to print, and hands it over.  It must never write to a stream, fail,
 * or change errno: it is called between a system call and its check.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"

void snap_say(const struct snap_log *log, enum snap_level level,
              const char *fmt, ...)
{
    int saved = errno, n;
    char *msg = NULL;
    size_t len;
    va_list ap;

    if (!log || !log->fn)
        return;
    va_start(ap, fmt);
    n = vasprintf(&msg, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    len = strlen(msg);
    while (len && msg[len - 1] == '\n')
        msg[--len] = '\0';
    snap_clean(msg);
    log->fn(log->opaque, level, msg);
    free(msg);
    errno = saved;
}
