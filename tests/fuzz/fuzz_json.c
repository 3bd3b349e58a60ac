/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * JSON from anywhere: refused with a message, or a tree whose text is JSON
 * again, the same one, compact and pretty, copied and changed.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* The text is what want is, and parses to what it says. */
static void same(const struct snap_json *j, bool pretty, const char *want)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *again;
    char *text, *back;

    text = snap_json_text(j, pretty);
    check(!snap_json_parse(text, strlen(text), &again, &err));
    back = snap_json_text(again, false);
    check(!strcmp(back, want));
    free(back);
    free(text);
    snap_json_free(again);
}

/* Touch all of it. */
static void visit(const struct snap_json *j)
{
    const char *s;
    size_t i, n;

    snap_json_integer(j, 0);
    snap_json_unsigned(j, 0);
    snap_json_real(j, 0);
    snap_json_truth(j, false);
    s = snap_json_string(j, "");
    for (i = 0; s[i]; i += n) {
        n = snap_utf8_seq(s + i, strlen(s + i));
        check(n);
    }
    for (i = 0; i < snap_json_len(j); i++) {
        s = snap_json_key_at(j, i);
        check(!s || snap_json_get(j, s) == snap_json_at(j, i));
        if (s)
            snap_json_path(j, s);
        visit(snap_json_at(j, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j, *copy;
    const char *key;
    char *text;

    if (snap_json_parse((const char *)data, size, &j, &err)) {
        check(!j && err.rc == SNAP_CORRUPT && err.msg[0]);
        return 0;
    }
    check(!err.rc);
    visit(j);
    text = snap_json_text(j, false);
    same(j, false, text);
    same(j, true, text);
    copy = snap_json_copy(j);
    same(copy, false, text);
    if (snap_json_type(j) == SNAP_JSON_OBJECT) {
        while ((key = snap_json_key_at(copy, 0)))
            snap_json_set(copy, key, NULL);
        check(!snap_json_len(copy));
    }
    same(j, false, text);
    free(text);
    snap_json_free(copy);
    snap_json_free(j);
    return 0;
}
