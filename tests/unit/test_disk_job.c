/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A block job of QEMU's that does not end: it is given up when its time is
 * over or when we are told to stop, and does not go on behind our back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "disk/qemu/qemu_job.h"
#include "lib/mem.h"
#include "lib/peer.h"

/* A QEMU with one job that runs until it is cancelled. */
struct slow {
    bool there;
    unsigned looks, cancels;
};

static struct snap_json *serve(struct peer *p, void *opaque,
                               const char *command,
                               const struct snap_json *args, char **error_r)
{
    struct slow *q = opaque;
    struct snap_json *jobs, *j;

    (void)p;
    (void)args;
    (void)error_r;
    if (!strcmp(command, "job-cancel")) {
        q->cancels++;
        q->there = false;
    }
    if (strcmp(command, "query-jobs") != 0)
        return snap_json_object();
    q->looks++;
    jobs = snap_json_array();
    if (!q->there)
        return jobs;
    j = snap_json_object();
    snap_json_set_str(j, "id", "job");
    snap_json_set_str(j, "status", "running");
    snap_json_push(jobs, j);
    return jobs;
}

static unsigned ticks, stop_at;

static int on_tick(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    (void)done;
    (void)total;
    return ++ticks == stop_at;
}

/* Wait for the job, for so long or until that tick. */
static void given_up(int timeout_ms, unsigned tick, int rc, const char *words)
{
    const struct peer_step steps[] = { { PEER_GREET },
                                       { PEER_EXPECT, "qmp_capabilities" },
                                       { PEER_RETURN },
                                       { PEER_SERVE } };
    struct slow q = { .there = true };
    const struct peer_script script = {
        .steps = steps, .nr_steps = 4, .serve = serve, .opaque = &q
    };
    struct snap_disk_ctx c = { .domid = 1, .op_id = "op", .tick = on_tick };
    struct snap_err e = SNAP_ERR_INIT;
    struct peer *peer;
    double begun = snap_now_ms();
    int fd, got;

    ticks = 0;
    stop_at = tick;
    peer = peer_start(&script, &fd);
    assert_int_equal(snap_qmp_start(fd, "QEMU", 5000, NULL, &c.qmp, NULL), 0);
    got = snap_qemu_job_wait(&c, "job", false, timeout_ms, &e);
    snap_qmp_close(c.qmp);
    assert_null(peer_finish(peer));
    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    assert_true(snap_now_ms() - begun < 10000);
    assert_int_equal(q.cancels, 1);
    assert_false(q.there);
}

static void its_time_is_over(void **state)
{
    (void)state;
    given_up(200, 500, SNAP_TIMEOUT, "not done after");
}

static void told_to_stop(void **state)
{
    (void)state;
    given_up(0, 3, SNAP_INTR, "interrupted");
    assert_int_equal(ticks, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_time_is_over),
        cmocka_unit_test(told_to_stop),
    };

    return cmocka_run_group_tests_name("jobs of QEMU's", tests, NULL, NULL);
}
