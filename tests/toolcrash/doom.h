/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a test tells the tools of one case (shim.c).
 */
#ifndef TESTS_TOOLCRASH_DOOM_H
#define TESTS_TOOLCRASH_DOOM_H

#include <stdbool.h>

enum doom_how {
    /* at the call of that number, over all tools */
    DOOM_KILL, /* the tool is killed before the call */
    DOOM_TEAR, /* in the middle of it */
    DOOM_EIO, /* it fails */
    DOOM_ENOSPC, /* so; but a sync fails with EIO */
    DOOM_POWER, /* the power goes before it: whoever runs the tool dies, too */
    /* at the tool of that number */
    DOOM_NOTHING, /* it does nothing, and says that all is well */
    DOOM_SAYS_1, /* it does all, and says that it failed */
    DOOM_LAZY_POWER, /* no tool syncs, and the power goes before this one */
};

struct doom {
    unsigned calls; /* so far, of those that change a file */
    unsigned tools; /* so far */
    unsigned at; /* 1-based; 0: none */
    unsigned how;
    unsigned from_then_on; /* all that come after it, too */
    char disk[200]; /* what is synced is noted here (fakes/durable.h), or "" */
    char what[160]; /* the call or tool that was hit */
};

static inline bool doom_of_tools(unsigned how)
{
    return how >= DOOM_NOTHING;
}

#endif /* TESTS_TOOLCRASH_DOOM_H */
