/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain that the host's own service has saved goes on from there with the
 * disks that it had: it is not off, and nothing is done to its images.
 */
#include <fcntl.h>
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

#include "fakes/fake_host.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

static struct fake_host host;
static struct snap_err err;

static struct snap_create_req s1 = { .domain = (char *)"vm1",
                                     .name = (char *)"s1",
                                     .live = -1,
                                     .no_wait = true,
                                     .memory = SNAP_MEM_NO,
                                     .type = SNAP_DISK_EXTERNAL };
static struct snap_create_req s2 = { .domain = (char *)"vm1",
                                     .name = (char *)"s2",
                                     .live = -1,
                                     .no_wait = true,
                                     .memory = SNAP_MEM_NO,
                                     .type = SNAP_DISK_EXTERNAL };
static struct snap_revert_req back = { .domain = (char *)"vm1",
                                       .name = (char *)"s1",
                                       .no_wait = true };
static struct snap_delete_req del = { .domain = (char *)"vm1",
                                      .name = (char *)"s1",
                                      .no_wait = true };

static int setup(void **state)
{
    (void)state;
    snap_err_clear(&err);
    fake_host_init(&host);
    return fake_host_attach(&host, &err) || fake_host_create(&host, &s1, &err);
}

static int teardown(void **state)
{
    (void)state;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

/* So many seconds after the journal, if there is one. */
static void save(long seconds)
{
    char *journal = snap_printf("%s/" FAKE_UUID "/journal", host.root);
    char *file = snap_printf("%s/saved", host.root);
    struct timespec at[2];
    struct stat st = { 0 };

    stat(journal, &st);
    at[0] = at[1] = (struct timespec){ .tv_sec = st.st_mtim.tv_sec + seconds };
    assert_int_equal(snap_file_write(file, "", 0, 0600, false, NULL), 0);
    assert_int_equal(utimensat(AT_FDCWD, file, at, 0), 0);
    snprintf(host.world->saved, sizeof(host.world->saved), "%s", file);
    free(journal);
    free(file);
}

/* Nothing is done, and he is told what to do. */
static void refused(fake_op *op, void *req, int expected)
{
    struct fake_store before = *host.disks;
    struct fake_outcome out;

    fake_host_run(&host, op, req, DOOM_NONE, 0, 0, &out);
    if (out.rc != expected || !strstr(out.msg, "xl restore") ||
        !strstr(out.msg, "/saved"))
        fail_msg("%d: %s", out.rc, out.msg);
    assert_memory_equal(host.disks, &before, sizeof(before));
}

static void every_command(void **state)
{
    (void)state;
    fake_host_stop(&host);
    save(0);
    refused(fake_host_create, &s2, SNAP_BUSY);
    refused(fake_host_revert, &back, SNAP_BUSY);
    refused(fake_host_delete, &del, SNAP_BUSY);
    /* He restores it, and there is a copy left, as of `xl save -c`. */
    fake_host_start(&host);
    assert_int_equal(fake_host_create(&host, &s2, &err), 0);
    assert_int_equal(fake_host_revert(&host, &back, &err), 0);
}

static int die_at_merge(const char *layer, const char *what)
{
    if (!strcmp(layer, "disk") && !strcmp(what, "merge half xvda"))
        _exit(0);
    return 0;
}

/* The host goes down in the middle of a deletion. */
static void a_recovery(void **state)
{
    pid_t pid;
    int status;
    struct fake_outcome out;

    (void)state;
    fflush(NULL);
    pid = fork();
    if (!pid) {
        snap_fault_hook = die_at_merge;
        fake_host_delete(&host, &del, &err);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fake_host_stop(&host);
    save(5);
    refused(fake_host_recover, NULL, SNAP_RECOVER);
    /* One that was there before has nothing to do with it. */
    save(-5);
    fake_host_run(&host, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    assert_int_equal(out.rc, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_command),
        T(a_recovery),
    };

    return cmocka_run_group_tests_name("saved by the host", tests, NULL, NULL);
}
