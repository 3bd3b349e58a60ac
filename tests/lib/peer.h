/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A scripted QMP peer: the QEMU that tests talk to.  It does exactly what
 * its script says, in a thread of its own, so a test can have it answer well,
 * badly, slowly, to the wrong question or not at all.
 *
 *     struct peer *p = PEER_START(&fd,
 *         { PEER_GREET },
 *         { PEER_EXPECT, "qmp_capabilities" }, { PEER_RETURN },
 *         { PEER_EXPECT, "query-status" },
 *         { PEER_EVENT, "STOP" },
 *         { PEER_RETURN, "{\"running\":false}", .piece = 1 });
 *     … snap_qmp_start(fd, …), snap_qmp_command(…), snap_qmp_close() …
 *     assert_null(peer_finish(p));
 *
 * Close the client's end before peer_finish(): it waits for the script.
 * The end of the script closes the connection.  A client that hangs up while
 * the peer is sending ends the script and is no failure (that is what it
 * should do to a flood); one that hangs up where a command is expected is.
 * No single read or write waits longer than PEER_PATIENCE_MS.
 *
 * Three ways to run a script: peer_start() on a socketpair, peer_listen() on
 * a UNIX socket, both in a thread; peer_run() on a descriptor in the caller,
 * for a fake QEMU that is a process.  A peer with state of its own (nodes,
 * jobs) ends its script in PEER_SERVE and answers in C.
 */
#ifndef TESTS_LIB_PEER_H
#define TESTS_LIB_PEER_H

#include <stddef.h>

#include "lib/json.h"

#define PEER_PATIENCE_MS 30000

/* A script is a table whose rows leave out what they do not need. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum peer_op {
    PEER_GREET, /* QEMU's greeting */
    /* read a command; it must be text, and its arguments equal to the JSON
     * in more (if not NULL) */
    PEER_EXPECT,
    PEER_RETURN, /* reply to the last command: text as JSON, or {} */
    /* reply with an error: description text, class more or GenericError */
    PEER_ERROR,
    PEER_EVENT, /* event text with the JSON in more as data */
    /* send text as it is, number times (0: once); "@ID@" in it stands for
     * the id of the last command */
    PEER_RAW,
    PEER_FILL, /* send number bytes 'x' */
    PEER_WAIT, /* do nothing for delay_ms */
    PEER_HOLD, /* read, but say nothing until the client hangs up */
    PEER_STALL, /* the same without reading */
    PEER_SERVE, /* give each command to serve() until it hangs up */
};

struct peer_step {
    enum peer_op op;
    const char *text, *more;
    int number;
    int piece; /* bytes per write; 0: all at once */
    int delay_ms; /* before each write */
};

struct peer;

/*
 * Answers one command of PEER_SERVE, in the peer's thread.  Returns the value
 * of "return" (owned by the peer), or NULL after setting *error_r to a
 * malloc()ed description.  May call peer_event() before it returns.
 */
typedef struct snap_json *peer_serve_fn(struct peer *p, void *opaque,
                                        const char *command,
                                        const struct snap_json *args,
                                        char **error_r);

struct peer_script {
    const struct peer_step *steps; /* copied, strings are not */
    size_t nr_steps;
    peer_serve_fn *serve;
    void *opaque;
};

struct peer *peer_start(const struct peer_script *script, int *client_fd_r);
#define PEER_START(client_fd_r, ...)                                        \
    peer_start(                                                             \
        &(struct peer_script){                                              \
            .steps = (const struct peer_step[]){ __VA_ARGS__ },             \
            .nr_steps = sizeof((const struct peer_step[]){ __VA_ARGS__ }) / \
                        sizeof(struct peer_step) },                         \
        (client_fd_r))
/* Listen at path (replaced if there); each of so many clients, one after the
 * other, gets the script from its start.  The path is there on return. */
struct peer *peer_listen(const char *path, const struct peer_script *script,
                         int clients);
/* Run the script here and now.  Closes fd.  peer_finish() as usual. */
struct peer *peer_run(int fd, const struct peer_script *script);

/* Only from serve(). */
void peer_event(struct peer *p, const char *name, const char *data);

/* Wait for the script's end and free the peer.  NULL if all went by the
 * script, else what did not; valid until the next call. */
const char *peer_finish(struct peer *p);

#endif /* TESTS_LIB_PEER_H */
