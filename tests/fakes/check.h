/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The invariants that hold after any failure and any death, once recovered.
 * Each returns NULL, or one sentence about what is wrong.
 */
#ifndef TESTS_FAKES_CHECK_H
#define TESTS_FAKES_CHECK_H

#include "fakes/fake_host.h"

/* What the guest had before the operation. */
struct before {
    uint64_t a, b; /* content of xvda and xvdb */
    uint64_t tick;
};

void before_take(struct before *b, struct fake_host *h);
/* vm1 runs, reads what it last wrote, Xen names the images that QEMU has, no
 * journal, no monitor held, nobody's rules broken. */
const char *check_guest(struct fake_host *h, const struct before *b);
/* The record is absent with all its parts, or complete with all of them; a
 * record s0 may be there before.
 * *there_r tells which. */
const char *check_record(struct fake_host *h, const char *name, bool memory,
                         const struct before *b, bool *there_r);

#endif /* TESTS_FAKES_CHECK_H */
