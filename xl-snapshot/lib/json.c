/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * JSON values that go through us unharmed.  yajl reads and writes the text; the
 * tree and its limits are ours.  This is the only file that names yajl, so
 * that another parser (Xen now prefers json-c) means changing one place.
 *
 * Input is hostile.  yajl checks UTF-8 only roughly and turns an unpaired
 * surrogate into '?', so precheck() refuses both beforehand.  Depth and the
 * number of values are bounded, which also bounds every recursion below (some
 * 200 bytes of stack a level).
 * A string with a NUL inside is refused: C callers would see half of it.
 *
 * Assumes that LC_NUMERIC is "C".  Misuse of a constructor's result (pushing
 * onto a string) is a bug of ours, not bad input, and aborts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "lib/json.h"
#include "lib/mem.h"

/* Values in one text.  QEMU's list of the nodes of 20 disks, each 200 images
 * deep, has some 450 000; this many tiny ones cost some 120 MB of dom0's
 * memory. */
#define VALUES_MAX (1u << 20)
#define INDENT     "    "
#define FEW_KEYS   24

struct item {
    char *key; /* objects only */
    struct snap_json *value;
};

struct snap_json {
    enum snap_json_type type;
    bool truth; /* BOOL */
    bool lossy; /* STRING: not what it was made from */
    struct item *items; /* ARRAY, OBJECT */
    size_t len, cap;
    char text[]; /* NUMBER, STRING; otherwise "" */
};

static struct snap_json *node_text(enum snap_json_type type, const char *text,
                                   size_t len)
{
    struct snap_json *j;

    j = snap_realloc(NULL, sizeof(*j) + len + 1, 1);
    *j = (struct snap_json){ .type = type };
    memcpy(j->text, text, len);
    j->text[len] = '\0';
    return j;
}

static struct snap_json *node(enum snap_json_type type)
{
    return node_text(type, "", 0);
}

static bool is(const struct snap_json *j, enum snap_json_type type)
{
    return j && j->type == type;
}

static void append(struct snap_json *j, char *key, struct snap_json *value)
{
    if (j->len == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 4;
        j->items = snap_realloc(j->items, j->cap, sizeof(*j->items));
    }
    j->items[j->len].key = key;
    j->items[j->len].value = value;
    j->len++;
}

/* --- reading ----------------------------------------------------------- */

struct parser {
    struct snap_json *root;
    struct snap_json *open[SNAP_JSON_DEPTH]; /* containers not yet closed */
    struct snap_buf key; /* read, in the innermost object; value to come */
    size_t depth, values;
    const char *skip; /* key of the root whose value is not kept, or NULL */
    size_t skipping; /* containers open in that value */
    char *why; /* reason we stopped yajl */
};

static int json_stop(struct parser *p, char *why)
{
    p->why = why;
    return 0;
}

static int count(struct parser *p)
{
    if (++p->values > VALUES_MAX)
        return json_stop(p, snap_printf("more than %u values", VALUES_MAX));
    return 1;
}

/* Put a value where it belongs; it is freed with the tree from then on. */
static int json_place(struct parser *p, struct snap_json *j)
{
    struct snap_json *in = p->depth ? p->open[p->depth - 1] : NULL;

    if (!in)
        p->root = j;
    else if (is(in, SNAP_JSON_OBJECT))
        append(in, snap_strndup(p->key.data, p->key.len), j);
    else
        append(in, NULL, j);
    return count(p);
}

/* Does the value now begin that nobody wants? */
static bool unwanted(const struct parser *p)
{
    return p->skip && p->depth == 1 && is(p->open[0], SNAP_JSON_OBJECT) &&
           !strcmp(p->key.data, p->skip);
}

static int enter(struct parser *p, enum snap_json_type type)
{
    struct snap_json *j;
    bool skip = unwanted(p);

    if (p->depth + p->skipping == SNAP_JSON_DEPTH)
        return json_stop(p, snap_printf("nested deeper than %d levels",
                                        SNAP_JSON_DEPTH));
    if (p->skipping) {
        p->skipping++;
        return count(p);
    }
    j = node(type);
    if (!json_place(p, j))
        return 0;
    if (skip)
        p->skipping = 1;
    else
        p->open[p->depth++] = j;
    return 1;
}

static int on_null(void *opaque)
{
    struct parser *p = opaque;

    return p->skipping ? count(p) : json_place(p, snap_json_null());
}

static int on_boolean(void *opaque, int v)
{
    struct parser *p = opaque;

    return p->skipping ? count(p) : json_place(p, snap_json_bool(v));
}

static int on_number(void *opaque, const char *s, size_t len)
{
    struct parser *p = opaque;

    if (p->skipping)
        return count(p);
    return json_place(p, node_text(SNAP_JSON_NUMBER, s, len));
}

static int on_string(void *opaque, const unsigned char *s, size_t len)
{
    struct parser *p = opaque;

    if (p->skipping)
        return count(p);
    return json_place(p, node_text(SNAP_JSON_STRING, (const char *)s, len));
}

static int on_start_map(void *opaque)
{
    return enter(opaque, SNAP_JSON_OBJECT);
}

static int on_map_key(void *opaque, const unsigned char *s, size_t len)
{
    struct parser *p = opaque;

    if (p->skipping)
        return 1;
    p->key.len = 0;
    snap_buf_add(&p->key, s, len);
    return 1;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A key that is there twice, or NULL.  Sorting keeps a hostile object with a
 * million keys from costing a million squared; few need no sorting. */
static const char *twice(const struct snap_json *j)
{
    const char **keys = NULL, *found = NULL;
    size_t i, k;

    if (j->len <= FEW_KEYS) {
        for (i = 1; i < j->len; i++)
            for (k = 0; k < i; k++)
                if (*j->items[i].key == *j->items[k].key &&
                    !strcmp(j->items[i].key, j->items[k].key))
                    return j->items[i].key;
        return NULL;
    }
    keys = snap_realloc(NULL, j->len, sizeof(*keys));
    for (i = 0; i < j->len; i++)
        keys[i] = j->items[i].key;
    qsort(keys, j->len, sizeof(*keys), by_key);
    for (i = 1; i < j->len && !found; i++)
        if (!strcmp(keys[i - 1], keys[i]))
            found = keys[i];
    free(keys);
    return found;
}

static int on_end_map(void *opaque)
{
    struct parser *p = opaque;
    const char *key;
    char *what;
    int go;

    if (p->skipping) {
        p->skipping--;
        return 1;
    }
    key = twice(p->open[--p->depth]);
    if (!key)
        return 1;
    what = snap_excerpt(key, strlen(key), 80);
    go = json_stop(p, snap_printf("key \"%s\" twice in one object", what));
    free(what);
    return go;
}

static int on_start_array(void *opaque)
{
    return enter(opaque, SNAP_JSON_ARRAY);
}

static int on_end_array(void *opaque)
{
    struct parser *p = opaque;

    if (p->skipping)
        p->skipping--;
    else
        p->depth--;
    return 1;
}

/* yajl_number gets the text as it stands; with it set, yajl never converts
 * and so never loses a digit. */
static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

static void *yalloc(void *opaque, size_t size)
{
    (void)opaque;
    return snap_realloc(NULL, size, 1);
}

static void *yrealloc(void *opaque, void *p, size_t size)
{
    (void)opaque;
    return snap_realloc(p, size, 1);
}

static void yfree(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

/* The four digits of a \u escape, or -1. */
static int hex4(const char *s, size_t n)
{
    int v = 0, digit;
    size_t i;

    if (n < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        if (s[i] >= '0' && s[i] <= '9')
            digit = s[i] - '0';
        else if (s[i] >= 'a' && s[i] <= 'f')
            digit = s[i] - 'a' + 10;
        else if (s[i] >= 'A' && s[i] <= 'F')
            digit = s[i] - 'A' + 10;
        else
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/*
 * Bytes of the escape at s, which starts with a backslash; 0 and *why_r if
 * it stands for something no string of ours may hold.  What is no escape at
 * all is left for yajl to find.
 */
static size_t escape(const char *s, size_t n, const char **why_r)
{
    int first, second = -1;

    if (n < 2)
        return n;
    if (s[1] != 'u')
        return snap_utf8_seq(s + 1, 1) ? 2 : 1;
    first = hex4(s + 2, n - 2);
    if (first < 0)
        return 2;
    if (first == 0) {
        *why_r = "NUL character in a string";
        return 0;
    }
    if (first < 0xd800 || first > 0xdfff)
        return 6;
    if (first < 0xdc00 && n >= 12 && s[6] == '\\' && s[7] == 'u')
        second = hex4(s + 8, n - 8);
    if (second < 0xdc00 || second > 0xdfff) {
        *why_r = "unpaired surrogate in a string";
        return 0;
    }
    return 12;
}

/* Most bytes are: no business of precheck()'s. */
static inline bool plain(char c)
{
    return (signed char)c > 0 && c != '"' && c != '\\';
}

/* Most texts have none of what precheck() looks for. */
static bool all_plain(const char *s, size_t len)
{
    uint64_t word, seen = 0;
    size_t i;

    for (i = 0; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        seen |= word;
    }
    for (; i < len; i++)
        seen |= (unsigned char)s[i];
    return !(seen & UINT64_C(0x8080808080808080)) && !memchr(s, 0, len) &&
           !memchr(s, '\\', len);
}

/* What yajl would let pass.  Returns NULL, or the reason and its offset. */
static const char *precheck(const char *s, size_t len, size_t *offset_r)
{
    const char *why = NULL;
    bool quoted = false;
    size_t i, step;

    if (all_plain(s, len))
        return NULL;
    for (i = 0; i < len; i += step) {
        step = 1;
        if (plain(s[i]))
            continue;
        if (quoted && s[i] == '\\')
            step = escape(s + i, len - i, &why);
        else
            step = snap_utf8_seq(s + i, len - i);
        if (s[i] == '"')
            quoted = !quoted;
        if (!step) {
            *offset_r = i;
            return why ? why : "invalid UTF-8";
        }
    }
    return NULL;
}

/*
 * Give yajl the text but for what indents a line, which it would take byte by
 * byte and at some expense.  Blanks after a line's end mean nothing: where a
 * string is open, yajl has refused the line's end.  *offset_r: how far it got.
 */
static yajl_status feed(yajl_handle h, const char *s, size_t len,
                        size_t *offset_r)
{
    yajl_status st = yajl_status_ok;
    const char *eol;
    size_t i = 0, n;

    while (i < len && st == yajl_status_ok) {
        eol = memchr(s + i, '\n', len - i);
        n = eol ? (size_t)(eol - s) - i + 1 : len - i;
        st = yajl_parse(h, (const unsigned char *)s + i, n);
        if (st != yajl_status_ok)
            n = yajl_get_bytes_consumed(h);
        i += n;
        while (st == yajl_status_ok && i < len && s[i] == ' ')
            i++;
    }
    *offset_r = i;
    return st == yajl_status_ok ? yajl_complete_parse(h) : st;
}

int snap_json_parse(const char *text, size_t len, struct snap_json **out_r,
                    struct snap_err *err)
{
    return snap_json_parse_but(text, len, NULL, out_r, err);
}

int snap_json_parse_but(const char *text, size_t len, const char *skip,
                        struct snap_json **out_r, struct snap_err *err)
{
    yajl_alloc_funcs afs = {
        .malloc = yalloc,
        .realloc = yrealloc,
        .free = yfree,
    };
    const unsigned char *input = (const unsigned char *)text;
    unsigned char *said = NULL;
    struct parser p = { .skip = skip };
    yajl_handle h = NULL;
    const char *why;
    size_t offset;
    yajl_status st;
    int rc;

    *out_r = NULL;
    if (len && text[len - 1] == '\0')
        len--;
    why = precheck(text, len, &offset);
    if (why) {
        rc = snap_fail(err, SNAP_CORRUPT, "not valid JSON at offset %zu: %s",
                       offset, why);
        goto out;
    }

    h = yajl_alloc(&callbacks, &afs, &p);
    st = feed(h, text, len, &offset);
    if (st != yajl_status_ok) {
        why = p.why;
        if (!why) {
            said = yajl_get_error(h, 0, input, len);
            said[strcspn((char *)said, ".\n")] = '\0';
            why = (char *)said;
        }
        rc = snap_fail(err, SNAP_CORRUPT, "not valid JSON at offset %zu: %s",
                       offset, why);
        goto out;
    }

    *out_r = p.root;
    p.root = NULL;
    rc = 0;

out:
    if (said)
        yajl_free_error(h, said);
    if (h)
        yajl_free(h);
    snap_buf_dispose(&p.key);
    free(p.why);
    snap_json_free(p.root);
    return rc;
}

/* --- writing ----------------------------------------------------------- */

/*
 * yajl_gen writes, and on_print() puts in the text what it prints.  It would
 * have blank lines in what is empty, and it has YAJL_MAX_DEPTH levels where we
 * have SNAP_JSON_DEPTH: what is empty is handed to it as text, and what is
 * deeper is written by a generator of its own, in the place that the outer
 * one has made for an empty text.
 */
struct writer {
    struct snap_buf text;
    char block[1024]; /* what comes after it, */
    size_t n; /* of so many bytes */
    bool pretty;
    size_t outside; /* levels open in the generators around this one */
    char held; /* printed, but waits for the byte after it; or NUL */
};

/* One more is an error to yajl_gen. */
#define GEN_DEPTH (YAJL_MAX_DEPTH - 1)

static void flush_block(struct writer *w)
{
    snap_buf_add(&w->text, w->block, w->n);
    w->n = 0;
}

static inline void put(struct writer *w, char c)
{
    if (w->n == sizeof(w->block))
        flush_block(w);
    w->block[w->n++] = c;
}

static void put_text(struct writer *w, const char *s)
{
    while (*s)
        put(w, *s++);
}

/* A line's end: there is none after the last line.  Byte 0xc2: the next one
 * tells what it is of. */
static inline bool held_back(char c)
{
    return c == '\n' || c == '\xc2';
}

/* A byte that is not just put there, or that comes after one. */
static void print_byte(struct writer *w, char c)
{
    bool high = (unsigned char)c >= 0xa0;
    char escape[8];
    size_t i;

    if (w->held == '\n') {
        put(w, '\n');
        for (i = 0; i < w->outside; i++)
            put_text(w, INDENT);
    }
    if (w->held == '\xc2' && high)
        put(w, '\xc2');
    if (c == '\x7f' || (w->held == '\xc2' && !high)) {
        snprintf(escape, sizeof(escape), "\\u%04X", (unsigned char)c);
        put_text(w, escape);
    } else if (!held_back(c)) {
        put(w, c);
    }
    w->held = held_back(c) ? c : '\0';
}

/* DEL and U+0080 to U+009F, which yajl_gen writes as they are and a terminal
 * obeys, become escapes: outside of strings JSON has none. */
static void on_print(void *opaque, const char *s, size_t len)
{
    struct writer *w = opaque;
    size_t i;

    for (i = 0; i < len; i++) {
        if (w->held || held_back(s[i]) || s[i] == '\x7f')
            print_byte(w, s[i]);
        else
            put(w, s[i]);
    }
}

/* Whatever it refuses is a bug of ours. */
static void must(yajl_gen_status st)
{
    if (st != yajl_gen_status_ok)
        abort();
}

static void write_string(yajl_gen g, const char *s)
{
    must(yajl_gen_string(g, (const unsigned char *)s, strlen(s)));
}

static void write_value(struct writer *w, yajl_gen g,
                        const struct snap_json *j, size_t level);

static void write_alone(struct writer *w, const struct snap_json *j)
{
    yajl_alloc_funcs afs = {
        .malloc = yalloc,
        .realloc = yrealloc,
        .free = yfree,
    };
    yajl_gen g = yajl_gen_alloc(&afs);

    yajl_gen_config(g, yajl_gen_beautify, w->pretty);
    yajl_gen_config(g, yajl_gen_indent_string, INDENT);
    yajl_gen_config(g, yajl_gen_print_callback, on_print, w);
    write_value(w, g, j, 0);
    yajl_gen_free(g);
    w->held = '\0';
}

static void write_items(struct writer *w, yajl_gen g,
                        const struct snap_json *j, size_t level)
{
    bool keys = is(j, SNAP_JSON_OBJECT);
    size_t i;

    if (!j->len) {
        must(yajl_gen_number(g, keys ? "{}" : "[]", 2));
    } else if (level == GEN_DEPTH) {
        must(yajl_gen_number(g, "", 0));
        w->outside += level;
        write_alone(w, j);
        w->outside -= level;
    } else {
        must(keys ? yajl_gen_map_open(g) : yajl_gen_array_open(g));
        for (i = 0; i < j->len; i++) {
            if (keys)
                write_string(g, j->items[i].key);
            write_value(w, g, j->items[i].value, level + 1);
        }
        must(keys ? yajl_gen_map_close(g) : yajl_gen_array_close(g));
    }
}

/* level: how many are open in g. */
static void write_value(struct writer *w, yajl_gen g,
                        const struct snap_json *j, size_t level)
{
    switch (snap_json_type(j)) {
    case SNAP_JSON_NULL:
        must(yajl_gen_null(g));
        break;
    case SNAP_JSON_BOOL:
        must(yajl_gen_bool(g, j->truth));
        break;
    case SNAP_JSON_NUMBER:
        must(yajl_gen_number(g, j->text, strlen(j->text)));
        break;
    case SNAP_JSON_STRING:
        write_string(g, j->text);
        break;
    case SNAP_JSON_ARRAY:
    case SNAP_JSON_OBJECT:
        write_items(w, g, j, level);
        break;
    }
}

char *snap_json_text(const struct snap_json *j, bool pretty)
{
    struct writer w = { .pretty = pretty };

    write_alone(&w, j);
    flush_block(&w);
    return w.text.data;
}

/* --- life and death ---------------------------------------------------- */

void snap_json_free(struct snap_json *j)
{
    size_t i;

    if (!j)
        return;
    for (i = 0; i < j->len; i++) {
        free(j->items[i].key);
        snap_json_free(j->items[i].value);
    }
    free(j->items);
    free(j);
}

struct snap_json *snap_json_copy(const struct snap_json *j)
{
    struct snap_json *copy;
    size_t i;

    if (!j)
        return NULL;
    copy = node_text(j->type, j->text, strlen(j->text));
    copy->truth = j->truth;
    copy->lossy = j->lossy;
    for (i = 0; i < j->len; i++)
        append(copy, snap_strdup(j->items[i].key),
               snap_json_copy(j->items[i].value));
    return copy;
}

struct snap_json *snap_json_null(void)
{
    return node(SNAP_JSON_NULL);
}

/* A node with this text, which is used up. */
static struct snap_json *node_take(enum snap_json_type type, char *text)
{
    struct snap_json *j = node_text(type, text, strlen(text));

    free(text);
    return j;
}

struct snap_json *snap_json_bool(bool v)
{
    struct snap_json *j;

    j = node(SNAP_JSON_BOOL);
    j->truth = v;
    return j;
}

struct snap_json *snap_json_int(int64_t v)
{
    return node_take(SNAP_JSON_NUMBER, snap_printf("%" PRId64, v));
}

struct snap_json *snap_json_double(double v)
{
    char *s;
    size_t len;

    if (!__builtin_isfinite(v))
        return snap_json_null();
    s = snap_printf("%.3f", v);
    len = strlen(s);
    while (s[len - 1] == '0')
        s[--len] = '\0';
    if (s[len - 1] == '.')
        s[--len] = '\0';
    if (!strcmp(s, "-0"))
        snap_set(&s, "0");
    return node_take(SNAP_JSON_NUMBER, s);
}

/* A copy that is valid UTF-8: each stray byte becomes U+FFFD.  A file name
 * need not be text, a JSON string must. */
static char *as_utf8(const char *s)
{
    struct snap_buf b = { 0 };
    size_t seq, left = strlen(s), run;

    for (run = 0; (signed char)s[run] > 0; run++)
        ;
    snap_buf_add(&b, s, run);
    s += run;
    left -= run;
    for (; left; s += seq, left -= seq) {
        seq = snap_utf8_seq(s, left);
        if (seq) {
            snap_buf_add(&b, s, seq);
        } else {
            snap_buf_adds(&b, "\xef\xbf\xbd");
            seq = 1;
        }
    }
    return b.data;
}

struct snap_json *snap_json_str(const char *s)
{
    struct snap_json *j;

    if (!s)
        return snap_json_null();
    j = node_take(SNAP_JSON_STRING, as_utf8(s));
    j->lossy = strcmp(j->text, s) != 0;
    return j;
}

const char *snap_json_lossy(const struct snap_json *j)
{
    const char *found = j && j->lossy ? j->text : NULL;
    size_t i;

    for (i = 0; j && !found && i < j->len; i++)
        found = snap_json_lossy(j->items[i].value);
    return found;
}

struct snap_json *snap_json_array(void)
{
    return node(SNAP_JSON_ARRAY);
}

struct snap_json *snap_json_object(void)
{
    return node(SNAP_JSON_OBJECT);
}

/* --- looking and changing ---------------------------------------------- */

enum snap_json_type snap_json_type(const struct snap_json *j)
{
    return j ? j->type : SNAP_JSON_NULL;
}

size_t snap_json_len(const struct snap_json *j)
{
    return j ? j->len : 0;
}

struct snap_json *snap_json_at(const struct snap_json *j, size_t i)
{
    return j && i < j->len ? j->items[i].value : NULL;
}

const char *snap_json_key_at(const struct snap_json *obj, size_t i)
{
    return obj && i < obj->len ? obj->items[i].key : NULL;
}

void snap_json_push(struct snap_json *arr, struct snap_json *child)
{
    if (!is(arr, SNAP_JSON_ARRAY) || !child)
        abort();
    append(arr, NULL, child);
}

/* The place of the key with these n bytes, or NULL. */
static struct item *json_find(const struct snap_json *j, const char *key,
                              size_t n)
{
    size_t i;

    if (!is(j, SNAP_JSON_OBJECT))
        return NULL;
    for (i = 0; i < j->len; i++) {
        const char *k = j->items[i].key;

        if ((!n || *k == *key) && !strncmp(k, key, n) && !k[n])
            return &j->items[i];
    }
    return NULL;
}

struct snap_json *snap_json_get(const struct snap_json *j, const char *key)
{
    struct item *it;

    it = json_find(j, key, strlen(key));
    return it ? it->value : NULL;
}

void snap_json_set(struct snap_json *obj, const char *key,
                   struct snap_json *child)
{
    struct item *it;
    char *name;

    if (!is(obj, SNAP_JSON_OBJECT))
        abort();
    name = as_utf8(key);
    it = json_find(obj, name, strlen(name));
    if (!it && child) {
        append(obj, name, child);
        return;
    }
    free(name);
    if (!it || it->value == child)
        return;
    snap_json_free(it->value);
    it->value = child;
    if (child)
        return;
    free(it->key);
    obj->len--;
    memmove(it, it + 1, (obj->items + obj->len - it) * sizeof(*it));
}

struct snap_json *snap_json_path(const struct snap_json *j, const char *path)
{
    struct item *it;
    size_t n;

    for (;;) {
        n = strcspn(path, ".");
        it = json_find(j, path, n);
        if (!it)
            return NULL;
        if (!path[n])
            return it->value;
        j = it->value;
        path += n + 1;
    }
}

const char *snap_json_string(const struct snap_json *j, const char *dflt)
{
    return is(j, SNAP_JSON_STRING) ? j->text : dflt;
}

bool snap_json_truth(const struct snap_json *j, bool dflt)
{
    return is(j, SNAP_JSON_BOOL) ? j->truth : dflt;
}

int64_t snap_json_integer(const struct snap_json *j, int64_t dflt)
{
    long long v;
    char *end;

    if (!is(j, SNAP_JSON_NUMBER))
        return dflt;
    errno = 0;
    v = strtoll(j->text, &end, 10);
    return errno || *end ? dflt : v;
}

uint64_t snap_json_unsigned(const struct snap_json *j, uint64_t dflt)
{
    unsigned long long v;
    char *end;

    /* strtoull() would take "-1" and wrap it. */
    if (!is(j, SNAP_JSON_NUMBER) || j->text[0] == '-')
        return dflt;
    errno = 0;
    v = strtoull(j->text, &end, 10);
    return errno || *end ? dflt : v;
}

double snap_json_real(const struct snap_json *j, double dflt)
{
    double v;

    if (!is(j, SNAP_JSON_NUMBER))
        return dflt;
    v = strtod(j->text, NULL);
    return __builtin_isfinite(v) ? v : dflt;
}

const char *snap_json_get_str(const struct snap_json *obj, const char *key)
{
    return snap_json_string(snap_json_get(obj, key), NULL);
}

int64_t snap_json_get_int(const struct snap_json *obj, const char *key,
                          int64_t dflt)
{
    return snap_json_integer(snap_json_get(obj, key), dflt);
}

bool snap_json_get_bool(const struct snap_json *obj, const char *key,
                        bool dflt)
{
    return snap_json_truth(snap_json_get(obj, key), dflt);
}

void snap_json_set_str(struct snap_json *obj, const char *key, const char *s)
{
    snap_json_set(obj, key, snap_json_str(s));
}

void snap_json_set_int(struct snap_json *obj, const char *key, int64_t v)
{
    snap_json_set(obj, key, snap_json_int(v));
}

void snap_json_set_bool(struct snap_json *obj, const char *key, bool v)
{
    snap_json_set(obj, key, snap_json_bool(v));
}
