/* SPDX-License-Identifier: LGPL-2.1-only */
/* See saver.h. */
#include "op/saver.h"

#include "lib/mem.h"

#define LOOK_MS 1000

/* One that cannot look says nothing of others: what works with the domain
 * next tells why. */
static bool found(struct snap_saver *s)
{
    s->looked_ms = snap_now_ms();
    snap_err_clear(&s->why);
    if (s->dom)
        s->env->ops->saver(s->env->hyp, s->dom, &s->why);
    if (s->why.rc != SNAP_BUSY)
        snap_err_clear(&s->why);
    return s->why.rc != 0;
}

int snap_saver_look(struct snap_saver *s, struct snap_err *err)
{
    return found(s) ? snap_fail(err, SNAP_BUSY, "%s", s->why.msg) : 0;
}

bool snap_saver_tick(struct snap_saver *s)
{
    return snap_now_ms() - s->looked_ms >= LOOK_MS && found(s);
}

int snap_saver_verdict(const struct snap_saver *s, int rc,
                       struct snap_err *err)
{
    if (rc != SNAP_INTR || !s->why.rc)
        return rc;
    snap_err_clear(err);
    return snap_fail(err, SNAP_BUSY, "%s", s->why.msg);
}
