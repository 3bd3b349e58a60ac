/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finding the module: what is said when it is missing, is no module, or
 * belongs to another version.  The modules are made here with the compiler
 * that built the test; on a machine without one those parts are skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hyp/plugin.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"

static char *dir;

static int setup(void **state)
{
    char path[] = "/tmp/test_hyp_load.XXXXXX";

    (void)state;
    dir = mkdtemp(path) ? snap_strdup(path) : NULL;
    return dir ? 0 : -1;
}

static int teardown(void **state)
{
    const char *const argv[] = { "rm", "-rf", "--", dir, NULL };
    struct snap_run run = SNAP_RUN_INIT;

    (void)state;
    run.argv = argv;
    snap_run(&run, NULL);
    snap_run_dispose(&run);
    free(dir);
    return 0;
}

/* The name that the loader wants here: of the running Xen, if there is one;
 * else any will do. */
static char *module_path(void)
{
    char *major = NULL, *minor = NULL, *path;
    size_t len;

    snap_file_read("/sys/hypervisor/version/major", 16, &major, &len, NULL);
    snap_file_read("/sys/hypervisor/version/minor", 16, &minor, &len, NULL);
    if (major && minor)
        path = snap_printf("%s/hyp-xen-%d.%d.so", dir, atoi(major),
                           atoi(minor));
    else
        path = snap_printf("%s/hyp-xen-4.17.so", dir);
    free(major);
    free(minor);
    return path;
}

static void write_module(const char *text, size_t len)
{
    char *path = module_path();

    unlink(path);
    assert_int_equal(snap_file_write(path, text, len, 0755, false, NULL), 0);
    free(path);
}

static void compile_module(const char *source)
{
    char *path = module_path(), *c = snap_printf("%s/m.c", dir);
    const char *const argv[] = {
        "cc", "-shared", "-fPIC", "-o", path, c, NULL
    };
    struct snap_run run = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    unlink(path);
    snap_file_write(c, source, strlen(source), 0644, false, NULL);
    run.argv = argv;
    rc = snap_run(&run, &err);
    snap_run_dispose(&run);
    free(path);
    free(c);
    if (rc == SNAP_NOTFOUND) {
        print_message("# SKIP a module of a test: there is no cc here\n");
        skip();
    }
    assert_int_equal(rc, 0);
}

static const struct snap_hyp_module *load(int want, const char *words)
{
    const struct snap_hyp_module *mod = (void *)1;
    struct snap_err err = SNAP_ERR_INIT;

    assert_int_equal(snap_hyp_load(dir, &mod, &err), want);
    if (want)
        assert_null(mod);
    if (words && !strstr(err.msg, words))
        print_error("\"%s\" does not say \"%s\"\n", err.msg, words);
    if (words)
        assert_non_null(strstr(err.msg, words));
    return mod;
}

static void test_missing(void **state)
{
    (void)state;
    load(SNAP_UNSUPPORTED, dir);
    load(SNAP_UNSUPPORTED, "libxen-dev");
}

static void test_garbage(void **state)
{
    (void)state;
    write_module("not a library", 13);
    load(SNAP_UNSUPPORTED, "cannot use");
    load(SNAP_UNSUPPORTED, "else run make and make install");
}

static void test_other_library(void **state)
{
    (void)state;
    compile_module("int something_else;\n");
    load(SNAP_UNSUPPORTED, "is not a module of xl-snapshot; remove it");
}

static void test_other_abi(void **state)
{
    (void)state;
    compile_module("struct { int abi; const char *v; void *p[3]; }\n"
                   "snap_hyp_module = { 4711 };\n");
    load(SNAP_UNSUPPORTED, "4711");
}

static void test_good(void **state)
{
    const struct snap_hyp_module *mod;
    char *source;

    (void)state;
    source = snap_printf("struct { int abi; const char *v; void *p[3]; }\n"
                         "snap_hyp_module = { %d, \"\" };\n",
                         SNAP_HYP_ABI);
    compile_module(source);
    free(source);
    mod = load(0, NULL);
    assert_non_null(mod);
    assert_int_equal(mod->abi, SNAP_HYP_ABI);
}

/* Off Xen the newest of several is taken: 4.20 is newer than 4.9. */
static void test_newest(void **state)
{
    static const char *const names[] = { "4.9", "4.17", "4.20", "4.x" };
    char *path, *type = NULL;
    size_t i, len;

    (void)state;
    if (!snap_file_read("/sys/hypervisor/type", 16, &type, &len, NULL)) {
        free(type);
        print_message("# SKIP the newest module off Xen: this is Xen\n");
        skip();
    }
    for (i = 0; i < 4; i++) {
        path = snap_printf("%s/hyp-xen-%s.so", dir, names[i]);
        assert_int_equal(snap_file_write(path, "no", 2, 0755, false, NULL), 0);
        free(path);
    }
    load(SNAP_UNSUPPORTED, "hyp-xen-4.20.so");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_library, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_abi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newest, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
