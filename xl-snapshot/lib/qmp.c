/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * QMP, spoken to a QEMU that a guest may have taken over.  Whatever it does
 * (nothing, garbage, too much, the answer to another question) ends in an
 * error within the caller's time, and never in a wrong answer.
 *
 *   state    fd      in          why     event queue
 *   alive    open    any         NULL    any
 *   dead     -1      disposed    set     any; no more will come
 *
 * alive becomes dead once, in bury(); there is no way back.
 *
 * Assumes one thread and a socket with '\n' behind each message, which is
 * what QEMU writes unless told to be pretty.  Must never log or quote what
 * QEMU wrote other than through snap_excerpt().
 *
 * Faults (lib/fault.h, layer "qmp"): the command's name; "connect"; "event
 * <name>".  EPIPE, ECONNRESET and ETIMEDOUT break the connection as the real
 * ones do; another errno is the command refused, the connection unharmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/mem.h"
#include "lib/qmp.h"

#define CHUNK            65536
#define QUOTE_MAX        300 /* bytes of QEMU's text in a message */
#define EVENT_BYTES_MAX  (1u << 20) /* text of all kept events together */
#define CONNECT_RETRY_MS 20
#define ID_BITS          20 /* of an id that count; those above are drawn */

struct event {
    struct snap_json *json;
    size_t bytes; /* length of its text */
};

struct snap_qmp {
    int fd;
    char *name;
    char *why;
    const struct snap_log *log;
    int64_t last_id;
    bool late; /* the command's deadline has passed, and one look after it */
    struct snap_buf in; /* received */
    size_t taken; /* bytes of it already handed out */
    size_t scanned; /* bytes of it known to end no line */
    struct event events[SNAP_QMP_EVENTS_MAX]; /* oldest first */
    size_t nr_events, event_bytes;
};

/* --- failing ----------------------------------------------------------- */

/* The connection is of no use any more. */
static void bury(struct snap_qmp *q, const struct snap_err *why)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
    if (!q->why)
        q->why = snap_strdup(why->msg);
    snap_buf_dispose(&q->in);
    q->taken = q->scanned = 0;
}

/* Bury it and say why; "<peer>: " comes in front.  Returns rc. */
static int __attribute__((format(printf, 4, 5)))
broken(struct snap_qmp *q, int rc, struct snap_err *err, const char *fmt, ...)
{
    struct snap_err why = SNAP_ERR_INIT;
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    snap_fail(&why, rc, "%s: %s", q->name, text);
    free(text);
    bury(q, &why);
    return snap_fail(err, rc, "%s", why.msg);
}

/* The same about a message of QEMU's, which is quoted. */
static int broken_by(struct snap_qmp *q, struct snap_err *err,
                     const char *doing, const char *what,
                     const struct snap_json *msg)
{
    char *text = NULL, *quote = NULL;
    int rc;

    text = snap_json_text(msg, false);
    quote = snap_excerpt(text, strlen(text), QUOTE_MAX);
    rc = broken(q, SNAP_PROTO, err, "%s: %s: %s", doing, what, quote);
    free(quote);
    free(text);
    return rc;
}

/* "Connection reset by peer" tells nobody who the peer was. */
static const char *loss(int e)
{
    return e == EPIPE || e == ECONNRESET ? "QEMU has ended" : strerror(e);
}

/* Dead, or told by a test to fail: the error; else 0. */
static int qmp_check(struct snap_qmp *q, const char *fault, const char *doing,
                     struct snap_err *err)
{
    int e;

    q->late = false;
    e = snap_fault("qmp", fault);
    if (q->fd < 0)
        return snap_fail(err, SNAP_IO,
                         "%s: the connection was lost earlier (%s)", doing,
                         q->why);
    if (e == EPIPE || e == ECONNRESET || e == ETIMEDOUT)
        return broken(q, e == ETIMEDOUT ? SNAP_TIMEOUT : SNAP_IO, err,
                      "%s: %s", doing, loss(e));
    if (e)
        return snap_fail_errno(err, SNAP_FAIL, e, "%s", doing);
    return 0;
}

/* --- receiving --------------------------------------------------------- */

/* Milliseconds for poll(): rounded up, so that it is never 0 before the
 * deadline, and bounded. */
static int left_ms(double deadline)
{
    double left = deadline - snap_now_ms();

    if (left <= 0)
        return 0;
    return left > 60000 ? 60000 : (int)left + 1;
}

/*
 * Read what is there, or wait for something until the deadline.  After it,
 * each command has one look that does not wait, so that a peer who never stops
 * talking cannot hold us.  SNAP_TIMEOUT comes without a message, and leaves
 * the connection alive: callers decide what it means.
 */
static int qmp_fill(struct snap_qmp *q, const char *doing, double deadline,
                    struct snap_err *err)
{
    struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
    char chunk[CHUNK];
    int ms, r;
    ssize_t n;

    for (;;) {
        ms = left_ms(deadline);
        if (!ms && q->late)
            return SNAP_TIMEOUT;
        q->late = !ms;
        r = poll(&pfd, 1, ms);
        if (r < 0 && errno != EINTR)
            return broken(q, SNAP_IO, err, "%s: %s", doing, loss(errno));
        if (r <= 0)
            continue;
        n = read(q->fd, chunk, sizeof(chunk));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return broken(q, SNAP_IO, err, "%s: %s", doing, loss(errno));
        if (n == 0)
            return broken(q, SNAP_IO, err, "%s: QEMU closed the connection%s",
                          doing,
                          q->in.len > q->taken ? " in the middle of a message"
                                               : "");
        break;
    }
    /* Forget what was handed out, then append. */
    if (q->taken) {
        q->in.len -= q->taken;
        memmove(q->in.data, q->in.data + q->taken, q->in.len);
        q->scanned -= q->taken;
        q->taken = 0;
    }
    snap_buf_add(&q->in, chunk, n);
    return 0;
}

/* The next whole line in the buffer, valid until fill(); NULL if none. */
static const char *take_line(struct snap_qmp *q, size_t *len_r)
{
    const char *line, *end = NULL;

    if (q->scanned < q->in.len)
        end = memchr(q->in.data + q->scanned, '\n', q->in.len - q->scanned);
    if (!end) {
        q->scanned = q->in.len;
        return NULL;
    }
    line = q->in.data + q->taken;
    *len_r = end - line;
    q->taken = q->scanned = end + 1 - q->in.data;
    return line;
}

/*
 * The next message, an object.  SNAP_TIMEOUT as for fill(); after any other
 * error the connection is dead.
 */
static int receive(struct snap_qmp *q, const char *doing, double deadline,
                   struct snap_json **msg_r, size_t *bytes_r,
                   struct snap_err *err)
{
    struct snap_err bad = SNAP_ERR_INIT;
    char *quote = NULL;
    const char *line;
    size_t len;
    int rc;

    *msg_r = NULL;
    for (;;) {
        line = take_line(q, &len);
        if (line && (!len || (len == 1 && line[0] == '\r')))
            continue;
        if (line)
            break;
        if (q->in.len - q->taken > SNAP_QMP_LINE_MAX)
            return broken(q, SNAP_PROTO, err,
                          "%s: a message of more than %u bytes", doing,
                          SNAP_QMP_LINE_MAX);
        rc = qmp_fill(q, doing, deadline, err);
        if (rc)
            return rc;
    }
    if (len > SNAP_QMP_LINE_MAX)
        return broken(q, SNAP_PROTO, err,
                      "%s: a message of more than %u bytes", doing,
                      SNAP_QMP_LINE_MAX);

    quote = snap_excerpt(line, len, QUOTE_MAX);
    snap_say(q->log, SNAP_LOG_DEBUG, "%s: < %s", q->name, quote);
    rc = snap_json_parse(line, len, msg_r, &bad);
    if (rc)
        rc = broken(q, SNAP_PROTO, err, "%s: %s: %s", doing, bad.msg, quote);
    else if (snap_json_type(*msg_r) != SNAP_JSON_OBJECT)
        rc = broken(q, SNAP_PROTO, err,
                    "%s: a message that is not an object: %s", doing, quote);
    if (rc) {
        snap_json_free(*msg_r);
        *msg_r = NULL;
    }
    *bytes_r = len;
    free(quote);
    return rc;
}

/*
 * A reply to somebody who is gone.  QEMU 7.2 gives the reply to a command that
 * it was still busy with to whoever is connected by then (seen: one that was
 * stopped, given up, and went on).  So each connection draws its own ids.
 */
static bool of_another(const struct snap_qmp *q, const struct snap_json *msg)
{
    int64_t id = snap_json_get_int(msg, "id", -1);

    return id >= 0 && id >> ID_BITS != q->last_id >> ID_BITS &&
           (snap_json_get(msg, "return") || snap_json_get(msg, "error"));
}

/* As receive(), without such replies; waiting ends all the same, see fill(). */
static int receive_ours(struct snap_qmp *q, const char *doing, double deadline,
                        struct snap_json **msg_r, size_t *bytes_r,
                        struct snap_err *err)
{
    int rc;

    while (!(rc = receive(q, doing, deadline, msg_r, bytes_r, err)) &&
           of_another(q, *msg_r)) {
        snap_json_free(*msg_r);
        *msg_r = NULL;
    }
    return rc;
}

/* --- events ------------------------------------------------------------ */

static const char *event_name(const struct snap_json *msg)
{
    return snap_json_get_str(msg, "event");
}

/* Take the i-th out of the queue; the caller owns it. */
static struct snap_json *take_event(struct snap_qmp *q, size_t i)
{
    struct event e = q->events[i];

    q->nr_events--;
    q->event_bytes -= e.bytes;
    memmove(&q->events[i], &q->events[i + 1], (q->nr_events - i) * sizeof(e));
    return e.json;
}

static void drop_oldest(struct snap_qmp *q)
{
    struct snap_json *e;

    e = take_event(q, 0);
    snap_say(q->log, SNAP_LOG_DEBUG, "%s: too many events, dropped a %s",
             q->name, event_name(e));
    snap_json_free(e);
}

/* Owns msg from now on. */
static void keep_event(struct snap_qmp *q, struct snap_json *msg, size_t bytes)
{
    if (q->nr_events == SNAP_QMP_EVENTS_MAX)
        drop_oldest(q);
    q->events[q->nr_events++] = (struct event){ msg, bytes };
    q->event_bytes += bytes;
    while (q->event_bytes > EVENT_BYTES_MAX)
        drop_oldest(q);
}

int snap_qmp_wait_event(struct snap_qmp *q, const char *name, int timeout_ms,
                        struct snap_json **out_r, struct snap_err *err)
{
    double deadline = snap_now_ms() + timeout_ms;
    char *doing = NULL, *fault = NULL;
    struct snap_json *msg = NULL;
    size_t i, bytes;
    int rc;

    *out_r = NULL;
    doing = snap_printf("waiting for %s", name);
    for (i = 0; i < q->nr_events; i++) {
        if (!snap_streq(event_name(q->events[i].json), name))
            continue;
        *out_r = take_event(q, i);
        rc = 0;
        goto out;
    }
    fault = snap_printf("event %s", name);
    rc = qmp_check(q, fault, doing, err);
    if (rc)
        goto out;
    for (;;) {
        rc = receive_ours(q, doing, deadline, &msg, &bytes, err);
        if (rc == SNAP_TIMEOUT)
            rc = snap_fail(err, rc, "%s: %s: it did not come within %d ms",
                           q->name, doing, timeout_ms);
        if (rc)
            goto out;
        if (!event_name(msg)) {
            rc = broken_by(q, err, doing, "an answer nobody asked for", msg);
            goto out;
        }
        if (snap_streq(event_name(msg), name))
            break;
        keep_event(q, msg, bytes);
        msg = NULL;
    }
    *out_r = msg;
    msg = NULL;
    rc = 0;

out:
    snap_json_free(msg);
    free(fault);
    free(doing);
    return rc;
}

/* --- commands ---------------------------------------------------------- */

/* Owns args. */
static int transmit(struct snap_qmp *q, const char *command,
                    struct snap_json *args, double deadline,
                    struct snap_err *err)
{
    struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };
    struct snap_json *msg = NULL;
    char *text = NULL;
    size_t len, done = 0;
    ssize_t n;
    int rc;

    msg = snap_json_object();
    snap_json_set_str(msg, "execute", command);
    if (args)
        snap_json_set(msg, "arguments", args);
    snap_json_set_int(msg, "id", ++q->last_id);
    text = snap_json_text(msg, false);
    snap_say(q->log, SNAP_LOG_DEBUG, "%s: > %s", q->name, text);
    len = strlen(text);
    text[len++] = '\n'; /* in place of the NUL */

    while (done < len) {
        n = send(q->fd, text + done, len - done, MSG_NOSIGNAL);
        if (n >= 0) {
            done += n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) {
            rc = broken(q, SNAP_IO, err, "%s: %s", command, loss(errno));
            goto out;
        }
        if (!left_ms(deadline)) {
            rc = SNAP_TIMEOUT;
            goto out;
        }
        poll(&pfd, 1, left_ms(deadline));
    }
    rc = 0;

out:
    free(text);
    snap_json_free(msg);
    return rc;
}

/* Is msg the answer to what we sent last?  Takes "return" out of it. */
static int answer(struct snap_qmp *q, const char *command,
                  const struct snap_json *msg, struct snap_json **reply_r,
                  struct snap_err *err)
{
    const struct snap_json *ret = snap_json_get(msg, "return");
    const struct snap_json *error = snap_json_get(msg, "error");
    const struct snap_json *id = snap_json_get(msg, "id");
    const char *desc;
    char *quote;
    int rc;

    if (!ret == !error)
        return broken_by(q, err, command, "a message that is no reply", msg);
    if (!id)
        return broken_by(q, err, command, "a reply without our id", msg);
    if (snap_json_integer(id, -1) != q->last_id)
        return broken_by(q, err, command, "a reply to something else", msg);
    if (ret) {
        if (reply_r)
            *reply_r = snap_json_copy(ret);
        return 0;
    }
    desc = snap_json_get_str(error, "desc");
    if (!desc || !*desc)
        desc = "QEMU refused it without a reason";
    quote = snap_excerpt(desc, strlen(desc), QUOTE_MAX);
    rc = snap_fail(err, SNAP_FAIL, "%s: %s", command, quote);
    free(quote);
    return rc;
}

/* Owns args. */
static int execute(struct snap_qmp *q, const char *command,
                   struct snap_json *args, double deadline, int timeout_ms,
                   struct snap_json **reply_r, struct snap_err *err)
{
    struct snap_json *msg = NULL;
    size_t bytes = 0;
    int rc;

    rc = qmp_check(q, command, command, err);
    if (rc) {
        snap_json_free(args);
        goto out;
    }
    rc = transmit(q, command, args, deadline, err);
    while (!rc) {
        rc = receive_ours(q, command, deadline, &msg, &bytes, err);
        if (rc)
            break;
        if (!event_name(msg)) {
            rc = answer(q, command, msg, reply_r, err);
            goto out;
        }
        keep_event(q, msg, bytes);
        msg = NULL;
    }
    if (rc == SNAP_TIMEOUT && q->fd >= 0)
        broken(q, rc, err, "%s: no reply within %d ms", command, timeout_ms);

out:
    snap_json_free(msg);
    return rc;
}

int snap_qmp_command(struct snap_qmp *q, const char *command,
                     struct snap_json *args, int timeout_ms,
                     struct snap_json **reply_r, struct snap_err *err)
{
    if (reply_r)
        *reply_r = NULL;
    return execute(q, command, args, snap_now_ms() + timeout_ms, timeout_ms,
                   reply_r, err);
}

/* --- connecting -------------------------------------------------------- */

/* silent_rc: what it means that not a single byte comes. */
static int greet(struct snap_qmp *q, double deadline, int timeout_ms,
                 int silent_rc, struct snap_err *err)
{
    struct snap_json *msg = NULL;
    size_t bytes;
    int rc;

    rc = receive_ours(q, "greeting", deadline, &msg, &bytes, err);
    if (rc == SNAP_TIMEOUT) {
        rc = q->in.len ? SNAP_TIMEOUT : silent_rc;
        rc = snap_fail(err, rc, "%s: no greeting within %d ms%s", q->name,
                       timeout_ms,
                       q->in.len
                           ? ""
                           : "; QEMU hangs, or another program is connected to it");
    }
    if (rc)
        goto out;
    if (snap_json_type(snap_json_get(msg, "QMP")) != SNAP_JSON_OBJECT) {
        rc = broken_by(q, err, "greeting", "not that of QEMU", msg);
        goto out;
    }
    rc = execute(q, "qmp_capabilities", NULL, deadline, timeout_ms, NULL, err);

out:
    snap_json_free(msg);
    return rc;
}

/* Owns fd. */
static int qmp_start(int fd, const char *peer_name, double deadline,
                     int timeout_ms, int silent_rc, const struct snap_log *log,
                     struct snap_qmp **q_r, struct snap_err *err)
{
    struct snap_qmp *q = NULL;
    uint32_t drawn = 0;
    int flags, rc;

    q = snap_zalloc(sizeof(*q));
    /* That nothing was drawn is unlikely, and no worse than a bad draw. */
    if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) > 0)
        q->last_id = (int64_t)drawn << ID_BITS;
    q->fd = fd;
    q->name = snap_strdup(peer_name);
    q->log = log;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
        fcntl(fd, F_SETFD, FD_CLOEXEC)) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", peer_name);
        goto out;
    }
    rc = greet(q, deadline, timeout_ms, silent_rc, err);
    if (rc)
        goto out;
    *q_r = q;
    q = NULL;
    rc = 0;

out:
    snap_qmp_close(q);
    return rc;
}

int snap_qmp_start(int fd, const char *peer_name, int timeout_ms,
                   const struct snap_log *log, struct snap_qmp **q_r,
                   struct snap_err *err)
{
    *q_r = NULL;
    return qmp_start(fd, peer_name, snap_now_ms() + timeout_ms, timeout_ms,
                     SNAP_TIMEOUT, log, q_r, err);
}

int snap_qmp_connect(const char *path, int timeout_ms,
                     const struct snap_log *log, struct snap_qmp **q_r,
                     struct snap_err *err)
{
    double deadline = snap_now_ms() + timeout_ms;
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = -1, e, rc;

    *q_r = NULL;
    if (strlen(path) >= sizeof(sun.sun_path)) {
        rc = snap_fail(err, SNAP_INVAL, "%s: too long for a socket's name",
                       path);
        goto out;
    }
    memcpy(sun.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s: socket", path);
        goto out;
    }
    for (;;) {
        e = snap_fault("qmp", "connect");
        if (!e && !connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
            break;
        if (!e)
            e = errno;
        /* EAGAIN: others already wait for QEMU to accept them. */
        if (e != EAGAIN && e != EINTR) {
            rc = snap_fail_errno(err, e == ENOENT ? SNAP_NOTFOUND : SNAP_IO, e,
                                 "cannot connect to %s", path);
            goto out;
        }
        if (!left_ms(deadline)) {
            rc = snap_fail(err, SNAP_BUSY,
                           "%s: others have been waiting for it for %d ms; QEMU hangs, or another program is connected to it",
                           path, timeout_ms);
            goto out;
        }
        poll(NULL, 0, CONNECT_RETRY_MS);
    }
    rc = qmp_start(fd, path, deadline, timeout_ms, SNAP_BUSY, log, q_r, err);
    fd = -1;

out:
    if (fd >= 0)
        close(fd);
    return rc;
}

void snap_qmp_close(struct snap_qmp *q)
{
    size_t i;

    if (!q)
        return;
    if (q->fd >= 0)
        close(q->fd);
    for (i = 0; i < q->nr_events; i++)
        snap_json_free(q->events[i].json);
    snap_buf_dispose(&q->in);
    free(q->why);
    free(q->name);
    free(q);
}

pid_t snap_qmp_peer(const struct snap_qmp *q)
{
    struct ucred who = { 0 };
    socklen_t len = sizeof(who);

    return getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) ? 0
                                                                  : who.pid;
}

bool snap_qmp_alive(const struct snap_qmp *q)
{
    return q && q->fd >= 0;
}
