/* SPDX-License-Identifier: LGPL-2.1-only */
/* See session_open.h. */
#include "op/session_open.h"

#include <stdlib.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/absent.h"
#include "op/recover.h"
#include "store/lock.h"

/* Under the name that it was given, and that it had last. */
static int wait_for_reboot(const struct snap_session *s, struct snap_err *err)
{
    int rc;
    struct snap_state st = { 0 };
    struct snap_err ignored = SNAP_ERR_INIT;

    rc = snap_absent_wait(s->env, s->uuid, s->name, true, err);
    if (!rc && !snap_state_load(&s->store, &st, &ignored) &&
        !snap_streq(st.domain_name, s->name))
        rc = snap_absent_wait(s->env, s->uuid, st.domain_name, true, err);
    snap_state_dispose(&st);
    return rc;
}

static int recover(struct snap_session *s, bool dry_run, struct snap_err *err)
{
    int rc;
    char *what = NULL;
    struct snap_recovery how = { .tell = true };

    rc = snap_recover_how(s->env, &s->store, &how, dry_run, &what, err);
    if (!rc && what)
        snap_say(s->env->log, SNAP_LOG_NOTE, "%s%s",
                 dry_run ? "" : "an earlier command was interrupted: ", what);
    snap_recover_say_stale(s->env, &how);
    free(what);
    return rc;
}

/* What an earlier command left is put right by one alone. */
static int recover_alone(struct snap_session *s, const struct snap_entry *how,
                         struct snap_err *err)
{
    int rc = snap_store_lock(&s->store, how->wait, how->command, s->env->log,
                             err);

    if (!rc)
        rc = wait_for_reboot(s, err);
    if (!rc)
        rc = recover(s, false, err);
    snap_store_unlock(&s->store);
    return rc;
}

#define TRIES 10 /* how often a command may die before us */

/* Shared, and with nothing half done in the folder. */
static int share(struct snap_session *s, const struct snap_entry *how,
                 struct snap_err *err)
{
    char *journal = snap_store_journal_path(&s->store);
    int rc, i;

    for (i = 0;; i++) {
        rc = snap_store_lock_shared(&s->store, how->wait, how->command,
                                    s->env->log, err);
        if (rc || !snap_file_exists(journal))
            break;
        snap_store_unlock(&s->store);
        if (i == TRIES)
            rc = snap_fail(err, SNAP_BUSY,
                           "commands for %s die one after the other", s->name);
        else
            rc = recover_alone(s, how, err);
        if (rc)
            break;
    }
    free(journal);
    return rc ? rc : wait_for_reboot(s, err);
}

int snap_session_open(struct snap_session *s, const struct snap_entry *how,
                      struct snap_err *err)
{
    int rc;

    rc = snap_store_open(&s->store, s->env->store_root, s->uuid,
                         how->make && !how->dry_run, err);
    if (!rc && how->snapshot && !snap_file_exists(s->store.dir))
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "there is no snapshot %s of %s in %s", how->snapshot,
                       s->name, s->store.dir);
    if (!rc && how->shared && !how->dry_run)
        return share(s, how, err);
    if (!rc && !how->dry_run)
        rc = snap_store_lock(&s->store, how->wait, how->command, s->env->log,
                             err);
    if (!rc)
        rc = wait_for_reboot(s, err);
    return rc ? rc : recover(s, how->dry_run, err);
}
