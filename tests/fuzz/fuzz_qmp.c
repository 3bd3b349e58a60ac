/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A QEMU that says anything, then hangs up.  The first byte tells how much
 * of the conversation goes well before: nothing, or greeting and
 * negotiation.  Whatever comes, each call ends at once, and its code, its
 * message and the state of the connection agree.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/qmp.h"

#define HELLO      "{\"QMP\":{\"version\":{}}}\r\n{\"return\":{},\"id\":1}\r\n"
#define FOREVER_MS 60000 /* the fuzzer's own time-out is shorter */

/* What ids are drawn from: so they are 1, 2, 3, as in the seeds. */
ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
    (void)flags;
    memset(buf, 0, len);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_error(int rc, const struct snap_err *err)
{
    char clean[SNAP_ERR_MAX];

    check(rc == err->rc);
    check(!rc || (err->msg[0] && strlen(err->msg) < SNAP_ERR_MAX));
    memcpy(clean, err->msg, sizeof(clean));
    snap_clean(clean);
    check(!strcmp(clean, err->msg));
    /* It hangs up: nobody waits for it. */
    check(rc != SNAP_TIMEOUT && rc != SNAP_BUSY);
}

static void talk(struct snap_qmp *q)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *got;
    int i, rc;

    for (i = 0; i < 3; i++) {
        snap_err_clear(&err);
        rc = snap_qmp_command(q, "query-status", NULL, FOREVER_MS, &got, &err);
        check_error(rc, &err);
        check(!rc == !!got);
        check(snap_qmp_alive(q) == (rc == 0 || rc == SNAP_FAIL));
        snap_json_free(got);
    }
    for (i = 0; i < 3; i++) {
        snap_err_clear(&err);
        rc = snap_qmp_wait_event(q, "STOP", FOREVER_MS, &got, &err);
        check_error(rc, &err);
        check(!rc == !!got);
        check(rc == 0 || !snap_qmp_alive(q));
        check(rc || !strcmp(snap_json_get_str(got, "event"), "STOP"));
        snap_json_free(got);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;
    int fds[2], rc, room = 1 << 20;

    if (!size || size > 100000)
        return 0;
    check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    if (data[0] & 1)
        check(write(fds[1], HELLO, strlen(HELLO)) == (ssize_t)strlen(HELLO));
    check(write(fds[1], data + 1, size - 1) == (ssize_t)(size - 1));
    shutdown(fds[1], SHUT_WR);

    rc = snap_qmp_start(fds[0], "fuzz", FOREVER_MS, NULL, &q, &err);
    check_error(rc, &err);
    check(!rc == !!q);
    if (q)
        talk(q);
    snap_qmp_close(q);
    close(fds[1]);
    return 0;
}
