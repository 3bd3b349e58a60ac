/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A report is one list of fields, printed as text for people or as JSON.
 */
#ifndef SNAP_CLI_OUTPUT_H
#define SNAP_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/json.h"

struct snap_column {
    /* In JSON; NULL: for people only.  "KEY:bool": the cell is "yes" or "no";
     * "KEY:json": the cell is JSON, such as a number. */
    const char *key;
    const char *head; /* NULL: JSON only */
};
#define SNAP_COLUMNS(cols) (sizeof(cols) / sizeof((cols)[0]))
/* "format" of what is printed.  Counted up if a key ever means something else;
 * a key more does not count.  docs/json-schema says the same. */
#define SNAP_REPORT_FORMAT 1

struct snap_report;
struct snap_report *snap_report_new(void);
void snap_report_free(struct snap_report *r);
/* key: path in the JSON object ("memory.path").  label: NULL: not shown to
 * people.  value is owned.  text: how people read it; NULL: not shown. */
void snap_report_add(struct snap_report *r, const char *key, const char *label,
                     struct snap_json *value, const char *text);
void snap_report_str(struct snap_report *r, const char *key, const char *label,
                     const char *value);
void snap_report_strv(struct snap_report *r, const char *key,
                      const char *label, char *const *v, size_t n);
void snap_report_size(struct snap_report *r, const char *key,
                      const char *label, uint64_t bytes);
void snap_report_ms(struct snap_report *r, const char *key, const char *label,
                    double ms);
void snap_report_bool(struct snap_report *r, const char *key,
                      const char *label, bool v);
/* A table; then a row at a time, one cell (or NULL) for each column.  A column
 * without a value is not shown. */
void snap_report_table(struct snap_report *r, const char *key,
                       const struct snap_column *cols, size_t n);
void snap_report_row(struct snap_report *r, const char *const *cells);
void snap_report_text(const struct snap_report *r, FILE *f);
void snap_report_json(const struct snap_report *r, FILE *f);
/* Its object as a part of another report's; owned by the caller. */
struct snap_json *snap_report_inner(const struct snap_report *r);

/* "873 ms", "4.1 s", "2 min 5 s"; caller frees. */
char *snap_ms_human(double ms);

#endif /* SNAP_CLI_OUTPUT_H */
