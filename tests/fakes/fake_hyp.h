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

#include "model/hyp_ops.h"

#define FAKE_DOMAINS 8
#define FAKE_CONFIG  8192

struct fake_domain {
    bool exists;
    uint32_t domid;
    char name[64];
    char uuid[37];
    enum snap_guest_type type;
    unsigned paused_more; /* Xen counts: unpaused as often as paused */
    bool paused, suspended, shutdown, dying;
    bool no_suspend, no_live, passthrough, stubdom;
    bool has_run; /* since it was built */
    uint64_t ran_ns; /* its processor time */
    char mark[17]; /* who built it */
    bool half_built; /* there, and no more */
    bool qemu_gone; /* it ended, or a destruction was cut short; and then */
    bool no_devices; /* likewise, its devices are gone, too */
    bool wiped; /* and all that xenstore and libxl knew of it */
    bool monitor_held; /* stopped over the window */
    bool other_save; /* xl save or xl migrate is at work on it */
    bool precopy; /* that lets it run yet */
    bool locked_by_other; /* somebody has a lock of libxl for it */
    pid_t monitor_pid;
    uint64_t mem_kb;
    uint64_t tick; /* what its memory holds */
    char config[FAKE_CONFIG]; /* libxl's JSON */
};

struct fake_world {
    struct fake_domain dom[FAKE_DOMAINS];
    uint32_t next_domid;
    uint64_t free_kb;
    pid_t window_pid; /* who holds libxl's locks; 0: nobody */
    pid_t rescued; /* who last let a guest go on by rescue() */
    unsigned resumes; /* of guests that were not suspended */
    unsigned save_grows; /* tenths of a second for which a save writes on */
    int builds; /* so often somebody else is found building a domain */
    bool
        phy; /* the kernel serves the volumes in /vol/; who has no other disk has
               * no QEMU */
    bool no_kernel; /* nothing can be booted, only restored */
    bool kernel_goes; /* set by a destroy: that becomes so */
    bool qemu_lingers; /* a destroyed domain's QEMU keeps its images */
    char saved[256]; /* where the host's service has its memory, or "" */
    bool bad; /* an op was called in a wrong state */
    char why_bad[128];
    /* What QEMU does when a domain comes and goes; set by the test. */
    void (*started)(void *opaque, const struct fake_domain *d,
                    const char *vdev, const char *path, const char *format);
    void (*stopped)(void *opaque, const struct fake_domain *d);
    /* Who watches a domain of this name that is not there; NULL: nobody. */
    pid_t (*monitor)(void *opaque, const char *name);
    /* Does a QEMU answer that is connected to? */
    bool (*answers)(void *opaque);
    /* A guest goes on: its QEMU comes to what it was told, and no sooner. */
    void (*goes_on)(void *opaque);
    void *opaque;
};

/* How a memory image ends that was written whole. */
#define FAKE_IMAGE_END "\nall of the memory\n"
bool fake_image_whole(const char *data, size_t len);

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
void fake_domain_unpause(struct fake_domain *d);
/* True if it exists and its guest makes progress. */
bool fake_domain_runs(const struct fake_domain *d);

/* The table; open() attaches to the world set here. */
extern struct fake_world *fake_world_current;
/* Of each domain that comes. */
extern uint64_t fake_mem_kb;
extern const struct snap_hyp_ops fake_hyp_ops;

#endif /* TESTS_FAKES_FAKE_HYP_H */
