/* SPDX-License-Identifier: LGPL-2.1-only */
/* Where a domain is: there and back, nothing bad believed or written, and an
 * old state survives a save that fails or dies. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "store/state.h"
#include "store/store.h"

static struct snap_store store = SNAP_STORE_INIT;
static char *path;

static int setup(void **state)
{
    char root[] = "/tmp/snap-state-XXXXXX";

    (void)state;
    if (!mkdtemp(root) ||
        snap_store_open(&store, root, SAMPLE_UUID, true, NULL))
        return -1;
    path = snap_printf("%s/state.json", store.dir);
    return 0;
}

static int teardown(void **state)
{
    char *cmd = snap_printf("rm -rf %s", store.root);

    (void)state;
    snap_fault_hook = NULL;
    if (system(cmd))
        return -1;
    free(cmd);
    snap_free(&path);
    snap_store_close(&store);
    return 0;
}

static void sample(struct snap_state *st)
{
    memset(st, 0, sizeof(*st));
    st->current = snap_strdup("s1");
    st->domain_name = snap_strdup("web \"1\" \xc3\xa9");
    snap_state_set_leaf(
        st, "xvda",
        (struct snap_object){ .id = "/img/a b.qcow2", .format = "qcow2" },
        NULL, false);
    snap_state_set_leaf(
        st, "xvdb",
        (struct snap_object){ .id = "/img/b.s1.qcow2", .format = "qcow2" },
        "b", true);
}

static void load(struct snap_state *st)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_state_load(&store, st, &err))
        fail_msg("%s", err.msg);
}

static void is_sample(const struct snap_state *st)
{
    const struct snap_leaf *l;

    assert_string_equal(st->current, "s1");
    assert_string_equal(st->domain_name, "web \"1\" \xc3\xa9");
    assert_int_equal(st->n, 2);
    l = snap_state_leaf(st, "xvda");
    assert_non_null(l);
    assert_string_equal(l->path, "/img/a b.qcow2");
    assert_string_equal(l->format, "qcow2");
    assert_null(l->stem);
    assert_false(l->made);
    l = snap_state_leaf(st, "xvdb");
    assert_non_null(l);
    assert_string_equal(l->stem, "b");
    assert_true(l->made);
    assert_null(snap_state_leaf(st, "xvdc"));
}

static void save_sample(void)
{
    struct snap_state st;
    struct snap_err err = SNAP_ERR_INIT;

    sample(&st);
    if (snap_state_save(&store, &st, &err))
        fail_msg("%s", err.msg);
    snap_state_dispose(&st);
}

static void test_missing(void **state)
{
    struct snap_state st = { .n = 5 };

    (void)state;
    load(&st);
    assert_null(st.current);
    assert_null(st.domain_name);
    assert_int_equal(st.n, 0);
    assert_null(snap_state_leaf(&st, "xvda"));
    snap_state_dispose(&st);
}

static void test_round_trip(void **state)
{
    struct snap_state st;
    struct stat sb;

    (void)state;
    save_sample();
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
    load(&st);
    is_sample(&st);

    /* Replaced, not added to. */
    snap_state_set_leaf(
        &st, "xvdb", (struct snap_object){ .id = "/img/c", .format = "raw" },
        NULL, false);
    snap_free(&st.current);
    assert_int_equal(snap_state_save(&store, &st, NULL), 0);
    snap_state_dispose(&st);
    load(&st);
    assert_null(st.current);
    assert_int_equal(st.n, 2);
    assert_string_equal(snap_state_leaf(&st, "xvdb")->path, "/img/c");
    assert_false(snap_state_leaf(&st, "xvdb")->made);
    /* From itself, as callers do. */
    snap_state_set_leaf(
        &st, "xvdb",
        (struct snap_object){ .id = snap_state_leaf(&st, "xvdb")->path,
                              .format = "raw" },
        NULL, true);
    assert_string_equal(snap_state_leaf(&st, "xvdb")->path, "/img/c");
    snap_state_dispose(&st);
    snap_state_dispose(&st);
}

/* Of a clone; what is half there is refused. */
static void test_origin(void **state)
{
    static const char head[] = "{\"format\":1,\"current\":null,\"domain\":"
                               "\"web2\",\"disks\":[],\"origin\":";
    static const char *const bad[] = {
        "7",
        "null",
        "{}",
        "{\"uuid\":\"x\",\"domain\":\"w\",\"snapshot\":\"s\",\"id\":"
        "\"0123456789abcdef0123456789abcdef\"}",
        "{\"uuid\":\"" SAMPLE_UUID "\",\"snapshot\":\"s\",\"id\":"
        "\"0123456789abcdef0123456789abcdef\"}",
        "{\"uuid\":\"" SAMPLE_UUID "\",\"domain\":\"w\",\"id\":"
        "\"0123456789abcdef0123456789abcdef\"}",
        "{\"uuid\":\"" SAMPLE_UUID "\",\"domain\":\"w\",\"snapshot\":\"../s\","
        "\"id\":\"0123456789abcdef0123456789abcdef\"}",
        "{\"uuid\":\"" SAMPLE_UUID "\",\"domain\":\"w\",\"snapshot\":\"s\","
        "\"id\":\"0123\"}",
    };
    struct snap_state st, back;
    struct snap_err err = SNAP_ERR_INIT;
    char *text;
    size_t i;

    (void)state;
    sample(&st);
    st.origin.uuid = snap_strdup(SAMPLE_UUID);
    st.origin.domain = snap_strdup("web \"1\"");
    st.origin.name = snap_strdup("gold");
    st.origin.id = snap_strdup("0123456789abcdef0123456789abcdef");
    assert_int_equal(snap_state_save(&store, &st, &err), 0);
    snap_state_dispose(&st);
    load(&back);
    is_sample(&back);
    assert_string_equal(back.origin.uuid, SAMPLE_UUID);
    assert_string_equal(back.origin.domain, "web \"1\"");
    assert_string_equal(back.origin.name, "gold");
    assert_string_equal(back.origin.id, "0123456789abcdef0123456789abcdef");
    snap_free(&back.origin.id);
    assert_int_not_equal(snap_state_save(&store, &back, NULL), 0);
    snap_state_dispose(&back);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text = snap_printf("%s%s}", head, bad[i]);
        assert_int_equal(
            snap_file_write(path, text, strlen(text), 0600, false, NULL), 0);
        free(text);
        snap_err_clear(&err);
        assert_int_equal(snap_state_load(&store, &back, &err), SNAP_CORRUPT);
        assert_non_null(strstr(err.msg, "state.json"));
        assert_null(back.origin.uuid);
    }
    assert_int_equal(snap_state_remove(&store, NULL), 0);
    assert_int_equal(snap_state_remove(&store, NULL), 0);
    assert_false(snap_file_exists(path));
}

static void test_empty_round_trip(void **state)
{
    struct snap_state st = { .n = 0 };

    (void)state;
    assert_int_equal(snap_state_save(&store, &st, NULL), 0);
    load(&st);
    assert_int_equal(st.n, 0);
    snap_state_dispose(&st);
}

static void write_text(const char *text)
{
    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0600, false, NULL), 0);
}

static void refused(const char *text, int want, const char *words)
{
    struct snap_state st;
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    write_text(text);
    rc = snap_state_load(&store, &st, &err);
    if (rc != want || err.rc != want || !strstr(err.msg, words) ||
        !strstr(err.msg, "state.json"))
        fail_msg("%s: %d \"%s\", not \"%s\"", text, rc, err.msg, words);
    assert_int_equal(st.n, 0);
    assert_null(st.leaves);
}

#define HEAD "{\"format\":1,\"current\":\"s1\",\"domain\":\"web\",\"disks\":["
#define LEAF(v, p, f, s, m)                                       \
    "{\"vdev\":" v ",\"path\":" p ",\"format\":" f ",\"stem\":" s \
    ",\"made\":" m "}"
#define ONE(v, p, f, s, m) HEAD LEAF(v, p, f, s, m) "]}"

static void test_refused(void **state)
{
    (void)state;
    refused("", SNAP_CORRUPT, "not valid JSON");
    refused("[]", SNAP_CORRUPT, "not a state of a domain");
    refused("{}", SNAP_CORRUPT, "not a state of a domain");
    refused("{\"format\":\"1\"}", SNAP_CORRUPT, "not a state of a domain");
    refused("{\"format\":3}", SNAP_UNSUPPORTED, "format 3 is not known");
    refused("{\"format\":1}", SNAP_CORRUPT, "disks is no array");
    refused("{\"format\":1,\"disks\":{}}", SNAP_CORRUPT, "disks is no array");
    refused("{\"format\":1,\"current\":1,\"disks\":[]}", SNAP_CORRUPT,
            "current is not a string");
    refused("{\"format\":1,\"current\":\"../x\",\"disks\":[]}", SNAP_CORRUPT,
            "current: name \"../x\"");
    refused("{\"format\":1,\"current\":\"\",\"disks\":[]}", SNAP_CORRUPT,
            "current: ");
    refused("{\"format\":1,\"domain\":\"a\\nb\",\"disks\":[]}", SNAP_CORRUPT,
            "domain: control character");
    refused("{\"format\":1,\"domain\":[],\"disks\":[]}", SNAP_CORRUPT,
            "domain is not a string");
    refused(HEAD "7]}", SNAP_CORRUPT, "disks[0]: ");
    refused(HEAD "{}]}", SNAP_CORRUPT, "disks[0]: made");
    refused(ONE("\"xvda\"", "\"/a\"", "\"raw\"", "null", "1"), SNAP_CORRUPT,
            "disks[0]: made is neither true nor false");
    refused(ONE("null", "\"/a\"", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "disk ?: ");
    refused(ONE("\"../x\"", "\"/a\"", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "no virtual device");
    refused(ONE("7", "\"/a\"", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "vdev is not a string");
    refused(ONE("\"xvda\"", "\"a\"", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "disk xvda: path is not an absolute path");
    refused(ONE("\"xvda\"", "\"/a/../b\"", "\"raw\"", "null", "true"),
            SNAP_CORRUPT, "not an absolute path");
    refused(ONE("\"xvda\"", "\"/\"", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "not an absolute path");
    refused(ONE("\"xvda\"", "\"/a\\u0001\"", "\"raw\"", "null", "true"),
            SNAP_CORRUPT, "not an absolute path");
    refused(ONE("\"xvda\"", "null", "\"raw\"", "null", "true"), SNAP_CORRUPT,
            "not an absolute path");
    refused(ONE("\"xvda\"", "\"/a\"", "\"zip\"", "null", "true"), SNAP_CORRUPT,
            "format is unknown");
    refused(ONE("\"xvda\"", "\"/a\"", "null", "null", "true"), SNAP_CORRUPT,
            "format is unknown");
    refused(ONE("\"xvda\"", "\"/a\"", "\"raw\"", "\"a/b\"", "true"),
            SNAP_CORRUPT, "one component");
    refused(ONE("\"xvda\"", "\"/a\"", "\"raw\"", "\"..\"", "true"),
            SNAP_CORRUPT, "one component");
    refused(ONE("\"xvda\"", "\"/a\"", "\"raw\"", "\"\"", "true"), SNAP_CORRUPT,
            "stem cannot be empty");
    refused(HEAD LEAF("\"xvda\"", "\"/a\"", "\"raw\"", "null",
                      "true") "," LEAF("\"xvda\"", "\"/b\"", "\"raw\"", "null",
                                       "true") "]}",
            SNAP_CORRUPT, "disk xvda is there twice");
}

#define HEAD2 "{\"format\":2,\"current\":null,\"domain\":null,\"disks\":["
#define LEAF2(active) \
    "{\"vdev\":\"xvda\",\"active\":" active ",\"stem\":null,\"made\":true}]}"

/* The disk of a storage without paths, and how format 2 says of it what 1
 * could not. */
static void test_object(void **state)
{
    const struct snap_object volume = { "rbd", "pool/a", "raw" };
    const struct snap_leaf *l;
    struct snap_state st;
    char *text = NULL;
    size_t len;

    (void)state;
    sample(&st);
    snap_state_set_leaf(&st, "xvda", volume, NULL, true);
    assert_null(snap_state_leaf(&st, "xvda")->mount);
    assert_int_equal(snap_state_save(&store, &st, NULL), 0);
    snap_state_dispose(&st);
    load(&st);
    l = snap_state_leaf(&st, "xvda");
    assert_string_equal(l->kind, "rbd");
    assert_string_equal(l->path, "pool/a");
    assert_string_equal(l->format, "raw");
    assert_null(snap_state_leaf(&st, "xvdb")->kind);
    snap_state_dispose(&st);
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, NULL), 0);
    assert_non_null(strstr(text, "\"format\": 2"));
    free(text);

    refused(HEAD2 LEAF2("\"/img/a\""), SNAP_CORRUPT,
            "disks[0]: active: must be an object");
    refused(HEAD2 LEAF2("{\"kind\":\"rbd\",\"format\":\"raw\"}"), SNAP_CORRUPT,
            "active: id: missing");
    refused(HEAD2 LEAF2("{\"kind\":\"rbd\",\"id\":\"\",\"format\":"
                        "\"raw\"}"),
            SNAP_CORRUPT, "disk xvda: active.id");
    refused(HEAD2 LEAF2("{\"kind\":\"R\",\"id\":\"a\",\"format\":"
                        "\"raw\"}"),
            SNAP_CORRUPT, "disk xvda: active: kind");
    refused(HEAD2 LEAF2("{\"kind\":\"file\",\"id\":\"a\",\"format\":"
                        "\"raw\"}"),
            SNAP_CORRUPT, "not an absolute path");
    refused(HEAD2 LEAF2("{\"kind\":\"rbd\",\"id\":\"a\",\"format\":"
                        "\"zip\"}"),
            SNAP_CORRUPT, "unknown image format");
}

/* As an earlier version wrote it. */
static void test_format_1(void **state)
{
    struct snap_state st;

    (void)state;
    write_text(ONE("\"xvda\"", "\"/img/a\"", "\"raw\"", "\"a\"", "true"));
    load(&st);
    assert_string_equal(snap_state_leaf(&st, "xvda")->path, "/img/a");
    assert_string_equal(snap_state_leaf(&st, "xvda")->format, "raw");
    assert_null(snap_state_leaf(&st, "xvda")->kind);
    snap_state_dispose(&st);
}

static void test_many(void **state)
{
    struct snap_buf b = { .len = 0 };
    size_t i;

    (void)state;
    snap_buf_adds(&b, HEAD "0");
    for (i = 0; i < 300; i++)
        snap_buf_adds(&b, ",0");
    snap_buf_adds(&b, "]}");
    refused(b.data, SNAP_CORRUPT, "has too many");
    snap_buf_dispose(&b);
}

static void test_every_truncation(void **state)
{
    struct snap_state st;
    char *text = NULL;
    size_t len, i;

    (void)state;
    save_sample();
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, NULL), 0);
    for (i = len - 1; i-- > 0;) {
        assert_int_equal(truncate(path, i), 0);
        if (snap_state_load(&store, &st, NULL) != SNAP_CORRUPT)
            fail_msg("cut at %zu was believed", i);
    }
    free(text);
}

static void test_not_a_file(void **state)
{
    struct snap_state st;

    (void)state;
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(snap_state_load(&store, &st, NULL), SNAP_REFUSED);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(snap_state_load(&store, &st, NULL), SNAP_REFUSED);
}

static void test_save_refuses(void **state)
{
    struct snap_state st;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    save_sample();
    sample(&st);
    snap_state_set_leaf(
        &st, "xvdb", (struct snap_object){ .id = "relative", .format = "raw" },
        NULL, true);
    assert_int_equal(snap_state_save(&store, &st, &err), SNAP_FAIL);
    assert_non_null(strstr(err.msg, "state.json would be unreadable: disk "
                                    "xvdb: path is not an absolute path"));
    snap_state_set_leaf(
        &st, "xvdb", (struct snap_object){ .id = "/a\xff", .format = "raw" },
        NULL, true);
    snap_err_clear(&err);
    assert_int_equal(snap_state_save(&store, &st, &err), SNAP_FAIL);
    snap_state_dispose(&st);
    load(&st);
    is_sample(&st);
    snap_state_dispose(&st);
}

/* --- failure ----------------------------------------------------------- */

static int fail_at, calls;
static bool die;

static int on_call(const char *layer, const char *what)
{
    (void)layer;
    (void)what;
    if (++calls != fail_at)
        return 0;
    if (die)
        _exit(77);
    return ENOSPC;
}

static int save_other(void)
{
    struct snap_state st;
    int rc;

    sample(&st);
    snap_set(&st.current, "s2");
    calls = 0;
    snap_fault_hook = on_call;
    rc = snap_state_save(&store, &st, NULL);
    snap_fault_hook = NULL;
    snap_state_dispose(&st);
    return rc;
}

/* The state is the old one or the new one, whole. */
static void old_or_new(void)
{
    struct snap_state st;

    load(&st);
    assert_int_equal(st.n, 2);
    assert_true(snap_streq(st.current, "s1") || snap_streq(st.current, "s2"));
    snap_state_dispose(&st);
}

static size_t count_entries(void)
{
    DIR *d = opendir(store.dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void test_save_fails_anywhere(void **state)
{
    (void)state;
    die = false;
    for (fail_at = 1;; fail_at++) {
        int rc;

        save_sample();
        rc = save_other();
        old_or_new();
        if (calls < fail_at) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, SNAP_NOSPACE);
    }
    assert_true(fail_at > 5);
    /* No temporary file is left: records and memory stay. */
    unlink(path);
    assert_int_equal(count_entries(), 2);
}

static void test_save_dies_anywhere(void **state)
{
    int status = 0;

    (void)state;
    die = true;
    for (fail_at = 1;; fail_at++) {
        pid_t pid;

        save_sample();
        pid = fork();
        assert_true(pid >= 0);
        if (!pid)
            _exit(save_other() != 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        old_or_new();
        if (WEXITSTATUS(status) != 77)
            break;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(fail_at > 5);
}

static void test_load_fails(void **state)
{
    struct snap_state st;
    int rc;

    (void)state;
    die = false;
    save_sample();
    for (fail_at = 1;; fail_at++) {
        calls = 0;
        snap_fault_hook = on_call;
        rc = snap_state_load(&store, &st, NULL);
        snap_fault_hook = NULL;
        if (calls < fail_at)
            break;
        assert_int_not_equal(rc, 0);
        assert_int_equal(st.n, 0);
    }
    assert_int_equal(rc, 0);
    is_sample(&st);
    snap_state_dispose(&st);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_missing),
        T(test_round_trip),
        T(test_origin),
        T(test_empty_round_trip),
        T(test_refused),
        T(test_object),
        T(test_format_1),
        T(test_many),
        T(test_every_truncation),
        T(test_not_a_file),
        T(test_save_refuses),
        T(test_save_fails_anywhere),
        T(test_save_dies_anywhere),
        T(test_load_fails),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
