/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made of an xl.cfg: how xl is asked and what is done with its
 * answers, by a stand-in for xl; whether there is a UUID, by the real
 * libxlutil.  Needs no Xen running.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hyp/call.h"
#include "hyp/config_file.h"
#include "hyp/hyp.h"
#include "lib/file.h"
#include "lib/run.h"

static char dir[] = "/tmp/snap-xl-XXXXXX";
static struct snap_hyp hyp = { .xen_major = 99, .xen_minor = 1 };
static struct snap_err err;

static void put(const char *name, const char *text, mode_t mode)
{
    char *path = snap_printf("%s/%s", dir, name);

    assert_int_equal(
        snap_file_write(path, text, strlen(text), mode, false, &err), 0);
    free(path);
}

/* Ask for FILE, which holds text, with an xl that does this. */
static int ask(const char *file, const char *text, const char *script,
               char **json_r, bool *has_uuid_r)
{
    char *path = snap_printf("%s/%s", dir, file);
    char *xl = snap_printf("#!/bin/sh\n%s\n", script);
    int rc;

    snap_err_clear(&err);
    put(file, text, 0600);
    put("xl", xl, 0700);
    snap_run_path_first = dir;
    rc = hyp_config_file(&hyp, path, json_r, has_uuid_r, &err);
    free(xl);
    unlink(path);
    free(path);
    return rc;
}

static void test_good(void **state)
{
    char *json = NULL, *want;
    bool uuid = true;

    (void)state;
    assert_int_equal(ask("a.cfg", "name='x'\nvnuma=[ [ 'pnode=0' ] ]\n",
                         "echo '{\"args\": \"'$*'\"}'", &json, &uuid),
                     0);
    want = snap_printf("{\"args\": \"create -n -q %s/a.cfg\"}\n", dir);
    assert_string_equal(json, want);
    assert_false(uuid);
    snap_free(&json);
    free(want);

    assert_int_equal(ask("a.cfg", "name='x'\nuuid = \"u\" # without newline",
                         "echo '{}'", &json, &uuid),
                     0);
    assert_true(uuid);
    snap_free(&json);
    assert_int_equal(
        ask("a.cfg", "#uuid='u'\nname='uuid'\n", "echo '{}'", &json, &uuid),
        0);
    assert_false(uuid);
    snap_free(&json);
}

static void bad(const char *file, const char *text, const char *script,
                int want, const char *words)
{
    char *json = NULL;
    bool uuid;

    assert_int_equal(ask(file, text, script, &json, &uuid), want);
    if (!strstr(err.msg, words))
        print_error("\"%s\" does not say \"%s\"\n", err.msg, words);
    assert_non_null(strstr(err.msg, words));
    assert_null(strchr(err.msg, '\n'));
    assert_null(json);
}

static void test_bad(void **state)
{
    (void)state;
    bad("a.cfg", "name=\n", "echo '{}'", SNAP_INVAL, "a.cfg:1: ");
    bad("a.cfg", "name='x'\n",
        "echo 'memory is odd' >&2; echo failed >&2; exit 3", SNAP_INVAL,
        "a.cfg: memory is odd");
    bad("a.cfg", "name='x'\n", "exit 1", SNAP_FAIL, "xl create -n");
    bad("a.cfg", "name='x'\n", "echo '(domain (domid 1))'", SNAP_PROTO,
        "printed no JSON");
    bad("a.cfg", "name='x'\n", "true", SNAP_PROTO, "printed no JSON");
    /* xl would take its name for a setting. */
    bad("a=b.cfg", "name='x'\n", "echo '{}'", SNAP_INVAL, "\"=\"");
}

static void test_missing(void **state)
{
    char *json = NULL;
    bool uuid;

    (void)state;
    snap_err_clear(&err);
    assert_int_equal(hyp_config_file(&hyp, "/none/a.cfg", &json, &uuid, &err),
                     SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, "/none/a.cfg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_missing),
    };
    char *xl;
    int failed;

    if (!mkdtemp(dir))
        return 1;
    hyp_logger_init(&hyp.logger, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    xl = snap_printf("%s/xl", dir);
    unlink(xl);
    free(xl);
    rmdir(dir);
    return failed;
}
