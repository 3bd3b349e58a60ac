/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The scripted QMP peer (see peer.h).  It shares lib/json.c with the client
 * it tests, but no line of lib/qmp.c.  It must never end the test by itself:
 * what goes wrong is kept for peer_finish().
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/mem.h"
#include "peer.h"

#define GREETING                                                \
    "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2," \
    "\"major\":7},\"package\":\"\"},\"capabilities\":[\"oob\"]}}"

struct peer {
    pthread_t thread;
    bool threaded;
    int listener; /* -1: there is fd alone */
    int clients;
    int fd;
    bool gone; /* the client hung up on us */
    struct peer_step *steps;
    size_t nr_steps;
    peer_serve_fn *serve;
    void *opaque;
    char *id; /* of the last command, as JSON */
    struct snap_buf in;
    char failure[1024];
};

static void __attribute__((format(printf, 2, 3)))
fail(struct peer *p, const char *fmt, ...)
{
    va_list ap;

    p->gone = true;
    if (p->failure[0])
        return;
    va_start(ap, fmt);
    vsnprintf(p->failure, sizeof(p->failure), fmt, ap);
    va_end(ap);
}

static void send_bytes(struct peer *p, const struct peer_step *s,
                       const char *data, size_t len)
{
    size_t piece = s->piece ? (size_t)s->piece : len;
    ssize_t n;

    while (len && !p->gone) {
        if (s->delay_ms)
            poll(NULL, 0, s->delay_ms);
        n = send(p->fd, data, piece < len ? piece : len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            fail(p, "the client stopped reading");
        if (n < 0) {
            p->gone = true;
            return;
        }
        data += n;
        len -= n;
    }
}

static void send_line(struct peer *p, const struct peer_step *s, char *line)
{
    char *whole;

    whole = snap_printf("%s\r\n", line);
    send_bytes(p, s, whole, strlen(whole));
    free(whole);
    free(line);
}

/* text with each "@ID@" replaced. */
static char *with_id(const struct peer *p, const char *text)
{
    struct snap_buf b = { 0 };
    const char *at;

    while ((at = strstr(text, "@ID@"))) {
        snap_buf_add(&b, text, at - text);
        snap_buf_adds(&b, p->id ? p->id : "null");
        text = at + 4;
    }
    snap_buf_adds(&b, text);
    return b.data;
}

static void send_raw(struct peer *p, const struct peer_step *s)
{
    char *text;
    int i = 0;

    text = with_id(p, s->text);
    do
        send_bytes(p, s, text, strlen(text));
    while (++i < s->number && !p->gone);
    free(text);
}

static void send_fill(struct peer *p, const struct peer_step *s)
{
    char *text;

    text = snap_zalloc(s->number);
    memset(text, 'x', s->number);
    send_bytes(p, s, text, s->number);
    free(text);
}

static void send_error(struct peer *p, const struct peer_step *s,
                       const char *desc, const char *class)
{
    struct snap_json *e;
    char *text;

    e = snap_json_object();
    snap_json_set_str(e, "class", class ? class : "GenericError");
    snap_json_set_str(e, "desc", desc);
    text = snap_json_text(e, false);
    send_line(p, s, snap_printf("{\"id\":%s,\"error\":%s}", p->id, text));
    free(text);
    snap_json_free(e);
}

static void send_event(struct peer *p, const struct peer_step *s,
                       const char *name, const char *data)
{
    send_line(p, s,
              snap_printf("{\"timestamp\":{\"seconds\":1,"
                          "\"microseconds\":2},\"event\":\"%s\"%s%s}",
                          name, data ? ",\"data\":" : "", data ? data : ""));
}

/* The next line of the client, parsed; NULL if it hung up or failed. */
static struct snap_json *read_command(struct peer *p)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char chunk[4096], *nl;
    size_t len;
    ssize_t n;

    while (!(nl = p->in.len ? memchr(p->in.data, '\n', p->in.len) : NULL)) {
        n = recv(p->fd, chunk, sizeof(chunk), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            fail(p, "the client neither wrote nor hung up");
        if (n <= 0) {
            p->gone = true;
            return NULL;
        }
        snap_buf_add(&p->in, chunk, n);
    }
    len = nl - p->in.data;
    if (snap_json_parse(p->in.data, len, &j, &err))
        fail(p, "the client wrote: %s", err.msg);
    p->in.len -= len + 1;
    memmove(p->in.data, nl + 1, p->in.len);
    snap_free(&p->id);
    if (j && snap_json_get(j, "id"))
        p->id = snap_json_text(snap_json_get(j, "id"), false);
    else
        p->id = snap_strdup("null");
    return j;
}

static void expect(struct peer *p, const struct peer_step *s)
{
    char *text = NULL, *want = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j, *args = NULL;
    const char *name;

    j = read_command(p);
    if (!j) {
        fail(p, "expected %s, but the client hung up", s->text);
        return;
    }
    name = snap_json_get_str(j, "execute");
    if (!snap_streq(name, s->text))
        fail(p, "expected %s, got %s", s->text, name ? name : "no command");
    if (s->more && snap_json_parse(s->more, strlen(s->more), &args, &err))
        fail(p, "bad script: %s", err.msg);
    if (args) {
        want = snap_json_text(args, false);
        text = snap_json_text(snap_json_get(j, "arguments"), false);
        if (strcmp(text, want) != 0)
            fail(p, "%s: expected %s, got %s", s->text, want, text);
    }
    free(text);
    free(want);
    snap_json_free(args);
    snap_json_free(j);
}

static void hold(struct peer *p)
{
    char c[4096];
    ssize_t n;

    do
        n = recv(p->fd, c, sizeof(c), 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0 && errno == EAGAIN)
        fail(p, "the client never hung up");
    p->gone = true;
}

static void stall(struct peer *p)
{
    struct pollfd pfd = { .fd = p->fd }; /* a hang-up is always told */

    if (poll(&pfd, 1, PEER_PATIENCE_MS) == 0)
        fail(p, "the client never hung up");
    p->gone = true;
}

static void serve(struct peer *p, const struct peer_step *s)
{
    struct snap_json *j, *ret;
    char *error = NULL, *text;
    const char *name;

    while ((j = read_command(p))) {
        name = snap_json_get_str(j, "execute");
        ret = p->serve(p, p->opaque, name ? name : "",
                       snap_json_get(j, "arguments"), &error);
        if (ret) {
            text = snap_json_text(ret, false);
            send_line(p, s,
                      snap_printf("{\"return\":%s,\"id\":%s}", text, p->id));
            free(text);
        } else {
            send_error(p, s, error ? error : "no reason", NULL);
        }
        snap_free(&error);
        snap_json_free(ret);
        snap_json_free(j);
    }
}

static void play(struct peer *p, const struct peer_step *s)
{
    switch (s->op) {
    case PEER_GREET:
        send_line(p, s, snap_strdup(GREETING));
        break;
    case PEER_EXPECT:
        expect(p, s);
        break;
    case PEER_RETURN:
        send_line(p, s,
                  snap_printf("{\"return\": %s, \"id\": %s}",
                              s->text ? s->text : "{}", p->id));
        break;
    case PEER_ERROR:
        send_error(p, s, s->text, s->more);
        break;
    case PEER_EVENT:
        send_event(p, s, s->text, s->more);
        break;
    case PEER_RAW:
        send_raw(p, s);
        break;
    case PEER_FILL:
        send_fill(p, s);
        break;
    case PEER_WAIT:
        poll(NULL, 0, s->delay_ms);
        break;
    case PEER_HOLD:
        hold(p);
        break;
    case PEER_STALL:
        stall(p);
        break;
    case PEER_SERVE:
        serve(p, s);
        break;
    }
}

static void converse(struct peer *p)
{
    struct timeval tv = { .tv_sec = PEER_PATIENCE_MS / 1000 };
    size_t i;

    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    p->gone = false;
    p->in.len = 0;
    snap_set(&p->id, "null");
    for (i = 0; i < p->nr_steps && !p->gone; i++)
        play(p, &p->steps[i]);
    close(p->fd);
    p->fd = -1;
}

static void *run(void *opaque)
{
    struct pollfd pfd = { .events = POLLIN };
    struct peer *p = opaque;
    int i;

    if (p->listener < 0) {
        converse(p);
        return NULL;
    }
    pfd.fd = p->listener;
    for (i = 0; i < p->clients && !p->failure[0]; i++) {
        if (poll(&pfd, 1, PEER_PATIENCE_MS) == 1)
            p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (p->fd < 0)
            fail(p, "client %d never came", i);
        else
            converse(p);
    }
    return NULL;
}

static struct peer *new_peer(const struct peer_script *script)
{
    struct peer *p;

    p = snap_zalloc(sizeof(*p));
    p->fd = p->listener = -1;
    p->nr_steps = script->nr_steps;
    p->steps = snap_realloc(NULL, p->nr_steps, sizeof(*p->steps));
    if (p->nr_steps)
        memcpy(p->steps, script->steps, p->nr_steps * sizeof(*p->steps));
    p->serve = script->serve;
    p->opaque = script->opaque;
    return p;
}

static struct peer *launch(struct peer *p)
{
    if (pthread_create(&p->thread, NULL, run, p))
        abort();
    p->threaded = true;
    return p;
}

struct peer *peer_start(const struct peer_script *script, int *client_fd_r)
{
    struct peer *p;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        abort();
    p = new_peer(script);
    p->fd = fds[0];
    *client_fd_r = fds[1];
    return launch(p);
}

struct peer *peer_listen(const char *path, const struct peer_script *script,
                         int clients)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct peer *p;

    if (strlen(path) >= sizeof(sun.sun_path))
        abort();
    memcpy(sun.sun_path, path, strlen(path));
    unlink(path);
    p = new_peer(script);
    p->clients = clients;
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0 ||
        bind(p->listener, (struct sockaddr *)&sun, sizeof(sun)) ||
        listen(p->listener, 1))
        abort();
    return launch(p);
}

struct peer *peer_run(int fd, const struct peer_script *script)
{
    struct peer *p;

    p = new_peer(script);
    p->fd = fd;
    converse(p);
    return p;
}

void peer_event(struct peer *p, const char *name, const char *data)
{
    static const struct peer_step plain = { .op = PEER_EVENT };

    send_event(p, &plain, name, data);
}

const char *peer_finish(struct peer *p)
{
    static char failure[sizeof(p->failure)];

    if (p->threaded)
        pthread_join(p->thread, NULL);
    if (p->listener >= 0)
        close(p->listener);
    memcpy(failure, p->failure, sizeof(failure));
    snap_buf_dispose(&p->in);
    free(p->id);
    free(p->steps);
    free(p);
    return failure[0] ? failure : NULL;
}
