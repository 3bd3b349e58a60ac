/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Being asked to stop.  While nothing has begun we end at once, with the
 * status of a command that failed and changed nothing; once all is done, with
 * that of what was done.  From snap_signals_arm() on, SIGINT, SIGTERM and SIGHUP only set a
 * flag that op/ looks at between steps; asking twice changes nothing.
 *
 * The handlers restart system calls: what libxl or a library does at that
 * moment, with a guest at rest, must not fail because of a key press.
 *
 * Ctrl-Z would stop us, and a guest that is at rest with us; a terminal may
 * stop a background process that writes to it; a reader that goes away or a
 * file size limit would kill us.  None of them may.  The ignored ones are
 * inherited by the programs we run, which is wanted for the first three: a
 * stopped save helper stops the guest just the same.
 */
#include "cli/signals.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t asked;

static void on_ask(int sig)
{
    (void)sig;
    asked = 1;
}

/* What a command says and returns that is asked to stop outside of its work;
 * changed only while on_ask() is in place. */
static char last_words[160];
static volatile sig_atomic_t last_status;

static void on_leave(int sig)
{
    (void)sig;
    if (write(STDERR_FILENO, last_words, strlen(last_words)) < 0)
        last_words[0] = '\0'; /* nobody listens */
    _exit(last_status);
}

static void on_nothing(int sig)
{
    (void)sig;
}

static const struct {
    int sig;
    void (*fn)(int sig);
} table[] = {
    { SIGINT, on_ask },      { SIGTERM, on_ask },  { SIGHUP, on_ask },
    { SIGTSTP, SIG_IGN },    { SIGTTIN, SIG_IGN }, { SIGTTOU, SIG_IGN },
    { SIGPIPE, on_nothing }, /* not inherited; write() says EPIPE */
    { SIGXFSZ, on_nothing }, /* likewise EFBIG */
};

#define N_SIGNALS (sizeof(table) / sizeof(table[0]))

static struct sigaction before[N_SIGNALS];
static bool armed;

void snap_signals_start(const char *prog)
{
    struct sigaction sa, was;
    size_t i;

    snprintf(last_words, sizeof(last_words),
             "%s: interrupted; nothing was changed\n", prog);
    last_status = SNAP_EXIT_FAILED;
    for (i = 0; i < N_SIGNALS; i++) {
        memset(&sa, 0, sizeof(sa));
        sa.sa_handler = on_leave;
        sigemptyset(&sa.sa_mask);
        if (table[i].fn == on_ask && !sigaction(table[i].sig, NULL, &was) &&
            was.sa_handler != SIG_IGN)
            sigaction(table[i].sig, &sa, NULL);
    }
}

void snap_signals_arm(void)
{
    struct sigaction sa;
    size_t i;

    if (armed)
        return;
    asked = 0;
    for (i = 0; i < N_SIGNALS; i++) {
        memset(&sa, 0, sizeof(sa));
        sa.sa_handler = table[i].fn;
        sa.sa_flags = SA_RESTART;
        sigemptyset(&sa.sa_mask);
        /* Who started us with SIGHUP or SIGINT ignored (nohup) meant it. */
        sigaction(table[i].sig, NULL, &before[i]);
        if (table[i].fn == on_ask && before[i].sa_handler == SIG_IGN)
            continue;
        sigaction(table[i].sig, &sa, NULL);
    }
    armed = true;
}

void snap_signals_disarm(int status)
{
    size_t i;

    if (!armed)
        return;
    last_words[0] = '\0';
    last_status = status;
    for (i = 0; i < N_SIGNALS; i++)
        if (table[i].sig != SIGPIPE)
            sigaction(table[i].sig, &before[i], NULL);
    armed = false;
}

int snap_signals_interrupted(void)
{
    return asked;
}
