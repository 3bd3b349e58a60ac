/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A whole host made of fakes: hypervisor, images, a store in a folder of its
 * own, and what the crash tier does with it: run an operation in a process
 * that fails, or dies, at its n-th call to the outside, and look at what is
 * left.
 */
#ifndef TESTS_FAKES_FAKE_HOST_H
#define TESTS_FAKES_FAKE_HOST_H

#include "fakes/fake_disk.h"
#include "fakes/fake_hyp.h"
#include "model/env.h"
#include "model/request.h"

#define FAKE_UUID "11111111-2222-3333-4444-555555555555"

struct fake_host;

/* Something done in the host. */
typedef int fake_op(struct fake_host *h, void *arg, struct snap_err *err);

enum fake_doom { DOOM_NONE, DOOM_ERRNO, DOOM_DEATH };

/* Which disks vm1 has, xvda and xvdb. */
enum fake_disks {
    FAKE_FILES, /* qcow2 /img/a.qcow2, raw /img/b.img */
    FAKE_VOLUMES, /* /vol/a, /vol/b */
    FAKE_INSIDE_VOLUME, /* qcow2 /img/a.qcow2, /vol/b */
    FAKE_OVER_VOLUME, /* raw /img/a.img, of which there are overlays only;
                       * /vol/b */
    FAKE_VOLUME_OVER, /* /vol/a, raw /img/b.img */
};

struct fake_host {
    struct fake_world *world;
    struct fake_store *disks;
    char root[64]; /* of the store; on a memory file system
                                     * where there is one */
    struct snap_env env;
    char said[4096]; /* notes and warnings, a line each */
    struct snap_log log;
    struct third *third; /* third.h; NULL: nobody else is there */
    const char *const *disk; /* "xvda:qcow2:/img/a.qcow2", NULL-terminated */
};

/* vm1, running, with FAKE_FILES or what is asked for. */
void fake_host_init(struct fake_host *h);
void fake_host_init_with(struct fake_host *h, enum fake_disks disks);
void fake_host_dispose(struct fake_host *h);
/* Open and close the hypervisor for one operation. */
int fake_host_attach(struct fake_host *h, struct snap_err *err);
void fake_host_detach(struct fake_host *h);

struct fake_outcome {
    bool died;
    int rc;
    bool did; /* a recovery: there was something to do */
    unsigned calls; /* to the outside, until the end */
    char msg[SNAP_ERR_MAX];
    char doomed[160]; /* the call that was hit */
};

/* Run fn in a child.  At its n-th call to the outside (1-based; 0: never) it
 * gets errnum or ends.  True if that call was reached. */
bool fake_host_run(struct fake_host *h, fake_op *fn, void *arg,
                   enum fake_doom doom, unsigned n, int errnum,
                   struct fake_outcome *out);

/* Operations for fake_host_run(); arg: struct snap_create_req *, struct
 * snap_revert_req *, struct snap_delete_req *, and nothing for the others. */
int fake_host_create(struct fake_host *h, void *req, struct snap_err *err);
int fake_host_revert(struct fake_host *h, void *req, struct snap_err *err);
int fake_host_delete(struct fake_host *h, void *req, struct snap_err *err);
int fake_host_clone(struct fake_host *h, void *req, struct snap_err *err);
int fake_host_recover(struct fake_host *h, void *arg, struct snap_err *err);
/* snapshot-recover --keep, and --discard */
int fake_host_recover_keep(struct fake_host *h, void *arg,
                           struct snap_err *err);
int fake_host_recover_discard(struct fake_host *h, void *arg,
                              struct snap_err *err);
/* What the guardian does once its parent is dead. */
int fake_host_guardian(struct fake_host *h, void *arg, struct snap_err *err);
/* Likewise, but its time was up before Xen was told anything. */
int fake_host_guardian_untold(struct fake_host *h, void *arg,
                              struct snap_err *err);

/* vm1 goes away, as after a poweroff. */
void fake_host_stop(struct fake_host *h);
/* vm1 comes again, on the images that the store's state names, or else those
 * of the beginning: what its user was told. */
void fake_host_start(struct fake_host *h);
/* The same for every domain of the store, as snapshot-recover does it. */
int fake_host_recover_all(struct fake_host *h, void *arg,
                          struct snap_err *err);

/* Files of the store but its lock and state: a list with a space between;
 * caller frees. */
char *fake_host_files(const struct fake_host *h);

#endif /* TESTS_FAKES_FAKE_HOST_H */
