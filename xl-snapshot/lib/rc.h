/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Return codes and the one error message that travels with them.
 *
 * Every fallible function returns 0 or a negative enum snap_rc, and takes a
 * struct snap_err as its last argument.  The lowest layer that knows what
 * went wrong says it once with snap_fail(); callers may put their own
 * object in front with snap_err_prefix().  The first error wins: clean-up
 * that fails later cannot overwrite the reason.  Nothing here prints.
 */
#ifndef SNAP_LIB_RC_H
#define SNAP_LIB_RC_H

#include <stdarg.h>
#include <stdbool.h>

enum snap_rc {
    SNAP_OK = 0,
    SNAP_FAIL = -1, /* something outside failed; see the message */
    SNAP_INVAL = -2, /* the user's input is wrong: exit 2 */
    SNAP_NOTFOUND = -3,
    SNAP_EXISTS = -4,
    SNAP_BUSY = -5, /* held by another command or domain */
    SNAP_IO = -6,
    SNAP_NOSPACE = -7,
    SNAP_TIMEOUT = -8,
    SNAP_UNSUPPORTED = -9, /* this Xen, QEMU or storage cannot do it */
    SNAP_REFUSED = -10, /* it could be done, and would do harm */
    SNAP_PROTO = -11, /* a peer (QEMU, a tool) broke its protocol */
    SNAP_INTR = -12, /* the user asked us to stop */
    SNAP_CORRUPT = -13, /* a file of ours is damaged or not ours */
    SNAP_RECOVER = -14, /* half done: snapshot-recover is needed */
};

#define SNAP_ERR_MAX 2048

struct snap_err {
    int rc; /* 0 while nothing has failed */
    char msg[SNAP_ERR_MAX]; /* one sentence, no newline at its end */
};

#define SNAP_ERR_INIT      \
    {                      \
        .rc = 0, .msg = "" \
    }

/* Short name of a code, for logs and --json ("not-found"); never NULL. */
const char *snap_rc_name(int rc);

/*
 * Record an error unless one is recorded already; returns rc so that
 * `rc = snap_fail(err, SNAP_IO, …); goto out;` reads well.  err may be NULL.
 */
int snap_fail(struct snap_err *err, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, with ": strerror(errnum)" appended; ENOSPC/EDQUOT turn an rc of
 * SNAP_IO into SNAP_NOSPACE, ENOENT into SNAP_NOTFOUND stays the caller's. */
int snap_fail_errno(struct snap_err *err, int rc, int errnum, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));
/* Put "prefix: " in front of the recorded message, if there is one. */
void snap_err_prefix(struct snap_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Append " (text)" to the recorded message, if there is one. */
void snap_err_append(struct snap_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void snap_err_clear(struct snap_err *err);

#endif /* SNAP_LIB_RC_H */
