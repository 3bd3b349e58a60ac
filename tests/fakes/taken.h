/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * How the scenes begin of what is done with a snapshot: vm1 has s1, went on
 * since, and perhaps is gone.
 */
#ifndef TESTS_FAKES_TAKEN_H
#define TESTS_FAKES_TAKEN_H

#include "fakes/check.h"
#include "fakes/fake_host.h"

struct taken {
    struct fake_host h; /* first: sweep.h wants it so */
    struct before at; /* s1's instant */
    struct before last; /* what the guest had last */
    char *path_a, *path_b; /* its images then */
};

struct taken_how {
    bool memory;
    bool over; /* s2 froze the images since */
    bool off; /* the domain is gone */
    bool paused; /* its user has paused it */
    enum snap_disk_type type;
    enum fake_disks disks;
};

/* Both for sweep_begin and sweep_end; t is zeroed. */
void taken_init(struct taken *t, const struct taken_how *how);
void taken_dispose(struct taken *t);
/* What goes back to s1. */
void taken_revert_req(struct snap_revert_req *req);

/* For a test that needs no instant: a host whose commands are ours to call, and
 * s1, of the disks alone, external. */
int taken_attached(struct fake_host *h, struct snap_err *err);

#endif /* TESTS_FAKES_TAKEN_H */
