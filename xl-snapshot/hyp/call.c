/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What libxl says about a call.  It prints its reasons through a logger and
 * returns a bare number, so the logger is ours: it keeps the first and the last
 * error line since the op began, and hyp_fail() puts them into the message the
 * user sees.  Never prints.
 *
 * libxl_event.h: with ..._always_selective_reap libxl installs a SIGCHLD
 * handler and reaps its own children only, so lib/run.c may have children
 * while libxl works.  All contexts of a process must agree on that.
 */
#include "hyp/call.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/fault.h"

static const libxl_childproc_hooks childproc = {
    .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
};

/* --- the logger -------------------------------------------------------- */

static void keep_line(struct hyp_logger *l, const char *line)
{
    char *to = l->first[0] ? l->last : l->first;

    /* A child that libxl forked while another thread logs must not wait for
     * a lock that nobody will release. */
    if (pthread_mutex_trylock(&l->lock))
        return;
    snprintf(to, HYP_LINE_MAX, "%s", line);
    snap_clean(to);
    pthread_mutex_unlock(&l->lock);
}

static void vmessage(xentoollog_logger *logger, xentoollog_level level,
                     int errnoval, const char *context, const char *format,
                     va_list al)
{
    struct hyp_logger *l = (struct hyp_logger *)logger;
    char line[512], *at = line, *text;
    size_t len;

    if (level < XTL_ERROR && !l->log)
        return;
    vsnprintf(line, sizeof(line), format, al);
    len = strlen(line);
    while (len && (line[len - 1] == '\n' || line[len - 1] == ' '))
        line[--len] = '\0';
    if (errnoval > 0 && len < sizeof(line) - 3)
        snprintf(line + len, sizeof(line) - len, ": %s", strerror(errnoval));

    /* "libxl_x.c:123:function: Domain 7:message": the user wants the rest. */
    text = strstr(line, ".c:");
    if (level >= XTL_ERROR && text && (text = strstr(text, ": ")))
        at = text + 2;
    if (level >= XTL_ERROR)
        keep_line(l, at);
    snap_say(l->log, SNAP_LOG_DEBUG, "%s: %s", context ? context : "libxl",
             line);
}

void hyp_logger_init(struct hyp_logger *l, const struct snap_log *log)
{
    memset(l, 0, sizeof(*l));
    l->xtl.vmessage = vmessage;
    l->log = log;
    pthread_mutex_init(&l->lock, NULL);
}

int hyp_enter(struct snap_hyp *h, const char *op, struct snap_err *err)
{
    int errnum = snap_fault("hyp", op);

    h->logger.first[0] = h->logger.last[0] = '\0';
    if (errnum)
        return snap_fail_errno(err, SNAP_FAIL, errnum, "%s", op);
    return 0;
}

/* Our word for an error code of libxl. */
static int rc_of(int xl_rc)
{
    switch (xl_rc) {
    case ERROR_TIMEDOUT:
    case ERROR_GUEST_TIMEDOUT:
        return SNAP_TIMEOUT;
    case ERROR_DOMAIN_NOTFOUND:
    case ERROR_DOMAIN_DESTROYED:
        return SNAP_NOTFOUND;
    default:
        return SNAP_FAIL;
    }
}

int hyp_fail(struct snap_hyp *h, struct snap_err *err, int xl_rc,
             const char *fmt, ...)
{
    const char *first = h->logger.first, *last = h->logger.last;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (first[0] && last[0] && strcmp(first, last))
        return snap_fail(err, rc_of(xl_rc), "%s: %s; %s", text, first, last);
    if (first[0])
        return snap_fail(err, rc_of(xl_rc), "%s: %s", text, first);
    if (xl_rc)
        return snap_fail(err, rc_of(xl_rc), "%s: libxl's error %d", text,
                         xl_rc);
    return snap_fail(err, SNAP_FAIL, "%s", text);
}

libxl_ctx *hyp_ctx_new(struct hyp_logger *logger)
{
    libxl_ctx *ctx = NULL;

    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &logger->xtl))
        return NULL;
    libxl_childproc_setmode(ctx, &childproc, NULL);
    return ctx;
}
