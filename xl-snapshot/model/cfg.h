/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A parsed configuration file in xl.cfg grammar: keys with their line, each
 * with one string (or number, as text) or a list of strings.  The parser is
 * libxlutil's, behind snap_cfg_parse_fn (hyp/cfg_xlu.c); what the keys mean
 * is model/request.h's business.
 */
#ifndef SNAP_MODEL_CFG_H
#define SNAP_MODEL_CFG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"

struct snap_cfg_entry {
    char *key;
    int line; /* 1-based line of the key */
    bool list;
    char **values; /* one, or the list's elements */
    int *lines; /* line of each value */
    size_t n;
};

struct snap_cfg {
    char *file; /* for messages */
    /* in file order; a key given twice is an error of the parser */
    struct snap_cfg_entry *entries;
    size_t n;
};

/* text is len bytes of a file of at most SNAP_CFG_MAX; cfg_r zeroed.
 * SNAP_INVAL with "FILE:LINE: …" on bad grammar. */
#define SNAP_CFG_MAX (1u << 20)
typedef int snap_cfg_parse_fn(const char *file, const char *text, size_t len,
                              struct snap_cfg *cfg_r, struct snap_err *err);
void snap_cfg_dispose(struct snap_cfg *cfg); /* model/cfg.c */
const struct snap_cfg_entry *snap_cfg_find(const struct snap_cfg *cfg,
                                           const char *key);
/* The one of a NULL-terminated list of words that was probably meant, or
 * NULL: for "did you mean". */
const char *snap_cfg_nearest(const char *word, const char *const *known);

#endif /* SNAP_MODEL_CFG_H */
