/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The progress line: what is under way, how much of it, how fast, how long
 * still.  Only on a terminal (or with xl -t); drawn at most ten times a
 * second, and removed when the step is done.  Called from any thread.
 */
#include "cli/progress.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log_sink.h"
#include "lib/mem.h"

#define REDRAW_MS 100

struct snap_progress_line {
    struct snap_sink *sink;
    bool always;
    pthread_mutex_t lock;
    char *what;
    double begun; /* ms */
    double drawn; /* ms; 0: not yet */
};

struct snap_progress_line *snap_progress_line_new(struct snap_sink *s,
                                                  bool always)
{
    struct snap_progress_line *p = snap_zalloc(sizeof(*p));

    p->sink = s;
    p->always = always;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void snap_progress_line_free(struct snap_progress_line *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p->what);
    free(p);
}

/* Bytes of text that make at most width characters. */
static size_t fit(const char *text, int width)
{
    size_t i = 0;

    for (;;) {
        if (!text[i] || !width--)
            return i;
        for (i++; (text[i] & 0xc0) == 0x80; i++)
            ;
    }
}

char *snap_progress_text(const char *what, uint64_t done, uint64_t total,
                         double seconds, int width)
{
    struct snap_buf b = { 0 };
    char *part[3] = { NULL, NULL, NULL };
    char *a, *c;
    double rate = seconds > 0 ? done / seconds : 0, left;
    char *clean = snap_strdup(what);
    int i;

    snap_clean(clean);
    a = snap_size_human(done);
    c = snap_size_human(total);
    part[0] = total ? snap_printf(": %s of %s", a, c) : snap_printf(": %s", a);
    free(a);
    free(c);
    if (rate >= 1) {
        part[1] = snap_printf(", %.1f MB/s", rate / (1 << 20));
        if (total > done) {
            left = (total - done) / rate + 0.5;
            part[2] = left < 60 ? snap_printf(", %.0f s left", left)
                      : left < 3600
                          ? snap_printf(", %.0f min left", left / 60)
                          : snap_printf(", %.1f h left", left / 3600);
        }
    }

    /* What does not fit goes from the end, whole parts at a time. */
    snap_buf_adds(&b, clean);
    for (i = 0; i < 3; i++) {
        if (!part[i])
            continue;
        if (width && b.len + strlen(part[i]) > (size_t)width)
            break;
        snap_buf_adds(&b, part[i]);
    }
    if (width)
        b.data[fit(b.data, width)] = '\0';
    for (i = 0; i < 3; i++)
        free(part[i]);
    free(clean);
    return b.data;
}

void snap_progress_fn(void *opaque, const char *what, uint64_t done,
                      uint64_t total)
{
    struct snap_progress_line *p = opaque;
    double now = snap_now_ms();
    int width;
    char *text;

    pthread_mutex_lock(&p->lock);
    width = snap_sink_columns(p->sink);
    if (!width && !p->always)
        goto out;

    if (!snap_streq(p->what, what)) {
        snap_set(&p->what, what);
        p->begun = now;
        p->drawn = 0;
    }
    if (total && done >= total) {
        snap_sink_draw(p->sink, "");
        snap_free(&p->what);
        goto out;
    }
    if (p->drawn && now - p->drawn < REDRAW_MS)
        goto out;
    p->drawn = now;
    text = snap_progress_text(what, done, total, (now - p->begun) / 1000,
                              width ? width - 1 : 79);
    snap_sink_draw(p->sink, text);
    free(text);

out:
    pthread_mutex_unlock(&p->lock);
}
