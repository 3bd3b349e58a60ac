/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The QMP client against a peer that does everything QEMU should not.  Each
 * wrong turn must end in its own error code, with a message that names the
 * peer or the command, in time, and with a connection that is known dead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/peer.h"
#include "lib/fault.h"
#include "lib/mem.h"
#include "lib/qmp.h"

#define NAME     "QEMU of domain 5"
#define LONG_MS  20000 /* for what should come at once */
#define SHORT_MS 300 /* for what should never come */
#define SLACK_MS 15000 /* a loaded machine */

#define HELLO                                            \
    { PEER_GREET }, { PEER_EXPECT, "qmp_capabilities" }, \
    {                                                    \
        PEER_RETURN                                      \
    }
#define ASKED                       \
    HELLO,                          \
    {                               \
        PEER_EXPECT, "query-status" \
    }
#define ARGS  "{\"device\":\"j\\n\",\"n\":18446744073709551615}"
#define REPLY "{\"return\":{\"running\":true},\"id\":@ID@}\r\n"

/* What a connection's ids are drawn from: 0, so that they are 1, 2, 3, unless
 * a test says something else. */
static uint32_t draw;

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
    (void)flags;
    assert_int_equal(len, sizeof(draw));
    memcpy(buf, &draw, len);
    return len;
}

static int fds_before;
static double began;

static int count_fds(void)
{
    DIR *d;
    int n = 0;

    d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int set_up(void **state)
{
    (void)state;
    fds_before = count_fds();
    began = snap_now_ms();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    draw = 0;
    if (count_fds() == fds_before)
        return 0;
    print_error("%d descriptors leaked\n", count_fds() - fds_before);
    return -1;
}

static void in_time(int deadline_ms)
{
    double took = snap_now_ms() - began;

    if (took > deadline_ms + SLACK_MS)
        fail_msg("took %.0f ms, not %d", took, deadline_ms);
}

static void followed(struct peer *p)
{
    const char *what;

    what = peer_finish(p);
    if (what)
        fail_msg("peer: %s", what);
}

static struct snap_qmp *start(int fd)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    if (snap_qmp_start(fd, NAME, LONG_MS, NULL, &q, &err))
        fail_msg("%s", err.msg);
    assert_true(snap_qmp_alive(q));
    return q;
}

/* The greeting or the negotiation goes wrong. */
static void start_fails(struct peer *p, int fd, int timeout_ms, int rc,
                        const char *why)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q = (void *)&q;

    began = snap_now_ms();
    assert_int_equal(snap_qmp_start(fd, NAME, timeout_ms, NULL, &q, &err), rc);
    in_time(timeout_ms);
    assert_null(q);
    assert_int_equal(err.rc, rc);
    if (!strstr(err.msg, why) || !snap_has_prefix(err.msg, NAME))
        fail_msg("said \"%s\", not \"%s\"", err.msg, why);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed by then */
    followed(p);
}

/* query-status goes wrong for good: the connection must be dead. */
static void command_fails(struct peer *p, int fd, int timeout_ms, int rc,
                          const char *why)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *reply = (void *)&reply;
    struct snap_qmp *q;

    q = start(fd);
    began = snap_now_ms();
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, timeout_ms, &reply, &err),
        rc);
    in_time(timeout_ms);
    assert_null(reply);
    assert_int_equal(err.rc, rc);
    if (!strstr(err.msg, why) || !strstr(err.msg, "query-status") ||
        !snap_has_prefix(err.msg, NAME))
        fail_msg("said \"%s\", not \"%s\"", err.msg, why);
    assert_true(strlen(err.msg) < 600);

    /* Dead, and says so at once. */
    assert_false(snap_qmp_alive(q));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    snap_err_clear(&err);
    began = snap_now_ms();
    assert_int_equal(
        snap_qmp_command(q, "cont", snap_json_object(), 1000000, &reply, &err),
        SNAP_IO);
    assert_non_null(strstr(err.msg, "cont"));
    assert_non_null(strstr(err.msg, why));
    snap_err_clear(&err);
    assert_int_equal(snap_qmp_wait_event(q, "STOP", 1000000, &reply, &err),
                     SNAP_IO);
    assert_null(reply);
    in_time(0);
    snap_qmp_close(q);
    followed(p);
}

/* query-status goes well. */
static void command_works(struct peer *p, int fd)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *reply;
    struct snap_qmp *q;

    q = start(fd);
    if (snap_qmp_command(q, "query-status", NULL, LONG_MS, &reply, &err))
        fail_msg("%s", err.msg);
    assert_true(snap_json_get_bool(reply, "running", false));
    snap_json_free(reply);
    assert_true(snap_qmp_alive(q));
    snap_qmp_close(q);
    followed(p);
}

/* --- well behaved ------------------------------------------------------ */

static void a_command_and_its_reply(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED, { PEER_RAW, REPLY });

    (void)state;
    command_works(p, fd);
}

static void arguments_and_values(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, HELLO, { PEER_EXPECT, "block-job-cancel", ARGS },
        { PEER_RETURN, "[1,18446744073709551615]" },
        { PEER_EXPECT, "stop", "null" }, { PEER_RETURN },
        { PEER_EXPECT, "cont", "{}" }, { PEER_RETURN, "null" });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *args, *reply;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    assert_int_equal(snap_json_parse(ARGS, strlen(ARGS), &args, &err), 0);
    assert_int_equal(
        snap_qmp_command(q, "block-job-cancel", args, LONG_MS, &reply, &err),
        0);
    assert_true(snap_json_unsigned(snap_json_at(reply, 1), 0) == UINT64_MAX);
    snap_json_free(reply);
    assert_int_equal(snap_qmp_command(q, "stop", NULL, LONG_MS, NULL, &err),
                     0);
    assert_int_equal(
        snap_qmp_command(q, "cont", snap_json_object(), LONG_MS, &reply, &err),
        0);
    assert_int_equal(snap_json_type(reply), SNAP_JSON_NULL);
    snap_json_free(reply);
    snap_qmp_close(q);
    followed(p);
}

static void ids_are_unique(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;
    struct snap_qmp *q;
    char line[256];
    int fds[2], id, last = -1, i;
    size_t len;
    FILE *f;

    (void)state;
    /* By hand: the peer does not look at ids. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
    for (i = 0; i < 4; i++) {
        len = snprintf(line, sizeof(line), "%s{\"return\":{},\"id\":%d}\n",
                       i ? "" : "{\"QMP\":{}}\n", i + 1);
        assert_int_equal(write(fds[1], line, len), len);
    }
    q = start(fds[0]);
    for (i = 0; i < 3; i++)
        assert_int_equal(
            snap_qmp_command(q, "stop", NULL, LONG_MS, NULL, &err), 0);
    snap_qmp_close(q);
    f = fdopen(fds[1], "r");
    for (i = 0; fgets(line, sizeof(line), f); i++) {
        assert_int_equal(snap_json_parse(line, strlen(line), &j, &err), 0);
        assert_string_equal(snap_json_get_str(j, "execute"),
                            i ? "stop" : "qmp_capabilities");
        id = snap_json_get_int(j, "id", -1);
        assert_true(id > last);
        last = id;
        snap_json_free(j);
    }
    assert_int_equal(i, 4);
    fclose(f);
}

/* QEMU 7.2 was busy with a command of a connection that was given up, and
 * answers whoever is there when it is done. */
static void replies_to_others_are_not_ours(void **state)
{
#define STALE(n) "{\"return\":{\"running\":false},\"id\":" n "}\n"
#define STALE_ERROR \
    "{\"id\":2,\"error\":{\"class\":\"GenericError\",\"desc\":\"x\"}}\n"
    int fd;
    struct peer *p;

    (void)state;
    draw = 7;
    p = PEER_START(
        &fd, { PEER_RAW, STALE("3") }, { PEER_GREET },
        { PEER_RAW, STALE_ERROR }, { PEER_EXPECT, "qmp_capabilities" },
        { PEER_RAW, STALE("1") }, { PEER_RETURN },
        { PEER_RAW, STALE("6291458") }, /* 6 << 20 | 2 */
        { PEER_EXPECT, "query-status" },
        { PEER_RAW, STALE_ERROR STALE("2") STALE("0") }, { PEER_RAW, REPLY });
    command_works(p, fd);
    /* One of this connection's that is not the last is still an error, and
     * no number of others holds us. */
    draw = 7;
    p = PEER_START(&fd, ASKED, { PEER_RAW, STALE("7340033") }, { PEER_HOLD });
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "something else");
    p = PEER_START(&fd, ASKED, { PEER_RAW, STALE("2"), .number = 1 << 30 });
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
}

static void replies_byte_by_byte(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, { PEER_GREET, .piece = 1 }, { PEER_EXPECT, "qmp_capabilities" },
        { PEER_RETURN, .piece = 1 }, { PEER_EXPECT, "query-status" },
        { PEER_EVENT, "RESUME", .piece = 1 },
        { PEER_RAW, REPLY, .piece = 1, .delay_ms = 1 });

    (void)state;
    command_works(p, fd);
}

static void many_lines_in_one_piece(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, ASKED,
        { PEER_RAW, "{\"event\":\"A\"}\n\r\n\n{\"event\":\"B\"}\r\n" REPLY
                    "{\"event\":\"C\"}\n" });

    (void)state;
    command_works(p, fd);
}

static char *string_of(size_t n)
{
    char *s;

    s = snap_zalloc(n + 1);
    memset(s, 's', n);
    return s;
}

static void a_large_command_and_reply(void **state)
{
    char *big = string_of(3 << 20), *text, *line;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *args, *reply;
    struct snap_qmp *q;
    struct peer *p;
    int fd;

    (void)state;
    args = snap_json_object();
    snap_json_set_str(args, "s", big);
    text = snap_json_text(args, false);
    line = snap_printf("{\"return\":\"%s\",\"id\":@ID@}\n", big);
    p = PEER_START(&fd, HELLO, { PEER_EXPECT, "x", text },
                   { PEER_RAW, line, .piece = 10007 });
    q = start(fd);
    assert_int_equal(snap_qmp_command(q, "x", args, LONG_MS, &reply, &err), 0);
    assert_string_equal(snap_json_string(reply, NULL), big);
    snap_json_free(reply);
    snap_qmp_close(q);
    followed(p);
    free(big);
    free(text);
    free(line);
}

static int collect(const char *part, struct snap_buf *said)
{
    return said->data && strstr(said->data, part) ? 0 : -1;
}

static void hear(void *opaque, enum snap_level level, const char *msg)
{
    struct snap_buf *b = opaque;

    assert_int_equal(level, SNAP_LOG_DEBUG);
    assert_true(strlen(msg) < 400);
    snap_buf_addf(b, "%s\n", msg);
}

static void the_conversation_is_logged(void **state)
{
    int fd;
    char *big = string_of(1000);
    char *line = snap_printf("{\"event\":\"E\",\"data\":{\"s\":\"\x7f%s\"}}\n",
                             big);
    struct peer *p = PEER_START(&fd, HELLO, { PEER_RAW, line },
                                { PEER_EXPECT, "query-status" },
                                { PEER_RAW, REPLY });
    struct snap_buf said = { 0 };
    struct snap_log log = { hear, &said };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    assert_int_equal(snap_qmp_start(fd, NAME, LONG_MS, &log, &q, &err), 0);
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, &err), 0);
    assert_int_equal(collect(NAME ": < {\"QMP\"", &said), 0);
    assert_int_equal(collect(NAME ": > {\"execute\":\"query-status\"", &said),
                     0);
    assert_int_equal(collect(NAME ": < {\"return\":{\"running\"", &said), 0);
    assert_int_equal(collect("\"?sss", &said), 0);
    assert_int_equal(collect("sss...\n", &said), 0);
    snap_qmp_close(q);
    followed(p);
    snap_buf_dispose(&said);
    free(line);
    free(big);
}

/* --- an error reply ---------------------------------------------------- */

static void an_error_reply_is_no_broken_connection(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, HELLO, { PEER_EXPECT, "blockdev-add" },
        { PEER_ERROR, "Could not open 'x': No such file" },
        { PEER_EXPECT, "nonsense" },
        { PEER_ERROR, "The command nonsense has not been found",
          "CommandNotFound" },
        { PEER_EXPECT, "query-status" }, { PEER_RAW, REPLY });
    struct snap_json *reply = (void *)&reply;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    assert_int_equal(
        snap_qmp_command(q, "blockdev-add", NULL, LONG_MS, &reply, &err),
        SNAP_FAIL);
    assert_null(reply);
    assert_string_equal(err.msg,
                        "blockdev-add: Could not open 'x': No such file");
    snap_err_clear(&err);
    assert_int_equal(
        snap_qmp_command(q, "nonsense", NULL, LONG_MS, NULL, &err), SNAP_FAIL);
    assert_true(snap_qmp_alive(q));
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, NULL), 0);
    snap_qmp_close(q);
    followed(p);
}

static void odd_error_replies(void **state)
{
    static const struct {
        const char *error, *want;
    } t[] = {
        { "{\"class\":\"GenericError\",\"desc\":\"a\\u001b[2J\\nb\\r\\u009b"
          "ä %s%n\"}",
          "x: a?[2J?b???ä %s%n" },
        { "{\"class\":\"GenericError\"}",
          "x: QEMU refused it without a reason" },
        { "{\"desc\":\"\"}", "x: QEMU refused it without a reason" },
        { "{\"desc\":[\"a\"]}", "x: QEMU refused it without a reason" },
        { "\"no\"", "x: QEMU refused it without a reason" },
        { "null", "x: QEMU refused it without a reason" },
    };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;
    struct peer *p;
    char *line;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        line = snap_printf("{\"error\":%s,\"id\":@ID@}\n", t[i].error);
        p = PEER_START(&fd, HELLO, { PEER_EXPECT, "x" }, { PEER_RAW, line });
        q = start(fd);
        snap_err_clear(&err);
        assert_int_equal(snap_qmp_command(q, "x", NULL, LONG_MS, NULL, &err),
                         SNAP_FAIL);
        assert_string_equal(err.msg, t[i].want);
        assert_true(snap_qmp_alive(q));
        snap_qmp_close(q);
        followed(p);
        free(line);
    }
}

static void a_long_error_is_cut(void **state)
{
    int fd;
    char *big = string_of(100000);
    struct peer *p = PEER_START(&fd, HELLO, { PEER_EXPECT, "x" },
                                { PEER_ERROR, big });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    assert_int_equal(snap_qmp_command(q, "x", NULL, LONG_MS, NULL, &err),
                     SNAP_FAIL);
    assert_int_equal(strlen(err.msg), strlen("x: ") + 300 + strlen("..."));
    snap_qmp_close(q);
    followed(p);
    free(big);
}

/* --- the greeting ------------------------------------------------------ */

static void bad_greetings(void **state)
{
    static const struct {
        const char *text, *why;
    } t[] = {
        { "SSH-2.0-OpenSSH\r\n", "greeting: not valid JSON" },
        { "\xff\xfe\n", "invalid UTF-8" },
        { "{\"QMP\":{}} {}\n", "not valid JSON" },
        { "[]\n", "not an object: []" },
        { "1\n", "not an object" },
        { "{}\n", "greeting: not that of QEMU: {}" },
        { "{\"QMP\":1}\n", "not that of QEMU" },
        { "{\"QGA\":{}}\n", "not that of QEMU" },
        { "{\"event\":\"STOP\"}\n", "not that of QEMU" },
        { "{\"return\":{},\"id\":1}\n", "not that of QEMU" },
    };
    struct peer *p;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        p = PEER_START(&fd, { PEER_RAW, t[i].text }, { PEER_HOLD });
        start_fails(p, fd, LONG_MS, SNAP_PROTO, t[i].why);
    }
}

static void silence_instead_of_a_greeting(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, { PEER_HOLD });

    (void)state;
    start_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no greeting within 300 ms");
    assert_true(snap_now_ms() - began >= SHORT_MS);
}

static void half_a_greeting(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, { PEER_RAW, "{\"QMP\":" }, { PEER_HOLD });

    (void)state;
    start_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no greeting within 300 ms");
    p = PEER_START(&fd, { PEER_RAW, "{\"QMP\":" });
    start_fails(p, fd, LONG_MS, SNAP_IO,
                "closed the connection in the middle of a message");
    p = PEER_START(&fd, { PEER_WAIT, .delay_ms = 1 });
    start_fails(p, fd, LONG_MS, SNAP_IO, "closed the connection");
}

/* It drips: each byte comes in time, the whole does not. */
static void a_dripping_greeting(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd,
                                { PEER_GREET, .piece = 1, .delay_ms = 100 });

    (void)state;
    start_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no greeting within 300 ms");
}

static void negotiation_goes_wrong(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, { PEER_GREET },
                                { PEER_EXPECT, "qmp_capabilities" },
                                { PEER_HOLD });

    (void)state;
    start_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "qmp_capabilities: no reply");
    p = PEER_START(&fd, { PEER_GREET }, { PEER_EXPECT, "qmp_capabilities" },
                   { PEER_RAW, "x\n" });
    start_fails(p, fd, LONG_MS, SNAP_PROTO, "qmp_capabilities");
    p = PEER_START(&fd, { PEER_GREET }, { PEER_EVENT, "STOP" },
                   { PEER_EXPECT, "qmp_capabilities" },
                   { PEER_RAW, "{\"id\":77,\"return\":{}}\n" });
    start_fails(p, fd, LONG_MS, SNAP_PROTO, "something else");
}

static void negotiation_is_refused(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, { PEER_GREET },
                                { PEER_EXPECT, "qmp_capabilities" },
                                { PEER_ERROR, "not today" });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    assert_int_equal(snap_qmp_start(fd, NAME, LONG_MS, NULL, &q, &err),
                     SNAP_FAIL);
    assert_null(q);
    assert_string_equal(err.msg, "qmp_capabilities: not today");
    followed(p);
}

/* --- the reply --------------------------------------------------------- */

static void bad_replies(void **state)
{
    static const struct {
        const char *text, *why;
    } t[] = {
        { "garbage\n", "not valid JSON at offset 1" },
        { "{\"return\":{},\"id\":@ID@\n", "not valid JSON" },
        { "{\"return\":{},\"id\":@ID@} x\n", "not valid JSON" },
        { "{\"return\":{},\"return\":{},\"id\":@ID@}\n", "twice" },
        { "{\"return\":\"\xff\",\"id\":@ID@}\n", "invalid UTF-8" },
        { "{\"id\":@ID@,\"return\":\"a\nb\"}\n", "not valid JSON" },
        { "[{\"return\":{},\"id\":@ID@}]\n", "not an object" },
        { "\"return\"\n", "not an object" },
        { "null\n", "not an object" },
        { "{}\n", "no reply: {}" },
        { "{\"id\":@ID@}\n", "no reply" },
        { "{\"return\":{},\"error\":{},\"id\":@ID@}\n", "no reply" },
        { "{\"event\":1,\"id\":@ID@}\n", "no reply" },
        { "{\"QMP\":{}}\n", "no reply" },
        { "{\"return\":{}}\n", "a reply without our id: {\"return\":{}}" },
        { "{\"error\":{\"class\":\"GenericError\",\"desc\":\"bad JSON\"}}\n",
          "bad JSON" },
        { "{\"return\":{},\"id\":@ID@0}\n", "something else" },
        { "{\"return\":{},\"id\":-@ID@}\n", "something else" },
        { "{\"return\":{},\"id\":@ID@.0}\n", "something else" },
        { "{\"return\":{},\"id\":\"@ID@\"}\n", "something else" },
        { "{\"return\":{},\"id\":[@ID@]}\n", "something else" },
        { "{\"return\":{},\"id\":null}\n", "something else" },
        { "{\"return\":{},\"id\":99999999999999999999}\n", "something else" },
        { "{\"return\":{},\"id\":1}\n", "something else" }, /* answered */
    };
    struct peer *p;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        p = PEER_START(&fd, ASKED, { PEER_RAW, t[i].text }, { PEER_HOLD });
        command_fails(p, fd, LONG_MS, SNAP_PROTO, t[i].why);
    }
}

static void what_is_quoted_is_safe(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED, { PEER_RAW, "\033[2J\x07{\n" },
                                { PEER_HOLD });
    char *big = string_of(50000), *line;

    (void)state;
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "?[2J?{");
    line = snap_printf("%s\n", big);
    p = PEER_START(&fd, ASKED, { PEER_RAW, line }, { PEER_HOLD });
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "sss...");
    free(line);
    line = snap_printf("{\"return\":{\"s\":\"%s\"}}\n", big);
    p = PEER_START(&fd, ASKED, { PEER_RAW, line }, { PEER_HOLD });
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "sss...");
    free(line);
    free(big);
}

static void deep_nesting(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED, { PEER_RAW, "{\"return\":" },
                                { PEER_RAW, "[", .number = 100000 },
                                { PEER_RAW, "\n" }, { PEER_HOLD });

    (void)state;
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "deeper");
}

static void an_oversized_line(void **state)
{
    char *big, *line;
    int fd;
    struct peer *p = PEER_START(
        &fd, ASKED, { PEER_FILL, .number = SNAP_QMP_LINE_MAX + 100000 },
        { PEER_RAW, "\n" }, { PEER_HOLD });

    (void)state;
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "more than 33554432 bytes");
    /* Just one byte too long, and whole when it is looked at. */
    big = string_of(SNAP_QMP_LINE_MAX + 1);
    big[SNAP_QMP_LINE_MAX] = '\n';
    line = snap_printf(" %s", big);
    p = PEER_START(&fd, ASKED, { PEER_RAW, line }, { PEER_HOLD });
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "more than 33554432 bytes");
    free(line);
    free(big);
    /* One that never ends. */
    p = PEER_START(&fd, ASKED, { PEER_FILL, .number = 16 * SNAP_QMP_LINE_MAX },
                   { PEER_HOLD });
    command_fails(p, fd, LONG_MS, SNAP_PROTO, "more than 33554432 bytes");
}

static void silence_instead_of_a_reply(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED, { PEER_HOLD });

    (void)state;
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
    p = PEER_START(&fd, ASKED, { PEER_RAW, "{\"return\":{},\"id\":@ID@" },
                   { PEER_HOLD });
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
    p = PEER_START(&fd, ASKED,
                   { PEER_RAW, REPLY, .piece = 1, .delay_ms = 500 });
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
}

static void end_of_file(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED);

    (void)state;
    command_fails(p, fd, LONG_MS, SNAP_IO, "closed the connection");
    p = PEER_START(&fd, ASKED, { PEER_RAW, "{\"return\":{},\"id\":@ID@}" });
    command_fails(p, fd, LONG_MS, SNAP_IO, "in the middle of a message");
    p = PEER_START(&fd, ASKED, { PEER_EVENT, "SHUTDOWN" });
    command_fails(p, fd, LONG_MS, SNAP_IO, "closed the connection");
}

/* It is gone before we write: an error, not a SIGPIPE. */
static void a_peer_that_has_gone(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, HELLO);
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    followed(p);
    assert_int_equal(snap_qmp_command(q, "cont", NULL, LONG_MS, NULL, &err),
                     SNAP_IO);
    assert_true(snap_has_prefix(err.msg, NAME ": cont: "));
    assert_false(snap_qmp_alive(q));
    snap_qmp_close(q);
}

/* It does not read: a command that does not fit must not block. */
static void a_peer_that_does_not_read(void **state)
{
    int fd;
    char *big = string_of(8 << 20);
    struct peer *p = PEER_START(&fd, HELLO, { PEER_STALL });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *args;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    args = snap_json_object();
    snap_json_set_str(args, "s", big);
    began = snap_now_ms();
    assert_int_equal(snap_qmp_command(q, "x", args, SHORT_MS, NULL, &err),
                     SNAP_TIMEOUT);
    assert_true(snap_has_prefix(err.msg, NAME ": x: no reply within"));
    in_time(SHORT_MS);
    assert_false(snap_qmp_alive(q));
    snap_qmp_close(q);
    followed(p);
    free(big);
}

/* --- events ------------------------------------------------------------ */

static void wait_for(struct snap_qmp *q, const char *name, int64_t n)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;

    if (snap_qmp_wait_event(q, name, LONG_MS, &e, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(snap_json_get_str(e, "event"), name);
    assert_int_equal(snap_json_integer(snap_json_path(e, "data.n"), -1), n);
    snap_json_free(e);
}

static void no_event(struct snap_qmp *q, const char *name, int timeout_ms)
{
    struct snap_json *e = (void *)&e;
    struct snap_err err = SNAP_ERR_INIT;

    began = snap_now_ms();
    assert_int_equal(snap_qmp_wait_event(q, name, timeout_ms, &e, &err),
                     SNAP_TIMEOUT);
    in_time(timeout_ms);
    assert_null(e);
    assert_non_null(strstr(err.msg, NAME));
    assert_non_null(strstr(err.msg, name));
    assert_true(snap_qmp_alive(q));
}

static void events_anywhere(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, { PEER_GREET }, { PEER_EVENT, "A", "{\"n\":1}" },
        { PEER_EXPECT, "qmp_capabilities" }, { PEER_EVENT, "B", "{\"n\":2}" },
        { PEER_RETURN }, { PEER_EVENT, "A", "{\"n\":3}" },
        { PEER_EXPECT, "query-status" }, { PEER_EVENT, "C", "{\"n\":4}" },
        { PEER_EVENT, "A", "{\"n\":5}" }, { PEER_RETURN },
        { PEER_EVENT, "A", "{\"n\":6}" }, { PEER_EVENT, "D", "{\"n\":7}" },
        { PEER_EXPECT, "cont" }, { PEER_RETURN }, { PEER_HOLD });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, &err), 0);
    wait_for(q, "D", 7); /* not yet read */
    wait_for(q, "A", 1); /* in order */
    wait_for(q, "B", 2);
    no_event(q, "B", 0);
    wait_for(q, "A", 3);
    assert_int_equal(snap_qmp_command(q, "cont", NULL, LONG_MS, NULL, &err),
                     0);
    wait_for(q, "A", 5);
    wait_for(q, "A", 6);
    no_event(q, "A", SHORT_MS);
    wait_for(q, "C", 4);
    snap_qmp_close(q);
    followed(p);
}

static void an_event_in_time(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, HELLO, { PEER_EVENT, "X", "{\"n\":0}" },
        { PEER_WAIT, .delay_ms = 200 },
        { PEER_EVENT, "BLOCK_JOB_COMPLETED", "{\"n\":1}", .piece = 7 },
        { PEER_HOLD });
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    wait_for(q, "BLOCK_JOB_COMPLETED", 1);
    wait_for(q, "X", 0);
    snap_qmp_close(q);
    followed(p);
}

static void kept_events_outlive_the_connection(void **state)
{
    int fd;
    struct peer *p = PEER_START(&fd, ASKED,
                                { PEER_EVENT, "SHUTDOWN", "{\"n\":1}" });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;
    struct snap_qmp *q;

    (void)state;
    q = start(fd);
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, &err),
        SNAP_IO);
    wait_for(q, "SHUTDOWN", 1);
    assert_int_equal(snap_qmp_wait_event(q, "SHUTDOWN", LONG_MS, &e, NULL),
                     SNAP_IO);
    snap_qmp_close(q);
    followed(p);
}

static void waiting_for_an_event_meets_something_else(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } t[] = {
        { "{\"return\":{},\"id\":1}\n", SNAP_PROTO },
        { "{\"event\":[]}\n", SNAP_PROTO },
        { "x\n", SNAP_PROTO },
        { "{\"event\":\"STO", SNAP_IO },
    };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;
    struct snap_qmp *q;
    struct peer *p;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        p = PEER_START(&fd, HELLO, { PEER_RAW, t[i].text });
        q = start(fd);
        snap_err_clear(&err);
        assert_int_equal(snap_qmp_wait_event(q, "STOP", LONG_MS, &e, &err),
                         t[i].rc);
        assert_null(e);
        assert_true(snap_has_prefix(err.msg, NAME ": waiting for STOP: "));
        assert_false(snap_qmp_alive(q));
        snap_qmp_close(q);
        followed(p);
    }
}

/* The newest are kept, and no more than promised. */
static void kept_events_are_bounded(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, ASKED, { PEER_EVENT, "FIRST" },
        { PEER_RAW, "{\"event\":\"E\"}\n", .number = 3000 },
        { PEER_EVENT, "LAST", "{\"n\":1}" }, { PEER_RAW, REPLY },
        { PEER_HOLD });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;
    struct snap_qmp *q;
    int n = 0;

    (void)state;
    q = start(fd);
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, &err), 0);
    no_event(q, "FIRST", 0);
    wait_for(q, "LAST", 1);
    while (!snap_qmp_wait_event(q, "E", 0, &e, NULL)) {
        snap_json_free(e);
        n++;
    }
    assert_int_equal(n, SNAP_QMP_EVENTS_MAX - 1);
    assert_true(snap_qmp_alive(q));
    snap_qmp_close(q);
    followed(p);
}

/* Few and large ones are bounded, too; the newest small one is kept. */
static void large_events_are_bounded(void **state)
{
    int fd;
    char *big = string_of(600000);
    char *line = snap_printf("{\"event\":\"E\",\"s\":\"%s\"}\n", big);
    struct peer *p = PEER_START(&fd, ASKED, { PEER_RAW, line, .number = 20 },
                                { PEER_EVENT, "LAST", "{\"n\":1}" },
                                { PEER_RAW, REPLY }, { PEER_HOLD });
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;
    struct snap_qmp *q;
    int n = 0;

    (void)state;
    q = start(fd);
    assert_int_equal(
        snap_qmp_command(q, "query-status", NULL, LONG_MS, NULL, &err), 0);
    wait_for(q, "LAST", 1);
    while (!snap_qmp_wait_event(q, "E", 0, &e, NULL)) {
        snap_json_free(e);
        n++;
    }
    assert_int_equal(n, 1);
    snap_qmp_close(q);
    followed(p);
    free(line);
    free(big);
}

/* Events without end, and never the reply. */
static void an_event_flood_does_not_hold_us(void **state)
{
    int fd;
    struct peer *p = PEER_START(
        &fd, ASKED, { PEER_RAW, "{\"event\":\"E\"}\n", .number = 1 << 30 });

    (void)state;
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
    p = PEER_START(&fd, ASKED, { PEER_RAW, "\n\r\n", .number = 1 << 30 });
    command_fails(p, fd, SHORT_MS, SNAP_TIMEOUT, "no reply within 300 ms");
}

/* --- faults ------------------------------------------------------------ */

static struct {
    const char *at;
    int errnum;
} inject;

static int hook(const char *layer, const char *what)
{
    assert_string_equal(layer, "qmp");
    return !strcmp(what, inject.at) ? inject.errnum : 0;
}

static void faults(void **state)
{
    static const struct {
        int errnum, rc;
        bool alive;
        const char *words;
    } t[] = {
        { EIO, SNAP_FAIL, true, "Input/output error" },
        { EPIPE, SNAP_IO, false, "QEMU has ended" },
        { ECONNRESET, SNAP_IO, false, "QEMU has ended" },
        { ETIMEDOUT, SNAP_TIMEOUT, false, "timed out" },
    };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *e;
    struct snap_qmp *q;
    struct peer *p;
    size_t i;
    int fd;

    (void)state;
    snap_fault_hook = hook;
    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        inject.errnum = t[i].errnum;
        inject.at = "stop";
        p = PEER_START(&fd, HELLO, { PEER_HOLD });
        q = start(fd);
        snap_err_clear(&err);
        assert_int_equal(snap_qmp_command(q, "stop", snap_json_object(),
                                          LONG_MS, NULL, &err),
                         t[i].rc);
        assert_non_null(strstr(err.msg, "stop: "));
        assert_non_null(strstr(err.msg, t[i].words));
        assert_true(snap_qmp_alive(q) == t[i].alive);
        snap_qmp_close(q);
        followed(p);

        inject.at = "event STOP";
        p = PEER_START(&fd, HELLO, { PEER_HOLD });
        q = start(fd);
        assert_int_equal(snap_qmp_wait_event(q, "STOP", LONG_MS, &e, NULL),
                         t[i].rc);
        assert_true(snap_qmp_alive(q) == t[i].alive);
        snap_qmp_close(q);
        followed(p);

        inject.at = "qmp_capabilities";
        p = PEER_START(&fd, { PEER_GREET }, { PEER_HOLD });
        assert_int_equal(snap_qmp_start(fd, NAME, LONG_MS, NULL, &q, NULL),
                         t[i].rc);
        assert_null(q);
        followed(p);
    }
    inject.at = "connect";
    inject.errnum = ECONNREFUSED;
    assert_int_equal(snap_qmp_connect("/nowhere", LONG_MS, NULL, &q, NULL),
                     SNAP_IO);
}

/* --- connecting -------------------------------------------------------- */

static char *socket_path(void)
{
    static char dir[64];

    snprintf(dir, sizeof(dir), "/tmp/snap-qmp-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return snap_printf("%s/qmp", dir);
}

static void forget(char *path)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    free(path);
}

static struct snap_json *hello(struct peer *p, void *opaque,
                               const char *command,
                               const struct snap_json *args, char **error_r)
{
    int *calls = opaque;

    (*calls)++;
    if (!strcmp(command, "hello")) {
        peer_event(p, "HELLO", "{\"n\":1}");
        return snap_json_copy(args);
    }
    if (!strcmp(command, "qmp_capabilities"))
        return snap_json_object();
    *error_r = snap_printf("what is %s?", command);
    return NULL;
}

static void connecting(void **state)
{
    const struct peer_step steps[] = { { PEER_GREET }, { PEER_SERVE } };
    int calls = 0;
    struct peer_script script = { steps, 2, hello, &calls };
    char *path = socket_path();
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *args, *reply;
    struct snap_qmp *q;
    struct peer *p;
    int i;

    (void)state;
    p = peer_listen(path, &script, 3);
    for (i = 0; i < 3; i++) {
        snap_err_clear(&err);
        if (snap_qmp_connect(path, LONG_MS, NULL, &q, &err))
            fail_msg("%s", err.msg);
        args = snap_json_object();
        snap_json_set_int(args, "i", i);
        assert_int_equal(
            snap_qmp_command(q, "hello", args, LONG_MS, &reply, &err), 0);
        assert_int_equal(snap_json_get_int(reply, "i", -1), i);
        snap_json_free(reply);
        wait_for(q, "HELLO", 1);
        assert_int_equal(snap_qmp_command(q, "bye", NULL, LONG_MS, NULL, &err),
                         SNAP_FAIL);
        assert_string_equal(err.msg, "bye: what is bye?");
        snap_qmp_close(q);
    }
    followed(p);
    assert_int_equal(calls, 9);
    forget(path);
}

static void connect_fails(const char *path, int timeout_ms, int rc,
                          const char *why)
{
    struct snap_qmp *q = (void *)&q;
    struct snap_err err = SNAP_ERR_INIT;

    began = snap_now_ms();
    assert_int_equal(snap_qmp_connect(path, timeout_ms, NULL, &q, &err), rc);
    in_time(timeout_ms);
    assert_null(q);
    assert_non_null(strstr(err.msg, path));
    if (!strstr(err.msg, why))
        fail_msg("said \"%s\", not \"%s\"", err.msg, why);
}

/* QEMU serves one client at a time; the next is accepted by the kernel, and
 * the one after that not even so. */
static void a_busy_socket(void **state)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    char *path = socket_path();
    int listener, waiting[8], i;

    (void)state;
    strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
    assert_int_equal(listen(listener, 1), 0);
    connect_fails(path, SHORT_MS, SNAP_BUSY, "no greeting within 300 ms");
    assert_true(snap_now_ms() - began >= SHORT_MS);
    for (i = 0; i < 8; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(waiting[i], (struct sockaddr *)&sun, sizeof(sun));
    }
    connect_fails(path, SHORT_MS, SNAP_BUSY, "have been waiting");
    for (i = 0; i < 8; i++)
        close(waiting[i]);
    close(listener);
    connect_fails(path, SHORT_MS, SNAP_IO, "Connection refused");
    unlink(path);
    connect_fails(path, SHORT_MS, SNAP_NOTFOUND, "No such file");
    forget(path);
}

static void a_path_too_long(void **state)
{
    char *path = string_of(108);

    (void)state;
    connect_fails(path, SHORT_MS, SNAP_INVAL, "too long");
    free(path);
}

static void nothing_to_close(void **state)
{
    (void)state;
    snap_qmp_close(NULL);
    assert_false(snap_qmp_alive(NULL));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_command_and_its_reply),
        T(arguments_and_values),
        T(ids_are_unique),
        T(replies_to_others_are_not_ours),
        T(replies_byte_by_byte),
        T(many_lines_in_one_piece),
        T(a_large_command_and_reply),
        T(the_conversation_is_logged),
        T(an_error_reply_is_no_broken_connection),
        T(odd_error_replies),
        T(a_long_error_is_cut),
        T(bad_greetings),
        T(silence_instead_of_a_greeting),
        T(half_a_greeting),
        T(a_dripping_greeting),
        T(negotiation_goes_wrong),
        T(negotiation_is_refused),
        T(bad_replies),
        T(what_is_quoted_is_safe),
        T(deep_nesting),
        T(an_oversized_line),
        T(silence_instead_of_a_reply),
        T(end_of_file),
        T(a_peer_that_has_gone),
        T(a_peer_that_does_not_read),
        T(events_anywhere),
        T(an_event_in_time),
        T(kept_events_outlive_the_connection),
        T(waiting_for_an_event_meets_something_else),
        T(kept_events_are_bounded),
        T(large_events_are_bounded),
        T(an_event_flood_does_not_hold_us),
        T(faults),
        T(connecting),
        T(a_busy_socket),
        T(a_path_too_long),
        T(nothing_to_close),
    };

    return cmocka_run_group_tests_name("qmp", tests, NULL, NULL);
}
