/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory and small strings.  Running out of memory ends the process with
 * abort(): the guardian (op/guardian.h) resumes the guest and the journal
 * tells snapshot-recover the rest, as for any other sudden death.
 */
#ifndef SNAP_LIB_MEM_H
#define SNAP_LIB_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *snap_zalloc(size_t size);
void *snap_realloc(void *p, size_t nmemb, size_t size); /* overflow checked */
char *snap_strdup(const char *s); /* NULL stays NULL */
char *snap_strndup(const char *s, size_t n);
char *snap_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* free(*p) and set it to NULL; a NULL in *p is fine. */
void snap_free(char **p);
/* Replace *p by a copy of s (which may be NULL, or *p itself). */
void snap_set(char **p, const char *s);

/* A growing byte buffer that is always NUL-terminated.  Zero-initialise. */
struct snap_buf {
    char *data;
    size_t len;
    size_t cap;
};
void snap_buf_add(struct snap_buf *b, const void *data, size_t len);
void snap_buf_adds(struct snap_buf *b, const char *s);
void snap_buf_addf(struct snap_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void snap_buf_dispose(struct snap_buf *b);

bool snap_streq(const char *a, const char *b); /* NULL equals only NULL */
bool snap_has_prefix(const char *s, const char *prefix);
bool snap_has_suffix(const char *s, const char *suffix);

/* Bytes (1 to 4) of the valid UTF-8 sequence that s starts with, n bytes
 * being there; 0 if it is not one (overlong, surrogate, cut off …). */
size_t snap_utf8_seq(const char *s, size_t n);
/* True if the sequence of seq bytes at s is a control character: C0, DEL or
 * C1. */
bool snap_is_control(const char *s, size_t seq);
/* Make s fit to be printed: each control character and each byte that is not
 * UTF-8 becomes '?'. */
void snap_clean(char *s);
/* What a message may quote of a stranger's text: at most max bytes of the len
 * at s (up to a NUL), cleaned, with "..." behind if more was there; caller
 * frees. */
char *snap_excerpt(const char *s, size_t len, size_t max);

/* Milliseconds of CLOCK_MONOTONIC, with fractions; and of CLOCK_REALTIME. */
double snap_now_ms(void);
int64_t snap_epoch_seconds(void);
/* "2026-11-21T10:33:40Z"; caller frees. */
char *snap_time_iso(int64_t epoch);
/* "1.5 GB", "128 MB", "12 kB" (powers of 1024); caller frees. */
char *snap_size_human(uint64_t bytes);

#endif /* SNAP_LIB_MEM_H */
