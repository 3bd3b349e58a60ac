/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Third parties: what a guest, its user and other tools do while we are at
 * work.  Once third_begin() was called the guest is busy: at every call to the
 * outside of whatever runs in the host it writes to all of its disks and to
 * its memory, if it runs.  Each such moment is remembered, so that disks and
 * memory that do not belong together are seen, by the guest itself or in a
 * snapshot.  third_arm() lets somebody act once, at a call, before it.
 *
 * What a clone makes is busy as well, after third_clones(): each domain but
 * vm1 (third_new.c).
 */
#ifndef TESTS_FAKES_THIRD_H
#define TESTS_FAKES_THIRD_H

#include "fakes/fake_host.h"

enum third_act {
    THIRD_NOBODY,
    THIRD_REBOOT, /* the guest; its daemon builds it anew */
    THIRD_REBOOT_SLOWLY, /* which takes until somebody waits for it */
    THIRD_POWEROFF,
    THIRD_CRASH, /* on_crash=preserve */
    THIRD_PAUSE,
    THIRD_UNPAUSE,
    THIRD_DESTROY,
    THIRD_START, /* from its xl.cfg, if it is off */
    THIRD_RENAME,
    THIRD_SAVE, /* xl save begins, and does not end meanwhile */
    THIRD_SAVE_RESUMED, /* xl save -c, which ends five calls later */
    THIRD_SAVED, /* xl save, likewise: the domain is gone */
    THIRD_MIGRATE, /* xl migrate: it runs for many calls yet, then another QEMU
                    * has its images, and then it is gone */
    THIRD_ATTACH,
    THIRD_DETACH,
    THIRD_CREATE, /* a second command comes */
    THIRD_RECOVER, /* likewise, snapshot-recover */
    /* What only matters to a clone. */
    THIRD_DELETE, /* likewise, snapshot-delete of s1 */
    THIRD_CLONE, /* likewise, a snapshot-clone to the same name */
    THIRD_NAMESAKE, /* xl create of another domain with the clone's name */
    /* Upon the domain that it makes; its guest, or who has it. */
    THIRD_NEW_STARTED, /* xl create of it, before we build it */
    THIRD_NEW_REBOOT,
    THIRD_NEW_REBOOT_SLOWLY,
    THIRD_NEW_POWEROFF,
    THIRD_NEW_CRASH,
    THIRD_NEW_PAUSE,
    THIRD_NEW_UNPAUSE,
    THIRD_NEW_DESTROY,
    THIRD_NEW_RENAME,
    THIRD_NEW_SAVE,
    THIRD_NEW_SAVED,
    THIRD_NEW_RAN, /* he lets it run, or starts it, and ends it */
    THIRD_ACTS
};
const char *third_name(enum third_act a);
/* What is done, be it upon vm1 or the new domain. */
enum third_act third_kind(enum third_act a);

/* vm1 runs, and begins to write. */
void third_begin(struct fake_host *h);
void third_end(struct fake_host *h);
/* Somebody acts at call n of the next run, counted from 1; 0: now.  An act
 * that cannot be done then is not. */
void third_arm(struct fake_host *h, enum third_act act, unsigned n);
void third_disarm(struct fake_host *h);
/* A reboot that nobody waited for ends. */
void third_rebooted(struct fake_host *h);
bool third_acted(const struct fake_host *h);
enum third_act third_act(const struct fake_host *h);
/* Xen could not be told which images it writes to: a reboot may find such as
 * it does not write to any more. */
void third_may_lose(struct fake_host *h);
/* What was paused may run by now. */
void third_may_run(struct fake_host *h);
unsigned third_calls(const struct fake_host *h);
/* The moment to which a command may go back: that with a on xvda. */
void third_base(struct fake_host *h, uint64_t a);
/* For fake_host.c: a call to the outside; and a domain ends. */
void third_at_call(struct fake_host *h);
void third_stopped(struct fake_host *h, const struct fake_domain *d);
/* For fake_host.c: what a command leaves. */
void third_left(struct fake_host *h);
/* For fake_host.c: who watches a domain that is not there, or 0. */
pid_t third_monitor(struct fake_host *h, const char *name);
/* The guest writes. */
void third_write(struct fake_host *h);
/* Who runs now: a command's own process, or something else, which must end no
 * domain that was not built by us.  reverts: the command may end the domain
 * and go back. */
enum third_who { THIRD_COMMAND, THIRD_RESCUER };
void third_runs(struct fake_host *h, enum third_who who, bool reverts);

/* Each of them NULL, or a sentence. */
/* What anybody saw so far. */
const char *third_seen(const struct fake_host *h);
/* vm1 is as its user left it. */
const char *third_check_state(const struct fake_host *h);
/* All snapshots are of one moment each, and whole; nothing is left over. */
const char *third_check_store(struct fake_host *h);
/* Whoever acted ends what he began, and vm1 is off. */
void third_stop(struct fake_host *h);

/* ---- third_new.c ---- */

/* Commands make clones of the moment that third_base() said; memory: it is
 * what they wake up from. */
void third_clones(struct fake_host *h, bool memory);
/* The first domain that one of them made, or that stands for it; or NULL. */
struct fake_domain *third_new(const struct fake_host *h);
/* Likewise, all of them, and a namesake, go. */
void third_new_stop(struct fake_host *h);
/* The new domains are as somebody left them.  may_be_off: he has ended them,
 * or the clone was not to be started. */
const char *third_check_new(const struct fake_host *h, bool may_be_off);
/* The clones that the store has: of s1, with images that can be read; what
 * the guest of one wrote is there, and is a clone's. */
const char *third_check_clones(struct fake_host *h, unsigned *n_r);

#endif /* TESTS_FAKES_THIRD_H */
