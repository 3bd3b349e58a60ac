/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A JSON value that can be read, changed and written back without losing
 * what we do not know: numbers keep their text (64-bit values survive),
 * objects keep the order of their keys.  json.c is the only file that names
 * yajl.  Input is hostile: depth is bounded by SNAP_JSON_DEPTH, values by a
 * million, size by the caller; duplicate keys, trailing garbage, comments,
 * bad UTF-8, unpaired surrogates and NULs in strings are refused.
 *
 * Functions that look (get, at, len, path, typed reads) take NULL and any
 * type; those that change abort on the wrong one, which is our own bug.
 */
#ifndef SNAP_LIB_JSON_H
#define SNAP_LIB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/rc.h"

/* QEMU's own limit (MAX_NESTING of its json-parser.c).  Its query-block has
 * each image of a chain inside the one above it. */
#define SNAP_JSON_DEPTH 1024

enum snap_json_type {
    SNAP_JSON_NULL,
    SNAP_JSON_BOOL,
    SNAP_JSON_NUMBER,
    SNAP_JSON_STRING,
    SNAP_JSON_ARRAY,
    SNAP_JSON_OBJECT,
};

struct snap_json;

/* Parse len bytes (no NUL needed; one trailing NUL is tolerated since libxl
 * stores it).  SNAP_CORRUPT with the offset on bad input. */
int snap_json_parse(const char *text, size_t len, struct snap_json **out_r,
                    struct snap_err *err);
/* The same, at half the cost where one key holds most of it: if the root is
 * an object and the value of its key skip an object or an array, that is
 * checked to be JSON (but for keys in it that are there twice) and then not
 * kept; it reads as an empty one. */
int snap_json_parse_but(const char *text, size_t len, const char *skip,
                        struct snap_json **out_r, struct snap_err *err);
/* Compact or indented text, always valid UTF-8 JSON; caller frees. */
char *snap_json_text(const struct snap_json *j, bool pretty);
void snap_json_free(struct snap_json *j); /* NULL is fine */
struct snap_json *snap_json_copy(const struct snap_json *j);

enum snap_json_type snap_json_type(const struct snap_json *j);

/* Constructors never fail. */
struct snap_json *snap_json_null(void);
struct snap_json *snap_json_bool(bool v);
struct snap_json *snap_json_int(int64_t v);
/* Up to 3 decimals; null if not finite. */
struct snap_json *snap_json_double(double v);
/* NULL gives null; a byte that is not UTF-8 becomes U+FFFD. */
struct snap_json *snap_json_str(const char *s);
/* The first string in it that snap_json_str() had to change, as it is now;
 * NULL if there is none.  What is read back later is not what was meant. */
const char *snap_json_lossy(const struct snap_json *j);
struct snap_json *snap_json_array(void);
struct snap_json *snap_json_object(void);

/* Arrays: child is owned by the array afterwards. */
size_t snap_json_len(const struct snap_json *j); /* array or object */
struct snap_json *snap_json_at(const struct snap_json *j, size_t i);
void snap_json_push(struct snap_json *arr, struct snap_json *child);

/* Objects.  set() replaces and owns child; NULL child removes the key. */
struct snap_json *snap_json_get(const struct snap_json *j, const char *key);
void snap_json_set(struct snap_json *obj, const char *key,
                   struct snap_json *child);
const char *snap_json_key_at(const struct snap_json *obj, size_t i);
/* "a.b.c" through nested objects; NULL where any is missing. */
struct snap_json *snap_json_path(const struct snap_json *j, const char *path);

/* Typed reads: the default when j is NULL or of another type.  An integer is
 * a number without fraction or exponent that fits. */
const char *snap_json_string(const struct snap_json *j, const char *dflt);
bool snap_json_truth(const struct snap_json *j, bool dflt);
int64_t snap_json_integer(const struct snap_json *j, int64_t dflt);
uint64_t snap_json_unsigned(const struct snap_json *j, uint64_t dflt);
double snap_json_real(const struct snap_json *j, double dflt);

/* Short-hands for the common case obj[key]. */
const char *snap_json_get_str(const struct snap_json *obj, const char *key);
int64_t snap_json_get_int(const struct snap_json *obj, const char *key,
                          int64_t dflt);
bool snap_json_get_bool(const struct snap_json *obj, const char *key,
                        bool dflt);
void snap_json_set_str(struct snap_json *obj, const char *key, const char *s);
void snap_json_set_int(struct snap_json *obj, const char *key, int64_t v);
void snap_json_set_bool(struct snap_json *obj, const char *key, bool v);

#endif /* SNAP_LIB_JSON_H */
