/* SPDX-License-Identifier: LGPL-2.1-only */
/* See cfg.h. */
#include "cli/cfg.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

struct scan {
    const char *file;
    const char *p, *end;
    int line;
};

static int bad(struct scan *s, struct snap_err *err, const char *why)
{
    return snap_fail(err, SNAP_INVAL, "%s:%d: %s", s->file, s->line, why);
}

/* Skip blanks and comments; also line ends, if lines. */
static void blanks(struct scan *s, bool lines)
{
    for (; s->p < s->end; s->p++) {
        if (*s->p == '#')
            while (s->p + 1 < s->end && s->p[1] != '\n')
                s->p++;
        else if (*s->p == '\n' && lines)
            s->line++;
        else if (*s->p == '\n' || !isspace((unsigned char)*s->p))
            return;
    }
}

static int value(struct scan *s, struct snap_cfg_entry *e,
                 struct snap_err *err)
{
    const char *from = s->p;
    char quote = 0;

    if (s->p < s->end && (*s->p == '"' || *s->p == '\'')) {
        quote = *s->p++;
        from = s->p;
        while (s->p < s->end && *s->p != quote && *s->p != '\n')
            s->p++;
        if (s->p == s->end || *s->p != quote)
            return bad(s, err, "a string does not end");
    } else {
        while (s->p < s->end && isdigit((unsigned char)*s->p))
            s->p++;
        if (s->p == from)
            return bad(s, err, "a value is expected");
    }
    e->values = snap_realloc(e->values, e->n + 1, sizeof(*e->values));
    e->lines = snap_realloc(e->lines, e->n + 1, sizeof(*e->lines));
    e->values[e->n] = snap_strndup(from, s->p - from);
    e->lines[e->n++] = s->line;
    if (quote)
        s->p++;
    return 0;
}

static int list(struct scan *s, struct snap_cfg_entry *e, struct snap_err *err)
{
    int rc;

    e->list = true;
    s->p++;
    for (;;) {
        blanks(s, true);
        if (s->p < s->end && *s->p == ']') {
            s->p++;
            return 0;
        }
        rc = value(s, e, err);
        if (rc)
            return rc;
        blanks(s, true);
        if (s->p < s->end && *s->p == ',')
            s->p++;
        else if (s->p == s->end || *s->p != ']')
            return bad(s, err, "a list does not end");
    }
}

int cli_cfg_parse(const char *file, const char *text, size_t len,
                  struct snap_cfg *cfg_r, struct snap_err *err)
{
    int rc;
    struct scan s = { file, text, text + len, 1 };
    struct snap_cfg_entry *e;
    const char *from;

    cfg_r->file = snap_strdup(file);
    for (;;) {
        blanks(&s, true);
        if (s.p == s.end)
            return 0;
        from = s.p;
        while (s.p < s.end && (isalnum((unsigned char)*s.p) || *s.p == '_'))
            s.p++;
        if (s.p == from)
            return bad(&s, err, "a key is expected");
        cfg_r->entries = snap_realloc(cfg_r->entries, cfg_r->n + 1,
                                      sizeof(*cfg_r->entries));
        e = &cfg_r->entries[cfg_r->n++];
        memset(e, 0, sizeof(*e));
        e->key = snap_strndup(from, s.p - from);
        e->line = s.line;
        blanks(&s, false);
        if (s.p == s.end || *s.p != '=')
            return bad(&s, err, "= is expected");
        s.p++;
        blanks(&s, false);
        rc = s.p < s.end && *s.p == '[' ? list(&s, e, err) : value(&s, e, err);
        if (rc)
            return rc;
    }
}
