/* SPDX-License-Identifier: LGPL-2.1-only */
/* Records: both forms there and back, and nothing damaged or tampered with is
 * believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_cfg.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "model/name.h"
#include "store/record.h"
#include "store/record_cfg.h"
#include "store/record_check.h"
#include "store/record_json.h"

#define LONG64 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct snap_json *parse(const char *text)
{
    struct snap_json *j = NULL;
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_json_parse(text, strlen(text), &j, &err))
        fail_msg("%s: %s", text, err.msg);
    return j;
}

static struct snap_json *sample_json(void)
{
    struct snap_record r;
    struct snap_json *j;

    sample_record(&r, "s1");
    j = snap_record_to_json(&r);
    snap_record_dispose(&r);
    return j;
}

/* As the store reads: the draft's rules, then completeness. */
static int read_json(const struct snap_json *j, struct snap_record *r,
                     struct snap_err *err)
{
    int rc;

    memset(r, 0, sizeof(*r));
    rc = snap_record_from_json(j, "what", sample_drivers, r, err);
    if (!rc)
        rc = snap_record_complete(r, err);
    return rc;
}

/* --- there and back ---------------------------------------------------- */

static void test_json_round_trip(void **state)
{
    struct snap_record a, b;
    struct snap_json *j = NULL, *again;
    struct snap_err err = SNAP_ERR_INIT;
    char *text;

    (void)state;
    sample_record(&a, "s1");
    assert_int_equal(snap_record_check(&a, &err), 0);
    j = snap_record_to_json(&a);
    text = snap_json_text(j, true);
    again = parse(text);
    if (read_json(again, &b, &err))
        fail_msg("%s", err.msg);
    sample_assert_equal(&a, &b);
    snap_record_dispose(&a);
    snap_record_dispose(&b);
    snap_json_free(j);
    snap_json_free(again);
    free(text);
}

/* Without what need not be there. */
static void bare(struct snap_record *r)
{
    sample_record(r, "1795257220");
    snap_free(&r->description);
    snap_free(&r->parent);
    snap_free(&r->versions);
    snap_free(&r->mem_path);
    r->mem_size = r->mem_kb = 0;
    r->mem_hash[0] = '\0';
    r->has_memory = r->live = r->paused = false;
    snap_set(&r->consistency, "crash");
    r->guest_type = SNAP_GUEST_HVM;
    r->window_ms = 0;
    free(r->left_out[0]);
    r->n_left_out = 0;
    snap_json_free(r->parts[0].data);
    r->parts[0].data = NULL;
    snap_free(&r->parts[1].stem);
    r->parts[1].keep_path = true;
    snap_set(&r->parts[1].path, r->parts[1].active_path);
    snap_set(&r->parts[1].format, "vhd");
    r->parts[0].hvm = r->parts[1].hvm = true;
}

static void test_json_bare(void **state)
{
    struct snap_record a, b;
    struct snap_json *j;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    bare(&a);
    if (snap_record_check(&a, &err))
        fail_msg("%s", err.msg);
    j = snap_record_to_json(&a);
    if (read_json(j, &b, &err))
        fail_msg("%s", err.msg);
    sample_assert_equal(&a, &b);
    snap_record_dispose(&a);
    snap_record_dispose(&b);
    snap_json_free(j);
}

/* The record in a journal's plan: the end is not known yet. */
static void test_draft(void **state)
{
    struct snap_record a, b = { .id = NULL };
    struct snap_json *j;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    sample_record(&a, "s1");
    snap_free(&a.id);
    a.created = 0;
    a.mem_size = 0;
    a.mem_hash[0] = '\0';
    j = snap_record_to_json(&a);
    if (snap_record_from_json(j, "plan", sample_drivers, &b, &err))
        fail_msg("%s", err.msg);
    sample_assert_equal(&a, &b);
    assert_int_equal(snap_record_complete(&b, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "id: missing");
    b.id = snap_strdup("0123456789abcdef0123456789abcdef");
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&b, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "snapshot s1: created: missing");
    b.created = 1;
    snap_err_clear(&err);
    assert_int_equal(snap_record_complete(&b, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "memory.size: missing");
    b.mem_size = 1;
    snap_err_clear(&err);
    assert_int_equal(snap_record_complete(&b, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "memory.checksum: missing");
    snap_record_dispose(&a);
    snap_record_dispose(&b);
    snap_json_free(j);
}

static void test_part_defaults(void **state)
{
    struct snap_json *j = parse(
        "{\"vdev\":\"xvda\",\"driver\":\"s-ext\",\"type\":\"external\","
        "\"size\":1,\"frozen\":{\"kind\":\"file\",\"id\":\"/a\","
        "\"format\":\"vhd\"},\"active\":{\"kind\":\"file\",\"id\":\"/b\","
        "\"format\":\"qcow2\"},\"new\":[1]}");
    struct snap_part p = { .vdev = NULL };
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    assert_int_equal(snap_part_from_json(j, "p", sample_drivers, &p, &err), 0);
    assert_string_equal(p.path, "/a");
    assert_string_equal(p.format, "vhd");
    assert_null(p.data);
    snap_part_dispose(&p);
    snap_json_free(j);
}

/* --- damage ------------------------------------------------------------ */

static void refused(const struct snap_json *j, const char *how, int want,
                    const char *words)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    rc = read_json(j, &r, &err);
    if (!rc)
        fail_msg("%s: was believed", how);
    assert_int_equal(rc, err.rc);
    if (want && rc != want)
        fail_msg("%s: %s (%d)", how, err.msg, rc);
    if (words && !strstr(err.msg, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", how, err.msg, words);
    snap_record_dispose(&r);
}

static void test_every_truncation(void **state)
{
    struct snap_json *j = sample_json(), *cut = NULL;
    char *text = snap_json_text(j, true), *part;
    size_t len = strlen(text), i;

    (void)state;
    for (i = 0; i < len; i++) {
        part = snap_strndup(text, i);
        if (!snap_json_parse(part, i, &cut, NULL))
            fail_msg("cut at %zu: was believed", i);
        free(part);
    }
    free(text);
    snap_json_free(j);
}

/* The object that holds the last component of path, where a number is the
 * place in an array: "disks.0.path". */
static struct snap_json *holder(struct snap_json *j, const char *path,
                                const char **key_r)
{
    const char *dot;

    while ((dot = strchr(path, '.'))) {
        char *key = snap_strndup(path, dot - path);

        j = snap_json_type(j) == SNAP_JSON_ARRAY
                ? snap_json_at(j, strtoul(key, NULL, 10))
                : snap_json_get(j, key);
        free(key);
        assert_non_null(j);
        path = dot + 1;
    }
    *key_r = path;
    return j;
}

/* The sample with this field replaced; value NULL: removed. */
static void tamper(const char *path, const char *value, int want,
                   const char *words)
{
    struct snap_json *j = sample_json(), *obj;
    const char *key;
    char *how = snap_printf("%s=%s", path, value ? value : "(removed)");

    obj = holder(j, path, &key);
    snap_json_set(obj, key, value ? parse(value) : NULL);
    refused(j, how, want, words);
    free(how);
    snap_json_free(j);
}

static void test_missing_keys(void **state)
{
    static const char *const keys[] = {
        "format",
        "id",
        "name",
        "created",
        "domain",
        "domain.name",
        "domain.uuid",
        "domain.type",
        "consistency",
        "memory",
        "memory.path",
        "memory.size",
        "memory.checksum",
        "memory_kb",
        "window_ms",
        "disks",
        "domain_config",
        "disks.0.vdev",
        "disks.0.driver",
        "disks.0.type",
        "disks.0.size",
        "disks.0.frozen",
        "disks.0.frozen.kind",
        "disks.0.frozen.id",
        "disks.0.frozen.format",
        "disks.0.active",
        "disks.0.active.kind",
        "disks.0.active.id",
        "disks.0.active.format",
        "disks.0.before.kind",
        "disks.0.before.id",
        "disks.0.before.format",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        tamper(keys[i], NULL, SNAP_CORRUPT, NULL);
    tamper("format", NULL, SNAP_CORRUPT, "what: format: missing");
    tamper("memory", NULL, SNAP_CORRUPT,
           "is memory, and the snapshot has none");
    tamper("disks.1.size", NULL, SNAP_CORRUPT,
           "what: disks[1]: size: "
           "missing");
}

/* Each known key in turn gets a value of each other type. */
static void wrong_types(const char *prefix, const struct snap_json *obj)
{
    static const char *const values[] = {
        "null", "true", "3.5", "\"a b/../c\"", "[1]", "{\"x\":1}",
    };
    size_t i, k;

    for (i = 0; i < snap_json_len(obj); i++) {
        const char *key = snap_json_key_at(obj, i);
        const struct snap_json *v = snap_json_at(obj, i);
        char *path = snap_printf("%s%s", prefix, key);

        for (k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
            /* The one value of each type that is right somewhere. */
            if ((snap_json_type(v) == SNAP_JSON_BOOL && k == 1) ||
                (!strcmp(key, "window_ms") && k == 2) ||
                (!strcmp(path, "disks.0.data")))
                continue;
            if (!strcmp(path, "domain_config") && k == 5)
                continue;
            /* Texts for people may say anything. */
            if (k == 3 &&
                (!strcmp(key, "description") || !strcmp(key, "versions") ||
                 !strcmp(path, "domain.name")))
                continue;
            tamper(path, values[k], 0, NULL);
        }
        free(path);
    }
}

static void test_wrong_types(void **state)
{
    struct snap_json *j = sample_json();

    (void)state;
    wrong_types("", j);
    wrong_types("domain.", snap_json_get(j, "domain"));
    wrong_types("memory.", snap_json_get(j, "memory"));
    wrong_types("disks.0.", snap_json_at(snap_json_get(j, "disks"), 0));
    tamper("id", "7", SNAP_CORRUPT, "id: must be a string");
    tamper("domain.paused", "1", SNAP_CORRUPT,
           "domain: paused: must be true or false");
    tamper("memory.live", "1", SNAP_CORRUPT,
           "memory: live: must be true or "
           "false");
    snap_json_free(j);
}

static void test_paths(void **state)
{
    static const char *const keys[] = {
        "memory.path",       "disks.0.before.id", "disks.0.frozen.id",
        "disks.0.active.id", "disks.1.before.id", "disks.1.frozen.id",
        "disks.1.active.id",
    };
    static const char *const values[] = {
        "\"\"",           "\"/\"",         "\"a.raw\"",     "\"./a\"",
        "\"/a/../b\"",    "\"/..\"",       "\"/a/.\"",      "\"/a/..\"",
        "\"/a\\nb\"",     "\"/a\\u0001\"", "\"/a\\u007f\"", "\"/a\\u0085\"",
        "\"nbd:host:1\"", "\"json:{}\"",
    };
    char *longest = snap_zalloc(5000);
    size_t i, k;

    (void)state;
    memset(longest, 'a', 4990);
    memcpy(longest, "\"/", 2);
    longest[4990] = '"';
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (k = 0; k < sizeof(values) / sizeof(values[0]); k++)
            tamper(keys[i], values[k], SNAP_CORRUPT, NULL);
        tamper(keys[i], longest, SNAP_CORRUPT, "not an absolute path");
    }
    tamper("disks.1.frozen.id", "\"/a/../b\"", SNAP_CORRUPT,
           "what: disks[1]: frozen.id: not an absolute path without . and "
           "..");
    free(longest);
}

static void test_images_mixed_up(void **state)
{
    (void)state;
    tamper("disks.0.active.id", "\"/img/other\"", SNAP_CORRUPT,
           "an internal snapshot has one image");
    /* path may be a link to what is in frozen_path. */
    tamper("disks.0.type", "\"external\"", SNAP_CORRUPT,
           "type: s-int takes internal snapshots");
    tamper("disks.1.type", "\"internal\"", SNAP_CORRUPT,
           "type: s-ext takes external snapshots");
    tamper("disks.0.driver", "\"s-ext\"", SNAP_CORRUPT,
           "type: s-ext takes external snapshots");
    tamper("disks.1.active.id", "\"/img/b's.raw\"", SNAP_CORRUPT,
           "the guest would write into the frozen image");
    tamper("disks.1.active.id", "\"/img/a b.qcow2\"", SNAP_CORRUPT,
           "disks xvda and xvdb have an image in common");
    tamper("disks.1.vdev", "\"xvda\"", SNAP_CORRUPT,
           "disk xvda is there twice");
    tamper("left_out", "[\"xvda\"]", SNAP_CORRUPT,
           "disk xvda is both in the snapshot and left out");
    tamper("left_out", "[\"xvdc\",\"xvdc\"]", SNAP_CORRUPT, "twice");
    tamper("left_out", "[\"../x\"]", SNAP_CORRUPT, "no virtual device");
    tamper("memory.path", "\"/img/a b.qcow2\"", SNAP_CORRUPT,
           "the memory image is also the image of disk xvda");
    tamper("memory.path", "\"/img/b.s1.qcow2\"", SNAP_CORRUPT,
           "the memory image is also the image of disk xvdb");
}

static void test_texts(void **state)
{
    static const char *const names[] = {
        "\"../x\"", "\"\"",      "\".\"",       "\"..\"",          "\"-n\"",
        "\"a/b\"",  "\"a\\nb\"", "\"\\u00e9\"", "\"" LONG64 "a\"", "\"a.\"",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        tamper("name", names[i], SNAP_CORRUPT, "name: ");
        tamper("parent", names[i], SNAP_CORRUPT, "parent: ");
    }
    tamper("id", "\"0123\"", SNAP_CORRUPT, "32 lower-case hex digits");
    tamper("id", "\"0123456789ABCDEF0123456789ABCDEF\"", SNAP_CORRUPT, "id");
    tamper("id", "\"../3456789abcdef0123456789abcdef\"", SNAP_CORRUPT, "id");
    tamper("description", "\"\"", SNAP_CORRUPT, "cannot be empty");
    tamper("description", "\"a\\u001b[2J\"", SNAP_CORRUPT, "control");
    tamper("versions", "\"a\\nb\"", SNAP_CORRUPT, "control");
    tamper("domain.name", "\"a\\nb\"", SNAP_CORRUPT, "control");
    tamper("domain.uuid", "\"../../../../../../../../../../../../\"",
           SNAP_CORRUPT, "domain.uuid: ");
    tamper("domain.uuid", "\"short\"", SNAP_CORRUPT, "not 36 characters");
    tamper("domain.uuid", "\"00000000-0000-0000-0000-000000000000\"",
           SNAP_CORRUPT, "domain_config: of a domain with another UUID");
    tamper("domain.type", "\"pvhvm\"", SNAP_CORRUPT, "pv, pvh and hvm");
    tamper("consistency", "\"perfect\"", SNAP_CORRUPT, "consistency");
    tamper("consistency", "\"crash\"", SNAP_CORRUPT, "must be memory");
    tamper("memory.checksum", "\"\"", SNAP_CORRUPT, "32 hex digits");
    tamper("memory.checksum", "\"zz112233445566778899aabbccddeeff\"",
           SNAP_CORRUPT, "memory.checksum");
    tamper("disks.0.vdev", "\"../x\"", SNAP_CORRUPT, "no virtual device");
    tamper("disks.0.type", "\"auto\"", SNAP_CORRUPT, "neither internal nor");
    tamper("disks.0.before.format", "\"empty\"", SNAP_CORRUPT,
           "unknown image");
    tamper("disks.0.frozen.format", "\"\"", SNAP_CORRUPT, "unknown image");
    tamper("disks.0.active.format", "\"zip\"", SNAP_CORRUPT, "unknown image");
    tamper("disks.0.frozen.kind", "\"volume\"", SNAP_CORRUPT,
           "its driver has nothing else");
    tamper("disks.1.active.kind", "\"volume\"", SNAP_CORRUPT,
           "its driver has nothing else");
    tamper("disks.1.active.kind", "\"\"", SNAP_CORRUPT, "kind: not a word");
    tamper("disks.1.before.kind", "\"a b\"", SNAP_CORRUPT, "not a word");
    tamper("disks.1.before.kind", "\"abcdefghijklmnopq\"", SNAP_CORRUPT,
           "not a word");
    tamper("disks.1.stem", "\"../b\"", SNAP_CORRUPT, "one component");
    tamper("disks.1.stem", "\"..\"", SNAP_CORRUPT, "one component");
    tamper("disks.1.stem", "\"\"", SNAP_CORRUPT, "stem cannot be empty");
    tamper("disks.0.driver", "\"lvm\"", SNAP_UNSUPPORTED,
           "what: disks[0]: "
           "driver \"lvm\" is not in this version");
    tamper("disks.0.driver", "\"\\u001b[2J\"", SNAP_UNSUPPORTED, "\"?[2J\"");
}

static void test_numbers(void **state)
{
    static const char *const values[] = {
        "-1",    "1.5",  "1e3", "18446744073709551616", "9223372036854775808",
        "1e999", "-0.0",
    };
    static const char *const keys[] = {
        "created", "memory.size", "memory_kb", "disks.0.size", "format",
    };
    size_t i, k;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        for (k = 0; k < sizeof(values) / sizeof(values[0]); k++)
            tamper(keys[i], values[k], SNAP_CORRUPT, NULL);
    tamper("created", "253402300800", SNAP_CORRUPT, "created");
    tamper("created", "0", SNAP_CORRUPT, "created: missing");
    tamper("memory.size", "0", SNAP_CORRUPT, "memory.size: missing");
    tamper("memory_kb", "1099511627777", SNAP_CORRUPT, "impossible");
    tamper("window_ms", "-1", SNAP_CORRUPT, "window_ms");
    tamper("window_ms", "1e10", SNAP_CORRUPT, "window_ms");
    tamper("window_ms", "1e999", SNAP_CORRUPT, "window_ms");
    tamper("format", "3", SNAP_UNSUPPORTED,
           "what: format 3 is not known to "
           "this version, which reads format 2");
    tamper(
        "format", "1", SNAP_UNSUPPORTED,
        "what: format 1 is an earlier one, and this version reads format 2:"
        " use the version that wrote it: go back to the snapshot, or delete "
        "it; or, for what it left unfinished, run its xl snapshot-recover");
    tamper("format", "0", SNAP_UNSUPPORTED, "format 0");
}

static void test_not_a_record(void **state)
{
    static const char *const texts[] = {
        "null", "[]", "\"s\"", "1", "{}", "{\"format\":2}",
    };
    struct snap_json *j;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        j = parse(texts[i]);
        refused(j, texts[i], SNAP_CORRUPT, NULL);
        snap_json_free(j);
    }
}

/* n disks, all the same, or all different. */
static struct snap_json *many(size_t n, bool differ)
{
    struct snap_json *j = sample_json(), *a = snap_json_array();
    struct snap_json *one = snap_json_at(snap_json_get(j, "disks"), 0), *p;
    size_t i;

    for (i = 0; i < n; i++) {
        p = differ ? snap_json_copy(one) : snap_json_object();
        if (differ) {
            char *vdev = snap_printf("xvdz%zu", i);
            char *path = snap_printf("/img/%zu", i);

            snap_json_set_str(p, "vdev", vdev);
            snap_json_set_str(snap_json_get(p, "before"), "id", path);
            snap_json_set_str(snap_json_get(p, "frozen"), "id", path);
            snap_json_set_str(snap_json_get(p, "active"), "id", path);
            free(vdev);
            free(path);
        }
        snap_json_push(a, p);
    }
    snap_json_set(j, "disks", a);
    return j;
}

static void test_many_disks(void **state)
{
    struct snap_json *j;
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    double t;

    (void)state;
    j = many(1000000, false);
    t = snap_now_ms();
    refused(j, "10^6 disks", SNAP_CORRUPT, "disks: too many");
    assert_true(snap_now_ms() - t < 1000);
    snap_json_free(j);
    j = many(SNAP_DISKS_MAX + 1, true);
    refused(j, "257 disks", SNAP_CORRUPT, "disks: too many");
    snap_json_free(j);
    j = many(SNAP_DISKS_MAX, true);
    if (read_json(j, &r, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(r.n_parts, SNAP_DISKS_MAX);
    snap_record_dispose(&r);
    snap_json_free(j);
}

static void test_nothing_in_it(void **state)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    bare(&r);
    while (r.n_parts)
        snap_part_dispose(&r.parts[--r.n_parts]);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "neither memory nor a disk"));
    snap_record_dispose(&r);

    /* Memory alone is a snapshot: a guest may have no disk. */
    sample_record(&r, "s1");
    while (r.n_parts)
        snap_part_dispose(&r.parts[--r.n_parts]);
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), 0);
    snap_record_dispose(&r);
}

/* What create could hand us and JSON could not hold. */
static void test_check_of_a_struct(void **state)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    sample_record(&r, "s1");
    snap_set(&r.parts[1].active_path, "/img/\xff.q");
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "snapshot s1: disk xvdb: active.id: byte "
                                 "6 is not UTF-8");
    snap_record_dispose(&r);

    sample_record(&r, "s1");
    snap_set(&r.config_json, "{");
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "domain_config: "));
    snap_free(&r.config_json);
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "snapshot s1: domain_config: missing");
    snap_record_dispose(&r);

    /* path is a link: to what is frozen, and what is active. */
    sample_record(&r, "s1");
    snap_set(&r.parts[1].path, "/img/link.qcow2");
    snap_set(&r.parts[1].active_path, r.parts[1].frozen_path);
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "write into the frozen image"));
    snap_record_dispose(&r);

    sample_record(&r, "s1");
    r.parts[0].drv = NULL;
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "disk xvda: driver: missing"));
    snap_record_dispose(&r);

    sample_record(&r, "s1");
    r.has_memory = false;
    snap_set(&r.consistency, "crash");
    snap_err_clear(&err);
    assert_int_equal(snap_record_check(&r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "memory: described"));
    snap_record_dispose(&r);
}

/* --- the configuration file -------------------------------------------- */

static char *sample_cfg(void)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;

    sample_record(&r, "s1");
    if (snap_record_to_cfg(&r, &text, &err))
        fail_msg("%s", err.msg);
    snap_record_dispose(&r);
    return text;
}

static int read_cfg(const char *text, struct snap_record *r,
                    struct snap_err *err)
{
    struct snap_cfg cfg = { .file = NULL };
    int rc;

    memset(r, 0, sizeof(*r));
    rc = fake_cfg_parse("s1.cfg", text, strlen(text), &cfg, err);
    if (!rc)
        rc = snap_record_from_cfg(&cfg, sample_drivers, r, err);
    snap_cfg_dispose(&cfg);
    return rc;
}

static void cfg_round_trip(const struct snap_record *a)
{
    struct snap_record b;
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;

    if (snap_record_to_cfg(a, &text, &err) || read_cfg(text, &b, &err))
        fail_msg("%s\n%s", err.msg, text ? text : "");
    sample_assert_equal(a, &b);
    snap_record_dispose(&b);
    free(text);
}

static void test_cfg_round_trip(void **state)
{
    struct snap_record a;

    (void)state;
    sample_record(&a, "s1");
    cfg_round_trip(&a);
    snap_record_dispose(&a);
    bare(&a);
    cfg_round_trip(&a);
    snap_record_dispose(&a);
}

/* The second disk is a volume, and what is frozen beside it is no path. */
static void sample_volume(struct snap_record *r, const char *id)
{
    struct snap_part *p;

    sample_record(r, "s1");
    p = &r->parts[1];
    p->drv = snap_disk_by_name(sample_drivers, "s-vol");
    p->type = SNAP_DISK_INTERNAL;
    snap_set(&p->path, "/dev/vg/b");
    snap_set(&p->active_path, "/dev/vg/b");
    snap_set(&p->active_format, "raw");
    snap_set(&p->frozen_kind, "volume");
    snap_set(&p->frozen_path, id);
}

static void test_objects(void **state)
{
    static const char *const ids[] = { "vg/b-s1", "pool/vol@s1",
                                       "rbd:pool/image@s1", "a, \"b\" 'c'" };
    struct snap_record a, b;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;
    char *text;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        sample_volume(&a, ids[i]);
        j = snap_record_to_json(&a);
        assert_int_equal(
            snap_record_from_json(j, "what", sample_drivers, &b, &err), 0);
        assert_string_equal(b.parts[1].frozen_kind, "volume");
        assert_string_equal(b.parts[1].frozen_path, ids[i]);
        assert_null(b.parts[1].active_kind);
        assert_null(b.parts[1].before_kind);
        snap_json_free(j);
        snap_record_dispose(&b);

        assert_int_equal(snap_record_to_cfg(&a, &text, &err), 0);
        if (read_cfg(text, &b, &err))
            fail_msg("%s", err.msg);
        assert_string_equal(b.parts[1].frozen_kind, "volume");
        assert_string_equal(b.parts[1].frozen_path, ids[i]);
        assert_string_equal(b.parts[1].path, "/dev/vg/b");
        assert_string_equal(b.parts[1].active_path, "/dev/vg/b");
        free(text);
        snap_record_dispose(&a);
        snap_record_dispose(&b);
    }
}

/* It begins like this; docs/formats.md shows the same. */
static void test_cfg_text(void **state)
{
    static const char head[] =
        "# Snapshot s1 of domain web'1, taken 2026-11-21T10:33:40Z.\n"
        "# This file is all that knows of it.  To go back:\n"
        "#     xl snapshot-revert --config THIS_FILE web'1\n"
        "# An image or the memory file that was moved: change its path "
        "below.\n\n"
        "format=2\n"
        "name=\"s1\"\n"
        "description=\"before the \\\"big\\\" upgrade, l'\xc3\xa9t\xc3\xa9 "
        "#1 \\\\ 2\"\n"
        "parent=\"s0\"\n";
    char *text = sample_cfg();

    (void)state;
    if (strncmp(text, head, strlen(head)))
        fail_msg("%s", text);
    assert_non_null(strstr(text,
                           "disks=[\n    \"vdev=xvda,type=internal,"
                           "image=/img/a b.qcow2,imageformat=qcow2\",\n    "
                           "\"vdev=xvdb,type=external,target=/img/b.s1.qcow2,"
                           "format=qcow2,image=/img/b's.raw,imageformat=raw\""
                           ",\n]\n"));
    assert_null(strstr(text, "\\x"));
    free(text);
}

static void test_cfg_unfit_paths(void **state)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;

    (void)state;
    sample_record(&r, "s1");
    snap_set(&r.parts[1].active_path, "/img/a,b");
    assert_int_equal(snap_record_to_cfg(&r, &text, &err), SNAP_INVAL);
    assert_null(text);
    assert_string_equal(err.msg,
                        "xvdb: /img/a,b: a path with a comma in it, "
                        "or a blank at its end, cannot stand in a file of "
                        "--output; rename the image or leave out "
                        "--no-metadata");
    snap_set(&r.parts[1].active_path, "/img/a ");
    snap_err_clear(&err);
    assert_int_equal(snap_record_to_cfg(&r, &text, &err), SNAP_INVAL);
    snap_record_dispose(&r);

    /* A comma in the memory image's path is no matter. */
    sample_record(&r, "s1");
    snap_set(&r.mem_path, "/m,1.save");
    cfg_round_trip(&r);
    snap_free(&r.config_json);
    r.config_json = snap_zalloc(SNAP_CFG_MAX + 1);
    memset(r.config_json, ' ', SNAP_CFG_MAX);
    snap_err_clear(&err);
    assert_int_equal(snap_record_to_cfg(&r, &text, &err), SNAP_INVAL);
    assert_non_null(strstr(err.msg, "leave out --no-metadata"));
    snap_record_dispose(&r);
}

/* The sample's file with the first `from` replaced. */
static void cfg_refused(const char *from, const char *to, const char *words)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { .len = 0 };
    char *text = sample_cfg(), *at = strstr(text, from);

    assert_non_null(at);
    snap_buf_add(&b, text, at - text);
    snap_buf_adds(&b, to);
    snap_buf_adds(&b, at + strlen(from));
    if (!read_cfg(b.data, &r, &err))
        fail_msg("%s -> %s: was believed", from, to);
    if (strncmp(err.msg, "s1.cfg:", 7) || !strstr(err.msg, words))
        fail_msg("%s -> %s: \"%s\" does not say \"%s\"", from, to, err.msg,
                 words);
    snap_buf_dispose(&b);
    free(text);
}

static void test_cfg_tampered(void **state)
{
    (void)state;
    cfg_refused("format=2\n", "format=3\n", "format 3 is not known");
    cfg_refused("format=2\n", "format=1\n", "format 1 is an earlier one");
    cfg_refused("format=2\n", "format=\"one\"\n",
                "s1.cfg:6: format must be "
                "a number of at most 18 digits");
    cfg_refused("format=2\n", "",
                "key \"parent\" belongs to a file of "
                "--output, and its line format=2 is missing; put it back");
    cfg_refused("consistency=", "consistensy=",
                "unknown key "
                "\"consistensy\"; did you mean \"consistency\"?");
    cfg_refused("guest=", "colour=", "unknown key \"colour\"; remove it");
    cfg_refused("name=\"s1\"\n", "", "name: missing");
    cfg_refused("name=\"s1\"", "name=\"../s1\"", "character 3");
    cfg_refused("name=\"s1\"", "name=[ \"s1\" ]", "name must be one value");
    cfg_refused("left_out=[", "left_out=\"xvdc\"\nid2=[", "must be a list");
    cfg_refused("uuid=\"6", "uuid=\"7", "another UUID");
    cfg_refused("memory=\"/", "memory=\"", "memory.path");
    cfg_refused("memory=\"/var/lib/xen/snapshots/m.save\"", "memory=\"no\"",
                "consistency");
    cfg_refused("memory_size=", "memory_size=9999999999999999999",
                "at most 18 digits");
    cfg_refused("memory_checksum=\"0", "memory_checksum=\"x", "checksum");
    cfg_refused("window_ms=\"41", "window_ms=\"-41", "window_ms");
    cfg_refused("vdev=xvda,", "vdev=xvde,",
                "disk xvde is not in "
                "disk_details, or is here twice");
    cfg_refused("vdev=xvdb,", "vdev=xvda,", "or is here twice");
    cfg_refused("    \"vdev=xvda,type=internal,image=/img/a b.qcow2,"
                "imageformat=qcow2\",\n",
                "", "disk_details has a disk that disks has not");
    cfg_refused("image=/img/a b.qcow2,imageformat=qcow2", "type=internal",
                "type is given twice");
    cfg_refused(",image=/img/a b.qcow2,imageformat=qcow2", "",
                "frozen: missing");
    cfg_refused("type=internal", "type=external",
                "s-int takes internal snapshots");
    cfg_refused("type=internal,", "", "type: missing");
    cfg_refused("\\\"driver\\\":\\\"s-int\\\"",
                "\\\"driver\\\":\\\"s-none\\\"",
                "driver \"s-none\" is not in this version");
    cfg_refused("{\\\"vdev\\\":\\\"xvda\\\"", "[\\\"vdev\\\",\\\"xvda\\\"",
                "not valid JSON");
    cfg_refused("domain_config=\"{", "domain_config=\"[",
                "domain_config: not valid JSON");
    cfg_refused("domain_config=", "domain_config='[]' #",
                "not a JSON "
                "object");
}

/* A person moved the images, and says where they are now. */
static void test_cfg_edited(void **state)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { .len = 0 };
    char *text = sample_cfg(), *at = strstr(text, "image=/img/b's.raw");

    (void)state;
    assert_non_null(at);
    snap_buf_add(&b, text, at - text);
    snap_buf_adds(&b, "image=/new/b.raw");
    snap_buf_adds(&b, strchr(at, ','));
    if (read_cfg(b.data, &r, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(r.parts[1].frozen_path, "/new/b.raw");
    assert_string_equal(r.parts[1].path, "/new/b.raw");
    assert_string_equal(r.parts[1].active_path, "/img/b.s1.qcow2");
    snap_record_dispose(&r);
    snap_buf_dispose(&b);
    free(text);
}

/* --- the user's own file ----------------------------------------------- */

static void test_plain(void **state)
{
    static const char text[] =
        "name=\"s1\"\n"
        "description=\"mine\"\n"
        "memory=\"/m/s1.save\"\n"
        "live=1\n"
        "creationtime=\"ignored\"\n"
        "disks=[ 'vdev=xvda', '/b.q,qcow2,xvdb', ',,hda',\n"
        "        'vdev=hdb,type=external,image=/c.vhd,imageformat=vhd',\n"
        "        'vdev=hdc,type=internal,image=/d.q,imageformat=qcow2' ]\n";
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    size_t i;

    (void)state;
    if (read_cfg(text, &r, &err))
        fail_msg("%s", err.msg);
    assert_null(r.config_json);
    assert_null(r.id);
    assert_null(r.domain_name);
    assert_string_equal(r.domain_uuid, "");
    assert_string_equal(r.name, "s1");
    assert_string_equal(r.description, "mine");
    assert_string_equal(r.consistency, "memory");
    assert_true(r.has_memory && r.live);
    assert_string_equal(r.mem_path, "/m/s1.save");
    assert_int_equal(r.mem_size, 0);
    assert_string_equal(r.mem_hash, "");
    assert_int_equal(r.n_parts, 5);
    for (i = 0; i < r.n_parts; i++) {
        assert_string_equal(r.parts[i].tag, "s1");
        assert_null(r.parts[i].drv);
    }
    assert_int_equal(r.parts[0].type, SNAP_DISK_INTERNAL);
    assert_null(r.parts[0].frozen_path);
    assert_int_equal(r.parts[1].type, SNAP_DISK_EXTERNAL);
    assert_string_equal(r.parts[1].active_path, "/b.q");
    assert_string_equal(r.parts[1].active_format, "qcow2");
    assert_null(r.parts[1].frozen_path);
    assert_int_equal(r.parts[2].type, SNAP_DISK_INTERNAL);
    assert_string_equal(r.parts[3].frozen_path, "/c.vhd");
    assert_string_equal(r.parts[3].frozen_format, "vhd");
    assert_null(r.parts[3].active_path);
    assert_string_equal(r.parts[4].active_path, "/d.q");
    assert_string_equal(r.parts[4].path, "/d.q");
    snap_record_dispose(&r);
}

static void test_plain_disk_only(void **state)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    if (read_cfg("name=\"s1\"\ntype=\"external\"\ndisk=[ 'hda' ]\n", &r, &err))
        fail_msg("%s", err.msg);
    assert_false(r.has_memory);
    assert_string_equal(r.consistency, "crash");
    assert_int_equal(r.parts[0].type, SNAP_DISK_EXTERNAL);
    snap_record_dispose(&r);
}

static void plain_refused(const char *text, const char *msg)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;

    assert_int_equal(read_cfg(text, &r, &err), SNAP_INVAL);
    assert_string_equal(err.msg, msg);
}

static void test_plain_refused(void **state)
{
    (void)state;
    plain_refused("memory=\"/m\"\n",
                  "s1.cfg: which snapshot? add "
                  "name=\"NAME\", as snapshot-create said it");
    plain_refused("name=\"s1\"\nmemory=\"yes\"\n",
                  "s1.cfg:2: memory=\"yes\" "
                  "does not say where it is; write the path of the memory "
                  "image, or give the snapshot's name instead of --config");
    plain_refused("nme=\"s1\"\n", "s1.cfg:1: unknown key \"nme\"; did you "
                                  "mean \"name\"?");
    plain_refused("name=\"s1\"\nuuid=\"x\"\n",
                  "s1.cfg:2: key \"uuid\" "
                  "belongs to a file of --output, and its line format=2 is "
                  "missing; put it back");
    plain_refused("name=\"s1\"\ndisks=[ 'xvda', 'xvda' ]\n",
                  "disk xvda is named twice by s1.cfg:2; remove one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_json_bare),
        cmocka_unit_test(test_draft),
        cmocka_unit_test(test_part_defaults),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_missing_keys),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_images_mixed_up),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_not_a_record),
        cmocka_unit_test(test_many_disks),
        cmocka_unit_test(test_nothing_in_it),
        cmocka_unit_test(test_check_of_a_struct),
        cmocka_unit_test(test_cfg_round_trip),
        cmocka_unit_test(test_cfg_text),
        cmocka_unit_test(test_cfg_unfit_paths),
        cmocka_unit_test(test_cfg_tampered),
        cmocka_unit_test(test_cfg_edited),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_plain_disk_only),
        cmocka_unit_test(test_plain_refused),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
