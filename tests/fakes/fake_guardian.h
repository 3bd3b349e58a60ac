/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The real guardian (op/guard.c) over the fakes, as a real second process.
 * An exec would lose the world, which is shared memory without a name; so the
 * forked child does what an exec does to it, and goes on as --guardian.
 */
#ifndef TESTS_FAKES_FAKE_GUARDIAN_H
#define TESTS_FAKES_FAKE_GUARDIAN_H

#include "fakes/fake_host.h"

/* Commands of this host start one.  stall_ms: after which it acts. */
void fake_guardian_use(struct fake_host *h, unsigned stall_ms);

/* Asked at the calls of guardians that are started from now on, or NULL. */
extern int (*fake_guardian_hook)(const char *layer, const char *what);

/* What guardians told syslog since fake_guardian_use(), a line each. */
const char *fake_guardian_said(void);

/* A command as a process of its own, of which the guardian is a child; hook is
 * asked at its calls to the outside (lib/fault.h), or NULL. */
pid_t fake_command(struct fake_host *h, fake_op *fn, void *arg,
                   int (*hook)(const char *layer, const char *what));
/* It has ended; its result, or -1000 if it was killed.  msg may be NULL. */
int fake_command_end(pid_t pid, char *msg, size_t size);
/* The guardians of commands that have ended have ended, too.  Their number. */
unsigned fake_guardian_wait(void);
/* Likewise, but gives up after ms: false if one lives on. */
bool fake_guardian_wait_ms(unsigned ms);

#endif /* TESTS_FAKES_FAKE_GUARDIAN_H */
