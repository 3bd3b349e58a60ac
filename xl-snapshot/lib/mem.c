/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory that is there or the process is not, strings, and clocks.  Callers
 * need no failure path for an allocation, so none can be wrong.  Nothing
 * here may print, block, or depend on the locale.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/mem.h"

void *snap_zalloc(size_t size)
{
    void *p;

    p = calloc(1, size ? size : 1);
    if (!p)
        abort();
    return p;
}

void *snap_realloc(void *p, size_t nmemb, size_t size)
{
    size_t total;
    void *moved;

    if (__builtin_mul_overflow(nmemb, size, &total))
        abort();
    moved = realloc(p, total ? total : 1);
    if (!moved)
        abort();
    return moved;
}

char *snap_strdup(const char *s)
{
    return s ? snap_strndup(s, strlen(s)) : NULL;
}

char *snap_strndup(const char *s, size_t n)
{
    char *copy;

    if (!s)
        return NULL;
    copy = strndup(s, n);
    if (!copy)
        abort();
    return copy;
}

char *snap_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    return s;
}

void snap_free(char **p)
{
    free(*p);
    *p = NULL;
}

void snap_set(char **p, const char *s)
{
    char *copy;

    copy = snap_strdup(s);
    free(*p);
    *p = copy;
}

/* Room for extra more bytes and the NUL behind them. */
static void buf_reserve(struct snap_buf *b, size_t extra)
{
    size_t need, cap;

    if (__builtin_add_overflow(b->len, extra, &need) ||
        __builtin_add_overflow(need, 1, &need))
        abort();
    if (b->data && need <= b->cap)
        return;
    cap = b->cap ? b->cap : 64;
    while (cap < need)
        if (__builtin_mul_overflow(cap, 2, &cap))
            abort();
    b->data = snap_realloc(b->data, cap, 1);
    b->cap = cap;
}

void snap_buf_add(struct snap_buf *b, const void *data, size_t len)
{
    buf_reserve(b, len);
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void snap_buf_adds(struct snap_buf *b, const char *s)
{
    snap_buf_add(b, s, strlen(s));
}

void snap_buf_addf(struct snap_buf *b, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    snap_buf_add(b, s, n);
    free(s);
}

void snap_buf_dispose(struct snap_buf *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

bool snap_streq(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    return !strcmp(a, b);
}

bool snap_has_prefix(const char *s, const char *prefix)
{
    if (!s || !prefix)
        return false;
    return !strncmp(s, prefix, strlen(prefix));
}

bool snap_has_suffix(const char *s, const char *suffix)
{
    size_t ls, lx;

    if (!s || !suffix)
        return false;
    ls = strlen(s);
    lx = strlen(suffix);
    return ls >= lx && !memcmp(s + ls - lx, suffix, lx);
}

size_t snap_utf8_seq(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char low = 0x80, high = 0xbf;
    size_t i, len;

    if (!n)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] >= 0xc2 && u[0] <= 0xdf)
        len = 2;
    else if ((u[0] & 0xf0) == 0xe0)
        len = 3;
    else if (u[0] >= 0xf0 && u[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (len > n)
        return 0;
    /* The second byte tells overlong forms, surrogates and what is beyond
     * U+10FFFF from the rest. */
    if (u[0] == 0xe0)
        low = 0xa0;
    else if (u[0] == 0xed)
        high = 0x9f;
    else if (u[0] == 0xf0)
        low = 0x90;
    else if (u[0] == 0xf4)
        high = 0x8f;
    if (u[1] < low || u[1] > high)
        return 0;
    for (i = 2; i < len; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool snap_is_control(const char *s, size_t seq)
{
    const unsigned char *u = (const unsigned char *)s;

    return (seq == 1 && (u[0] < 0x20 || u[0] == 0x7f)) ||
           (seq == 2 && u[0] == 0xc2 && u[1] < 0xa0);
}

void snap_clean(char *s)
{
    size_t seq, left = strlen(s);

    for (; left; s += seq, left -= seq) {
        seq = snap_utf8_seq(s, left);
        if (seq && !snap_is_control(s, seq))
            continue;
        seq = seq ? seq : 1;
        memset(s, '?', seq);
    }
}

char *snap_excerpt(const char *s, size_t len, size_t max)
{
    size_t keep = 0, seq;
    char *text;

    len = strnlen(s, len);
    while (keep < len) {
        seq = snap_utf8_seq(s + keep, len - keep);
        seq = seq ? seq : 1;
        if (keep + seq > max)
            break;
        keep += seq;
    }
    text = snap_printf("%.*s%s", (int)keep, s, keep < len ? "..." : "");
    snap_clean(text);
    return text;
}

double snap_now_ms(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_MONOTONIC, &ts))
        abort();
    return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

int64_t snap_epoch_seconds(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_REALTIME, &ts))
        abort();
    return ts.tv_sec;
}

char *snap_time_iso(int64_t epoch)
{
    time_t t = epoch;
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return snap_printf("@%" PRId64, epoch);
    return snap_printf("%04lld-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900LL,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
}

char *snap_size_human(uint64_t bytes)
{
    static const char *const units[] = {
        "B", "kB", "MB", "GB", "TB", "PB", "EB",
    };
    uint64_t unit = 1, tenths;
    size_t i = 0;

    while (i + 1 < sizeof(units) / sizeof(units[0]) && bytes / unit >= 1024) {
        unit <<= 10;
        i++;
    }
    /* The remainder is below 2^60: ten times it fits. */
    tenths = bytes / unit * 10 + (bytes % unit * 10 + unit / 2) / unit;
    if (tenths >= 10235 && i + 1 < sizeof(units) / sizeof(units[0])) {
        tenths = 10;
        i++;
    }
    if (tenths >= 1000 || tenths % 10 == 0)
        return snap_printf("%" PRIu64 " %s", (tenths + 5) / 10, units[i]);
    return snap_printf("%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
                       units[i]);
}
