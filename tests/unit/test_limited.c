/* SPDX-License-Identifier: LGPL-2.1-only */
/* What tells Xen in a process of its own ends with whoever waits for it. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/rc.h"
#include "op/limited.h"

#define LONG_S  60
#define SOON_MS 10000

static int fine(void *opaque)
{
    return *(int *)opaque;
}

static int hangs(void *opaque)
{
    char c = 'h';

    if (write(*(int *)opaque, &c, 1) == 1)
        sleep(LONG_S);
    return 0;
}

static void what_it_says(void **state)
{
    int no = 0, yes = 1, line[2];

    (void)state;
    assert_int_equal(pipe(line), 0);
    assert_int_equal(snap_limited(SOON_MS, fine, &no), 0);
    assert_int_equal(snap_limited(SOON_MS, fine, &yes), SNAP_FAIL);
    assert_int_equal(snap_limited(200, hangs, &line[1]), SNAP_TIMEOUT);
    close(line[0]);
    close(line[1]);
}

/* The end of the line is open as long as somebody hangs. */
static bool is_closed(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;

    return poll(&p, 1, SOON_MS) == 1 && read(fd, &c, 1) == 0;
}

static void it_ends_with_us(void **state)
{
    int line[2];
    pid_t pid;
    char c;

    (void)state;
    assert_int_equal(pipe(line), 0);
    pid = fork();
    if (!pid) {
        close(line[0]);
        _exit(snap_limited(LONG_S * 1000, hangs, &line[1]) != 0);
    }
    close(line[1]);
    assert_int_equal(read(line[0], &c, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(is_closed(line[0]));
    close(line[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(it_ends_with_us),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
