/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A Xen and the part of libxenlight that acts on it, under libxl's own names,
 * for tests of hyp/ (linked with -rdynamic).  What only computes, and what
 * only reads xenstore, is the real library's, over fake_xenstore.h.
 *
 * It is as bad as the real one: memory comes back late, a build that fails may
 * leave its domain, two domains may have one uuid, an event tells of a shutdown
 * once and only what happened while somebody watched, a domain that has been
 * destroyed may stay.  It is in memory that child processes share.
 */
#ifndef TEST_FAKE_LIBXL_H
#define TEST_FAKE_LIBXL_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_GUESTS   16
#define FAKE_MB       1024u /* in kB */
#define FAKE_NEEDS_KB (64 * FAKE_MB) /* of each domain */

struct fake_guest {
    bool used, shutdown, dying, has_memory;
    uint32_t domid;
    int pauses, reason; /* libxl_shutdown_reason */
    uint64_t cpu_time;
    char uuid[37];
    char config[2048]; /* libxl's JSON */
};

struct fake_xen {
    struct fake_guest d[FAKE_GUESTS];
    uint32_t next_domid;
    unsigned released; /* how often xenstored told of an end */
    bool no_ballooning; /* dom0 gives no memory to guests: dom0_mem= */
    uint64_t free_kb;
    uint64_t late_kb; /* comes back at late_ms (snap_now_ms()) */
    double late_ms;
    uint64_t dom0_gives_kb;
    /* What goes wrong. */
    bool list_fails; /* Xen does not tell what domains there are */
    bool info_fails; /* nor how one is */
    int creates_fail, unpauses_fail; /* that many */
    bool create_leaves; /* a failed one leaves its domain, paused */
    bool destroy_fails, destroy_leaves; /* a zombie */
    bool config_fails, dump_fails, preserve_fails, watch_fails;
    /* A CD that this guest ejects. */
    uint32_t eject_domid;
    char eject_vdev[16];
    /* What was done. */
    int creates, destroys, soft_resets, inserts, tries_for_memory;
    char dumped[128], inserted[16];
};
extern struct fake_xen *fake_xen; /* NULL before the first reset */

/* No domain but dom0; memory for four. */
void fake_xen_reset(void);
/* That of a test which has run us by exec. */
void fake_xen_join(void);
/* It runs.  name NULL: it has none.  Its number. */
uint32_t fake_guest_add(const char *name, const char *uuid,
                        const char *config);
/* NULL: there is none. */
struct fake_guest *fake_guest(uint32_t domid);
/* The newest one of this name in xenstore, or 0. */
uint32_t fake_guest_named(const char *name);
/* The guest stops. */
void fake_guest_stop(uint32_t domid, int reason);
/* `xl destroy` of somebody else. */
void fake_guest_end(uint32_t domid);

#endif
