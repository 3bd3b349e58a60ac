/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See cfg_scan.h.  The text may be anything: the scanner never reads past
 * its end and always advances.
 */
#include <stdlib.h>
#include <string.h>

#include "hyp/cfg_scan.h"
#include "lib/mem.h"

/* --- tokens ------------------------------------------------------------ */

enum cfg_token {
    CFG_END,
    CFG_NEWLINE,
    CFG_NAME, /* a key */
    CFG_NUMBER,
    CFG_STRING, /* with its quotes */
    CFG_ASSIGN, /* = */
    CFG_ADD, /* += */
    CFG_PUNCT, /* one of , [ ] ; */
    CFG_BAD, /* libxlutil will say what is wrong */
};

struct cfg_scan {
    const char *at, *end;
    int line; /* of the next token */
    /* the last token */
    const char *text;
    size_t len;
    int token_line;
};

static void scan_init(struct cfg_scan *s, const char *text, size_t len)
{
    memset(s, 0, sizeof(*s));
    s->at = text;
    s->end = text + len;
    s->line = 1;
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool in_name(char c)
{
    return is_lower(c) || is_digit(c) || c == '_' || c == '.';
}

static bool in_number(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || c == 'x';
}

static enum cfg_token take_while(struct cfg_scan *s, bool (*in)(char),
                                 enum cfg_token token)
{
    while (s->at < s->end && in(*s->at))
        s->at++;
    return token;
}

/* A string ends on its line; a backslash takes the next character along. */
static enum cfg_token take_string(struct cfg_scan *s)
{
    char quote = *s->at++;

    while (s->at < s->end && *s->at != '\n') {
        if (*s->at == quote) {
            s->at++;
            return CFG_STRING;
        }
        if (*s->at == '\\' && s->at + 1 < s->end && s->at[1] != '\n')
            s->at++;
        s->at++;
    }
    return CFG_BAD;
}

static enum cfg_token cfg_scan_take(struct cfg_scan *s)
{
    switch (*s->at) {
    case '#':
        while (s->at < s->end && *s->at != '\n')
            s->at++;
        if (s->at == s->end)
            return CFG_NEWLINE;
        /* fall through */
    case '\n':
        s->at++;
        s->line++;
        return CFG_NEWLINE;
    case '\'':
    case '"':
        return take_string(s);
    case '=':
        s->at++;
        return CFG_ASSIGN;
    case ',':
    case '[':
    case ']':
    case ';':
        s->at++;
        return CFG_PUNCT;
    case '+':
        s->at++;
        if (s->at == s->end || *s->at != '=')
            return CFG_BAD;
        s->at++;
        return CFG_ADD;
    default:
        if (is_lower(*s->at))
            return take_while(s, in_name, CFG_NAME);
        if (is_digit(*s->at))
            return take_while(s, in_number, CFG_NUMBER);
        s->at++;
        return CFG_BAD;
    }
}

static enum cfg_token scan_next(struct cfg_scan *s)
{
    enum cfg_token token;

    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
        s->at++;
    s->text = s->at;
    s->token_line = s->line;
    token = s->at < s->end ? cfg_scan_take(s) : CFG_END;
    s->len = s->at - s->text;
    return token;
}

static bool is_punct(const struct cfg_scan *s, enum cfg_token token, char c)
{
    return token == CFG_PUNCT && *s->text == c;
}

/* --- before ------------------------------------------------------------ */

/*
 * libxlu_cfg.c: xlu__cfgl_dequote() drops numeric escapes from the string,
 * and "\x" at a string's end runs past it into an assertion.
 */
static int check_escapes(const char *file, const struct cfg_scan *s,
                         struct snap_err *err)
{
    size_t i;

    for (i = 1; i + 1 < s->len; i++) {
        if (s->text[i] != '\\')
            continue;
        i++;
        if (s->text[i] == 'x' || is_digit(s->text[i]))
            return snap_fail(err, SNAP_INVAL,
                             "%s:%d: numeric escapes (\\%c...) do not work in configuration files",
                             file, s->token_line, s->text[i]);
    }
    return 0;
}

int cfg_scan_check(const char *file, const char *text, size_t len,
                   struct snap_err *err)
{
    enum cfg_token token;
    struct cfg_scan s;
    int rc, depth = 0;

    scan_init(&s, text, len);
    while ((token = scan_next(&s)) != CFG_END) {
        if (memchr(s.text, '\0', s.len))
            return snap_fail(err, SNAP_INVAL,
                             "%s:%d: holds a NUL byte: not a text file", file,
                             s.token_line);
        if (*s.text == '\r')
            return snap_fail(err, SNAP_INVAL,
                             "%s:%d: has DOS line ends (convert it with dos2unix)",
                             file, s.token_line);
        if (token == CFG_STRING) {
            rc = check_escapes(file, &s, err);
            if (rc)
                return rc;
        }
        if (is_punct(&s, token, '[') && ++depth > 1)
            return snap_fail(err, SNAP_INVAL, "%s:%d: a list within a list",
                             file, s.token_line);
        if (is_punct(&s, token, ']') && depth)
            depth--;
    }
    return 0;
}

/* --- after ------------------------------------------------------------- */

static void add_value(struct snap_cfg_entry *e, int line)
{
    e->values = snap_realloc(e->values, e->n + 1, sizeof(*e->values));
    e->lines = snap_realloc(e->lines, e->n + 1, sizeof(*e->lines));
    e->values[e->n] = NULL;
    e->lines[e->n] = line;
    e->n++;
}

static struct snap_cfg_entry *add_entry(struct snap_cfg *cfg,
                                        const struct cfg_scan *s)
{
    struct snap_cfg_entry *e;

    cfg->entries = snap_realloc(cfg->entries, cfg->n + 1,
                                sizeof(*cfg->entries));
    e = &cfg->entries[cfg->n++];
    memset(e, 0, sizeof(*e));
    e->key = snap_strndup(s->text, s->len);
    e->line = s->token_line;
    return e;
}

static struct snap_cfg_entry *have_entry(struct snap_cfg *cfg,
                                         const struct cfg_scan *s)
{
    size_t i;

    for (i = 0; i < cfg->n; i++)
        if (strlen(cfg->entries[i].key) == s->len &&
            !memcmp(cfg->entries[i].key, s->text, s->len))
            return &cfg->entries[i];
    return NULL;
}

/* The value behind "key =": one, or a list up to its bracket. */
static void scan_value(struct cfg_scan *s, struct snap_cfg_entry *e, bool add)
{
    enum cfg_token token = scan_next(s);

    if (!is_punct(s, token, '[')) {
        if (!add || !e->n)
            add_value(e, s->token_line);
        return;
    }
    e->list = true;
    while ((token = scan_next(s)) != CFG_END && !is_punct(s, token, ']'))
        if (token == CFG_STRING || token == CFG_NUMBER)
            add_value(e, s->token_line);
}

int cfg_scan_keys(const char *file, const char *text, size_t len,
                  struct snap_cfg *cfg_r, struct snap_err *err)
{
    struct snap_cfg_entry *e;
    enum cfg_token token;
    struct cfg_scan s;

    scan_init(&s, text, len);
    while ((token = scan_next(&s)) != CFG_END) {
        if (token != CFG_NAME)
            continue;
        e = have_entry(cfg_r, &s);
        if (!e) {
            e = add_entry(cfg_r, &s);
            token = scan_next(&s);
        } else {
            int line = s.token_line;

            token = scan_next(&s);
            if (token != CFG_ADD)
                return snap_fail(err, SNAP_INVAL,
                                 "%s:%d: \"%s\" is set again, after line %d",
                                 file, line, e->key, e->line);
        }
        scan_value(&s, e, token == CFG_ADD);
    }
    return 0;
}
