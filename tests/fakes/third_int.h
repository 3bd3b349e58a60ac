/* SPDX-License-Identifier: LGPL-2.1-only */
/* What third.c and third_check.c share. */
#ifndef TESTS_FAKES_THIRD_INT_H
#define TESTS_FAKES_THIRD_INT_H

#include "fakes/fake_disk_int.h"
#include "fakes/third.h"

#define THIRD_MOMENTS 8192
#define THIRD_CARRIED 24

/* What the guest had at one moment. */
struct third_moment {
    uint64_t a, b; /* content of xvda and xvdb */
    uint64_t tick; /* of its memory */
    unsigned disks;
};

/* A domain that a clone made, by its UUID, and what its guest wrote last. */
#define THIRD_LINES 4
struct third_line {
    char uuid[37];
    bool wrote;
    uint64_t a, b, tick;
    char path[2][FAKE_PATH];
};

struct third { /* shared with all processes of the host */
    struct third_moment moment[THIRD_MOMENTS];
    unsigned n;
    unsigned base; /* the moment to which a command may go back */
    bool revert;
    bool off; /* it was off in the beginning */
    enum third_who who;
    enum third_act act;
    unsigned at, calls;
    bool acted, may_run, may_lose;
    bool rested; /* what he renamed did not run */
    bool comes; /* coming is being rebooted */
    unsigned going; /* calls until its old domain, which is down, is away */
    struct fake_domain coming;
    unsigned looks; /* of who waits for it */
    unsigned build_left; /* calls until what is being built has its devices */
    bool build_early; /* it was begun before anybody looked */
    /* What a QEMU of another host has opened, as it was then. */
    struct fake_image carried[THIRD_CARRIED];
    int carried_at[THIRD_CARRIED];
    unsigned n_carried;
    unsigned save_left; /* calls until the save of another ends */
    uint32_t domid; /* the domain on which was acted, or which came of it */
    uint32_t started; /* the one that its user started */
    uint32_t ended; /* the last that we ended, and might */
    struct fake_domain vm; /* as its xl.cfg has it */
    bool clones, memory; /* third_clones() */
    struct third_line line[THIRD_LINES];
    char wrong[256];
};

void third_wrong(struct third *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The latest moment with these disks; 0 is any. */
const struct third_moment *third_find(const struct third *t, uint64_t a,
                                      uint64_t b);

/* What an act leaves of the very domain on which it was done. */
const char *third_check_acted(const struct third *t,
                              const struct fake_domain *d);

/* ---- third_new.c ---- */

/* Somebody boots it from the configuration that he was told; another one gets
 * its name.  False: he cannot. */
bool third_new_started(struct fake_host *h);
bool third_namesake(struct fake_host *h);
bool third_new_ran(struct fake_host *h);
/* Their guests write; and we destroyed one. */
void third_new_write(struct fake_host *h);
void third_new_stopped(struct fake_host *h, const struct fake_domain *d);

#endif /* TESTS_FAKES_THIRD_INT_H */
