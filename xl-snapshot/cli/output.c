/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A report: what a command found or did, as one list of fields from which
 * both the text for people and the JSON object are printed.  A field cannot
 * be in one and forgotten in the other, unless it says so (no label: JSON
 * only).  The JSON keys are promises (docs/json-schema).
 */
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

#define FORMAT_KEY "format"

struct field {
    char *label;
    char *text;
    struct snap_json *rows; /* a table: its array in root */
    const struct snap_column *cols;
    size_t n_cols;
    char **cells; /* n_cols a row; NULL where there is nothing */
    size_t n_cells, cap_cells;
};

struct snap_report {
    struct snap_json *root;
    struct field *fields;
    size_t n;
};

struct snap_report *snap_report_new(void)
{
    struct snap_report *r = snap_zalloc(sizeof(*r));

    r->root = snap_json_object();
    snap_json_set_int(r->root, FORMAT_KEY, SNAP_REPORT_FORMAT);
    return r;
}

void snap_report_free(struct snap_report *r)
{
    size_t i, k;

    if (!r)
        return;
    for (i = 0; i < r->n; i++) {
        free(r->fields[i].label);
        free(r->fields[i].text);
        for (k = 0; k < r->fields[i].n_cells; k++)
            free(r->fields[i].cells[k]);
        free(r->fields[i].cells);
    }
    free(r->fields);
    snap_json_free(r->root);
    free(r);
}

static struct field *field_new(struct snap_report *r)
{
    struct field *f;

    r->fields = snap_realloc(r->fields, r->n + 1, sizeof(*r->fields));
    f = &r->fields[r->n++];
    memset(f, 0, sizeof(*f));
    return f;
}

void snap_report_add(struct snap_report *r, const char *key, const char *label,
                     struct snap_json *value, const char *text)
{
    struct snap_json *obj = r->root, *next;
    const char *dot;
    char *part;
    struct field *f;

    while ((dot = strchr(key, '.'))) {
        part = snap_strndup(key, dot - key);
        next = snap_json_get(obj, part);
        if (!next || snap_json_type(next) != SNAP_JSON_OBJECT) {
            next = snap_json_object();
            snap_json_set(obj, part, next);
        }
        obj = next;
        free(part);
        key = dot + 1;
    }
    snap_json_set(obj, key, value);

    if (label && text) {
        f = field_new(r);
        f->label = snap_strdup(label);
        f->text = snap_strdup(text);
        snap_clean(f->text);
    }
}

void snap_report_str(struct snap_report *r, const char *key, const char *label,
                     const char *value)
{
    snap_report_add(r, key, label, snap_json_str(value), value);
}

void snap_report_strv(struct snap_report *r, const char *key,
                      const char *label, char *const *v, size_t n)
{
    struct snap_json *arr = snap_json_array();
    struct snap_buf b = { 0 };
    size_t i;

    for (i = 0; i < n; i++) {
        snap_json_push(arr, snap_json_str(v[i]));
        snap_buf_addf(&b, "%s%s", i ? ", " : "", v[i]);
    }
    snap_report_add(r, key, label, arr, n ? b.data : NULL);
    snap_buf_dispose(&b);
}

void snap_report_size(struct snap_report *r, const char *key,
                      const char *label, uint64_t bytes)
{
    char *text = snap_size_human(bytes);

    snap_report_add(r, key, label, snap_json_int((int64_t)bytes), text);
    free(text);
}

void snap_report_ms(struct snap_report *r, const char *key, const char *label,
                    double ms)
{
    char *text = snap_ms_human(ms);

    snap_report_add(r, key, label, snap_json_double(ms), text);
    free(text);
}

void snap_report_bool(struct snap_report *r, const char *key,
                      const char *label, bool v)
{
    snap_report_add(r, key, label, snap_json_bool(v), v ? "yes" : "no");
}

void snap_report_table(struct snap_report *r, const char *key,
                       const struct snap_column *cols, size_t n)
{
    struct snap_json *rows = snap_json_array();
    struct field *f;

    snap_report_add(r, key, NULL, rows, NULL);
    f = field_new(r);
    f->rows = rows;
    f->cols = cols;
    f->n_cols = n;
}

/* Set in row what the column's key says of the cell. */
static void set_cell(struct snap_json *row, const char *key, const char *cell)
{
    const char *kind = strchr(key, ':');
    struct snap_json *j = NULL;
    char *name;

    if (!kind) {
        snap_json_set_str(row, key, cell);
        return;
    }
    name = snap_strndup(key, kind - key);
    if (!cell)
        j = snap_json_null();
    else if (!strcmp(kind, ":bool"))
        j = snap_json_bool(!strcmp(cell, "yes"));
    else if (snap_json_parse(cell, strlen(cell), &j, NULL))
        j = snap_json_null();
    snap_json_set(row, name, j);
    free(name);
}

void snap_report_row(struct snap_report *r, const char *const *cells)
{
    struct field *f = &r->fields[r->n - 1];
    size_t i;

    if (f->n_cells + f->n_cols > f->cap_cells) {
        f->cap_cells = (f->cap_cells + f->n_cols) * 2;
        f->cells = snap_realloc(f->cells, f->cap_cells, sizeof(*f->cells));
    }
    for (i = 0; i < f->n_cols; i++)
        f->cells[f->n_cells++] = snap_strdup(cells[i]);
}

/* The cells into the JSON object; text has no use for it. */
static void fill_rows(struct field *f)
{
    struct snap_json *row = NULL;
    size_t i;

    if (snap_json_len(f->rows))
        return;
    for (i = 0; i < f->n_cells; i++) {
        const struct snap_column *col = &f->cols[i % f->n_cols];

        if (i % f->n_cols == 0) {
            row = snap_json_object();
            snap_json_push(f->rows, row);
        }
        if (col->key)
            set_cell(row, col->key, f->cells[i]);
    }
}

static const struct snap_json *whole_root(const struct snap_report *r)
{
    size_t i;

    for (i = 0; i < r->n; i++)
        if (r->fields[i].rows)
            fill_rows(&r->fields[i]);
    return r->root;
}

struct snap_json *snap_report_inner(const struct snap_report *r)
{
    struct snap_json *j = snap_json_copy(whole_root(r));

    snap_json_set(j, FORMAT_KEY, NULL);
    return j;
}

static int width_of(const char *s)
{
    int n = 0;

    for (; *s; s++)
        if ((*s & 0xc0) != 0x80)
            n++;
    return n;
}

static void put_blanks(FILE *f, int n)
{
    while (n-- > 0)
        fputc(' ', f);
}

/* s, which is clean, padded to width columns unless it is the last. */
static void output_put(FILE *f, const char *s, int width, bool last)
{
    fputs(s, f);
    if (!last)
        put_blanks(f, width - width_of(s) + 2);
}

/* A column's cell as people see it; NULL if it has none. */
static const char *cell_of(const struct field *t, size_t i)
{
    if (!t->cells[i] || !*t->cells[i])
        return NULL;
    snap_clean(t->cells[i]);
    return t->cells[i];
}

/* How wide is this column?  0: it is not for people, or has no value. */
static int column_width(const struct field *t, size_t col)
{
    int width, w;
    bool any = false;
    size_t i;

    if (!t->cols[col].head)
        return 0;
    width = width_of(t->cols[col].head);
    for (i = col; i < t->n_cells; i += t->n_cols) {
        if (!cell_of(t, i))
            continue;
        w = width_of(t->cells[i]);
        if (w > width)
            width = w;
        any = true;
    }
    return any ? width : 0;
}

/* Blank lines set it off, but where one is there already and where it is all
 * there is to show.  True if it ended in one. */
static bool put_table(const struct field *t, bool alone, bool blank, FILE *f)
{
    size_t i, col, last = 0;
    int *width;
    bool any = false;

    width = snap_zalloc(t->n_cols * sizeof(*width));
    for (col = 0; col < t->n_cols; col++) {
        width[col] = column_width(t, col);
        if (width[col]) {
            last = col;
            any = true;
        }
    }
    if (!any)
        goto out;
    if (!alone && !blank)
        fputc('\n', f);
    for (col = 0; col < t->n_cols; col++)
        if (width[col])
            output_put(f, t->cols[col].head, width[col], col == last);
    fputc('\n', f);
    for (i = 0; i < t->n_cells; i += t->n_cols) {
        for (col = 0; col < t->n_cols; col++)
            if (width[col])
                output_put(f, cell_of(t, i + col) ? t->cells[i + col] : "-",
                           width[col], col == last);
        fputc('\n', f);
    }
    if (!alone)
        fputc('\n', f);
    blank = !alone;

out:
    free(width);
    return blank;
}

void snap_report_text(const struct snap_report *r, FILE *f)
{
    const struct field *fl;
    int width = 0, w;
    bool alone = true, blank = false;
    size_t i;

    for (i = 0; i < r->n; i++) {
        w = r->fields[i].label ? width_of(r->fields[i].label) : 0;
        if (w > width)
            width = w;
        if (r->fields[i].label)
            alone = false;
    }
    for (i = 0; i < r->n; i++) {
        fl = &r->fields[i];
        if (fl->rows) {
            blank = put_table(fl, alone, blank, f);
            continue;
        }
        if (!fl->label)
            continue;
        output_put(f, fl->label, width, false);
        output_put(f, fl->text, 0, true);
        fputc('\n', f);
        blank = false;
    }
}

void snap_report_json(const struct snap_report *r, FILE *f)
{
    char *text = snap_json_text(whole_root(r), true);

    fputs(text, f);
    if (!snap_has_suffix(text, "\n"))
        fputc('\n', f);
    free(text);
}

char *snap_ms_human(double ms)
{
    long s;

    if (ms < 999.5)
        return snap_printf("%.0f ms", ms);
    if (ms < 59950)
        return snap_printf("%.1f s", ms / 1000);
    s = (long)(ms / 1000 + 0.5);
    return snap_printf("%ld min %ld s", s / 60, s % 60);
}
