/* SPDX-License-Identifier: LGPL-2.1-only */
/* No tool that moves or compares data goes on for hours with nothing done, on
 * storage that does not answer; one that gets on has no limit. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk/qemu/qemu_img.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"

static char dir[] = "/tmp/test_qemu_stall.XXXXXX";
static struct snap_err err;

static void put(const char *name, const char *text)
{
    char *path = snap_printf("%s/%s", dir, name);

    unlink(path);
    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0755, false, &err), 0);
    free(path);
}

static int setup(void **state)
{
    (void)state;
    snap_run_path_first = mkdtemp(dir);
    snap_qemu_img_stall_ms = 300;
    return snap_run_path_first ? 0 : -1;
}

static int teardown(void **state)
{
    const char *const argv[] = { "rm", "-rf", "--", dir, NULL };
    struct snap_run run = SNAP_RUN_INIT;

    (void)state;
    snap_run_path_first = NULL;
    run.argv = argv;
    snap_run(&run, NULL);
    snap_run_dispose(&run);
    return 0;
}

static int map(void)
{
    struct snap_json *j = NULL;
    int rc = snap_qemu_img_map(NULL, "/img", 0, 4096, NULL, NULL, &j, &err);

    snap_json_free(j);
    return rc;
}

static int keep(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), rc;

    rc = snap_qemu_io_keep(NULL, "/img", fd, NULL, NULL, &err);
    close(fd);
    return rc;
}

static int compare(void)
{
    bool same = false;

    return snap_qemu_img_compare(NULL, "/a", "/b", "raw", 0, 4096, NULL, NULL,
                                 &same, &err);
}

static int commit(void)
{
    return snap_qemu_img_commit(NULL, "/img", NULL, NULL, &err);
}

static int (*const all[])(void) = { map, keep, compare, commit };

static void nothing_is_read(void **state)
{
    size_t i;

    (void)state;
    put("qemu-img", "#!/bin/sh\nexec sleep 20\n");
    put("qemu-io", "#!/bin/sh\nexec sleep 20\n");
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        snap_err_clear(&err);
        if (all[i]() != SNAP_TIMEOUT || !strstr(err.msg, "read nothing"))
            fail_msg("%zu: %s", i, err.msg);
    }
}

static void it_reads_on(void **state)
{
    static const char busy[] = "#!/bin/sh\n"
                               "for i in 1 2 3 4 5 6 7 8; do\n"
                               "read x </proc/version; sleep 0.2; done\n"
                               "echo '[]'\n";
    size_t i;

    (void)state;
    snap_qemu_img_stall_ms = 1200;
    put("qemu-img", busy);
    put("qemu-io", busy);
    for (i = 0; i < 3; i++) {
        snap_err_clear(&err);
        if (all[i]())
            fail_msg("%zu: %s", i, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_read),
        cmocka_unit_test(it_reads_on),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
