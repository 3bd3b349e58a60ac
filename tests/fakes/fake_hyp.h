/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A hypervisor in memory: domains with a state, a configuration, disks and a
 * counter that stands for their memory.  It lives in shared memory, so that it
 * outlives a process of the crash tier that ends in the middle.  Every op asks
 * snap_fault("hyp", NAME) before it acts and again, as "NAME done", after; an
 * errno at "done" models a reply that got lost.
 */
#ifndef TESTS_FAKES_FAKE_HYP_H
#define TESTS_FAKES_FAKE_HYP_H

#include "core/hyp_ops.h"

#define FAKE_DOMAINS 8
#define FAKE_CONFIG  8192

struct fake_domain {
    bool exists;
    uint32_t domid;
    char name[64];
    char uuid[37];
    enum snap_guest_type type;
    bool paused, suspended, shutdown, dying;
    bool no_suspend, no_live, passthrough, stubdom;
    bool qemu_gone; /* half destroyed */
    bool monitor_held; /* stopped over the window */
    pid_t monitor_pid;
    uint64_t mem_kb;
    uint64_t tick; /* what its memory holds */
    char config[FAKE_CONFIG]; /* libxl's JSON */
};

struct fake_world {
    struct fake_domain dom[FAKE_DOMAINS];
    uint32_t next_domid;
    uint64_t free_kb;
    unsigned resumes; /* of guests that were not suspended */
    bool bad; /* an op was called in a wrong state */
    char why_bad[128];
    /* What QEMU does when a domain comes and goes; set by the test. */
    void (*started)(void *opaque, const struct fake_domain *d,
                    const char *vdev, const char *path, const char *format);
    void (*stopped)(void *opaque, const struct fake_domain *d);
    void *opaque;
};

/* Shared, zeroed, with one free host; end with fake_world_free(). */
struct fake_world *fake_world_new(void);
void fake_world_free(struct fake_world *w);
/* A running domain; disks is a NULL-terminated list of
 * "vdev:format:path[:ro|:cdrom]". */
struct fake_domain *fake_domain_add(struct fake_world *w, const char *name,
                                    const char *uuid,
                                    const char *const *disks);
struct fake_domain *fake_domain_find(struct fake_world *w, const char *name);
/* The path that the configuration names for a disk; caller frees. */
char *fake_domain_path(const struct fake_domain *d, const char *vdev);
/* True if it exists and its guest makes progress. */
bool fake_domain_runs(const struct fake_domain *d);

/* The table; open() attaches to the world set here. */
extern struct fake_world *fake_world_current;
extern const struct snap_hyp_ops fake_hyp_ops;

#endif /* TESTS_FAKES_FAKE_HYP_H */
