/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The one writer of standard error: messages, and the progress line that
 * messages must not run into.  May be called from any thread.
 *
 * A terminal stopped with Ctrl-S, or a pipe that nobody reads, makes write()
 * wait.  The guest may be at rest at that moment, so nothing here waits for
 * a reader before snap_sink_flush(): a message that does not go out now is
 * kept, a drawing is dropped.
 */
#include "cli/log_sink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/notes.h"
#include "lib/mem.h"

/* Less than any pipe takes at once when poll() says that it takes some. */
#define CHUNK 512

struct snap_sink {
    struct snap_cli *cli;
    pthread_mutex_t lock;
    int fd; /* -1: errf is no file */
    struct snap_buf pending;
    int drawn; /* columns of the line on the terminal */
    struct snap_cli_notes notes;
};

struct snap_sink *snap_sink_new(struct snap_cli *cli)
{
    struct snap_sink *s = snap_zalloc(sizeof(*s));

    s->cli = cli;
    s->fd = fileno(cli->errf);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void snap_sink_free(struct snap_sink *s)
{
    if (!s)
        return;
    snap_sink_flush(s);
    pthread_mutex_destroy(&s->lock);
    snap_buf_dispose(&s->pending);
    snap_cli_notes_dispose(&s->notes);
    free(s);
}

static bool writable(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int n;

    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR && timeout_ms < 0);
    return n == 1;
}

/* Write what is pending, or what goes without waiting.  What cannot be
 * written at all (nobody reads any more) is dropped. */
static void push(struct snap_sink *s, bool wait)
{
    size_t done = 0, len = s->pending.len;
    ssize_t n;

    if (s->fd < 0) {
        fwrite(s->pending.data, 1, len, s->cli->errf);
        fflush(s->cli->errf);
        done = len;
    }
    while (done < len && writable(s->fd, wait ? -1 : 0)) {
        n = write(s->fd, s->pending.data + done,
                  len - done < CHUNK ? len - done : CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            done = len;
        else
            done += n;
    }
    if (len) {
        memmove(s->pending.data, s->pending.data + done, len - done + 1);
        s->pending.len = len - done;
    }
}

static void undraw(struct snap_sink *s)
{
    if (!s->drawn)
        return;
    snap_buf_addf(&s->pending, "\r%*s\r", s->drawn, "");
    s->drawn = 0;
}

static void stamp(struct snap_buf *b)
{
    char text[64];
    time_t now = time(NULL);
    struct tm tm;

    if (localtime_r(&now, &tm) &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm))
        snap_buf_addf(b, "%s ", text);
    snap_buf_addf(b, "[%ld] ", (long)getpid());
}

static void line(struct snap_sink *s, const char *kind, const char *msg)
{
    char *clean = snap_strdup(msg);

    snap_clean(clean);
    undraw(s);
    if (s->cli->timestamps)
        stamp(&s->pending);
    snap_buf_addf(&s->pending, "%s: %s%s\n", s->cli->prog, kind, clean);
    push(s, false);
    free(clean);
}

void snap_sink_line(struct snap_sink *s, const char *kind, const char *msg)
{
    pthread_mutex_lock(&s->lock);
    line(s, kind, msg);
    pthread_mutex_unlock(&s->lock);
}

void snap_sink_log(void *opaque, enum snap_level level, const char *msg)
{
    struct snap_sink *s = opaque;

    if (level == SNAP_LOG_DEBUG && !s->cli->verbose)
        return;
    pthread_mutex_lock(&s->lock);
    switch (level) {
    case SNAP_LOG_DEBUG:
        line(s, "debug: ", msg);
        break;
    case SNAP_LOG_NOTE:
        snap_cli_note(&s->notes, msg);
        line(s, "note: ", msg);
        break;
    case SNAP_LOG_WARN:
        snap_cli_note(&s->notes, msg);
        line(s, "warning: ", msg);
        break;
    }
    pthread_mutex_unlock(&s->lock);
}

/* Columns that text takes, if each character takes one. */
static int columns(const char *text)
{
    int n = 0;

    for (; *text; text++)
        if ((*text & 0xc0) != 0x80)
            n++;
    return n;
}

void snap_sink_draw(struct snap_sink *s, const char *text)
{
    int now = columns(text);

    pthread_mutex_lock(&s->lock);
    if (!*text) {
        undraw(s);
        push(s, false);
    } else if (!s->pending.len && (s->fd < 0 || writable(s->fd, 0))) {
        snap_buf_addf(&s->pending, "\r%s%*s", text,
                      s->drawn > now ? s->drawn - now : 0, "");
        s->drawn = now;
        push(s, false);
    }
    pthread_mutex_unlock(&s->lock);
}

int snap_sink_columns(struct snap_sink *s)
{
    struct winsize w;

    if (s->fd < 0 || !isatty(s->fd))
        return 0;
    if (ioctl(s->fd, TIOCGWINSZ, &w) || w.ws_col < 2)
        return 80;
    return w.ws_col;
}

void snap_sink_flush(struct snap_sink *s)
{
    pthread_mutex_lock(&s->lock);
    undraw(s);
    push(s, true);
    pthread_mutex_unlock(&s->lock);
}

size_t snap_sink_notes(struct snap_sink *s)
{
    return s->notes.n;
}

const char *snap_sink_note_at(struct snap_sink *s, size_t i)
{
    return s->notes.v[i];
}

bool snap_sink_said(struct snap_sink *s, const char *msg)
{
    size_t i;

    for (i = 0; i < s->notes.n; i++)
        if (!strcmp(s->notes.v[i], msg))
            return true;
    return false;
}
