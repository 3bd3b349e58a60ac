/* SPDX-License-Identifier: LGPL-2.1-only */
/* See fake_cfg.h.  A scanner over one string; each function leaves p behind
 * what it took. */
#include <stdlib.h>
#include <string.h>

#include "fakes/fake_cfg.h"
#include "lib/mem.h"

#define FIRST  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

struct scan {
    const char *file;
    const char *p, *end;
    int line;
    struct snap_err *err;
};

static int wrong(const struct scan *s, const char *why)
{
    return snap_fail(s->err, SNAP_INVAL, "%s:%d: %s", s->file, s->line, why);
}

static char at(const struct scan *s)
{
    return s->p < s->end ? *s->p : '\0';
}

static size_t span(const struct scan *s, const char *set)
{
    size_t n = 0;

    while (s->p + n < s->end && s->p[n] && strchr(set, s->p[n]))
        n++;
    return n;
}

/* Blanks, and with lines also newlines and comments. */
static void skip(struct scan *s, bool lines)
{
    for (;;) {
        s->p += span(s, " \t");
        if (at(s) == '#')
            while (s->p < s->end && *s->p != '\n')
                s->p++;
        if (!lines || at(s) != '\n')
            return;
        s->line++;
        s->p++;
    }
}

static int escape(struct scan *s, char *c_r)
{
    static const char map[] = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"''";
    const char *m;

    for (m = map; *m; m += 2)
        if (*m == at(s))
            break;
    if (!*m)
        return wrong(s, "escape that does not survive");
    *c_r = m[1];
    s->p++;
    return 0;
}

static int string(struct scan *s, char **v_r)
{
    struct snap_buf b = { .len = 0 };
    char quote = *s->p++, c;
    int rc;

    snap_buf_adds(&b, "");
    while (at(s) != quote) {
        c = at(s);
        if (!c || c == '\n') {
            rc = wrong(s, "string without its end");
            goto out;
        }
        s->p++;
        if (c == '\\') {
            rc = escape(s, &c);
            if (rc)
                goto out;
        }
        snap_buf_add(&b, &c, 1);
    }
    s->p++;
    *v_r = b.data;
    b.data = NULL;
    rc = 0;

out:
    snap_buf_dispose(&b);
    return rc;
}

static int atom(struct scan *s, struct snap_cfg_entry *e)
{
    size_t n = span(s, DIGITS);
    char *v = NULL;
    int rc;

    if (at(s) == '"' || at(s) == '\'') {
        rc = string(s, &v);
        if (rc)
            return rc;
    } else if (n) {
        n = span(s, DIGITS "abcdefx");
        v = snap_strndup(s->p, n);
        s->p += n;
    } else {
        return wrong(s, "a value must be a string or a number");
    }
    e->values = snap_realloc(e->values, e->n + 1, sizeof(*e->values));
    e->lines = snap_realloc(e->lines, e->n + 1, sizeof(*e->lines));
    e->values[e->n] = v;
    e->lines[e->n++] = s->line;
    return 0;
}

static int list(struct scan *s, struct snap_cfg_entry *e)
{
    int rc;

    e->list = true;
    s->p++;
    for (;;) {
        skip(s, true);
        if (at(s) == ']')
            break;
        rc = atom(s, e);
        if (rc)
            return rc;
        skip(s, true);
        if (at(s) == ',')
            s->p++;
        else if (at(s) != ']')
            return wrong(s, "a list goes on with ',' or ends with ']'");
    }
    s->p++;
    return 0;
}

static int entry(struct scan *s, struct snap_cfg *cfg)
{
    struct snap_cfg_entry *e;
    size_t n = span(s, FIRST);
    char *key;
    int rc;

    if (!n)
        return wrong(s, "a key must begin with a letter");
    n = span(s, FIRST DIGITS "._");
    key = snap_strndup(s->p, n);
    if (snap_cfg_find(cfg, key)) {
        free(key);
        return wrong(s, "key given twice");
    }
    cfg->entries = snap_realloc(cfg->entries, cfg->n + 1,
                                sizeof(*cfg->entries));
    e = &cfg->entries[cfg->n++];
    memset(e, 0, sizeof(*e));
    e->key = key;
    e->line = s->line;
    s->p += n;
    skip(s, false);
    if (at(s) != '=')
        return wrong(s, "'=' must follow a key");
    s->p++;
    skip(s, false);
    rc = at(s) == '[' ? list(s, e) : atom(s, e);
    if (rc)
        return rc;
    skip(s, false);
    if (at(s) == ';')
        s->p++;
    else if (s->p < s->end && at(s) != '\n')
        return wrong(s, "more behind a value");
    return 0;
}

int fake_cfg_parse(const char *file, const char *text, size_t len,
                   struct snap_cfg *cfg_r, struct snap_err *err)
{
    struct scan s = {
        .file = file, .p = text, .end = text + len, .line = 1, .err = err
    };
    int rc;

    cfg_r->file = snap_strdup(file);
    for (;;) {
        skip(&s, true);
        if (s.p == s.end)
            return 0;
        rc = entry(&s, cfg_r);
        if (rc)
            break;
    }
    snap_cfg_dispose(cfg_r);
    return rc;
}
