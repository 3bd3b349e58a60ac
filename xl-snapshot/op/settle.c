/* SPDX-License-Identifier: LGPL-2.1-only */
/* See settle.h. */
#include "op/settle.h"

#include <poll.h>

#include "lib/mem.h"
#include "op/recover.h"

#define LATE_MS      (5.0 * 60 * 1000)
#define PAUSE_MS     100 /* before the second try; doubled up to */
#define PAUSE_MAX_MS 5000

/* Does what kept us from knowing go away by itself? */
static bool settle_may_pass(int why)
{
    return why != SNAP_RECOVER && why != SNAP_CORRUPT && why != SNAP_REFUSED;
}

int snap_settle(struct snap_env *env, struct snap_store *s, const char *domain,
                char **what_r, struct snap_err *err)
{
    int rc, pause_ms = PAUSE_MS;
    double deadline = snap_now_ms() +
                      (env->late_ms ? (double)env->late_ms : LATE_MS);
    bool said = false;
    struct snap_recovery how = { .why = 0 };

    for (;;) {
        snap_err_clear(err);
        rc = snap_recover_how(env, s, &how, false, what_r, err);
        if (!rc || !settle_may_pass(how.why) || snap_now_ms() >= deadline ||
            (env->interrupted && env->interrupted()))
            return rc;
        if (!said)
            snap_say(env->log, SNAP_LOG_NOTE,
                     "%s runs; waiting to learn what became of its disks (%s)",
                     domain, err->msg);
        said = true;
        poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
}
