/* SPDX-License-Identifier: LGPL-2.1-only */
/* See absent.h. */
#include "op/absent.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/mem.h"

#define LOOK_MS 250 /* at most, and not so often as to hold it up */
#define LOOKS   240
#define SAY_MS  1000

/* Its devices come last, and then it runs.  What we build ourselves has a mark,
 * and what was half destroyed no name; `xl create -p` leaves one with a QEMU, if
 * it has disks that we could work on. */
static bool is_being_built(const struct snap_domain *dom, bool waited)
{
    return dom->paused && !dom->has_run &&
           (waited || (!dom->qemu_pid && !dom->mark && !dom->nameless));
}

/* It went down, and its monitor has read, or is about to read, what it builds
 * next: what Xen is told now may come too late.  One that is kept after a crash
 * has no monitor, and one that we stopped waits for us. */
static bool is_going(const struct snap_domain *dom)
{
    return (dom->shutdown || dom->dying) && dom->monitor_pid > 0 &&
           !dom->monitor_stopped;
}

struct wait {
    struct snap_env *env;
    const char *uuid, *name;
    bool may_stop;
    double began;
    bool waited, said;
    bool gave_up; /* what find() returned is our own */
};

static double waits_until(const struct wait *w)
{
    return w->began + w->env->build_ms;
}

static void nap(const struct snap_env *env)
{
    poll(NULL, 0,
         env->build_ms < LOOKS * LOOK_MS ? env->build_ms / LOOKS : LOOK_MS);
}

/* Its monitor is about to build it, or it is being built: look again, or not. */
static int go_on(struct wait *w, struct snap_err *err)
{
    struct snap_env *env = w->env;

    if (w->may_stop && env->interrupted && env->interrupted()) {
        w->gave_up = true;
        return snap_fail(err, SNAP_INTR, "interrupted");
    }
    /* The monitor of one that was destroyed ends as well, a little later. */
    if (!w->said && snap_now_ms() > w->began + SAY_MS) {
        snap_say(env->log, SNAP_LOG_NOTE,
                 "%s reboots; waiting until it is there",
                 w->name ? w->name : w->uuid);
        w->said = true;
    }
    w->waited = true;
    nap(env);
    return 0;
}

/* It is not there.  SNAP_NOTFOUND: nobody is about to build it. */
static int await(struct wait *w, struct snap_err *err)
{
    struct snap_env *env = w->env;
    pid_t pid = w->name ? env->ops->monitor(env->hyp, w->uuid, w->name) : 0;

    if (!pid)
        return SNAP_NOTFOUND;
    snap_err_clear(err);
    if (snap_now_ms() < waits_until(w))
        return go_on(w, err);
    w->gave_up = true;
    return snap_fail(err, SNAP_BUSY,
                     "%s does not run now, but process %ld, which is to build it again, is there: it reboots, or is being built.  Run the command again when xl list shows it; if it never comes, kill %ld first",
                     w->name, (long)pid, (long)pid);
}

/* built: one that is being built is waited for though it was there at once. */
static int absent_find(struct wait *w, bool built, struct snap_domain *dom,
                       struct snap_err *err)
{
    int rc, r;

    w->began = snap_now_ms();
    do {
        rc = w->env->ops->find_uuid(w->env->hyp, w->uuid, dom, err);
        if (rc == SNAP_NOTFOUND) {
            r = await(w, err);
        } else if (rc || snap_now_ms() >= waits_until(w) ||
                   !(is_going(dom) || ((built || w->waited) &&
                                       is_being_built(dom, w->waited)))) {
            return rc;
        } else {
            /* Its QEMU comes before it can be talked to. */
            snap_domain_dispose(dom);
            memset(dom, 0, sizeof(*dom));
            r = go_on(w, err);
        }
    } while (!r);
    return r;
}

int snap_absent_find(struct snap_env *env, const char *uuid, const char *name,
                     bool may_stop, struct snap_domain *dom,
                     struct snap_err *err)
{
    struct wait w = {
        .env = env, .uuid = uuid, .name = name, .may_stop = may_stop
    };

    return absent_find(&w, true, dom, err);
}

int snap_absent_wait(struct snap_env *env, const char *uuid, const char *name,
                     bool may_stop, struct snap_err *err)
{
    int rc;
    struct snap_domain dom = { 0 };
    struct snap_err why = SNAP_ERR_INIT;
    struct wait w = {
        .env = env, .uuid = uuid, .name = name, .may_stop = may_stop
    };

    if (!name || !env->hyp)
        return 0;
    rc = absent_find(&w, false, &dom, &why);
    snap_domain_dispose(&dom);
    /* What else may be wrong is said by who works with it. */
    return w.gave_up ? snap_fail(err, rc, "%s", why.msg) : 0;
}

int snap_absent_saved(struct snap_env *env, const char *uuid, const char *name,
                      const char *since, struct snap_err *err)
{
    int rc = 0;
    struct stat st, before;
    char *path = env->hyp ? env->ops->saved(env->hyp, uuid) : NULL;

    if (path && !(since && !stat(path, &st) && !stat(since, &before) &&
                  st.st_mtim.tv_sec < before.st_mtim.tv_sec))
        rc = snap_fail(err, SNAP_BUSY,
                       "%s is saved in %s, and goes on from there with the disks that it had.  Restore it first (xl restore %s); if its memory is not wanted any more, remove that file",
                       name ? name : uuid, path, path);
    free(path);
    return rc;
}
