/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qemu_job.h.  Every job is started with auto-dismiss off, so that how it
 * ended can still be asked; who waited for the end dismisses it.
 */
#include "disk/qemu/qemu_job.h"

#include <string.h>
#include <time.h>

#include "lib/mem.h"

#define COMMAND_MS 10000
#define POLL_MS    20
#define CANCEL_MS  60000

struct job {
    bool there;
    char status[16];
    char *error; /* or NULL */
    uint64_t done, total;
};

static int qemu_job_look(struct snap_disk_ctx *c, const char *id,
                         struct job *job_r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_json *jobs = NULL;

    memset(job_r, 0, sizeof(*job_r));
    rc = snap_qmp_command(c->qmp, "query-jobs", NULL, COMMAND_MS, &jobs, err);
    if (rc)
        return rc;
    for (i = 0;
         snap_json_type(jobs) == SNAP_JSON_ARRAY && i < snap_json_len(jobs);
         i++) {
        const struct snap_json *j = snap_json_at(jobs, i);
        const char *s = snap_json_get_str(j, "status");

        if (!snap_streq(snap_json_get_str(j, "id"), id) || !s)
            continue;
        job_r->there = true;
        memcpy(job_r->status, s,
               strnlen(s, sizeof(job_r->status) - 1)); /* zeroed before */
        snap_set(&job_r->error, snap_json_get_str(j, "error"));
        job_r->done = snap_json_unsigned(snap_json_get(j, "current-progress"),
                                         0);
        job_r->total = snap_json_unsigned(snap_json_get(j, "total-progress"),
                                          0);
    }
    snap_json_free(jobs);
    return 0;
}

static int command(struct snap_disk_ctx *c, const char *what, const char *id,
                   struct snap_err *err)
{
    struct snap_json *args = snap_json_object();

    snap_json_set_str(args, "id", id);
    return snap_qmp_command(c->qmp, what, args, COMMAND_MS, NULL, err);
}

static void pause_a_bit(void)
{
    const struct timespec t = { .tv_nsec = POLL_MS * 1000000L };

    nanosleep(&t, NULL);
}

int snap_qemu_job_start(struct snap_disk_ctx *c, const char *what,
                        const char *id, struct snap_json *args,
                        struct snap_err *err)
{
    int rc;
    struct job j;

    rc = qemu_job_look(c, id, &j, err);
    if (rc)
        goto out;
    if (j.there && strcmp(j.status, "concluded")) {
        rc = 0;
        goto out;
    }
    if (j.there) {
        rc = command(c, "job-dismiss", id, err);
        if (rc)
            goto out;
    }
    snap_json_set_str(args, "job-id", id);
    snap_json_set_bool(args, "auto-dismiss", false);
    rc = snap_qmp_command(c->qmp, what, args, COMMAND_MS, NULL, err);
    args = NULL;

out:
    snap_free(&j.error);
    snap_json_free(args);
    return rc;
}

int snap_qemu_job_wait(struct snap_disk_ctx *c, const char *id, bool ready,
                       int timeout_ms, struct snap_err *err)
{
    int rc;
    struct job j;
    double deadline = snap_now_ms() + timeout_ms;

    for (;;) {
        rc = qemu_job_look(c, id, &j, err);
        if (rc)
            return rc;
        if (!j.there)
            return snap_fail(err, SNAP_PROTO, "QEMU lost job %s", id);
        if (!strcmp(j.status, "concluded")) {
            rc = j.error ? snap_fail(err, SNAP_FAIL, "QEMU: %.300s", j.error)
                         : 0;
            snap_free(&j.error);
            command(c, "job-dismiss", id, NULL);
            return rc;
        }
        snap_free(&j.error);
        if (ready &&
            (!strcmp(j.status, "ready") || !strcmp(j.status, "pending")))
            return 0;
        if (c->tick && c->tick(c->opaque, j.done, j.total))
            rc = snap_fail(err, SNAP_INTR, "interrupted");
        else if (timeout_ms && snap_now_ms() > deadline)
            rc = snap_fail(err, SNAP_TIMEOUT, "not done after %d s",
                           timeout_ms / 1000);
        if (rc) {
            snap_qemu_job_cancel(c, id, NULL);
            return rc;
        }
        pause_a_bit();
    }
}

int snap_qemu_job_complete(struct snap_disk_ctx *c, const char *id,
                           struct snap_err *err)
{
    return command(c, "job-complete", id, err);
}

int snap_qemu_job_finalize(struct snap_disk_ctx *c, const char *id,
                           struct snap_err *err)
{
    return command(c, "job-finalize", id, err);
}

int snap_qemu_job_cancel(struct snap_disk_ctx *c, const char *id,
                         struct snap_err *err)
{
    int rc;
    struct job j;
    bool asked = false;
    double deadline = snap_now_ms() + CANCEL_MS;

    for (;;) {
        rc = qemu_job_look(c, id, &j, err);
        if (rc || !j.there)
            return rc;
        snap_free(&j.error);
        if (!strcmp(j.status, "concluded"))
            return command(c, "job-dismiss", id, err);
        if (!asked) {
            /* It may be ending by itself at this very moment. */
            command(c, "job-cancel", id, NULL);
            asked = true;
        }
        if (snap_now_ms() > deadline)
            return snap_fail(err, SNAP_TIMEOUT, "QEMU does not end its job %s",
                             id);
        pause_a_bit();
    }
}
