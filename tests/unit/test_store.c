/* SPDX-License-Identifier: LGPL-2.1-only */
/* The store: what is put is there whole or not at all, what is damaged or
 * foreign is named and left out, nothing is followed out of it, and the lock
 * goes with its owner. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "store/lock.h"
#include "store/record_json.h"
#include "store/store.h"

#define OTHER_UUID "00000000-0000-0000-0000-000000000001"

static char *root, *dir;

/* --- helpers ----------------------------------------------------------- */

static void run_sh(char *cmd)
{
    if (system(cmd))
        fail_msg("%s", cmd);
    free(cmd);
}
#define sh(...) run_sh(snap_printf(__VA_ARGS__))

static int setup(void **state)
{
    char path[] = "/tmp/snap-store-XXXXXX";

    (void)state;
    if (!mkdtemp(path))
        return -1;
    root = snap_strdup(path);
    dir = snap_printf("%s/" SAMPLE_UUID, root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    sh("rm -rf %s", root);
    snap_free(&root);
    snap_free(&dir);
    return 0;
}

static void open_store(struct snap_store *s, bool create)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_store_open(s, root, SAMPLE_UUID, create, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(s->lock_fd, -1);
}

static int put(const struct snap_store *s, const char *name,
               struct snap_err *err)
{
    struct snap_record r;
    int rc;

    sample_record(&r, name);
    rc = snap_store_put(s, &r, err);
    snap_record_dispose(&r);
    return rc;
}

static void must_put(const struct snap_store *s, const char *name)
{
    struct snap_err err = SNAP_ERR_INIT;

    if (put(s, name, &err))
        fail_msg("%s", err.msg);
}

/* Write a file below records/. */
static void plant(const char *file, const char *text)
{
    char *path = snap_printf("%s/records/%s", dir, file);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static size_t count_files(const char *where)
{
    char *path = snap_printf("%s/%s", dir, where);
    DIR *d = opendir(path);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    free(path);
    return n - 2;
}

static char said[8192];

static void remember(void *opaque, enum snap_level level, const char *msg)
{
    size_t used = strlen(said);

    (void)opaque;
    snprintf(said + used, sizeof(said) - used, "%d %s\n", level, msg);
}

static const struct snap_log collector = { .fn = remember };

/* The brief list leaves out the same, says the same, and lacks nothing but
 * the configuration. */
static void same_in_brief(const struct snap_store *s, struct snap_record *rs,
                          size_t n)
{
    struct snap_record *b = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    char *before = snap_strdup(said);
    size_t nb = 0, i;

    said[0] = '\0';
    if (snap_store_brief(s, sample_drivers, &collector, &b, &nb, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(said, before);
    assert_int_equal(nb, n);
    for (i = 0; i < n; i++) {
        assert_null(b[i].config_json);
        snap_set(&b[i].config_json, rs[i].config_json);
        sample_assert_equal(&b[i], &rs[i]);
        snap_record_dispose(&b[i]);
    }
    free(b);
    free(before);
}

/* Lists; the names joined by blanks. */
static char *list(const struct snap_store *s)
{
    struct snap_record *rs = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_buf b = { .len = 0 };
    size_t n = 0, i;

    said[0] = '\0';
    if (snap_store_all(s, sample_drivers, &collector, &rs, &n, &err))
        fail_msg("%s", err.msg);
    same_in_brief(s, rs, n);
    snap_buf_adds(&b, "");
    for (i = 0; i < n; i++) {
        snap_buf_addf(&b, "%s%s", i ? " " : "", rs[i].name);
        snap_record_dispose(&rs[i]);
    }
    free(rs);
    return b.data;
}

static void lists(const struct snap_store *s, const char *names)
{
    char *got = list(s);

    assert_string_equal(got, names);
    free(got);
}

static void says(const char *words)
{
    if (!strstr(said, words))
        fail_msg("\"%s\" does not say \"%s\"", said, words);
}

/* --- folders ----------------------------------------------------------- */

static void test_folders(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct stat st;
    char *path;

    (void)state;
    open_store(&s, true);
    assert_string_equal(s.root, root);
    assert_string_equal(s.dir, dir);
    assert_string_equal(s.uuid, SAMPLE_UUID);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    path = snap_printf("%s/records", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    free(path);
    path = snap_store_record_path(&s, "s1");
    assert_true(snap_has_suffix(path, SAMPLE_UUID "/records/s1.json"));
    free(path);
    path = snap_store_memory_path(&s, "s1");
    assert_true(snap_has_suffix(path, SAMPLE_UUID "/memory/s1.save"));
    free(path);
    path = snap_store_journal_path(&s);
    assert_true(snap_has_suffix(path, SAMPLE_UUID "/journal"));
    free(path);
    snap_store_close(&s);
    snap_store_close(&s);
    open_store(&s, true);
    snap_store_close(&s);
}

/* A domain nobody has snapshotted reads as one without snapshots. */
static void test_not_there(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    size_t n = 9;

    (void)state;
    open_store(&s, false);
    assert_false(snap_file_exists(dir));
    lists(&s, "");
    assert_false(snap_store_has(&s, "s1"));
    assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &r, &err),
                     SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, "there is no snapshot s1 of this domain"));
    snap_err_clear(&err);
    assert_int_equal(snap_store_lock(&s, false, "c", NULL, &err),
                     SNAP_NOTFOUND);
    assert_int_equal(snap_store_damaged(&s, sample_drivers, &n, NULL), 0);
    assert_int_equal(n, 0);
    snap_store_close(&s);
}

static void refuses(const char *r, const char *uuid, int want,
                    const char *words)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    assert_int_equal(snap_store_open(&s, r, uuid, true, &err), want);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    assert_null(s.dir);
    assert_int_equal(s.lock_fd, -1);
}

static void test_refused_folders(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    char *path;

    (void)state;
    refuses(root, "..", SNAP_INVAL, "no UUID");
    refuses(root, "../../../../../../../../../../../etc", SNAP_INVAL,
            "no UUID");
    refuses(root, NULL, SNAP_INVAL, "no UUID");
    refuses("store", SAMPLE_UUID, SNAP_INVAL, "absolute path");
    refuses("/a/../b", SAMPLE_UUID, SNAP_INVAL, "absolute path");

    sh("ln -s /tmp %s", dir);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "is a symbolic link");
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "mount --bind");
    unlink(dir);
    sh("ln -s /nowhere %s", dir);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "is a symbolic link");
    unlink(dir);
    sh("touch %s", dir);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "is not a folder");
    unlink(dir);

    open_store(&s, true);
    snap_store_close(&s);
    chmod(dir, 0770);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED,
            "can be written to by others "
            "(mode 0770); chmod it to 0700");
    chmod(dir, 0702);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "(mode 0702)");
    chmod(dir, 0755);
    open_store(&s, true);
    snap_store_close(&s);
    chmod(root, 0777);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "can be written to by others");
    chmod(root, 0700);

    path = snap_printf("%s/records", dir);
    rmdir(path);
    sh("ln -s /etc %s", path);
    refuses(root, SAMPLE_UUID, SNAP_REFUSED, "is a symbolic link");
    free(path);
    if (!geteuid()) {
        assert_int_equal(chown(dir, 1234, 1234), 0);
        refuses(root, SAMPLE_UUID, SNAP_REFUSED, "belongs to user 1234");
    }
}

/* --- records ----------------------------------------------------------- */

static void test_put_get(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record a, b;
    struct snap_err err = SNAP_ERR_INIT;
    struct stat st;
    char *path;

    (void)state;
    open_store(&s, true);
    sample_record(&a, "s1");
    assert_false(snap_store_has(&s, "s1"));
    assert_int_equal(snap_store_put(&s, &a, &err), 0);
    assert_true(snap_store_has(&s, "s1"));
    path = snap_store_record_path(&s, "s1");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    free(path);
    assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &b, &err), 0);
    sample_assert_equal(&a, &b);
    snap_record_dispose(&b);

    /* Once, and never again. */
    assert_int_equal(snap_store_put(&s, &a, &err), SNAP_EXISTS);
    assert_string_equal(err.msg, "there is a snapshot s1 of this domain "
                                 "already; choose another name");
    assert_int_equal(count_files("records"), 1);
    snap_record_dispose(&a);
    snap_store_close(&s);
}

/* Only what may change does; what we do not know stays; and it can go. */
static void test_update_and_drop(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record a, b, *all = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    char *path, *text = NULL;
    size_t len, n = 0;

    (void)state;
    open_store(&s, true);
    must_put(&s, "s1");
    path = snap_store_record_path(&s, "s1");
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, &err), 0);
    assert_int_equal(text[0], '{');
    text[0] = ' ';
    plant("s1.json", "{ \"later\": [1.50],");
    {
        FILE *f = fopen(path, "a");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    free(text);
    assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &a, &err), 0);
    snap_set(&a.parent, "s0");
    snap_set(&a.description, "not this");
    if (!a.parts[0].data)
        a.parts[0].data = snap_json_object();
    snap_json_set_int(a.parts[0].data, "base_bytes", 4711);
    assert_int_equal(snap_store_update(&s, &a, sample_drivers, &err), 0);
    assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &b, &err), 0);
    assert_string_equal(b.parent, "s0");
    assert_false(snap_streq(b.description, "not this"));
    assert_int_equal(snap_json_get_int(b.parts[0].data, "base_bytes", 0),
                     4711);
    snap_record_dispose(&b);
    assert_int_equal(snap_file_read(path, 1 << 20, &text, &len, &err), 0);
    assert_non_null(strstr(text, "1.50"));
    free(text);
    snap_set(&a.parent, NULL);
    assert_int_equal(snap_store_update(&s, &a, sample_drivers, &err), 0);
    assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &b, &err), 0);
    assert_null(b.parent);
    snap_record_dispose(&b);

    assert_int_equal(snap_store_all_whole(&s, sample_drivers, &all, &n, &err),
                     0);
    assert_int_equal(n, 1);
    snap_record_dispose(&all[0]);
    free(all);
    plant("bad.json", "{");
    assert_int_equal(snap_store_all_whole(&s, sample_drivers, &all, &n, &err),
                     SNAP_REFUSED);
    assert_non_null(strstr(err.msg, "move it away: snapshot bad is damaged"));
    snap_err_clear(&err);

    /* What is damaged by now is not written over. */
    plant("s1.json", "{\"format\":1,\"name\":\"s1\"}");
    assert_int_not_equal(snap_store_update(&s, &a, sample_drivers, &err), 0);
    snap_err_clear(&err);
    assert_int_equal(snap_file_read(path, 4096, &text, &len, &err), 0);
    assert_string_equal(text, "{\"format\":1,\"name\":\"s1\"}");
    free(text);

    assert_int_equal(snap_store_drop(&s, "s1", &err), 0);
    assert_false(snap_store_has(&s, "s1"));
    assert_int_equal(snap_store_drop(&s, "s1", &err), 0);
    assert_int_equal(snap_store_update(&s, &a, sample_drivers, &err),
                     SNAP_NOTFOUND);
    snap_record_dispose(&a);
    free(path);
    snap_store_close(&s);
}

static void test_put_refuses(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    open_store(&s, true);
    assert_int_equal(put(&s, "../x", &err), SNAP_CORRUPT);
    snap_err_clear(&err);
    sample_record(&r, "s1");
    r.mem_hash[0] = '\0';
    assert_int_equal(snap_store_put(&s, &r, &err), SNAP_CORRUPT);
    assert_non_null(strstr(err.msg, "memory.checksum: missing"));
    snap_record_dispose(&r);

    sample_record(&r, "s1");
    memcpy(r.domain_uuid, OTHER_UUID, 37);
    snap_set(&r.config_json, "{}");
    snap_err_clear(&err);
    assert_int_equal(snap_store_put(&s, &r, &err), SNAP_FAIL);
    assert_non_null(strstr(err.msg, "is of domain " OTHER_UUID));
    snap_record_dispose(&r);
    assert_int_equal(count_files("records"), 0);
    snap_store_close(&s);
}

static void test_names_before_paths(void **state)
{
    static const char *const bad[] = {
        "../x", "-n", "", ".", "..", "a/b", "a\nb", "\xc3\xa9",
    };
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    struct snap_err err;
    size_t i;

    (void)state;
    open_store(&s, true);
    must_put(&s, "s1");
    /* One that "../x" would find. */
    sh("cp %s/records/s1.json %s/x.json", dir, dir);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snap_err_clear(&err);
        assert_false(snap_store_has(&s, bad[i]));
        assert_int_equal(snap_store_get(&s, bad[i], sample_drivers, &r, &err),
                         SNAP_INVAL);
    }
    snap_store_close(&s);
}

static void get_fails(const struct snap_store *s, const char *name, int want,
                      const char *words)
{
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    rc = snap_store_get(s, name, sample_drivers, &r, &err);
    if (rc != want || err.rc != want || !strstr(err.msg, words))
        fail_msg("%s: %d \"%s\", not %d \"%s\"", name, rc, err.msg, want,
                 words);
}

static void test_damaged(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record other;
    struct snap_json *j;
    struct snap_err err = SNAP_ERR_INIT;
    char *path, *text;
    size_t n = 0;

    (void)state;
    open_store(&s, true);
    must_put(&s, "good");
    plant("torn.json", "{\"format\":1,");
    plant("empty.json", "");
    plant("later.json", "{\"format\":3}");
    plant("foreign.txt", "hello");
    plant("-n.json", "{}");
    plant(".json", "{}");
    plant("bad\x1b[2Jname.json", "{}");
    plant("good.json.tmp-4711", "{");
    sh("cp %s/records/good.json %s/records/renamed.json", dir, dir);
    sample_record(&other, "other");
    memcpy(other.domain_uuid, OTHER_UUID, 37);
    snap_set(&other.config_json, "{}");
    j = snap_record_to_json(&other);
    text = snap_json_text(j, true);
    plant("other.json", text);
    free(text);
    snap_json_free(j);
    snap_record_dispose(&other);
    path = snap_printf("%s/records/link.json", dir);
    assert_int_equal(symlink("good.json", path), 0);
    free(path);
    path = snap_printf("%s/records/folder.json", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    path = snap_printf("%s/records/pipe.json", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    free(path);
    path = snap_printf("%s/records/huge.json", dir);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(truncate(path, SNAP_RECORD_MAX + 1), 0);
    free(path);

    get_fails(&s, "torn", SNAP_CORRUPT, "snapshot torn cannot be used: ");
    get_fails(&s, "empty", SNAP_CORRUPT, "not valid JSON");
    get_fails(&s, "later", SNAP_UNSUPPORTED, "format 3 is not known");
    get_fails(&s, "renamed", SNAP_CORRUPT,
              "is the record of a snapshot "
              "named good");
    get_fails(&s, "other", SNAP_CORRUPT, "of domain " OTHER_UUID);
    get_fails(&s, "link", SNAP_REFUSED, "not a regular file");
    get_fails(&s, "folder", SNAP_REFUSED, "not a regular file");
    get_fails(&s, "pipe", SNAP_REFUSED, "not a regular file");
    get_fails(&s, "huge", SNAP_CORRUPT, "is larger than");

    lists(&s, "good");
    says("2 ");
    says("snapshot torn is damaged and left out: ");
    says("snapshot later is damaged and left out: ");
    says("snapshot renamed is damaged");
    says("snapshot link is damaged");
    says("records/foreign.txt is no record; left out");
    says("records/-n.json is no record; left out");
    says("records/.json is no record; left out");
    says("records/bad?[2Jname.json is no record; left out");
    assert_null(strstr(said, "tmp-4711"));
    assert_null(strstr(said, "good is damaged"));
    assert_int_equal(snap_store_damaged(&s, sample_drivers, &n, &err), 0);
    assert_int_equal(n, 12); /* foreign.txt says that it is none */
    snap_store_close(&s);
}

/* The brief list takes the configuration for granted, but not its syntax. */
static void test_brief_and_the_configuration(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r, *rs = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;
    char *text, *cut;
    size_t n = 0;

    (void)state;
    open_store(&s, true);
    sample_record(&r, "s1");
    snap_set(&r.config_json, "{\"c_info\":{\"uuid\":\"" OTHER_UUID "\"}}");
    j = snap_record_to_json(&r);
    text = snap_json_text(j, true);
    plant("s1.json", text);
    get_fails(&s, "s1", SNAP_CORRUPT, "of a domain with another UUID");
    assert_int_equal(
        snap_store_brief(&s, sample_drivers, &collector, &rs, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(rs[0].name, "s1");
    snap_record_dispose(&rs[0]);
    free(rs);

    cut = strstr(text, OTHER_UUID);
    assert_non_null(cut);
    cut[0] = '"';
    plant("s1.json", text);
    lists(&s, "");
    says("snapshot s1 is damaged and left out: ");
    says("not valid JSON");

    snap_json_set(j, "domain_config", snap_json_int(1));
    free(text);
    text = snap_json_text(j, true);
    plant("s1.json", text);
    lists(&s, "");
    says("domain_config: must be an object");
    free(text);
    snap_json_free(j);
    snap_record_dispose(&r);
    snap_store_close(&s);
}

static char *to_remove;

static int remove_it(const char *layer, const char *what)
{
    (void)layer;
    if (to_remove && strstr(what, to_remove))
        unlink(to_remove);
    return 0;
}

/* Whoever lists holds no lock: what goes away meanwhile is not damage. */
static void test_removed_meanwhile(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    size_t n = 9;

    (void)state;
    open_store(&s, true);
    must_put(&s, "s1");
    must_put(&s, "s2");
    to_remove = snap_store_record_path(&s, "s1");
    snap_fault_hook = remove_it;
    lists(&s, "s2");
    assert_string_equal(said, "");
    must_put(&s, "s1");
    assert_int_equal(snap_store_damaged(&s, sample_drivers, &n, NULL), 0);
    assert_int_equal(n, 0);
    snap_fault_hook = NULL;
    snap_free(&to_remove);
    snap_store_close(&s);
}

/* A file cut anywhere is left out, never half believed. */
static void test_every_truncation(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    struct snap_err err;
    char *path, *text = NULL;
    size_t len, i;

    (void)state;
    open_store(&s, true);
    must_put(&s, "s1");
    path = snap_store_record_path(&s, "s1");
    assert_int_equal(snap_file_read(path, SNAP_RECORD_MAX, &text, &len, NULL),
                     0);
    /* The last byte is the newline behind the JSON. */
    for (i = len - 1; i-- > 0;) {
        assert_int_equal(truncate(path, i), 0);
        snap_err_clear(&err);
        if (snap_store_get(&s, "s1", sample_drivers, &r, &err) != SNAP_CORRUPT)
            fail_msg("cut at %zu: %s", i, err.msg);
    }
    free(text);
    free(path);
    snap_store_close(&s);
}

static void test_order(void **state)
{
    static const struct {
        const char *name;
        int64_t created;
    } t[] = {
        { "late", 300 },
        { "b", 200 },
        { "early", 100 },
        { "a", 200 },
    };
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    size_t i;

    (void)state;
    open_store(&s, true);
    for (i = 0; i < 4; i++) {
        sample_record(&r, t[i].name);
        r.created = t[i].created;
        assert_int_equal(snap_store_put(&s, &r, NULL), 0);
        snap_record_dispose(&r);
    }
    lists(&s, "early a b late");
    assert_string_equal(said, "");
    snap_store_close(&s);
}

/* A name that looks like a leftover of the writer is still a name. */
static void test_odd_names(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;

    (void)state;
    open_store(&s, true);
    must_put(&s, "x.json.tmp-1");
    must_put(&s, "x.json");
    must_put(&s, "x");
    lists(&s, "x x.json x.json.tmp-1");
    snap_store_close(&s);
}

static void test_ten_thousand(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r, *rs = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;
    size_t i, n = 0;
    clock_t t;

    (void)state;
    open_store(&s, true);
    sample_record(&r, "x");
    j = snap_record_to_json(&r);
    for (i = 0; i < 10000; i++) {
        char *name = snap_printf("s%zu", i);
        char *file = snap_printf("%s.json", name), *text;

        snap_json_set_str(j, "name", name);
        snap_json_set_int(j, "created", 20000 - (int64_t)i);
        text = snap_json_text(j, true);
        plant(file, text);
        free(text);
        free(file);
        free(name);
    }
    plant("s4711x.json", "{");
    said[0] = '\0';
    t = clock();
    assert_int_equal(
        snap_store_all(&s, sample_drivers, &collector, &rs, &n, &err), 0);
    t = clock() - t;
    says("snapshot s4711x is damaged and left out: ");
    print_message("10000 records in %.0f ms of CPU\n",
                  t * 1e3 / CLOCKS_PER_SEC);
    assert_int_equal(n, 10000);
    assert_string_equal(rs[0].name, "s9999");
    for (i = 1; i < n; i++)
        assert_true(rs[i - 1].created < rs[i].created);
    /* A second without sanitizers, on a slow machine. */
    assert_true(t < 10 * CLOCKS_PER_SEC);
    for (i = 0; i < n; i++)
        snap_record_dispose(&rs[i]);
    free(rs);
    snap_json_free(j);
    snap_record_dispose(&r);
    snap_store_close(&s);
}

/* --- crash and failure ------------------------------------------------- */

static int fail_at, fail_with, calls;

static int on_call(const char *layer, const char *what)
{
    (void)layer;
    (void)what;
    return ++calls == fail_at ? fail_with : 0;
}

static void test_put_fails_anywhere(void **state)
{
    static const int errors[] = { EIO, ENOSPC, EDQUOT, EACCES, EROFS };
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    struct snap_err err = SNAP_ERR_INIT;
    size_t i;
    int rc;

    (void)state;
    open_store(&s, true);
    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        fail_with = errors[i];
        for (fail_at = 1;; fail_at++) {
            snap_err_clear(&err);
            calls = 0;
            snap_fault_hook = on_call;
            rc = put(&s, "s1", &err);
            snap_fault_hook = NULL;
            if (calls < fail_at)
                break;
            assert_int_not_equal(rc, 0);
            assert_int_equal(rc, err.rc);
            if (fail_with == ENOSPC || fail_with == EDQUOT)
                assert_int_equal(rc, SNAP_NOSPACE);
            assert_non_null(strstr(err.msg, "snapshot s1: "));
            assert_false(snap_store_has(&s, "s1"));
            assert_int_equal(count_files("records"), 0);
        }
        assert_int_equal(rc, 0);
        assert_true(fail_at > 5);
        assert_int_equal(snap_store_get(&s, "s1", sample_drivers, &r, &err),
                         0);
        snap_record_dispose(&r);
        sh("rm %s/records/s1.json", dir);
    }
    snap_store_close(&s);
}

static int die_at_call(const char *layer, const char *what)
{
    on_call(layer, what);
    if (calls == fail_at)
        _exit(77);
    return 0;
}

/* Die at each call: the record is whole or absent, the next put works. */
static void test_put_dies_anywhere(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    int status = 0;

    (void)state;
    open_store(&s, true);
    for (fail_at = 1;; fail_at++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (!pid) {
            calls = 0;
            snap_fault_hook = die_at_call;
            put(&s, "s1", NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WEXITSTATUS(status))
            break;
        if (snap_store_has(&s, "s1")) {
            lists(&s, "s1");
            sh("rm %s/records/s1.json", dir);
        } else {
            lists(&s, "");
        }
        assert_string_equal(said, "");
        must_put(&s, "s1");
        sh("rm %s/records/s1.json", dir);
    }
    assert_true(fail_at > 5);
    lists(&s, "s1");
    snap_store_close(&s);
}

static void test_read_fails_anywhere(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record *rs;
    struct snap_err err = SNAP_ERR_INIT;
    size_t n, i;
    int rc;

    (void)state;
    fail_with = EIO;
    for (fail_at = 1;; fail_at++) {
        snap_err_clear(&err);
        calls = 0;
        snap_fault_hook = on_call;
        rc = snap_store_open(&s, root, SAMPLE_UUID, true, &err);
        snap_fault_hook = NULL;
        assert_int_equal(rc, err.rc);
        snap_store_close(&s);
        if (calls < fail_at)
            break;
        assert_int_equal(rc, SNAP_IO);
    }
    open_store(&s, true);
    must_put(&s, "s1");
    must_put(&s, "s2");
    for (fail_at = 1;; fail_at++) {
        snap_err_clear(&err);
        calls = 0;
        said[0] = '\0';
        snap_fault_hook = on_call;
        rc = snap_store_all(&s, sample_drivers, &collector, &rs, &n, &err);
        snap_fault_hook = NULL;
        if (calls < fail_at)
            break;
        /* The list fails, or one record does and is named. */
        assert_true(rc == SNAP_IO || (rc == 0 && n == 1));
        if (!rc)
            says("is damaged and left out");
        for (i = 0; i < n; i++)
            snap_record_dispose(&rs[i]);
        free(rs);
    }
    assert_int_equal(n, 2);
    for (i = 0; i < n; i++)
        snap_record_dispose(&rs[i]);
    free(rs);
    snap_store_close(&s);
}

/* --- domains and references -------------------------------------------- */

static void test_domains(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    char **v = NULL, *missing;
    size_t n = 7;

    (void)state;
    missing = snap_printf("%s/none", root);
    assert_int_equal(snap_store_domains(missing, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    free(missing);
    open_store(&s, true);
    snap_store_close(&s);
    sh("mkdir %s/" OTHER_UUID, root);
    sh("mkdir %s/lost+found", root);
    sh("touch %s/00000000-0000-0000-0000-000000000002", root);
    sh("ln -s /etc %s/00000000-0000-0000-0000-000000000003", root);
    /* What is no folder may stand for one: whoever opens it refuses it. */
    assert_int_equal(snap_store_domains(root, &v, &n, &err), 0);
    assert_int_equal(n, 4);
    assert_string_equal(v[0], OTHER_UUID);
    assert_string_equal(v[1], "00000000-0000-0000-0000-000000000002");
    assert_string_equal(v[2], "00000000-0000-0000-0000-000000000003");
    assert_string_equal(v[3], SAMPLE_UUID);
    while (n)
        free(v[--n]);
    free(v);
    fail_at = 1;
    calls = 0;
    fail_with = EIO;
    snap_fault_hook = on_call;
    assert_int_equal(snap_store_domains(root, &v, &n, &err), SNAP_IO);
    assert_null(v);
}

struct seen {
    char uuids[3][37];
    size_t n, fail_at;
};

static int see(void *opaque, const char *uuid, struct snap_err *err)
{
    struct seen *seen = opaque;

    if (seen->n == seen->fail_at)
        return snap_fail(err, SNAP_BUSY, "that one");
    memcpy(seen->uuids[seen->n++], uuid, 37);
    return 0;
}

static void test_each_domain(void **state)
{
    struct seen seen = { .fail_at = 3 };
    struct snap_err err = SNAP_ERR_INIT;
    char *missing = snap_printf("%s/none", root);

    (void)state;
    assert_int_equal(snap_store_each(missing, NULL, see, &seen, &err), 0);
    free(missing);
    sh("mkdir %s/" OTHER_UUID " %s/" SAMPLE_UUID, root, root);
    assert_int_equal(snap_store_each(root, NULL, see, &seen, &err), 0);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.uuids[0], OTHER_UUID);
    assert_string_equal(seen.uuids[1], SAMPLE_UUID);

    seen.n = 0;
    assert_int_equal(snap_store_each(root, OTHER_UUID, see, &seen, &err), 0);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.uuids[0], SAMPLE_UUID);

    /* The first failure ends it. */
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(snap_store_each(root, NULL, see, &seen, &err), SNAP_BUSY);
    assert_int_equal(seen.n, 0);
    seen.fail_at = 3;
    fail_at = 1;
    calls = 0;
    fail_with = EIO;
    snap_fault_hook = on_call;
    assert_int_equal(snap_store_each(root, NULL, see, &seen, &err), SNAP_IO);
    assert_int_equal(seen.n, 0);
}

static bool need(const struct snap_record *rs, size_t n, const char *path)
{
    return snap_records_need(sample_drivers, rs, n, snap_object_file(path));
}

static void test_need(void **state)
{
    struct snap_record r;
    char *image, *alias;

    (void)state;
    sample_record(&r, "s1");
    assert_true(need(&r, 1, "/img/a b.qcow2"));
    assert_true(need(&r, 1, "/img/b's.raw"));
    assert_true(need(&r, 1, "/var/lib/xen/snapshots/m.save"));
    assert_false(need(&r, 1, "/img/b.s1.qcow2"));
    assert_false(need(&r, 0, "/img/b's.raw"));
    assert_false(need(NULL, 0, "/img/b's.raw"));

    /* The same file by another name. */
    image = snap_printf("%s/image", root);
    alias = snap_printf("%s/alias", root);
    sh("touch %s", image);
    assert_int_equal(symlink(image, alias), 0);
    snap_set(&r.parts[1].frozen_path, image);
    assert_true(need(&r, 1, alias));
    unlink(alias);
    assert_false(need(&r, 1, alias));
    assert_int_equal(link(image, alias), 0);
    assert_true(need(&r, 1, alias));
    free(image);
    free(alias);
    snap_record_dispose(&r);
}

/* --- the lock ---------------------------------------------------------- */

/* A process that takes the lock, says so, and holds it until told or
 * killed. */
struct holder {
    pid_t pid;
    int ready, go;
};

static void hold(struct holder *h, const char *command)
{
    int a[2], b[2];
    char c;

    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    h->pid = fork();
    assert_true(h->pid >= 0);
    if (!h->pid) {
        struct snap_store s = SNAP_STORE_INIT;
        int bad = snap_store_open(&s, root, SAMPLE_UUID, true, NULL) ||
                  snap_store_lock(&s, true, command, NULL, NULL);

        close(b[1]);
        if (write(a[1], bad ? "x" : "y", 1) < 0 || read(b[0], &c, 1) < 0)
            _exit(1);
        snap_store_close(&s);
        _exit(0);
    }
    close(a[1]);
    close(b[0]);
    h->ready = a[0];
    h->go = b[1];
}

static void wait_ready(const struct holder *h)
{
    char c = 0;

    assert_int_equal(read(h->ready, &c, 1), 1);
    assert_int_equal(c, 'y');
}

static void release(struct holder *h, int sig)
{
    int status;

    if (sig)
        kill(h->pid, sig);
    else
        assert_int_equal(write(h->go, "g", 1), 1);
    close(h->go);
    close(h->ready);
    assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
}

static void try_lock(struct snap_store *s, bool wait, int want,
                     const char *words)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    said[0] = '\0';
    rc = snap_store_lock(s, wait, "test", &collector, &err);
    if (rc != want || (words && !strstr(err.msg, words)))
        fail_msg("%d \"%s\"", rc, err.msg);
}

static void test_lock_alone(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct stat st;
    char *path, *text = NULL, *want;
    size_t len;

    (void)state;
    open_store(&s, true);
    try_lock(&s, false, 0, NULL);
    assert_true(s.lock_fd >= 0);
    assert_true(fcntl(s.lock_fd, F_GETFD) & FD_CLOEXEC);
    path = snap_printf("%s/lock", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(snap_file_read(path, 4096, &text, &len, NULL), 0);
    want = snap_printf("%ld ", (long)getpid());
    assert_true(snap_has_prefix(text, want));
    assert_true(snap_has_suffix(text, " test\n"));
    free(want);
    snap_free(&text);
    try_lock(&s, false, SNAP_FAIL, "is locked by us already");
    snap_store_unlock(&s);
    snap_store_unlock(&s);
    assert_int_equal(snap_file_read(path, 4096, &text, &len, NULL), 0);
    assert_int_equal(len, 0);
    free(text);
    free(path);
    try_lock(&s, false, 0, NULL);
    snap_store_close(&s);
}

static void test_lock_busy(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct holder h;
    char *want;

    (void)state;
    open_store(&s, true);
    hold(&h, "snapshot-create web \x1b[2J");
    wait_ready(&h);
    want = snap_printf("snapshot-create web ?[2J (pid %ld) is at work on "
                       "this domain; wait until it has finished",
                       (long)h.pid);
    try_lock(&s, false, SNAP_BUSY, want);
    free(want);
    assert_int_equal(s.lock_fd, -1);
    assert_string_equal(said, "");
    release(&h, 0);
    try_lock(&s, false, 0, NULL);
    snap_store_close(&s);
}

/* Who works here is seen without a lock, and without making one. */
static void test_worker(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct holder h;
    char *who, *want, *path;

    (void)state;
    open_store(&s, true);
    path = snap_printf("%s/lock", dir);
    assert_null(snap_store_worker(&s));
    assert_false(snap_file_exists(path));

    hold(&h, "snapshot-create web");
    wait_ready(&h);
    who = snap_store_worker(&s);
    want = snap_printf("snapshot-create web (pid %ld)", (long)h.pid);
    assert_string_equal(who, want);
    free(who);
    free(want);
    /* It was not disturbed. */
    try_lock(&s, false, SNAP_BUSY, "snapshot-create web");
    release(&h, SIGKILL);
    assert_null(snap_store_worker(&s));

    try_lock(&s, false, 0, NULL);
    snap_store_unlock(&s);
    assert_null(snap_store_worker(&s));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(snap_store_worker(&s));
    free(path);
    snap_store_close(&s);
}

static void test_lock_waits(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct holder h, second;
    char c;

    (void)state;
    open_store(&s, true);
    hold(&h, "first");
    wait_ready(&h);
    hold(&second, "second");
    /* The second one waits: nothing comes. */
    assert_int_equal(fcntl(second.ready, F_SETFL, O_NONBLOCK), 0);
    usleep(100000);
    assert_int_equal(read(second.ready, &c, 1), -1);
    assert_int_equal(fcntl(second.ready, F_SETFL, 0), 0);
    release(&h, 0);
    wait_ready(&second);
    try_lock(&s, false, SNAP_BUSY, "second (pid ");
    release(&second, 0);

    /* And says so once, when it is us. */
    hold(&h, "first");
    wait_ready(&h);
    if (!fork()) {
        usleep(100000);
        kill(h.pid, SIGKILL);
        _exit(0);
    }
    try_lock(&s, true, 0, NULL);
    says("1 waiting for first (pid ");
    says("which is at work on this domain\n");
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    release(&h, SIGKILL);
    wait(NULL);
    snap_store_close(&s);
}

/* Many may share it; one that wants it alone waits for all of them, and they
 * for it.  The name of the last one stands there, until it ends. */
static void test_lock_shared(void **state)
{
    struct snap_store a = SNAP_STORE_INIT, b = SNAP_STORE_INIT;
    struct snap_store alone = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    char *path, *text = NULL;
    size_t len;
    FILE *f;

    (void)state;
    open_store(&a, true);
    open_store(&b, true);
    open_store(&alone, true);
    assert_int_equal(snap_store_lock_shared(&a, false, "a", NULL, &err), 0);
    assert_int_equal(snap_store_lock_shared(&b, false, "b", NULL, &err), 0);
    try_lock(&alone, false, SNAP_BUSY, "b (pid ");
    snap_store_unlock(&b);
    try_lock(&alone, false, SNAP_BUSY, "another command is at work");
    snap_store_unlock(&a);
    try_lock(&alone, false, 0, NULL);
    assert_int_equal(snap_store_lock_shared(&a, false, "a", NULL, &err),
                     SNAP_BUSY);
    snap_store_unlock(&alone);
    /* What another one signed stays. */
    assert_int_equal(snap_store_lock_shared(&a, false, "a", NULL, &err), 0);
    path = snap_printf("%s/lock", dir);
    f = fopen(path, "w"); /* the same file */
    assert_non_null(f);
    assert_true(fputs("1 of another\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    snap_store_unlock(&a);
    assert_int_equal(snap_file_read(path, 4096, &text, &len, &err), 0);
    assert_string_equal(text, "1 of another\n");
    free(text);
    free(path);
    snap_store_close(&a);
    snap_store_close(&b);
    snap_store_close(&alone);
}

static void test_lock_of_a_dead_owner(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct holder h;

    (void)state;
    open_store(&s, true);
    hold(&h, "killed");
    wait_ready(&h);
    release(&h, SIGKILL);
    try_lock(&s, false, 0, NULL);
    assert_string_equal(said, "");
    snap_store_close(&s);
}

/* What is written in the file names nobody unless it names its holder. */
static void test_lock_text_of_a_stranger(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "garbage\n",
        "1 x 1 init",
        "-1 x 1 c\n",
        "1 00000000-0000-0000-0000-000000000000 1 other boot\n",
        "99999999999999999999 x 1 c\n",
        "1 2 3\n",
    };
    struct snap_store s = SNAP_STORE_INIT;
    char *path, *boot = NULL, *text;
    size_t i, len;
    int fd;

    (void)state;
    open_store(&s, true);
    path = snap_printf("%s/lock", dir);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0),
                         strlen(texts[i]));
        try_lock(&s, false, SNAP_BUSY, "another command is at work");
    }
    /* This boot and a living pid, which is another process by now. */
    assert_int_equal(snap_file_read("/proc/sys/kernel/random/boot_id", 100,
                                    &boot, &len, NULL),
                     0);
    boot[36] = '\0';
    text = snap_printf("%ld %s 1 reused\n", (long)getpid(), boot);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_true(pwrite(fd, text, strlen(text), 0) > 0);
    try_lock(&s, false, SNAP_BUSY, "another command is at work");
    /* A file far too long. */
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    try_lock(&s, false, SNAP_BUSY, "another command is at work");
    close(fd);
    free(text);
    free(boot);
    free(path);
    snap_store_close(&s);
}

static void test_lock_file_refused(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    char *path;

    (void)state;
    open_store(&s, true);
    path = snap_printf("%s/lock", dir);
    assert_int_equal(symlink("/tmp/snap-not-there", path), 0);
    try_lock(&s, false, SNAP_REFUSED, "is a symbolic link");
    assert_false(snap_file_exists("/tmp/snap-not-there"));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    try_lock(&s, false, SNAP_REFUSED, "not a regular file");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    try_lock(&s, false, SNAP_IO, "cannot open");
    free(path);
    snap_store_close(&s);
}

/* Between our open and our flock somebody puts another file there. */
static int swaps;

static int swap_before_flock(const char *layer, const char *what)
{
    char *path;

    (void)layer;
    if (!strcmp(what, "flock") && swaps) {
        swaps--;
        path = snap_printf("%s/lock", dir);
        unlink(path);
        close(open(path, O_WRONLY | O_CREAT, 0600));
        free(path);
    }
    return 0;
}

static void test_lock_file_replaced(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct stat a, b;
    char *path;

    (void)state;
    open_store(&s, true);
    snap_fault_hook = swap_before_flock;
    swaps = 3;
    try_lock(&s, false, 0, NULL);
    assert_int_equal(swaps, 0);
    path = snap_printf("%s/lock", dir);
    assert_int_equal(stat(path, &a), 0);
    assert_int_equal(fstat(s.lock_fd, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    snap_store_unlock(&s);
    swaps = 1000000;
    try_lock(&s, false, SNAP_BUSY, "is replaced again and again");
    snap_fault_hook = NULL;
    free(path);
    snap_store_close(&s);
}

static void test_lock_fails(void **state)
{
    struct snap_store s = SNAP_STORE_INIT;

    (void)state;
    open_store(&s, true);
    snap_fault_hook = on_call;
    for (fail_at = 1; fail_at <= 2; fail_at++) {
        calls = 0;
        fail_with = EIO;
        try_lock(&s, true, SNAP_IO, "cannot ");
        assert_int_equal(s.lock_fd, -1);
    }
    calls = 0;
    fail_at = 2;
    fail_with = EINTR;
    try_lock(&s, true, SNAP_INTR, "interrupted while waiting");
    snap_fault_hook = NULL;
    try_lock(&s, false, 0, NULL);
    snap_store_close(&s);
}

/* Only what holds nothing goes; who waits for its lock is told. */
static void test_remove_empty(void **state)
{
    static const char *const full[] = { "state.json", "journal",
                                        "records/a.json", "memory/a.save",
                                        "something" };
    struct snap_store s = SNAP_STORE_INIT, other = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    struct stat st;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
        open_store(&s, true);
        assert_int_equal(snap_store_lock(&s, false, "test", NULL, &err), 0);
        sh("echo > %s/%s", dir, full[i]);
        snap_store_remove_empty(&s);
        sh("test -e %s/%s && rm %s/%s", dir, full[i], dir, full[i]);
        snap_store_close(&s);
    }
    open_store(&s, true);
    open_store(&other, false);
    assert_int_equal(snap_store_lock(&s, false, "test", NULL, &err), 0);
    snap_store_remove_empty(&s);
    assert_int_equal(stat(dir, &st), -1);
    snap_store_remove_empty(&s);
    assert_int_equal(snap_store_lock(&other, false, "test", NULL, &err),
                     SNAP_NOTFOUND);
    snap_store_close(&other);
    snap_store_close(&s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_folders),
        T(test_not_there),
        T(test_refused_folders),
        T(test_put_get),
        T(test_update_and_drop),
        T(test_put_refuses),
        T(test_names_before_paths),
        T(test_damaged),
        T(test_brief_and_the_configuration),
        T(test_removed_meanwhile),
        T(test_every_truncation),
        T(test_order),
        T(test_odd_names),
        T(test_ten_thousand),
        T(test_put_fails_anywhere),
        T(test_put_dies_anywhere),
        T(test_read_fails_anywhere),
        T(test_domains),
        T(test_each_domain),
        T(test_remove_empty),
        T(test_need),
        T(test_lock_alone),
        T(test_lock_busy),
        T(test_worker),
        T(test_lock_waits),
        T(test_lock_shared),
        T(test_lock_of_a_dead_owner),
        T(test_lock_text_of_a_stranger),
        T(test_lock_file_refused),
        T(test_lock_file_replaced),
        T(test_lock_fails),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
