/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The error message that climbs from the lowest layer to the command line.
 * It lives in a fixed buffer so that recording an error cannot itself fail.
 * It must never print, never overwrite the first error, never change errno,
 * and never let a control character through: half of what is quoted here was
 * written by a guest, a tool or QEMU, and ends on somebody's terminal.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/rc.h"

static const char *const names[] = {
    [-SNAP_OK] = "ok",
    [-SNAP_FAIL] = "failed",
    [-SNAP_INVAL] = "invalid",
    [-SNAP_NOTFOUND] = "not-found",
    [-SNAP_EXISTS] = "exists",
    [-SNAP_BUSY] = "busy",
    [-SNAP_IO] = "io",
    [-SNAP_NOSPACE] = "no-space",
    [-SNAP_TIMEOUT] = "timeout",
    [-SNAP_UNSUPPORTED] = "unsupported",
    [-SNAP_REFUSED] = "refused",
    [-SNAP_PROTO] = "protocol",
    [-SNAP_INTR] = "interrupted",
    [-SNAP_CORRUPT] = "corrupt",
    [-SNAP_RECOVER] = "recovery-needed",
};

const char *snap_rc_name(int rc)
{
    if (rc > 0 || rc <= -(int)(sizeof(names) / sizeof(names[0])))
        return "unknown";
    return names[-rc];
}

/* A failure that was handed a success code is still a failure. */
static int failure(int rc)
{
    return rc < 0 ? rc : SNAP_FAIL;
}

/* One line of printable text, whatever was put in. */
static void tidy(char *msg)
{
    size_t len = strlen(msg);

    while (len && (msg[len - 1] == '\n' || msg[len - 1] == '\r'))
        msg[--len] = '\0';
    snap_clean(msg);
}

static void record(struct snap_err *err, int rc, const char *fmt, va_list ap)
{
    err->rc = rc;
    if (vsnprintf(err->msg, sizeof(err->msg), fmt, ap) < 0)
        snprintf(err->msg, sizeof(err->msg), "%s", snap_rc_name(rc));
    tidy(err->msg);
}

/*
 * Put text behind (or, if front, before) the message.  The text says where
 * or what to do, so when both do not fit it is the message that is cut.
 * Texts are at most half of SNAP_ERR_MAX.
 */
static void attach(struct snap_err *err, const char *text, bool front)
{
    size_t len = strlen(text), keep = strlen(err->msg);
    size_t room = sizeof(err->msg) - 1 - len;

    if (keep > room) {
        memcpy(err->msg + room - 3, "...", 3);
        keep = room;
    }
    if (front)
        memmove(err->msg + len, err->msg, keep);
    memcpy(front ? err->msg : err->msg + keep, text, len);
    err->msg[len + keep] = '\0';
    tidy(err->msg);
}

int snap_fail(struct snap_err *err, int rc, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    rc = failure(rc);
    if (err && !err->rc) {
        va_start(ap, fmt);
        record(err, rc, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return rc;
}

int snap_fail_errno(struct snap_err *err, int rc, int errnum, const char *fmt,
                    ...)
{
    char text[SNAP_ERR_MAX / 4], reason[256];
    int saved = errno;
    va_list ap;

    rc = failure(rc);
    if (rc == SNAP_IO && (errnum == ENOSPC || errnum == EDQUOT))
        rc = SNAP_NOSPACE;
    if (err && !err->rc) {
        va_start(ap, fmt);
        record(err, rc, fmt, ap);
        va_end(ap);
        snprintf(text, sizeof(text), ": %s",
                 strerror_r(errnum, reason, sizeof(reason)));
        attach(err, text, false);
    }
    errno = saved;
    return rc;
}

void snap_err_prefix(struct snap_err *err, const char *fmt, ...)
{
    char text[SNAP_ERR_MAX / 2];
    int saved = errno, n;
    va_list ap;

    if (!err || !err->rc)
        return;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text) - 2, fmt, ap);
    va_end(ap);
    if (n >= 0) {
        memcpy(text + strlen(text), ": ", 3);
        attach(err, text, true);
    }
    errno = saved;
}

void snap_err_append(struct snap_err *err, const char *fmt, ...)
{
    char text[SNAP_ERR_MAX / 2];
    int saved = errno, n;
    va_list ap;

    if (!err || !err->rc)
        return;
    text[0] = ' ';
    text[1] = '(';
    va_start(ap, fmt);
    n = vsnprintf(text + 2, sizeof(text) - 3, fmt, ap);
    va_end(ap);
    if (n >= 0) {
        memcpy(text + strlen(text), ")", 2);
        attach(err, text, false);
    }
    errno = saved;
}

void snap_err_clear(struct snap_err *err)
{
    if (!err)
        return;
    err->rc = 0;
    err->msg[0] = '\0';
}
