/* SPDX-License-Identifier: LGPL-2.1-only */
/* What is missing of a snapshot is found, part by part, and nothing is changed
 * by looking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/verify.h"

static struct fake_host host;
static char *mem_path;
static unsigned ticks;
static const char *cd;

static void create(const char *name, enum snap_disk_type type)
{
    struct snap_create_req req = {
        .domain = (char *)"vm1", .name = (char *)name, .type = type, .live = -1
    };
    struct snap_err err = SNAP_ERR_INIT;

    if (fake_host_attach(&host, &err) || fake_host_create(&host, &req, &err))
        fail_msg("%s", err.msg);
    fake_host_detach(&host);
}

static void on_progress(void *opaque, const char *what, uint64_t done,
                        uint64_t total)
{
    (void)opaque;
    assert_string_equal(what, "checking the memory image");
    assert_true(done <= total);
    ticks++;
}

static int setup(void **state)
{
    (void)state;
    fake_host_init(&host);
    create("s1", SNAP_DISK_AUTO);
    mem_path = snap_printf("%s/" FAKE_UUID "/memory/s1.save", host.root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_free(&mem_path);
    fake_host_dispose(&host);
    return 0;
}

/* The domain had this in its drive. */
static void add_cd(struct snap_record *rec)
{
    static const char begins[] = "\"disks\":[";
    char *at = strstr(rec->config_json, begins), *text;

    if (!cd)
        return;
    assert_non_null(at);
    at += strlen(begins);
    text = snap_printf("%.*s{\"pdev_path\":\"%s\",\"vdev\":\"hdc\",\"backend\""
                       ":\"qdisk\",\"format\":\"raw\",\"removable\":1,"
                       "\"readwrite\":0,\"is_cdrom\":1},%s",
                       (int)(at - rec->config_json), rec->config_json, cd, at);
    free(rec->config_json);
    rec->config_json = text;
}

/* Check s1; the problems as "xvda: …; memory: …", or "" if it is whole. */
static char *check(bool there)
{
    static const struct snap_progress progress = { .fn = on_progress };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record rec = { .id = NULL };
    struct snap_domain dom = { 0 };
    struct snap_check *c = NULL;
    struct snap_buf b = { 0 };
    char *before = fake_host_files(&host), *after;
    size_t i, n = 0;

    host.env.progress = &progress;
    if (fake_host_attach(&host, &err) ||
        host.env.ops->find(host.env.hyp, "vm1", &dom, &err) ||
        snap_store_open(&s, host.root, FAKE_UUID, false, &err) ||
        snap_store_get(&s, "s1", host.env.drivers, &rec, &err))
        fail_msg("%s", err.msg);
    add_cd(&rec);
    if (snap_check_record(&host.env, &s, there ? &dom : NULL, &rec, &c, &n,
                          &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n, cd && access(cd, F_OK) ? 4 : 3);
    assert_string_equal(c[0].part, "xvda");
    assert_string_equal(c[1].part, "xvdb");
    assert_string_equal(c[2].part, "memory");
    snap_buf_adds(&b, "");
    for (i = 0; i < n; i++)
        if (c[i].problem)
            snap_buf_addf(&b, "%s%s: %s", b.len ? "; " : "", c[i].part,
                          c[i].problem);
    after = fake_host_files(&host);
    assert_string_equal(after, before);
    assert_string_equal(host.disks->violation, "");
    free(before);
    free(after);
    snap_checks_free(&c, &n);
    assert_null(c);
    snap_domain_dispose(&dom);
    snap_record_dispose(&rec);
    snap_store_close(&s);
    host.env.progress = NULL;
    fake_host_detach(&host);
    return b.data;
}

static void finds(const char *want)
{
    char *got = check(true);

    if (!strstr(got, want))
        fail_msg("\"%s\", not \"%s\"", got, want);
    free(got);
}

static void is_whole(void)
{
    char *got = check(true);

    assert_string_equal(got, "");
    free(got);
    got = check(false);
    assert_string_equal(got, "");
    free(got);
}

static void whole(void **state)
{
    (void)state;
    ticks = 0;
    is_whole();
    assert_true(ticks > 0);
    /* Also while a later snapshot has frozen its images. */
    create("s2", SNAP_DISK_EXTERNAL);
    is_whole();
    assert_true(fake_domain_runs(fake_domain_find(host.world, "vm1")));
}

static void an_image(void **state)
{
    struct fake_image *a = fake_store_find(host.disks, "/img/a.qcow2");
    struct fake_image *b = fake_store_find(host.disks, "/img/b.img");

    (void)state;
    b->size++;
    finds("xvdb: /img/b.img has another size than it had");
    b->size--;
    b->exists = false;
    finds("xvdb: /img/b.img does not exist");
    /* All parts are looked at, not only up to the first that fails. */
    a->exists = false;
    finds("xvda: /img/a.qcow2 does not exist; xvdb: /img/b.img does not");
    unlink(mem_path);
    finds("; memory: memory image ");
    a->exists = b->exists = true;
    host.disks->snap[0].used = false;
    finds("xvda: /img/a.qcow2: no snapshot s1 in it");
}

static void the_memory_image(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *text = NULL;
    size_t len;

    (void)state;
    assert_int_equal(snap_file_read(mem_path, 1 << 20, &text, &len, &err), 0);
    unlink(mem_path);
    finds("memory: memory image ");
    finds(": No such file or directory");
    assert_int_equal(
        snap_file_write(mem_path, text, len - 1, 0600, false, &err), 0);
    finds("bytes and was recorded with");
    text[len - 2] ^= 1;
    assert_int_equal(snap_file_write(mem_path, text, len, 0600, false, &err),
                     0);
    finds("does not have the checksum it was recorded with");
    text[len - 2] ^= 1;
    text[0] ^= 1;
    assert_int_equal(snap_file_write(mem_path, text, len, 0600, false, &err),
                     0);
    finds(": not a memory image");
    text[0] ^= 1;
    assert_int_equal(snap_file_write(mem_path, text, len, 0600, false, &err),
                     0);
    is_whole();
    free(text);
}

/* What revert would refuse is found, and what it would take is not. */
static void as_revert_sees_it(void **state)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .no_wait = true };
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    unlink(mem_path);
    finds("memory: ");
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_not_equal(fake_host_revert(&host, &req, &err), 0);
    fake_host_detach(&host);
    assert_non_null(strstr(err.msg, "memory image "));
}

/* A revert refuses then, so this does not say that all is well. */
static void a_cd_that_is_gone(void **state)
{
    (void)state;
    cd = "/dev/null";
    is_whole();
    cd = "/nowhere/a.iso";
    finds("hdc: /nowhere/a.iso, which the domain's configuration names");
    cd = NULL;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(whole),
        T(an_image),
        T(the_memory_image),
        T(as_revert_sees_it),
        T(a_cd_that_is_gone),
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
